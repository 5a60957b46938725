/* SPDX-License-Identifier: Apache-2.0 */
/* What users change of a run, and how it is removed.
 *
 * A run's own record is never written again. What changes is in one record beside it,
 * which the loop reads, changes and writes back; nobody else writes it. */
#include <errno.h>
#include <string.h>

#include "node/removal.h"
#include "node/runtime_mesh.h"

/* ---- the record ---- */

static int get(struct runtime *rt, const struct record_key *key, struct buffer *ret)
{
    return writer_get(rt->writer, STORE_RECORDS, (struct span){ key->bytes, key->len },
                      ret);
}

/* All zeros when there is none. */
static int read_state(struct runtime *rt, const struct run_id *run,
                      struct run_state_record *ret)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_state_key(run);
    int r = get(rt, &key, &value);

    *ret = (struct run_state_record){ .n_tags = 0 };
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : run_state_record_decode(value.data, value.len, ret);
}

/* One that cannot be read is written anew: what it said is lost either way. */
static int read_to_change(struct runtime *rt, const struct run_id *run,
                          struct run_state_record *ret)
{
    int r = read_state(rt, run, ret);

    return r == -EBADMSG ? 0 : r;
}

static bool is_untouched(const struct run_state_record *s)
{
    return !s->is_cancelled && !s->is_suspended && !s->has_tags;
}

static bool is_active(const struct runtime *rt, const struct run_id *run)
{
    struct run_view view;

    return node_run(rt->node, run, &view);
}

/* A run that others keep too is changed by its log. */
static int write_state_of_many(struct runtime *rt, const struct run_id *run,
                               const struct run_state_record *state,
                               uint64_t *ret_ticket)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_state_key(run);
    int r = run_state_record_encode(state, &value);

    if (r == 0)
        r = runtime_mesh_record(rt, run, &key, &value);
    if (r < 0)
        return r;
    /* Durable here behind what it brought; followers hear of it when it is decided. */
    *ret_ticket = runtime_mesh_barrier(rt);
    return *ret_ticket ? 0 : -ENOMEM;
}

static int write_state(struct runtime *rt, const struct run_id *run,
                       const struct run_state_record *state, uint64_t *ret_ticket)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_state_key(run);
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len },
                                 .is_delete = is_untouched(state) };
    int r;

    if (rt->mesh && is_active(rt, run))
        return write_state_of_many(rt, run, state, ret_ticket);
    r = run_state_record_encode(state, &value);
    if (r < 0)
        return r;
    write.value = (struct span){ value.data, value.len };
    *ret_ticket = writer_put(rt->writer, &write, 1, true);
    return *ret_ticket ? 0 : -ENOMEM;
}

bool runtime_state_at_end(struct runtime *rt, const struct run_id *run,
                          struct record_key *key, struct buffer *value,
                          struct store_write *ret_write)
{
    CLEANUP(run_state_record_release) struct run_state_record state = { .n_tags = 0 };
    int r = read_to_change(rt, run, &state);

    if (r == 0 && is_untouched(&state))
        return false;
    state.is_cancelled = state.is_suspended = false;
    *key = run_state_key(run);
    *ret_write = (struct store_write){ .table = STORE_RECORDS,
                                       .key = { key->bytes, key->len },
                                       .is_delete = !state.has_tags };
    if (state.has_tags && run_state_record_encode(&state, value) < 0)
        return false; /* it says that a run is suspended, which has ended: no harm */
    ret_write->value = (struct span){ value->data, value->len };
    return true;
}

void runtime_restore_state(struct runtime *rt, const struct run_id *run)
{
    CLEANUP(run_state_record_release) struct run_state_record state = { .n_tags = 0 };
    int r = read_state(rt, run, &state);

    if (r < 0) {
        char text[RUN_ID_TEXT_SIZE];

        /* It may have said that the run shall not go on. */
        run_id_text(run, text);
        runtime_log(rt, "run.state_unreadable", "run=%s error=%s: it is suspended",
                    text, strerror(-r));
    }
    if (r < 0 || state.is_suspended)
        runtime_event(rt, &(struct event){ .type = EVENT_SUSPEND, .run = *run });
    if (state.is_cancelled)
        runtime_event(rt, &(struct event){ .type = EVENT_CANCEL, .run = *run });
}

/* ---- cancel, suspend ---- */

/* 0: it has no end. -EALREADY: it has. -ENOENT: there is no such run. */
static int check_unfinished(struct runtime *rt, const struct run_id *run)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key end = run_end_key(run), key = run_key(run);
    int r;

    if (is_active(rt, run))
        return 0;
    r = get(rt, &end, &value);
    if (r != -ENOENT)
        return r < 0 ? r : -EALREADY;
    return get(rt, &key, &value);
}

static int keep_state(struct runtime *rt, const struct run_id *run,
                      const struct run_state_record *state)
{
    uint64_t ticket;
    int r = write_state(rt, run, state, &ticket);

    return r < 0 ? r : writer_wait(rt->writer, ticket);
}

int runtime_cancel(struct runtime *rt, const struct run_id *run)
{
    CLEANUP(run_state_record_release) struct run_state_record state = { .n_tags = 0 };
    int r = check_unfinished(rt, run);

    if (r == 0)
        r = read_to_change(rt, run, &state);
    if (r < 0)
        return r;
    state.is_cancelled = true;
    r = keep_state(rt, run, &state);
    if (r == 0 && is_active(rt, run))
        runtime_event(rt, &(struct event){ .type = EVENT_CANCEL, .run = *run });
    else if (r == 0)
        r = runtime_end_interrupted(rt, run);
    return r;
}

static void tell_suspended(struct runtime *rt, const struct run_id *run,
                           bool is_suspended)
{
    const struct run_context *c = runtime_context(rt, run);
    struct feed_event e = { .type = is_suspended ? FEED_RUN_SUSPENDED
                                                 : FEED_RUN_UNSUSPENDED,
                            .wall = runtime_wall(),
                            .run = *run };

    if (!c)
        return;
    e.number = c->number;
    e.flow = c->flow->name;
    feed_publish(rt->feed, &e, 0);
}

int runtime_suspend(struct runtime *rt, const struct run_id *run, bool is_suspended)
{
    CLEANUP(run_state_record_release) struct run_state_record state = { .n_tags = 0 };
    struct run_view view;
    int r = check_unfinished(rt, run);

    if (r == 0)
        r = read_to_change(rt, run, &state);
    if (r < 0)
        return r;
    if (!node_run(rt->node, run, &view))
        view.is_suspended = state.is_suspended;
    if (state.is_suspended == is_suspended && view.is_suspended == is_suspended)
        return 0;
    state.is_suspended = is_suspended;
    r = keep_state(rt, run, &state);
    if (r < 0)
        return r;
    runtime_event(rt, &(struct event){ .type = is_suspended ? EVENT_SUSPEND
                                                            : EVENT_UNSUSPEND,
                                       .run = *run });
    tell_suspended(rt, run, is_suspended);
    return 0;
}

/* ---- tags ---- */

int runtime_tag(struct runtime *rt, const struct run_id *run, char *const *tags,
                size_t n_tags, uint64_t *ret_ticket)
{
    CLEANUP(run_state_record_release) struct run_state_record state = { .n_tags = 0 };
    struct run_state_record changed;
    int r = read_to_change(rt, run, &state);

    if (r < 0)
        return r;
    changed = (struct run_state_record){ .is_cancelled = state.is_cancelled,
                                         .is_suspended = state.is_suspended,
                                         .has_tags = true,
                                         .tags = (char **)tags,
                                         .n_tags = n_tags };
    return write_state(rt, run, &changed, ret_ticket);
}

/* ---- removing ---- */

int runtime_remove(struct runtime *rt, const struct run_id *run, uint64_t *ret_ticket)
{
    if (is_active(rt, run))
        return -EBUSY;
    runtime_room_changed(rt);
    if (rt->mesh)
        runtime_mesh_unlist(rt, run);
    return removal_begin(rt->writer, run, ret_ticket);
}

static void finish_removals(uv_work_t *work)
{
    struct runtime *rt = work->data;

    removal_finish_all(rt->writer, &rt->is_closing);
}

static void after_removals(uv_work_t *work, int status)
{
    (void)status;
    free(work);
}

void runtime_restore_removals(struct runtime *rt)
{
    uv_work_t *work;

    if (!removal_is_any(rt->writer))
        return;
    work = calloc(1, sizeof(*work));
    if (!work)
        return; /* the next node on this store does it */
    work->data = rt;
    uv_queue_work(&rt->loop, work, finish_removals, after_removals);
}
