/* SPDX-License-Identifier: Apache-2.0 */
/* What is decoded can be encoded, and comes back as the same bytes from then on. */
#include "tests/fuzz/record.h"

static void decode(const void *data, size_t len)
{
    CLEANUP(run_state_record_release)
    struct run_state_record record = { .n_tags = 0 }, again = { .n_tags = 0 };
    CLEANUP(buffer_release) struct buffer first = BUFFER_INIT, second = BUFFER_INIT;

    if (run_state_record_decode(data, len, &record) < 0)
        return;
    if (run_state_record_encode(&record, &first) < 0
        || run_state_record_decode(first.data, first.len, &again) < 0
        || run_state_record_encode(&again, &second) < 0)
        abort();
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    record_fuzz(data, len, decode);
    return 0;
}
