/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into a run's record finds what decoding it finds. */
#include "tests/fuzz/record.h"

static int match(const void *data, size_t len, const struct run_record *r)
{
    const struct run_filter filter = { .flow = r->flow_name,
                                       .user = r->user,
                                       .tag =
                                           r->n_tags ? r->tags[r->n_tags - 1] : NULL };

    return run_record_matches(data, len, &filter);
}

static void compare(const void *data, size_t len)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    const struct run_filter none = { .flow =
                                         "no flow has this name, as it is too long" };

    if (run_record_matches(data, len, &none) > 0)
        abort();
    if (run_record_decode(data, len, &record) == 0 && match(data, len, &record) != 1)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    record_fuzz(data, len, compare);
    return 0;
}
