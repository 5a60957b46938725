/* SPDX-License-Identifier: Apache-2.0 */
/* What a run of this process came to, read back from the store. */
#include <errno.h>

#include "node/api/past.h"
#include "node/cli/order.h"
#include "node/cli/summary.h"

static int get(struct runtime *rt, const struct record_key *key, struct buffer *ret)
{
    return writer_get(runtime_writer(rt), STORE_RECORDS,
                      (struct span){ key->bytes, key->len }, ret);
}

static int describe(struct runtime *rt, const struct run_id *id,
                    const struct flow *flow, struct emit *e)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_key(id), end_key = run_end_key(id);
    int r = get(rt, &key, &value);

    if (r == 0)
        r = run_record_decode(value.data, value.len, &record);
    buffer_clear(&value);
    if (r == 0)
        r = get(rt, &end_key, &value);
    if (r == 0)
        r = run_end_record_decode(value.data, value.len, &end);
    return r ? r : past_encode(runtime_writer(rt), &record, flow, &end, NULL, NULL, e);
}

void local_say_end(struct runtime *rt, const struct run_id *id, const struct flow *flow)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(json_decrefp) json_t *run = NULL;
    struct emit e = { .out = &text };

    if (describe(rt, id, flow, &e) == 0 && !buffer_failed(&text))
        run = json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL);
    if (run)
        summary_print(run);
}
