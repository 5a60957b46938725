/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/witness.h"
#include "simulations/cluster_state.h"
#include "simulations/ledger.h"

enum {
    PART_BYTES = 2000
}; /* of records for a new home: little, so that there are many */

int read_scan(struct cluster *c, unsigned i, const void *prefix, size_t len,
              int (*each)(void *, struct span, struct span), void *arg)
{
    struct store *s = disk_store(c->nodes[i].disk);

    return s->ops->scan(s, STORE_RECORDS, (struct span){ prefix, len },
                        (struct span){ NULL, 0 }, each, arg);
}

static int get(struct cluster *c, unsigned i, const void *key, size_t len,
               struct buffer *ret)
{
    struct store *s = disk_store(c->nodes[i].disk);

    return s->ops->get(s, STORE_RECORDS, (struct span){ key, len }, ret);
}

bool read_has(struct cluster *c, unsigned i, const struct record_key *key)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    return get(c, i, key->bytes, key->len, &b) == 0;
}

/* ---- the start ---- */

struct rows { /* what is walked may change meanwhile */
    struct row {
        struct span key, value;
    } * all;
    size_t n, cap;
};

static int add_row(void *arg, struct span key, struct span value)
{
    struct rows *rows = arg;

    rows->all = cluster_grow(rows->all, rows->n, &rows->cap, sizeof(*rows->all));
    rows->all[rows->n++] =
        (struct row){ { cluster_copy(key.data, key.len), key.len },
                      { cluster_copy(value.data, value.len), value.len } };
    return 0;
}

static void rows_release(struct rows *rows)
{
    for (size_t k = 0; k < rows->n; k++) {
        free((void *)rows->all[k].key.data);
        free((void *)rows->all[k].value.data);
    }
    free(rows->all);
}

static void damaged(struct cluster *c, unsigned i, const char *what)
{
    check_fail(c, "records", "%u cannot read %s of its own", i, what);
}

static void restore_group(struct cluster *c, unsigned i, const struct row *row)
{
    CLEANUP(replica_state_release) struct replica_state state = { .generation = 0 };
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_GROUP };

    if (replica_state_decode(row->value.data, row->value.len, &state) < 0) {
        damaged(c, i, "the state of a group");
        return;
    }
    memcpy(e.u.group.group.bytes, (const uint8_t *)row->key.data + 1, RUN_ID_SIZE);
    e.u.group.state = &state;
    node_tell(c, i, &e);
}

static struct log_entry entry_of(const struct log_row *row)
{
    struct log_entry e = { .ballot = row->ballot,
                           .key = row->key,
                           .key_len = row->key_len,
                           .value = row->value,
                           .value_len = row->value_len,
                           .is_delete = row->is_delete,
                           .is_again = log_row_is_again(row),
                           .n_homes = row->n_homes };

    memcpy(e.homes, row->homes, sizeof(e.homes));
    return e;
}

static void restore_entry(struct cluster *c, unsigned i, const struct row *r)
{
    CLEANUP(log_row_release) struct log_row row = { .arena = NULL };
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_ENTRY };
    struct log_entry entry;

    if (log_row_decode(r->value.data, r->value.len, &row) < 0
        || log_row_key_decode(r->key.data, r->key.len, &e.u.entry.group,
                              &e.u.entry.index)
               < 0) {
        damaged(c, i, "a row of a log");
        return;
    }
    entry = entry_of(&row);
    e.u.entry.entry = &entry;
    node_tell(c, i, &e);
}

static void restore_run(struct cluster *c, unsigned i, const struct row *row)
{
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_RUN };
    struct record_key end;

    memcpy(e.u.run.bytes, (const uint8_t *)row->key.data + 1, RUN_ID_SIZE);
    end = run_end_key(&e.u.run);
    if (!read_has(c, i, &end))
        node_tell(c, i, &e);
}

static void restore_kept(struct cluster *c, unsigned i, const struct row *row)
{
    CLEANUP(kept_attempt_release) struct kept_attempt k = { .arena = NULL };
    struct offered_attempt offer;
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_KEPT, .u.kept = &offer };

    if (kept_attempt_decode(row->value.data, row->value.len, &k) < 0
        || kept_attempt_key_decode(row->key.data, row->key.len, &k) < 0) {
        damaged(c, i, "an attempt that it keeps");
        return;
    }
    offer = (struct offered_attempt){ .name = k.name,
                                      .run = k.run,
                                      .task = k.task,
                                      .witness = k.witness,
                                      .record = k.record,
                                      .record_len = k.record_len };
    node_tell(c, i, &e);
}

void read_back(struct cluster *c, unsigned i)
{
    static const struct {
        char kind;
        void (*restore)(struct cluster *, unsigned, const struct row *);
    } kinds[] = {
        { 'q', restore_group },
        { 'l', restore_entry },
        { 'r', restore_run },
        { 'o', restore_kept },
    };

    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        CLEANUP(rows_release) struct rows rows = { .all = NULL };

        if (kinds[k].kind == 'q' && c->config->mutant == CLUSTER_MUTANT_FORGET_GROUP)
            continue;
        read_scan(c, i, &kinds[k].kind, 1, add_row, &rows);
        for (size_t r = 0; r < rows.n && !check_failed(c); r++)
            kinds[k].restore(c, i, &rows.all[r]);
    }
}

/* ---- a run ---- */

static void tell_engine(struct cluster *c, unsigned i, const struct event *e)
{
    node_tell(c, i, &(struct mesh_event){ .type = MESH_EVENT_NODE, .u.node = *e });
}

static void restore_attempt(struct cluster *c, unsigned i, const struct row *row)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };

    if (attempt_record_decode(row->value.data, row->value.len, &r) < 0
        || attempt_key_decode(row->key.data, row->key.len, &r.run, &r.task, &r.attempt)
               < 0) {
        damaged(c, i, "an attempt");
        return;
    }
    tell_engine(c, i,
                &(struct event){
                    .type = EVENT_RESTORE_ATTEMPT, .run = r.run, .u.attempt = &r });
}

static void restore_fence(struct cluster *c, unsigned i, const struct row *row)
{
    struct event e = { .type = EVENT_RESTORE_FENCE };

    if (fence_record_decode(row->value.data, row->value.len, &e.u.fence.fence) < 0
        || fence_key_decode(row->key.data, row->key.len, &e.run, &e.u.fence.task) < 0)
        damaged(c, i, "a fence");
    else
        tell_engine(c, i, &e);
}

static void
restore_records(struct cluster *c, unsigned i, const struct record_key *prefix,
                void (*restore)(struct cluster *, unsigned, const struct row *))
{
    CLEANUP(rows_release) struct rows rows = { .all = NULL };

    read_scan(c, i, prefix->bytes, prefix->len, add_row, &rows);
    for (size_t r = 0; r < rows.n && !check_failed(c); r++)
        restore(c, i, &rows.all[r]);
}

static void restore_lost(struct cluster *c, unsigned i, const struct run_id *run)
{
    for (unsigned k = 0; k < SLOTS; k++) {
        struct process *p = &c->nodes[i].lost[k];

        if (!p->is_used || p->guest || !run_id_equal(&p->run, run))
            continue;
        p->is_used = false;
        tell_engine(c, i,
                    &(struct event){
                        .type = EVENT_RESTORE_LOST, .run = *run, .u.task = p->task });
    }
}

static int load(struct cluster *c, unsigned i, const struct run_id *run,
                struct buffer *record_bytes)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    struct record_key key = run_key(run), attempts = attempts_of_run(run);
    struct record_key end = run_end_key(run), fences = fences_of_run(run);
    struct event e = { .type = EVENT_RESTORE_RUN, .run = *run };

    if (get(c, i, key.bytes, key.len, record_bytes) < 0)
        return read_has(c, i, &end) ? -EALREADY : -ENOENT;
    if (read_has(c, i, &end))
        return -EALREADY;
    if (run_record_decode(record_bytes->data, record_bytes->len, &record) < 0) {
        damaged(c, i, "a run");
        return -EBADMSG;
    }
    record.run = *run;
    e.u.submit.record = &record;
    e.u.submit.flow = run_of(c, run)->flow;
    tell_engine(c, i, &e);
    restore_records(c, i, &attempts, restore_attempt);
    restore_records(c, i, &fences, restore_fence);
    restore_lost(c, i, run);
    return 0;
}

/* ---- answers ---- */

static int scan_records(void *arg, const struct record_key *prefix,
                        witness_each_fn *each, void *each_arg)
{
    struct {
        struct cluster *c;
        unsigned i;
    } *from = arg;
    CLEANUP(rows_release) struct rows rows = { .all = NULL };
    int r = 0;

    read_scan(from->c, from->i, prefix->bytes, prefix->len, add_row, &rows);
    for (size_t k = 0; k < rows.n && r == 0; k++)
        r = each(each_arg, rows.all[k].key.data, rows.all[k].key.len,
                 rows.all[k].value.data, rows.all[k].value.len);
    return r;
}

bool read_witness(struct cluster *c, unsigned i, const struct run *r,
                  const struct task_id *task, struct digest *ret)
{
    struct {
        struct cluster *c;
        unsigned i;
    } from = { c, i };
    struct witness_reader reader = { scan_records, &from };

    return witness_of(r->flow, &r->id, task, &reader, ret) == 0;
}

/* What was consumed, told by what the steps right before it made: an output's name has
 * what was consumed for it in it, and so on. */
struct consumed {
    const struct cluster *c;
    uint64_t hash, before; /* without the last task */
    struct task_id task;
    size_t n;
};

static void fold(struct consumed *to, const void *data, size_t len)
{
    for (size_t k = 0; k < len; k++)
        to->hash = (to->hash ^ ((const uint8_t *)data)[k]) * 0x100000001b3u;
}

/* What is lost, and was not made again before its run ended, is what was consumed. */
static int consume(void *arg, struct span key, struct span value)
{
    struct consumed *to = arg;
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    const struct undone *undone;
    uint8_t task[TASK_ID_SIZE_MAX];
    size_t len;

    if (attempt_record_decode(value.data, value.len, &r) < 0
        || attempt_key_decode(key.data, key.len, &r.run, &r.task, &r.attempt) < 0)
        return -EBADMSG;
    undone = lost_undone(to->c, &r);
    if (!verdict_counts(r.verdict) && !undone)
        return 0;
    /* The last one counts: that an earlier one does not any more may not be decided. */
    if (to->n && task_id_equal(&to->task, &r.task))
        to->hash = to->before;
    to->n++;
    to->before = to->hash;
    to->task = r.task;
    /* Not its number: what ran once may count as another one under the next leader. */
    len = task_id_encode(&r.task, task);
    fold(to, task, len);
    for (size_t o = 0; o < r.n_outputs; o++)
        fold(to, r.outputs[o].id.bytes, DIGEST_SIZE);
    for (size_t o = 0; undone && o < undone->n_outputs; o++)
        fold(to, undone->outputs[o].bytes, DIGEST_SIZE);
    return 0;
}

uint64_t read_consumed(struct cluster *c, unsigned i, const struct run *r,
                       const struct task_id *task)
{
    CLEANUP(needs_release) struct needs needs = { .all = NULL };
    struct consumed to = { .c = c, .hash = 0xcbf29ce484222325u };

    if (needs_of(r->flow, &r->id, task, &needs) < 0)
        abort();
    for (size_t k = 0; k < needs.n; k++)
        if (needs.all[k].is_before)
            read_scan(c, i, needs.all[k].prefix.bytes, needs.all[k].prefix.len, consume,
                      &to);
    return to.hash;
}

static struct incident answer(struct cluster *c, unsigned i, const struct action *a,
                              enum mesh_event_type type)
{
    return (struct incident){ .type = INCIDENT_EVENT,
                              .node = i,
                              .boot = c->nodes[i].boot,
                              .event = { .type = type, .token = a->u.mesh.token } };
}

static void add_entry(struct incident *to, const struct log_entry *e)
{
    struct log_entry *copy;

    to->entries = realloc(to->entries, (to->n_entries + 1) * sizeof(*to->entries));
    if (!to->entries)
        abort();
    copy = &to->entries[to->n_entries++];
    *copy = *e;
    copy->key = cluster_copy(e->key, e->key_len);
    copy->value = cluster_copy(e->value, e->value_len);
}

/* False: it is gone. */
static bool read_entry(struct cluster *c, unsigned i, const struct group_id *group,
                       uint64_t index, struct incident *to)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer record = BUFFER_INIT;
    CLEANUP(log_row_release) struct log_row row = { .arena = NULL };
    struct record_key key = log_row_key(group, index);
    struct log_entry e;

    if (get(c, i, key.bytes, key.len, &bytes) < 0)
        return false;
    if (log_row_decode(bytes.data, bytes.len, &row) < 0) {
        damaged(c, i, "a row of a log");
        return false;
    }
    e = entry_of(&row);
    if (!row.has_value && !row.is_delete && row.key_len && row.key[0] == 'a') {
        if (get(c, i, row.key, row.key_len, &record) < 0) {
            check_fail(c, "records", "%u has a row of a log without its record", i);
            return false;
        }
        e.value = (uint8_t *)record.data;
        e.value_len = record.len;
    }
    add_entry(to, &e);
    return true;
}

static void read_entries(struct cluster *c, unsigned i, const struct action *a)
{
    struct incident to = answer(c, i, a, MESH_EVENT_ENTRIES);

    for (uint64_t index = a->u.mesh.lo; index <= a->u.mesh.hi; index++)
        if (!read_entry(c, i, &a->u.mesh.group, index, &to))
            break;
    later(c, 100, &to);
}

static int compare(struct span a, struct span b)
{
    int order = memcmp(a.data, b.data, min_size(a.len, b.len));

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static void read_records(struct cluster *c, unsigned i, const struct held *h)
{
    struct incident to = answer(c, i, &h->action, MESH_EVENT_RECORDS);
    CLEANUP(rows_release) struct rows rows = { .all = NULL };
    struct span from = { h->bytes, h->len };
    uint8_t prefix[1 + RUN_ID_SIZE];
    size_t bytes = 0;

    memcpy(prefix + 1, h->action.run.bytes, RUN_ID_SIZE);
    for (const char *kind = "aefmrv"; *kind; kind++) {
        prefix[0] = (uint8_t)*kind;
        read_scan(c, i, prefix, sizeof(prefix), add_row, &rows);
    }
    to.event.u.entries.is_last = true;
    for (size_t k = 0; k < rows.n; k++) {
        struct row *r = &rows.all[k];

        if (from.len && compare(r->key, from) <= 0)
            continue;
        if (to.n_entries && bytes + r->value.len > PART_BYTES) {
            to.event.u.entries.is_last = false;
            break;
        }
        bytes += r->value.len;
        add_entry(&to, &(struct log_entry){ .key = (uint8_t *)r->key.data,
                                            .key_len = r->key.len,
                                            .value = (uint8_t *)r->value.data,
                                            .value_len = r->value.len });
    }
    later(c, 100, &to);
}

static void read_find_end(struct cluster *c, unsigned i, const struct action *a)
{
    struct incident to = answer(c, i, a, MESH_EVENT_END_FOUND);
    struct record_key key = run_end_key(&a->run);
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    to.event.u.end.run = a->run;
    to.event.status = get(c, i, key.bytes, key.len, &b);
    if (to.event.status == 0)
        add_entry(&to, &(struct log_entry){ .value = (uint8_t *)b.data,
                                            .value_len = b.len });
    later(c, 100, &to);
}

void read_answer(struct cluster *c, unsigned i, const struct held *h)
{
    CLEANUP(buffer_release) struct buffer record = BUFFER_INIT;
    const struct action *a = &h->action;
    struct incident to;

    switch (a->type) {
    case ACTION_READ_ENTRIES:
        read_entries(c, i, a);
        break;
    case ACTION_READ_RECORDS:
        read_records(c, i, h);
        break;
    case ACTION_FIND_END:
        read_find_end(c, i, a);
        break;
    case ACTION_LOAD_RUN:
        to = answer(c, i, a, MESH_EVENT_LOADED);
        to.event.u.loaded.run = a->run;
        to.event.status = load(c, i, &a->run, &record);
        if (record.len) {
            to.event.u.loaded.record = record.data;
            to.event.u.loaded.record_len = record.len;
        }
        node_tell(c, i, &to.event);
        break;
    default: /* ACTION_WITNESS */
        to = answer(c, i, a, MESH_EVENT_WITNESS);
        if (!read_witness(c, i, run_of(c, &a->run), &a->task, &to.event.u.witness))
            to.event.status = -ENOENT;
        later(c, 100, &to);
        break;
    }
}
