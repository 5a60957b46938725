/* SPDX-License-Identifier: Apache-2.0 */
/* Records and their tickets; what a restart finds.
 *
 * Beside the records of proto/record.h the runtime keeps, in the same transactions, an
 * index of the runs that have no end yet ('u' run_id), so that a restart reads these
 * alone, and the next run number in STORE_META. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "flow/parameters.h"
#include "flow/read.h"
#include "node/runtime_internal.h"
#include "node/runtime_mesh.h"
#include "proto/replica_state.h"
#include "store/lmdb.h"

enum { WINDOW_MS = 10, QUEUE_BYTES_MAX = 64 << 20, MARK_KEY_SIZE = 1 + RUN_ID_SIZE };

static const char mark_unfinished = 'u';

static const char next_number_key[] = "next_number";

/* ---- tickets ---- */

static int push_ticket(struct ticket_queue *q, uint64_t node, uint64_t writer)
{
    if (q->n == q->cap) {
        size_t cap = q->cap ? 2 * q->cap : 1024;
        struct ticket_pair *pairs = malloc(cap * sizeof(*pairs));

        if (!pairs)
            return -ENOMEM;
        for (size_t i = 0; i < q->n; i++)
            pairs[i] = q->pairs[(q->head + i) % q->cap];
        free(q->pairs);
        q->pairs = pairs;
        q->cap = cap;
        q->head = 0;
    }
    q->pairs[(q->head + q->n++) % q->cap] = (struct ticket_pair){ node, writer };
    return 0;
}

int runtime_push_ticket(struct runtime *rt, uint64_t node, uint64_t writer)
{
    return push_ticket(&rt->tickets, node, writer);
}

static void pop_tickets(struct ticket_queue *q, uint64_t writer_durable)
{
    while (q->n && q->pairs[q->head].writer <= writer_durable) {
        q->durable = q->pairs[q->head].node;
        q->head = (q->head + 1) % q->cap;
        q->n--;
    }
}

/* The writer's thread: wake the loop. */
static void on_durable(void *arg, uint64_t ticket, int error)
{
    struct runtime *rt = arg;

    (void)ticket;
    if (error)
        atomic_store(&rt->writer_error, error);
    uv_async_send(&rt->durable_async);
}

static void on_durable_async(uv_async_t *async)
{
    struct runtime *rt = async->data;
    int error = atomic_load(&rt->writer_error);

    if (error) {
        runtime_give_up(rt, error, "the store cannot be written");
        return;
    }
    pop_tickets(&rt->tickets, writer_durable(rt->writer, &error));
    feed_release(rt->feed, rt->tickets.durable);
    if (rt->mesh)
        runtime_mesh_durable(rt, rt->tickets.durable);
    runtime_fences_durable(rt);
    if (!writer_is_full(rt->writer) && rt->tasks_epoll >= 0)
        runtime_pause_tasks(rt, false);
}

/* ---- writing ---- */

static void encode_number(uint64_t number, uint8_t ret_bytes[8])
{
    for (int i = 0; i < 8; i++)
        ret_bytes[i] = (uint8_t)(number >> (56 - 8 * i));
}

struct store_write runtime_count_to(struct runtime *rt, uint64_t number)
{
    static uint8_t next[8];

    if (number >= rt->next_number)
        rt->next_number = number + 1;
    encode_number(rt->next_number, next);
    return (struct store_write){ .table = STORE_META,
                                 .key = { next_number_key, sizeof(next_number_key) },
                                 .value = { next, sizeof(next) } };
}

/* Of the mark that a run has no end. */
static struct span mark_key(const struct run_id *run, uint8_t key[MARK_KEY_SIZE])
{
    key[0] = (uint8_t)mark_unfinished;
    memcpy(key + 1, run->bytes, RUN_ID_SIZE);
    return (struct span){ key, MARK_KEY_SIZE };
}

/* The writes that go with a new run: its number, and that it has no end. */
static uint64_t persist_run(struct runtime *rt, const struct action *a,
                            const struct store_write *record)
{
    struct run_context *c = runtime_context(rt, &a->run);
    struct record_key number = number_key(c->number);
    uint8_t unfinished[MARK_KEY_SIZE], next[8];
    struct store_write writes[4] = { *record };

    encode_number(c->number + 1, next);
    writes[1] = (struct store_write){ .table = STORE_RECORDS,
                                      .key = { number.bytes, number.len },
                                      .value = { a->run.bytes, RUN_ID_SIZE } };
    writes[2] = (struct store_write){ .table = STORE_RECORDS,
                                      .key = mark_key(&a->run, unfinished),
                                      .value = { "", 0 } };
    writes[3] =
        (struct store_write){ .table = STORE_META,
                              .key = { next_number_key, sizeof(next_number_key) },
                              .value = { next, sizeof(next) } };
    return writer_put(rt->writer, writes, ARRAY_SIZE(writes), a->u.persist.is_urgent);
}

static uint64_t persist_end(struct runtime *rt, const struct action *a,
                            const struct store_write *record)
{
    CLEANUP(buffer_release) struct buffer state = BUFFER_INIT;
    struct record_key state_key;
    uint8_t unfinished[MARK_KEY_SIZE];
    struct store_write writes[3] = { *record };
    size_t n = 2;

    run_end_record_release(&rt->last_end);
    if (run_end_record_decode(record->value.data, record->value.len, &rt->last_end) < 0)
        rt->last_end = (struct run_end_record){ .run = a->run };
    writes[1] = (struct store_write){ .table = STORE_RECORDS,
                                      .key = mark_key(&a->run, unfinished),
                                      .is_delete = true };
    n += runtime_state_at_end(rt, &a->run, &state_key, &state, &writes[2]);
    return writer_put(rt->writer, writes, n, a->u.persist.is_urgent);
}

void runtime_persist(struct runtime *rt, const struct action *a)
{
    struct store_write record = { .table = STORE_RECORDS,
                                  .key = { a->u.persist.key, a->u.persist.key_len },
                                  .value = { a->u.persist.value,
                                             a->u.persist.value_len } };
    uint64_t ticket;

    switch (*(const char *)a->u.persist.key) {
    case 'r':
        ticket = persist_run(rt, a, &record);
        break;
    case 'e':
        ticket = persist_end(rt, a, &record);
        break;
    default:
        ticket = writer_put(rt->writer, &record, 1, a->u.persist.is_urgent);
    }
    if (ticket == 0 || push_ticket(&rt->tickets, a->ticket, ticket) < 0)
        runtime_give_up(rt, -ENOMEM, "out of memory");
}

/* ---- opening ---- */

static int read_next_number(struct runtime *rt)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    int r =
        writer_get(rt->writer, STORE_META,
                   (struct span){ next_number_key, sizeof(next_number_key) }, &value);

    rt->next_number = 1;
    if (r == -ENOENT)
        return 0;
    if (r < 0 || value.len != 8)
        return r < 0 ? r : -EBADMSG;
    rt->next_number = 0;
    for (int i = 0; i < 8; i++)
        rt->next_number = rt->next_number << 8 | (uint8_t)value.data[i];
    return 0;
}

int runtime_store_open(struct runtime *rt, int *ret_pid, struct error *ret_error)
{
    struct writer_config config = { .window_us = TIME_MS(WINDOW_MS),
                                    .queue_bytes_max = QUEUE_BYTES_MAX,
                                    .on_durable = on_durable,
                                    .arg = rt };
    const struct lmdb_options options = { .lock_fd =
                                              rt->before ? rt->before->lock_fd : 0 };
    int r = lmdb_open(rt->dir, &options, &rt->store, ret_pid, ret_error);

    if (r < 0)
        return r;
    uv_async_init(&rt->loop, &rt->durable_async, on_durable_async);
    rt->durable_async.data = rt;
    r = writer_start(rt->store, &config, &rt->writer);
    if (r == 0)
        r = blobs_open(rt->dir, rt->store, rt->writer, rt->config.quota_bytes,
                       &rt->blobs, ret_error);
    if (r == 0)
        runtime_room_open(rt);
    if (r == 0)
        r = read_next_number(rt);
    rt->artifacts = (struct artifacts){ .writer = rt->writer, .blobs = rt->blobs };
    rt->cache = (struct cache){ .artifacts = &rt->artifacts, .items = &rt->items };
    return r;
}

void runtime_store_close(struct runtime *rt)
{
    blobs_close(rt->blobs);
    writer_stop(rt->writer);
    store_close(rt->store);
    run_end_record_release(&rt->last_end);
}

/* ---- what a restart finds ---- */

struct run_list {
    struct run_id *ids;
    size_t n, cap;
};

static int add_run(void *arg, struct span key, struct span value)
{
    struct run_list *l = arg;

    (void)value;
    if (key.len != MARK_KEY_SIZE)
        return 0;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 16;
        struct run_id *ids = realloc(l->ids, cap * sizeof(*ids));

        if (!ids)
            return -ENOMEM;
        l->ids = ids;
        l->cap = cap;
    }
    memcpy(l->ids[l->n++].bytes, (const uint8_t *)key.data + 1, RUN_ID_SIZE);
    return 0;
}

/* A file parameter's value is kept as a blob; the record has its name. */
static int value_of(struct runtime *rt, const struct run_id *run,
                    const struct flow *flow, const struct record_parameter *given,
                    char **ret_value)
{
    CLEANUP(buffer_release) struct buffer content = BUFFER_INIT;
    const char *secret =
        given->is_secret ? runtime_adopt_secret(rt, run, given->name) : NULL;
    struct digest id;
    int r;

    for (size_t i = 0; i < flow->n_parameters; i++) {
        if (strcmp(flow->parameters[i].name, given->name) != 0
            || flow->parameters[i].type != PARAMETER_FILE || given->is_secret)
            continue;
        if (digest_parse(given->value, &id) < 0)
            return -EBADMSG;
        r = blobs_read(rt->blobs, &id, 0, UINT64_MAX, &content);
        if (r < 0)
            return r;
        *ret_value = buffer_take(&content);
        return *ret_value ? 0 : -ENOMEM;
    }
    *ret_value = strdup(secret ? secret : given->value);
    return *ret_value ? 0 : -ENOMEM;
}

int runtime_values(struct runtime *rt, const struct flow *flow,
                   const struct run_record *record, char ***ret_values)
{
    CLEANUP(freep)
    struct pair *pairs = calloc(record->n_parameters + 1, sizeof(*pairs));
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    size_t n = 0;
    int r = pairs ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < record->n_parameters; i++) {
        pairs[n].name = record->parameters[i].name;
        r = value_of(rt, &record->run, flow, &record->parameters[i], &pairs[n].value);
        n += r == 0;
    }
    if (r == 0)
        r = parameters_resolve(flow, pairs, n, ret_values, &d);
    for (size_t i = 0; i < n; i++)
        free(pairs[i].value);
    return r;
}

static int restore_attempt(void *arg, struct span key, struct span value)
{
    struct runtime *rt = arg;
    struct attempt_record record;
    int r = attempt_record_decode(value.data, value.len, &record);

    if (r < 0)
        return r;
    r = attempt_key_decode(key.data, key.len, &record.run, &record.task,
                           &record.attempt);
    if (r == 0)
        runtime_event(rt, &(struct event){ .type = EVENT_RESTORE_ATTEMPT,
                                           .run = record.run,
                                           .u.attempt = &record });
    attempt_record_release(&record);
    return r;
}

static int restore_fence(void *arg, struct span key, struct span value)
{
    struct event e = { .type = EVENT_RESTORE_FENCE };
    int r = fence_record_decode(value.data, value.len, &e.u.fence.fence);

    if (r == 0)
        r = fence_key_decode(key.data, key.len, &e.run, &e.u.fence.task);
    if (r == 0)
        runtime_event(arg, &e);
    return r;
}

int runtime_read_record(struct runtime *rt, const struct run_id *id,
                        struct run_record *record)
{
    struct record_key key = run_key(id);
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    int r = writer_get(rt->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                       &value);

    return r < 0 ? r : run_record_decode(value.data, value.len, record);
}

int runtime_read_run(struct runtime *rt, const struct run_id *id,
                     struct run_record *record, struct flow **ret_flow)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    int r = runtime_read_record(rt, id, record);

    return r < 0 ? r
                 : flow_read(record->flow_text, record->flow_text_len, ret_flow, &d);
}

/* A run that is led here again may have its context still. */
static int add_context(struct runtime *rt, struct flow **flow,
                       const struct run_record *record)
{
    struct run_context *c = runtime_context(rt, &record->run);
    char **values;
    int r = c ? 0 : runtime_fill_globs(rt, *flow, &record->package);

    if (r == 0 && !c) {
        r = runtime_values(rt, *flow, record, &values);
        return r < 0 ? r : runtime_add_context(rt, record, *flow, values);
    }
    if (c) {
        c->is_leaving = false;
        flow_unref(*flow);
        *flow = flow_ref(c->flow);
    }
    return r;
}

/* The policy may have been another when it was taken, or it was taken elsewhere. */
static void note_refusal(struct runtime *rt, const struct run_id *id)
{
    const struct run_context *c = runtime_context(rt, id);
    struct event e = { .type = EVENT_REFUSED, .run = *id };

    if (!c || !c->refusal)
        return;
    runtime_log(rt, "run.refused", "run=%s policy=%s", c->id_text,
                refusal_name(c->refusal));
    e.u.refused.why = c->refusal;
    runtime_event(rt, &e);
}

/* All that no record has is known. */
static bool has_secrets(const struct runtime *rt, const struct run_record *record)
{
    for (size_t i = 0; i < record->n_parameters; i++)
        if (record->parameters[i].is_secret
            && !runtime_adopt_secret(rt, &record->run, record->parameters[i].name))
            return false;
    return true;
}

int runtime_load_run(struct runtime *rt, const struct run_id *id)
{
    struct record_key attempts = attempts_of_run(id), fences = fences_of_run(id);
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    int r = runtime_read_run(rt, id, &record, &flow);
    bool is_whole = r == 0 && has_secrets(rt, &record);

    if (r == 0) /* which has an empty text for what is not known */
        r = add_context(rt, &flow, &record);
    if (r < 0)
        return r;
    runtime_event(rt, &(struct event){ .type = EVENT_RESTORE_RUN,
                                       .run = *id,
                                       .u.submit = { .record = &record,
                                                     .flow = flow,
                                                     .has_secrets = is_whole } });
    note_refusal(rt, id);
    r = writer_scan(rt->writer, STORE_RECORDS,
                    (struct span){ attempts.bytes, attempts.len },
                    (struct span){ NULL, 0 }, restore_attempt, rt);
    return r < 0 ? r
                 : writer_scan(rt->writer, STORE_RECORDS,
                               (struct span){ fences.bytes, fences.len },
                               (struct span){ NULL, 0 }, restore_fence, rt);
}

/* What was running when the last node died: its processes end, its tasks are lost. */
static void restore_running(struct runtime *rt, const struct running_entry *before,
                            uint32_t n)
{
    bool is_searched = false;

    for (uint32_t i = 0; i < n; i++) {
        if (!before[i].is_used || before[i].pid <= 0)
            continue;
        if (!is_searched) /* all of /proc: only when something was running */
            running_kill_orphans(rt->dir);
        is_searched = true;
        if (before[i].task.depth > SCOPE_DEPTH_MAX
            || !runtime_context(rt, &before[i].run))
            continue;
        runtime_event(rt, &(struct event){ .type = EVENT_RESTORE_LOST,
                                           .run = before[i].run,
                                           .u.task = before[i].task });
    }
}

/* Others are its homes too: a node alone must not go on with it. */
static bool has_log(struct runtime *rt, const struct run_id *run)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct group_id group;
    struct record_key key;

    memcpy(group.bytes, run->bytes, RUN_ID_SIZE);
    key = replica_state_key(&group);
    return writer_get(rt->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                      &value)
           == 0;
}

int runtime_end_interrupted(struct runtime *rt, const struct run_id *run)
{
    int r = runtime_load_run(rt, run);

    if (r < 0)
        return r;
    runtime_restore_state(rt, run);
    runtime_event(rt, &(struct event){ .type = EVENT_RESTORE_END });
    return 0;
}

int runtime_restore(struct runtime *rt, struct error *ret_error)
{
    CLEANUP(freep) struct running_entry *before = NULL;
    uint32_t n_before = 0;
    struct run_list runs = { .ids = NULL };
    int r =
        running_open(rt->dir, rt->n_slots, &rt->running, &before, &n_before, ret_error);

    if (r == 0)
        r = runtime_adopt_runs(rt);
    if (r == 0)
        r = writer_scan(rt->writer, STORE_RECORDS, (struct span){ &mark_unfinished, 1 },
                        (struct span){ NULL, 0 }, add_run, &runs);
    for (size_t i = 0; r == 0 && i < runs.n; i++) {
        char text[RUN_ID_TEXT_SIZE];
        int error =
            has_log(rt, &runs.ids[i]) ? -EREMOTE : runtime_load_run(rt, &runs.ids[i]);

        run_id_text(&runs.ids[i], text);
        if (error == -EREMOTE)
            runtime_log(rt, "run.of_a_mesh", "run=%s: its other homes decide too",
                        text);
        else if (error < 0)
            runtime_log(rt, "run.unreadable", "run=%s error=%s: it stays as it is",
                        text, strerror(-error));
        else
            runtime_restore_state(rt, &runs.ids[i]);
    }
    if (r == 0)
        r = runtime_adopt_slots(rt);
    if (r == 0) {
        if (!rt->before)
            restore_running(rt, before, n_before);
        runtime_event(rt, &(struct event){ .type = EVENT_RESTORE_END });
    }
    free(runs.ids);
    return r;
}
