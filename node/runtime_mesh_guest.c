/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of runs that other nodes lead.
 *
 * What a task needs of its run is kept in the store as if the run were led here, but
 * for the run's own record, which is under `c` run_id: so no list shows the run and no
 * restart takes it up, and what collects garbage spares its code. When the run is over,
 * and when the node starts, the copies go.
 *
 * What such a task made is named by no record of this node once its leader has decided;
 * but this node may be the only one that has it. So an attempt with blobs is also kept
 * under `g`, for a week. */
#include <errno.h>
#include <string.h>

#include "node/removal.h"
#include "node/runtime_audit.h"
#include "node/runtime_mesh.h"
#include "proto/rows.h"

enum { MARK_COPY = RUNTIME_MARK_COPY, MARK_REMOVED = 'd', MARK_MADE = 'g' };

static const uint64_t MADE_KEPT_MS = UINT64_C(7) * 24 * 3600 * 1000;

static struct record_key mark(char type, const struct run_id *run)
{
    struct record_key k = { .len = 1 + RUN_ID_SIZE };

    k.bytes[0] = (uint8_t)type;
    memcpy(k.bytes + 1, run->bytes, RUN_ID_SIZE);
    return k;
}

static bool has_record(struct runtime *rt, const struct record_key *key)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;

    return writer_get(rt->writer, STORE_RECORDS, (struct span){ key->bytes, key->len },
                      &value)
           == 0;
}

/* ---- what the preparer asks of the node ---- */

static int get_records(void *arg, const struct node_id *peer,
                       const struct records_get_message *get)
{
    struct message m = { .type = MESSAGE_RECORDS_GET, .u.records_get = *get };

    return runtime_mesh_send(arg, peer, &m, false);
}

static bool is_home(struct runtime *rt, const struct run_id *run)
{
    struct run_where where;

    mesh_where(rt->mesh->core, run, &where);
    return where.place == RUN_PLACE_HOME || where.place == RUN_PLACE_LEADS;
}

static bool is_here(struct runtime *rt, const struct log_entry *e)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;

    return writer_get(rt->writer, STORE_RECORDS, (struct span){ e->key, e->key_len },
                      &value)
               == 0
           && value.len == e->value_len && memcmp(value.data, e->value, value.len) == 0;
}

/* A home has the same records by the run's log, which must not be written beside it. */
static int keep_records(void *arg, const struct run_id *run,
                        const struct log_entry *entries, size_t n)
{
    struct runtime *rt = arg;
    CLEANUP(freep) struct store_write *writes = NULL;

    if (is_home(rt, run)) {
        for (size_t i = 0; i < n; i++)
            if (!is_here(rt, &entries[i]))
                return -EAGAIN;
        return 0;
    }
    writes = calloc(n + 1, sizeof(*writes));
    if (!writes)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        writes[i] =
            (struct store_write){ .table = STORE_RECORDS,
                                  .key = { entries[i].key, entries[i].key_len },
                                  .value = { entries[i].value, entries[i].value_len } };
    return writer_put(rt->writer, writes, n, false) ? 0 : -ENOMEM;
}

static int keep_copy(struct runtime *rt, const struct run_record *record)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key run = run_key(&record->run), key = mark(MARK_COPY, &record->run);
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len } };
    int r;

    if (has_record(rt, &run))
        return 0;
    r = run_record_encode(record, &value);
    if (r < 0)
        return r;
    write.value = (struct span){ value.data, value.len };
    return writer_put(rt->writer, &write, 1, false) ? 0 : -ENOMEM;
}

/* Remembered for as long as its tasks are given back, so that they say why. */
static int may_open(void *arg, const struct run_record *record, const struct flow *flow,
                    struct error *ret_error)
{
    struct runtime *rt = arg;
    char run[RUN_ID_TEXT_SIZE];
    struct error why = { .text = "" };
    struct audit_entry e = { .verb = "lease",
                             .way = AUDIT_BY_MESH,
                             .verdict = AUDIT_REFUSED,
                             .user = record->user,
                             .about = run,
                             .why = why.text };
    enum refusal refusal = runtime_refusal(rt, record, flow, &why);

    if (!refusal)
        return 0;
    rt->mesh->refused = record->run;
    rt->mesh->refusal = refusal;
    run_id_text(&record->run, run);
    runtime_audit_stranger(rt, &e);
    return fail(ret_error, -EPERM, "%s", why.text);
}

static int open_run(void *arg, const struct run_record *record, struct flow *flow,
                    struct error *ret_error)
{
    struct runtime *rt = arg;
    char **values;
    int r = keep_copy(rt, record);

    if (r == 0)
        r = runtime_fill_globs(rt, flow, &record->package);
    if (r == 0)
        r = runtime_values(rt, flow, record, &values);
    if (r == 0)
        r = runtime_add_context(rt, record, flow, values);
    return r < 0 ? fail(ret_error, r, "the run cannot be opened here: %s", strerror(-r))
                 : 0;
}

static struct flow *find_run(void *arg, const struct run_id *run)
{
    const struct run_context *c = runtime_context(arg, run);

    return c ? c->flow : NULL;
}

static void on_blob(void *arg, const struct digest *id, int status)
{
    struct runtime *rt = arg;

    if (preparer_on_blob(rt->mesh->preparer, id, status, runtime_now(rt)) < 0)
        runtime_give_up(rt, -ENOMEM, "out of memory");
    runtime_drain(rt);
}

static int get_blob(void *arg, const struct run_id *run, const struct node_id *leader,
                    const struct digest *id)
{
    return runtime_mesh_get_blob(arg, run, leader, id, on_blob, arg);
}

static size_t find_homes(void *arg, const struct run_id *run, struct node_id *ret)
{
    const struct runtime *rt = arg;
    struct run_where where;
    size_t n = 0;

    mesh_where(rt->mesh->core, run, &where);
    for (uint32_t i = 0; i < where.n_homes; i++)
        if (!node_id_equal(&where.homes[i], &rt->mesh->self))
            ret[n++] = where.homes[i];
    return n;
}

/* ---- guests that are prepared ---- */

void runtime_mesh_begin(struct runtime *rt, struct slot *s)
{
    const struct run_note *note =
        gossip_find_run(mesh_members(rt->mesh->core), &s->run->id);

    if (!note)
        return;
    s->generation = note->generation;
    s->ballot = note->ballot;
}

/* The core says when a run that others lead is needed no more; the engine has those
 * that are led here. */
bool runtime_mesh_is_used(struct runtime *rt, const struct run_id *run)
{
    const struct run_context *c = runtime_context(rt, run);
    struct run_view view;

    if (node_run(rt->node, run, &view))
        return true;
    for (uint32_t i = 0; c && i < rt->n_slots; i++)
        if (rt->slots[i] && rt->slots[i]->run == c)
            return true;
    return false;
}

/* A node whose disk is full, or that has no descriptors, gives the task back: that is
 * no failure of the task. */
static int lay_out(struct runtime *rt, const struct run_id *run, struct error *why)
{
    struct run_context *c = runtime_context(rt, run);

    return c ? runtime_lay_out_code(rt, c, why) : 0;
}

static enum refusal refusal_of(struct runtime *rt, const struct prepared *p)
{
    const struct run_context *c = runtime_context(rt, &p->run);

    if (c)
        return c->refusal;
    return p->status == -EPERM && run_id_equal(&p->run, &rt->mesh->refused)
               ? rt->mesh->refusal
               : REFUSAL_NONE;
}

static void on_done(void *arg, const struct prepared *p)
{
    struct error why = { .text = "" };
    struct runtime *rt = arg;
    enum refusal refusal = refusal_of(rt, p);
    int status = refusal          ? -EPERM
                 : p->status == 0 ? lay_out(rt, &p->run, &why)
                                  : p->status;
    const char *text = why.text[0] ? why.text : p->text;
    struct mesh_event e = { .type = MESH_EVENT_PREPARED,
                            .token = p->guest,
                            .status = status };

    e.u.prepared.flow = p->flow;
    e.u.prepared.witness = p->witness;
    e.u.prepared.text = text;
    e.u.prepared.refusal = refusal;
    if (status < 0)
        runtime_log(rt, "lease.dropped", "error=%s: %s", strerror(-status), text);
    runtime_mesh_event(rt, &e);
    if (status < 0)
        runtime_mesh_note_error(rt, status);
}

void runtime_mesh_prepare(struct runtime *rt, const struct mesh_job *job)
{
    if (preparer_start(rt->mesh->preparer, job->token, &job->run, &job->task,
                       &job->peer, runtime_now(rt))
        < 0)
        runtime_give_up(rt, -ENOMEM, "out of memory");
}

void runtime_mesh_unprepare(struct runtime *rt, const struct mesh_job *job)
{
    if (preparer_cancel(rt->mesh->preparer, job->token, runtime_now(rt)) < 0)
        runtime_give_up(rt, -ENOMEM, "out of memory");
}

int runtime_mesh_guests_open(struct runtime *rt)
{
    const struct prepare_ops ops = { .get_records = get_records,
                                     .keep = keep_records,
                                     .may_open = may_open,
                                     .open_run = open_run,
                                     .find_run = find_run,
                                     .get_blob = get_blob,
                                     .find_homes = find_homes,
                                     .on_done = on_done,
                                     .arg = rt };

    rt->mesh->preparer = preparer_new(&rt->artifacts, &ops);
    return rt->mesh->preparer ? 0 : -ENOMEM;
}

void runtime_mesh_guests_close(struct runtime *rt)
{
    preparer_free(TAKE(rt->mesh->preparer));
}

/* ---- what they made ---- */

static bool has_blobs(const struct attempt_record *record)
{
    for (size_t i = 0; i < record->n_outputs; i++)
        if (!record->outputs[i].inline_data && record->outputs[i].size)
            return true;
    return record->log.has_blob;
}

void runtime_mesh_made(struct runtime *rt, const struct slot *s)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct attempt_record record = s->record;
    struct record_key key =
        kept_attempt_key(&s->run->id, &s->task, rt->mesh->boot, ++rt->mesh->n_made);
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len } };

    if (!has_blobs(&s->record))
        return;
    key.bytes[0] = MARK_MADE;
    record.verdict = VERDICT_DONE; /* as far as the blobs are concerned */
    if (attempt_record_encode(&record, &value) < 0)
        return; /* what is no record cannot be offered either */
    write.value = (struct span){ value.data, value.len };
    if (!writer_put(rt->writer, &write, 1, false))
        runtime_give_up(rt, -ENOMEM, "out of memory");
}

/* ---- when a run is over ---- */

static bool is_over(const struct runtime *rt, const struct run_id *run)
{
    const struct run_note *note = gossip_find_run(mesh_members(rt->mesh->core), run);

    return !note || note->is_ended;
}

static int remove_copy(struct runtime *rt, const struct run_id *run)
{
    struct record_key copy = mark(MARK_COPY, run), removed = mark(MARK_REMOVED, run);
    struct record_key record = run_key(run);
    struct store_write writes[] = {
        { .table = STORE_RECORDS, .key = { copy.bytes, copy.len }, .is_delete = true },
        { .table = STORE_RECORDS,
          .key = { removed.bytes, removed.len },
          .value = { "", 0 } },
    };
    /* A node that became a home has the attempts by the log. */
    size_t n = has_record(rt, &record) ? 1 : 2;

    return writer_put(rt->writer, writes, n, false) ? 0 : -ENOMEM;
}

void runtime_mesh_forget_run(struct runtime *rt, const struct run_id *run)
{
    struct run_context *c = runtime_context(rt, run);
    struct record_key copy = mark(MARK_COPY, run);
    const struct run_id id = *run; /* may be in what goes */

    preparer_forget(rt->mesh->preparer, run);
    if (c && runtime_mesh_is_used(rt, run)) {
        c->is_leaving = true;
        return;
    }
    runtime_forget_run(rt, run);
    if (is_over(rt, &id) && has_record(rt, &copy) && remove_copy(rt, run) == 0)
        runtime_restore_removals(rt);
}

/* ---- when the node starts ---- */

struct copies {
    struct runtime *rt;
    struct buffer runs; /* ids */
    struct buffer made; /* keys of one length byte each */
    uint64_t before_ms;
};

static int add_copy(void *arg, struct span key, struct span value)
{
    struct copies *c = arg;

    (void)value;
    return key.len == 1 + RUN_ID_SIZE
               ? buffer_append(&c->runs, (const uint8_t *)key.data + 1, RUN_ID_SIZE)
               : 0;
}

/* The first six bytes of a run's id are when it was submitted. */
static uint64_t born_ms(const uint8_t *run)
{
    uint64_t ms = 0;

    for (int i = 0; i < 6; i++)
        ms = ms << 8 | run[i];
    return ms;
}

static int add_made(void *arg, struct span key, struct span value)
{
    struct copies *c = arg;
    uint8_t len = (uint8_t)key.len;

    (void)value;
    if (key.len <= 1 + RUN_ID_SIZE || key.len > UINT8_MAX
        || born_ms((const uint8_t *)key.data + 1) >= c->before_ms)
        return 0;
    buffer_append(&c->made, &len, 1);
    return buffer_append(&c->made, key.data, key.len);
}

static int scan(struct runtime *rt, char type,
                int (*each)(void *arg, struct span key, struct span value), void *arg)
{
    return writer_scan(rt->writer, STORE_RECORDS, (struct span){ &type, 1 },
                       (struct span){ NULL, 0 }, each, arg);
}

static int drop_made(struct copies *c)
{
    for (size_t i = 0; i < c->made.len;) {
        const uint8_t *at = (const uint8_t *)c->made.data + i;
        struct store_write write = { .table = STORE_RECORDS,
                                     .key = { at + 1, *at },
                                     .is_delete = true };

        if (!writer_put(c->rt->writer, &write, 1, false))
            return -ENOMEM;
        i += 1 + (size_t)*at;
    }
    return 0;
}

int runtime_mesh_drop_copies(struct runtime *rt)
{
    struct copies c = { .rt = rt };
    uint64_t now_ms = runtime_wall() / 1000;
    int r;

    c.before_ms = now_ms > MADE_KEPT_MS ? now_ms - MADE_KEPT_MS : 0;
    r = scan(rt, MARK_COPY, add_copy, &c);
    if (r == 0)
        r = scan(rt, MARK_MADE, add_made, &c);
    for (size_t i = 0; r == 0 && i < c.runs.len; i += RUN_ID_SIZE)
        r = remove_copy(rt, (const struct run_id *)(const void *)(c.runs.data + i));
    if (r == 0 && c.runs.len)
        removal_finish_all(rt->writer, &rt->is_closing);
    if (r == 0)
        r = drop_made(&c);
    buffer_release(&c.runs);
    buffer_release(&c.made);
    return r;
}
