/* SPDX-License-Identifier: Apache-2.0 */
/* What the mesh core and the peers read from the store: logs, records, runs. */
#include <errno.h>
#include <string.h>

#include "node/runtime_mesh.h"
#include "node/witness.h"
#include "proto/rows.h"

enum { PART_BYTES = 512 << 10 };

static int get(struct runtime *rt, const void *key, size_t len, struct buffer *ret)
{
    return writer_get(rt->writer, STORE_RECORDS, (struct span){ key, len }, ret);
}

/* ---- entries of a log ---- */

struct entries {
    struct log_entry *all;
    size_t n, cap, bytes;
};

static void entries_release(struct entries *e)
{
    for (size_t i = 0; i < e->n; i++) {
        free(e->all[i].key);
        free(e->all[i].value);
    }
    free(e->all);
}

static uint8_t *copy(const void *data, size_t len)
{
    uint8_t *bytes = malloc(len + 1);

    if (bytes && len)
        memcpy(bytes, data, len);
    return bytes;
}

/* The record of an attempt lies under its own key. -ENOENT: it is gone. */
static int read_value(struct runtime *rt, const struct log_row *row,
                      struct log_entry *e)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    int r = 0;

    if (row->has_value)
        buffer_append(&value, row->value, row->value_len);
    else if (row->key_len && !row->is_delete)
        r = get(rt, row->key, row->key_len, &value);
    if (r == 0)
        r = buffer_failed(&value);
    if (r < 0)
        return r;
    e->value_len = value.len;
    e->value = (uint8_t *)buffer_take(&value);
    return 0;
}

static int add_entry(struct runtime *rt, const struct log_row *row,
                     struct entries *list)
{
    struct log_entry e = { .ballot = row->ballot,
                           .key_len = row->key_len,
                           .is_delete = row->is_delete,
                           .is_again = log_row_is_again(row),
                           .n_homes = row->n_homes };
    int r;

    if (list->n == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 16;
        struct log_entry *all = realloc(list->all, cap * sizeof(*all));

        if (!all)
            return -ENOMEM;
        list->all = all;
        list->cap = cap;
    }
    memcpy(e.homes, row->homes, sizeof(e.homes));
    r = read_value(rt, row, &e);
    if (r < 0)
        return r;
    e.key = copy(row->key, row->key_len);
    if (!e.key) {
        free(e.value);
        return -ENOMEM;
    }
    list->bytes += e.key_len + e.value_len;
    list->all[list->n++] = e;
    return 0;
}

static int read_entry(struct runtime *rt, const struct group_id *group, uint64_t index,
                      struct entries *list)
{
    CLEANUP(log_row_release) struct log_row row = { .key_len = 0 };
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = log_row_key(group, index);
    int r = get(rt, key.bytes, key.len, &value);

    if (r == 0)
        r = log_row_decode(value.data, value.len, &row);
    return r < 0 ? r : add_entry(rt, &row, list);
}

/* Fewer are fine: the rest is asked for again. */
void runtime_mesh_read_entries(struct runtime *rt, const struct mesh_job *job)
{
    CLEANUP(entries_release) struct entries list = { .all = NULL };
    struct mesh_event e = { .type = MESH_EVENT_ENTRIES, .token = job->token };
    int r = 0;

    for (uint64_t i = job->lo; r == 0 && i <= job->hi && list.bytes < PART_BYTES
                               && list.n < MESSAGE_ITEMS_MAX;
         i++)
        r = read_entry(rt, &job->group, i, &list);
    e.status = list.n || r == -ENOENT ? 0 : r;
    e.u.entries.entries = list.all;
    e.u.entries.n = list.n;
    runtime_mesh_event(rt, &e);
}

/* ---- records of a run ---- */

static const char record_types[] = "aefmrv"; /* in the order of their keys */

static struct record_key prefix_of(char type, const struct run_id *run)
{
    struct record_key k = { .len = 1 + RUN_ID_SIZE };

    k.bytes[0] = (uint8_t)type;
    memcpy(k.bytes + 1, run->bytes, RUN_ID_SIZE);
    return k;
}

/* Behind the key `from`; empty: from the first one on. */
static int read_run_records(struct runtime *rt, const struct run_id *run,
                            struct span from, struct record_range *ret)
{
    uint8_t behind[RECORD_KEY_MAX + 1] = { 0 };
    char first = from.len ? *(const char *)from.data : record_types[0];
    int r = 0;

    if (from.len > RECORD_KEY_MAX)
        return -EINVAL;
    if (from.len)
        memcpy(behind, from.data, from.len);
    for (const char *type = record_types; r == 0 && *type && !ret->has_more; type++) {
        struct record_key prefix = prefix_of(*type, run);
        bool is_first = *type == first && from.len;

        if (*type >= first)
            r = record_range_read(rt->writer, (struct span){ prefix.bytes, prefix.len },
                                  is_first ? (struct span){ behind, from.len + 1 }
                                           : (struct span){ NULL, 0 },
                                  PART_BYTES, ret);
    }
    return r;
}

void runtime_mesh_read_records(struct runtime *rt, const struct mesh_job *job)
{
    CLEANUP(record_range_release) struct record_range range = { .entries = NULL };
    struct mesh_event e = { .type = MESH_EVENT_RECORDS, .token = job->token };
    struct run_id run;

    memcpy(run.bytes, job->group.bytes, RUN_ID_SIZE);
    e.status =
        read_run_records(rt, &run, (struct span){ job->bytes, job->len }, &range);
    e.u.entries.entries = range.entries;
    e.u.entries.n = range.n;
    e.u.entries.is_last = !range.has_more;
    runtime_mesh_event(rt, &e);
}

/* ---- for peers ---- */

/* A home, or who leads it, has all that is decided; others have copies of parts. */
static int may_serve(struct runtime *rt, const struct records_get_message *get,
                     struct records_message *m)
{
    struct run_where where;

    if (!record_range_is_of_run(get->prefix, get->prefix_len, &get->run)
        || get->from_len > RECORD_KEY_MAX + 1)
        return -EINVAL;
    mesh_where(rt->mesh->core, &get->run, &where);
    m->leader = where.leader;
    if (where.place == RUN_PLACE_LEADS || where.place == RUN_PLACE_HOME)
        return 0;
    return node_id_is_none(&where.leader) ? -ENOENT : -EAGAIN;
}

void runtime_mesh_serve_records(struct runtime *rt, const struct node_id *peer,
                                const struct records_get_message *get)
{
    CLEANUP(record_range_release) struct record_range range = { .entries = NULL };
    struct message m = { .type = MESSAGE_RECORDS,
                         .u.records = { .request = get->request } };
    size_t bytes = get->bytes_max < PART_BYTES ? get->bytes_max : PART_BYTES;

    m.u.records.status = may_serve(rt, get, &m.u.records);
    if (m.u.records.status == 0)
        m.u.records.status =
            record_range_read(rt->writer, (struct span){ get->prefix, get->prefix_len },
                              (struct span){ get->from, get->from_len }, bytes, &range);
    m.u.records.has_more = range.has_more;
    m.u.records.entries = range.entries;
    m.u.records.n_entries = range.n;
    runtime_mesh_send(rt, peer, &m, false); /* lost: it asks again */
}

/* ---- the end ---- */

static int find_end(struct runtime *rt, const struct run_id *run, struct buffer *ret)
{
    struct record_key key = run_end_key(run);

    return get(rt, key.bytes, key.len, ret);
}

void runtime_mesh_find_end(struct runtime *rt, const struct mesh_job *job)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct mesh_event e = { .type = MESH_EVENT_END_FOUND,
                            .token = job->token,
                            .status = find_end(rt, &job->run, &value) };

    e.u.end.run = job->run;
    e.u.end.value = value.data;
    e.u.end.value_len = value.len;
    runtime_mesh_event(rt, &e);
}

/* ---- a run that is led here now ---- */

/* What ran here when the node died. It is told once: a leader after us knows more. */
static void tell_lost(struct runtime *rt, const struct run_id *run)
{
    struct runtime_mesh *m = rt->mesh;

    for (uint32_t i = 0; i < m->n_before; i++) {
        struct running_entry *e = &m->before[i];

        if (!e->is_used || !run_id_equal(&e->run, run)
            || e->task.depth > SCOPE_DEPTH_MAX)
            continue;
        e->is_used = false;
        runtime_event(rt, &(struct event){ .type = EVENT_RESTORE_LOST,
                                           .run = *run,
                                           .u.task = e->task });
    }
}

void runtime_mesh_load_run(struct runtime *rt, const struct mesh_job *job)
{
    struct mesh_event e = { .type = MESH_EVENT_LOADED,
                            .token = job->token,
                            .u.loaded.run = job->run };
    CLEANUP(buffer_release) struct buffer end = BUFFER_INIT, record = BUFFER_INIT;
    struct record_key key = run_key(&job->run);
    char text[RUN_ID_TEXT_SIZE];

    if (find_end(rt, &job->run, &end) == 0)
        e.status = -EALREADY;
    else
        e.status = runtime_load_run(rt, &job->run);
    if (e.status == 0) {
        tell_lost(rt, &job->run);
        runtime_restore_state(rt, &job->run);
    } else if (e.status == -EALREADY) {
        if (get(rt, key.bytes, key.len, &record) == 0) {
            e.u.loaded.record = record.data;
            e.u.loaded.record_len = record.len;
        }
    } else {
        run_id_text(&job->run, text);
        runtime_log(rt, "run.unreadable", "run=%s error=%s", text, strerror(-e.status));
    }
    runtime_mesh_event(rt, &e);
}

/* ---- what a task would consume now ---- */

struct scan {
    witness_each_fn *each;
    void *arg;
};

static int each_record(void *arg, struct span key, struct span value)
{
    const struct scan *s = arg;

    return s->each(s->arg, key.data, key.len, value.data, value.len);
}

static int scan_records(void *arg, const struct record_key *prefix,
                        witness_each_fn *each, void *each_arg)
{
    struct runtime *rt = arg;
    struct scan s = { each, each_arg };

    return writer_scan(rt->writer, STORE_RECORDS,
                       (struct span){ prefix->bytes, prefix->len },
                       (struct span){ NULL, 0 }, each_record, &s);
}

void runtime_mesh_witness(struct runtime *rt, const struct mesh_job *job)
{
    struct witness_reader reader = { scan_records, rt };
    struct mesh_event e = { .type = MESH_EVENT_WITNESS, .token = job->token };
    const struct run_context *c = runtime_context(rt, &job->run);

    e.status = -ENOENT;
    if (c && job->task.step < c->flow->n_all_steps)
        e.status = witness_of(c->flow, &job->run, &job->task, &reader, &e.u.witness);
    runtime_mesh_event(rt, &e);
}
