/* SPDX-License-Identifier: Apache-2.0 */
/* What the mesh core is told when the node starts: what it kept, and whom it knew. */
#include <errno.h>
#include <string.h>

#include "node/runtime_mesh.h"
#include "proto/rows.h"

enum { REMEMBERED_MAX = 1024 };

/* Rows are copied first: what is told may write to the store. */
struct rows {
    struct row {
        uint8_t *key; /* the value behind it */
        size_t key_len, value_len;
    } * all;
    size_t n, cap;
};

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        free(rows->all[i].key);
    free(rows->all);
}

static int add_row(void *arg, struct span key, struct span value)
{
    struct rows *rows = arg;
    struct row row = { malloc(key.len + value.len + 1), key.len, value.len };

    if (rows->n == rows->cap) {
        size_t cap = rows->cap ? 2 * rows->cap : 16;
        struct row *all = realloc(rows->all, cap * sizeof(*all));

        if (all) {
            rows->all = all;
            rows->cap = cap;
        }
    }
    if (!row.key || rows->n == rows->cap) {
        free(row.key);
        return -ENOMEM;
    }
    memcpy(row.key, key.data, key.len);
    if (value.len)
        memcpy(row.key + key.len, value.data, value.len);
    rows->all[rows->n++] = row;
    return 0;
}

static int read_rows(struct runtime *rt, struct span prefix, struct rows *ret)
{
    return writer_scan(rt->writer, STORE_RECORDS, prefix, (struct span){ NULL, 0 },
                       add_row, ret);
}

static const uint8_t *value_of(const struct row *row)
{
    return row->key + row->key_len;
}

/* ---- logs ---- */

static int tell_entry(struct runtime *rt, const struct group_id *group,
                      const struct row *row)
{
    CLEANUP(log_row_release) struct log_row log = { .key_len = 0 };
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_ENTRY,
                            .u.entry = { .group = *group } };
    struct log_entry entry;
    int r =
        log_row_key_decode(row->key, row->key_len, &e.u.entry.group, &e.u.entry.index);

    if (r == 0)
        r = log_row_decode(value_of(row), row->value_len, &log);
    if (r < 0)
        return r;
    entry = (struct log_entry){ .ballot = log.ballot,
                                .key = log.key,
                                .key_len = log.key_len,
                                .value = log.has_value ? log.value : NULL,
                                .value_len = log.value_len,
                                .is_delete = log.is_delete,
                                .is_again = log_row_is_again(&log),
                                .n_homes = log.n_homes };
    memcpy(entry.homes, log.homes, sizeof(entry.homes));
    e.u.entry.entry = &entry;
    runtime_mesh_step(rt, &e);
    return 0;
}

/* A log with damage in it is one that must be got anew. */
static int tell_group(struct runtime *rt, const struct row *row)
{
    CLEANUP(rows_release) struct rows log = { .all = NULL };
    CLEANUP(replica_state_release) struct replica_state state = { .generation = 0 };
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_GROUP };
    struct record_key prefix;
    int r;

    if (row->key_len != 1 + sizeof(e.u.group.group))
        return -EBADMSG;
    memcpy(e.u.group.group.bytes, row->key + 1, sizeof(e.u.group.group));
    r = replica_state_decode(value_of(row), row->value_len, &state);
    if (r < 0)
        return r;
    prefix = log_rows_of(&e.u.group.group);
    r = read_rows(rt, (struct span){ prefix.bytes, prefix.len }, &log);
    if (r < 0)
        return r;
    e.u.group.state = &state;
    runtime_mesh_step(rt, &e);
    for (size_t i = 0; r == 0 && i < log.n; i++)
        r = tell_entry(rt, &e.u.group.group, &log.all[i]);
    return r;
}

/* What was written tentatively lies under a group that has no state. */
static int tell_tentative(struct runtime *rt, const struct row *row)
{
    CLEANUP(buffer_release) struct buffer state = BUFFER_INIT;
    struct group_id group;
    struct record_key key;
    uint64_t index;
    int r = log_row_key_decode(row->key, row->key_len, &group, &index);

    if (r < 0)
        return r;
    key = replica_state_key(&group);
    r = writer_get(rt->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                   &state);
    if (r != -ENOENT)
        return r;
    return tell_entry(rt, &group, row);
}

/* ---- runs, and what was not yet decided ---- */

static int tell_run(struct runtime *rt, const struct row *row)
{
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_RUN };

    if (row->key_len != 1 + RUN_ID_SIZE)
        return -EBADMSG;
    memcpy(e.u.run.bytes, row->key + 1, RUN_ID_SIZE);
    runtime_mesh_step(rt, &e);
    return 0;
}

static int tell_kept(struct runtime *rt, const struct row *row)
{
    CLEANUP(kept_attempt_release) struct kept_attempt kept = { .record_len = 0 };
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_KEPT };
    struct offered_attempt offer;
    int r = kept_attempt_decode(value_of(row), row->value_len, &kept);

    if (r == 0)
        r = kept_attempt_key_decode(row->key, row->key_len, &kept);
    if (r < 0)
        return r;
    offer = (struct offered_attempt){ .name = kept.name,
                                      .run = kept.run,
                                      .task = kept.task,
                                      .witness = kept.witness,
                                      .record = kept.record,
                                      .record_len = kept.record_len };
    offer.name.node = rt->mesh->self;
    e.u.kept = &offer;
    runtime_mesh_step(rt, &e);
    return 0;
}

/* ---- whom it knew ---- */

static int tell_peer(struct runtime *rt, const struct row *row)
{
    CLEANUP(peer_row_release) struct peer_row peer = { .incarnation = 0 };
    struct mesh_event e = { .type = MESH_EVENT_CONTACT };
    struct member_note note;
    int r = peer_row_decode(value_of(row), row->value_len, &peer);

    if (r == 0)
        r = peer_row_key_decode(row->key, row->key_len, &peer.id);
    if (r < 0)
        return r;
    note = (struct member_note){ .id = peer.id,
                                 .incarnation = peer.incarnation,
                                 .state = MEMBER_ALIVE,
                                 .has_card = true,
                                 .card = peer.card };
    e.u.contact = &note;
    runtime_mesh_step(rt, &e);
    return 0;
}

void runtime_mesh_remember(struct runtime *rt, const struct member_note *note)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = peer_row_key(&note->id);
    struct peer_row row = { .id = note->id,
                            .incarnation = note->incarnation,
                            .heard_wall = runtime_wall(),
                            .card = note->card };
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len },
                                 .is_delete = note->state == MEMBER_LEFT };

    if (!note->has_card || node_id_equal(&note->id, &rt->mesh->self)
        || (!write.is_delete && peer_row_encode(&row, &value) < 0))
        return;
    write.value = (struct span){ value.data ? value.data : "", value.len };
    writer_put(rt->writer, &write, 1, false);
}

/* Where the token, a file or the user said that somebody is. */
static void dial_contacts(struct runtime *rt)
{
    CLEANUP(freep)
    struct join_contact *all = calloc(CONTACTS_MAX, sizeof(*all));
    size_t n = all ? identity_contacts(rt->mesh->identity, all) : 0;

    for (size_t i = 0; i < n; i++)
        rt->mesh->peers_module->dial(rt->mesh->peers, &all[i]);
}

/* ---- all of it ---- */

static int tell_all(struct runtime *rt, char type, size_t max,
                    int (*tell)(struct runtime *rt, const struct row *row))
{
    CLEANUP(rows_release) struct rows rows = { .all = NULL };
    int r = read_rows(rt, (struct span){ &type, 1 }, &rows);

    for (size_t i = 0; r == 0 && i < rows.n && i < max; i++) {
        int error = tell(rt, &rows.all[i]);

        if (error == -ENOMEM)
            r = error;
        else if (error < 0)
            runtime_log(rt, "row.unreadable", "type=%c error=%s", type,
                        strerror(-error));
    }
    return r;
}

/* Processes of a node that was killed end before anybody starts new ones. */
static int end_orphans(struct runtime *rt, struct error *ret_error)
{
    struct runtime_mesh *m = rt->mesh;
    int r = running_open(rt->dir, rt->n_slots, &rt->running, &m->before, &m->n_before,
                         ret_error);

    if (r == 0 && rt->before)
        m->n_before = 0;
    for (uint32_t i = 0; r == 0 && i < m->n_before; i++)
        if (m->before[i].is_used && m->before[i].pid > 0) {
            running_kill_orphans(rt->dir);
            break;
        }
    return r;
}

int runtime_mesh_restore(struct runtime *rt, struct error *ret_error)
{
    struct mesh_event start = { .type = MESH_EVENT_START };
    int r = end_orphans(rt, ret_error);

    if (r == 0)
        r = rt->before ? runtime_adopt_runs(rt) : runtime_mesh_drop_copies(rt);
    if (r == 0)
        r = tell_all(rt, 'q', SIZE_MAX, tell_group);
    if (r == 0)
        r = tell_all(rt, 'l', SIZE_MAX, tell_tentative);
    if (r == 0)
        r = tell_all(rt, 'u', SIZE_MAX, tell_run);
    if (r == 0)
        r = tell_all(rt, 'o', SIZE_MAX, tell_kept);
    if (r == 0)
        r = runtime_adopt_slots(rt);
    if (r < 0)
        return r;
    runtime_mesh_keep_certificate(rt, &rt->mesh->self);
    runtime_mesh_event(rt, &start);
    r = tell_all(rt, 'h', REMEMBERED_MAX, tell_peer);
    dial_contacts(rt);
    runtime_drain(rt);
    return r;
}
