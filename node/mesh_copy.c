/* SPDX-License-Identifier: Apache-2.0 */
/* What a home lacks: entries of the log, from memory or the store; or, when these are
 * gone, all records of the run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/mesh_internal.h"

/* How far the records were read for a home that is installed: the key behind which each
 * part begins. */
struct cursor {
    struct node_id peer;
    struct record_key *behind; /* of part i + 1 */
    size_t n, cap;
    struct cursor *next;
};

/* ---- what is read from the store ---- */

struct read *read_add(struct mesh *m, enum read_type type, const struct group_id *group)
{
    struct read *r;

    if (HASH_COUNT(m->reads) >= READS_MAX)
        return NULL;
    r = calloc(1, sizeof(*r));
    if (!r)
        return NULL;
    r->token = ++m->last_token;
    r->type = type;
    r->group = *group;
    r->at = m->now;
    HASH_ADD(hh, m->reads, token, sizeof(r->token), r);
    if (!r->hh.tbl) {
        free(r);
        return NULL;
    }
    return r;
}

struct read *read_find(const struct mesh *m, uint64_t token)
{
    struct read *r;

    HASH_FIND(hh, m->reads, &token, sizeof(token), r);
    return r;
}

void read_free(struct mesh *m, struct read *r)
{
    HASH_DEL(m->reads, r);
    free(r->offer.record);
    buffer_release(&r->frame);
    free(r);
}

/* An answer that never came: what was asked for is asked for again by who needs it. */
void reads_on_tick(struct mesh *m)
{
    struct read *r, *next;

    HASH_ITER (hh, m->reads, r, next)
        if (m->now > r->at + READ_WAIT && r->type != READ_LOCAL_WITNESS)
            read_free(m, r);
}

void reads_release(struct mesh *m)
{
    struct read *r, *next;

    HASH_ITER (hh, m->reads, r, next)
        read_free(m, r);
}

/* ---- entries ---- */

static int send_entries(struct mesh *m, const struct node_id *peer,
                        const struct message *header, struct log_entry *entries,
                        size_t n)
{
    struct message msg = *header;
    size_t bytes = 0, taken = 0;

    for (; taken < n && taken < MESSAGE_ITEMS_MAX; taken++) {
        bytes += entries[taken].key_len + entries[taken].value_len;
        if (taken && bytes > MESSAGE_BATCH_BYTES)
            break;
    }
    msg.u.append.entries = entries;
    msg.u.append.n_entries = taken;
    return mesh_send(m, peer, &msg, 0);
}

static int read_entries(struct mesh *m, const struct group *g,
                        const struct replica_action *a)
{
    struct action ask = { .type = ACTION_READ_ENTRIES,
                          .run = g->run,
                          .ticket = m->last_ticket,
                          .slot = NODE_SLOT_NONE };
    struct read *r = read_add(m, READ_ENTRIES, &g->id);

    if (!r) /* the replica asks again when nothing is acknowledged */
        return 0;
    r->peer = a->peer;
    r->header = a->message;
    ask.u.mesh.token = r->token;
    ask.u.mesh.group = g->id;
    ask.u.mesh.lo = a->lo;
    ask.u.mesh.hi = a->hi;
    return mesh_emit(m, &ask);
}

int copy_send_entries(struct mesh *m, struct group *g, const struct replica_action *a)
{
    CLEANUP(freep) struct log_entry *entries = NULL;
    size_t n = 0, cap = 0;

    for (uint64_t i = a->lo; i <= a->hi && n < MESSAGE_ITEMS_MAX; i++) {
        const struct entry *e = entries_at(&g->entries, i);

        if (!e || e->is_bare)
            break;
        if (mesh_grow(&entries, n, &cap, sizeof(*entries)) < 0)
            return -ENOMEM;
        entries[n++] = e->log;
    }
    return n ? send_entries(m, &a->peer, &a->message, entries, n)
             : read_entries(m, g, a);
}

static int on_entries(struct mesh *m, struct group *g, const struct read *r,
                      const struct mesh_event *event)
{
    CLEANUP(replica_outbox_release) struct replica_outbox out = { .actions = NULL };
    int error;

    /* What was read may be cut by now. */
    if (!replica_may_send(g->replica, &r->header.u.append))
        return 0;
    if (event->status == 0 && event->u.entries.n)
        return send_entries(m, &r->peer, &r->header,
                            (struct log_entry *)event->u.entries.entries,
                            event->u.entries.n);
    error = replica_on_missing(g->replica, &r->peer, m->now, &out);
    return error ? error : group_carry(m, g, &out);
}

int copy_on_entries(struct mesh *m, const struct mesh_event *event)
{
    struct read *r = read_find(m, event->token);
    struct group *g = r ? group_find(m, &r->group) : NULL;
    int error = 0;

    if (g && g->replica && r->type == READ_ENTRIES)
        error = on_entries(m, g, r, event);
    if (r)
        read_free(m, r);
    return error;
}

/* ---- records ---- */

static struct cursor *find_cursor(struct group *g, const struct node_id *peer)
{
    struct cursor *c;

    LL_FOREACH(g->cursors, c)
    if (node_id_equal(&c->peer, peer))
        return c;
    c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->peer = *peer;
    LL_PREPEND(g->cursors, c);
    return c;
}

void copy_release(struct group *g)
{
    struct cursor *c, *next;

    LL_FOREACH_SAFE(g->cursors, c, next)
    {
        free(c->behind);
        free(c);
    }
    g->cursors = NULL;
}

int copy_send_install(struct mesh *m, struct group *g, const struct replica_action *a)
{
    struct action ask = { .type = ACTION_READ_RECORDS,
                          .run = g->run,
                          .ticket = m->last_ticket,
                          .slot = NODE_SLOT_NONE };
    struct cursor *c = find_cursor(g, &a->peer);
    struct read *r;

    if (!c)
        return -ENOMEM;
    if (a->lo > c->n)
        return 0;
    r = read_add(m, READ_INSTALL, &g->id);
    if (!r)
        return 0;
    r->peer = a->peer;
    r->lo = a->lo;
    r->header = a->message;
    ask.u.mesh.token = r->token;
    ask.u.mesh.group = g->id;
    if (a->lo) {
        ask.u.mesh.from = c->behind[a->lo - 1].bytes;
        ask.u.mesh.from_len = c->behind[a->lo - 1].len;
    }
    return mesh_emit(m, &ask);
}

/* The record of an attempt is there before it is decided; it could still be cut. */
static bool is_decided(struct group *g, const struct log_entry *record)
{
    uint64_t last = replica_state(g->replica)->last.index;

    for (uint64_t i = group_decided(g) + 1; i <= last; i++) {
        const struct entry *e = entries_at(&g->entries, i);

        if (e && e->log.key_len == record->key_len
            && memcmp(e->log.key, record->key, record->key_len) == 0)
            return false;
    }
    return true;
}

/* Who has the end takes the run for over, so it comes by the log, behind all that
 * counts, where the log goes on behind what is installed. */
static bool is_early_end(const struct group *g, const struct install_message *install,
                         const struct log_entry *record)
{
    return record->key_len && record->key[0] == 'e'
           && g->end_index > install->base.index;
}

static int note_cursor(struct cursor *c, uint64_t part, const struct log_entry *last)
{
    if (last->key_len > RECORD_KEY_MAX || part > c->n)
        return 0;
    if (mesh_grow(&c->behind, part, &c->cap, sizeof(c->behind[0])) < 0)
        return -ENOMEM;
    c->behind[part].len = last->key_len;
    memcpy(c->behind[part].bytes, last->key, last->key_len);
    c->n = part + 1;
    return 0;
}

static int on_records(struct mesh *m, struct group *g, const struct read *r,
                      const struct mesh_event *event)
{
    size_t n_read = event->u.entries.n, n = 0;
    CLEANUP(freep) struct log_entry *entries = calloc(n_read + 1, sizeof(*entries));
    struct cursor *c = find_cursor(g, &r->peer);
    struct message msg = r->header;
    int error = 0;

    if (!entries || !c)
        return -ENOMEM;
    if (event->status < 0) /* asked for again */
        return 0;
    for (size_t i = 0; i < n_read; i++) {
        const struct log_entry *record = &event->u.entries.entries[i];

        if (is_decided(g, record) && !is_early_end(g, &msg.u.install, record)
            && !tentative_has(g, record->key, record->key_len))
            entries[n++] = *record;
    }
    if (n_read)
        error = note_cursor(c, r->lo, &event->u.entries.entries[n_read - 1]);
    msg.u.install.part = r->lo;
    msg.u.install.is_last = event->u.entries.is_last;
    msg.u.install.entries = entries;
    msg.u.install.n_entries = n;
    return error ? error : mesh_send(m, &r->peer, &msg, 0);
}

int copy_on_records(struct mesh *m, const struct mesh_event *event)
{
    struct read *r = read_find(m, event->token);
    struct group *g = r ? group_find(m, &r->group) : NULL;
    int error = r && r->type == READ_REGISTERS ? registers_on_read(m, event) : 0;

    if (g && g->replica && r->type == READ_INSTALL)
        error = on_records(m, g, r, event);
    if (g && r->type == READ_REPAIR)
        error = repair_on_records(m, g, event);
    if (r)
        read_free(m, r);
    return error;
}

/* ---- being installed ---- */

int copy_delete_all(struct mesh *m, struct group *g)
{
    struct record_key keys[] = { attempts_of_run(&g->run), fences_of_run(&g->run),
                                 registers_of(&g->id),     run_end_key(&g->run),
                                 run_state_key(&g->run),   run_key(&g->run) };
    uint64_t ticket;
    int error = row_delete_log(m, g, &ticket);

    for (size_t i = 0; i < ARRAY_SIZE(keys) && error == 0; i++) {
        struct mesh_write w = { .key = keys[i].bytes,
                                .key_len = keys[i].len,
                                .is_delete = true,
                                .is_range = i < 3,
                                .with_next = true };

        error = mesh_persist(m, &g->run, &w, &ticket);
    }
    return error;
}

/* Keys of other runs, or of what is no record, are not taken. */
static bool is_of(const struct group *g, const struct log_entry *e)
{
    return e->key_len > RUN_ID_SIZE && memchr("aefmrv", e->key[0], 6)
           && memcmp(e->key + 1, g->run.bytes, RUN_ID_SIZE) == 0;
}

int copy_keep_install(struct mesh *m, struct group *g,
                      const struct install_message *install)
{
    int error = 0;

    if (install->part == 0) { /* the leader is known only when all of it is durable */
        error = tentative_end(m, g);
        if (error == 0)
            error = copy_delete_all(m, g);
        entries_drop_new(&g->entries);
        entries_cut(&g->entries, 0);
        g->has_run = g->has_end = false;
        g->end_index = 0;
        g->entries.first = install->base.index + 1;
        g->applied = install->base.index;
    }
    for (size_t i = 0; i < install->n_entries && error == 0; i++) {
        const struct log_entry *e = &install->entries[i];
        struct mesh_write w = { .key = e->key,
                                .key_len = e->key_len,
                                .value = e->value,
                                .value_len = e->value_len,
                                .with_next = true };
        uint64_t ticket;

        if (!is_of(g, e))
            continue;
        g->has_run = g->has_run || e->key[0] == 'r';
        g->has_end = g->has_end || e->key[0] == 'e';
        error = mesh_persist(m, &g->run, &w, &ticket);
    }
    return error || !g->has_run ? error : group_answer(m, g, true);
}
