/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/record.h"

struct fence_record {
    uint64_t fence;
};

static void fence_record_release(struct fence_record *r)
{
    r->fence = 0;
}

static int decode_fence(const void *data, size_t len, struct fence_record *ret)
{
    return fence_record_decode(data, len, &ret->fence);
}

static int encode_fence(const struct fence_record *r, struct buffer *out)
{
    return fence_record_encode(r->fence, out);
}

/* The record is one number, so its functions take that. */
#define fence_record_decode decode_fence
#define fence_record_encode(r, out) encode_fence(r, out)

FUZZ_RECORD(fence)
