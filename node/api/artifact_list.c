/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs/RUN/artifacts: what the tasks of a run made, a line of JSON for each
 * task, with short values in place. Made while it is sent, a few records at a time. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/source.h"
#include "node/api/value.h"
#include "node/attempt_reader.h"

enum {
    INLINE_BYTES_MAX = 64 << 10,
    CHUNK_BYTES = 128 << 10,
};

struct artifact_list {
    struct attempt_reader records;
    const char *name; /* NULL: all */
    uint64_t inline_bytes, limit, n;
};

static void list_release(void *data)
{
    struct artifact_list *list = data;

    attempt_reader_release(&list->records);
}

int artifacts_list(struct request *r)
{
    struct artifact_list *list = request_data(r, sizeof(*list), list_release);

    if (!list)
        return -ENOMEM;
    list->name = request_query(r, "name");
    if (!request_number(r, "inline", 0, INLINE_BYTES_MAX, &list->inline_bytes)
        || !request_number(r, "limit", UINT64_MAX, UINT64_MAX, &list->limit))
        return 0;
    return source_begin(r);
}

static bool is_wanted(const struct artifact_list *list, const struct artifact *a)
{
    return !list->name || strcmp(list->name, a->name) == 0;
}

/* Of an attempt that failed nothing is kept that others may see. */
static bool has_wanted(const struct artifact_list *list, const struct attempt_record *a)
{
    if (a->verdict == VERDICT_FAILED || a->verdict == VERDICT_LOST)
        return false;
    for (size_t i = 0; i < a->n_outputs; i++)
        if (is_wanted(list, &a->outputs[i]))
            return true;
    return false;
}

static int put_artifact(struct request *r, struct emit *e, const struct artifact *a)
{
    const struct artifact_list *list = r->data;
    int error = 0;

    emit_open(e, NULL, '{');
    emit_text(e, "name", a->name);
    encode_artifact_about(e, a);
    if (a->size <= list->inline_bytes)
        error = value_or_bytes_emit(runtime_artifacts(r->rt), e, a);
    emit_close(e, '}');
    return error;
}

static int put_attempt(struct request *r, const struct attempt_record *a,
                       struct buffer *out)
{
    struct artifact_list *list = r->data;
    struct emit e = { .out = out };
    int error = 0;

    emit_open(&e, NULL, '{');
    emit_text(&e, "step", r->flow->steps[a->task.step].name);
    emit_task(&e, "task", &a->task);
    emit_u64(&e, "attempt", a->attempt);
    emit_open(&e, "artifacts", '[');
    for (size_t i = 0; error == 0 && i < a->n_outputs; i++)
        if (is_wanted(list, &a->outputs[i]))
            error = put_artifact(r, &e, &a->outputs[i]);
    emit_close(&e, ']');
    emit_close(&e, '}');
    buffer_putc(out, '\n');
    list->n++;
    return error ? error : buffer_failed(out);
}

static int fill(struct request *r, struct buffer *out)
{
    struct artifact_list *list = r->data;
    const struct attempt_record *a;

    while (out->len < CHUNK_BYTES) {
        int n;

        if (atomic_load(r->is_stopping))
            return -ECANCELED;
        if (list->n == list->limit)
            return 0;
        n = attempt_reader_next(&list->records, &a);
        if (n <= 0)
            return n;
        if (a->task.step >= r->flow->n_all_steps)
            return -EBADMSG;
        n = has_wanted(list, a) ? put_attempt(r, a, out) : 0;
        if (n < 0)
            return n;
    }
    return 1;
}

int artifacts_list_work(struct request *r)
{
    struct artifact_list *list = r->data;
    struct record_key prefix, after = { .len = 0 };

    if (!source_flow(r) || !source_prefix(r, &prefix) || !source_after(r, &after))
        return 0;
    attempt_reader_init(&list->records, runtime_writer(r->rt), &prefix);
    list->records.next = after;
    r->reply.stream.fill = fill;
    return reply_stream(r, "application/x-ndjson");
}
