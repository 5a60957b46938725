/* SPDX-License-Identifier: Apache-2.0 */
/* What a run keeps has to be on two nodes before it may end well. Who ran the task has
 * it; the leader gets a copy, or, if the leader ran it, another home. What nobody gives
 * any more is made again; where only one node is left, one copy has to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/mesh_internal.h"

enum { KEEPS_AT_ONCE = 64, ASKED_IN_A_ROW = 3 };
static const time_us KEEP_WAIT = TIME_S(10);

struct keeping {
    uint64_t token;
    struct node_id holder;
    bool is_asked;
    bool is_orphan;   /* its holder is gone: here it would be the only copy */
    uint32_t n_asked; /* others to hold a copy */
    bool is_checked;  /* since then, whether it is here at all */
    time_us again;    /* when it is asked once more */
    uint8_t *record;
    size_t record_len;
    struct digest *ids;
    size_t n_ids;
    struct task_id task;
    struct keeping *prev, *next;
};

static void free_keeping(struct keeping *k)
{
    free(k->record);
    free(k->ids);
    free(k);
}

void keep_release(struct group *g)
{
    struct keeping *k, *next;

    DL_FOREACH_SAFE(g->keepings, k, next)
    free_keeping(k);
    g->keepings = NULL;
    g->n_keeping = 0;
    g->repair = (struct repair){ .is_on = false };
}

int keep_count(struct mesh *m, const struct group *g, int32_t by)
{
    struct event e = { .type = EVENT_KEEPING, .run = g->run, .u.keeping = by };

    return engine_step(m, &e);
}

int keep_recount(struct mesh *m, const struct group *g)
{
    struct keeping *k;
    int32_t n;

    DL_COUNT(g->keepings, k, n);
    n += g->repair.is_on;
    return n ? keep_count(m, g, n) : 0;
}

static int done(struct mesh *m, struct group *g, struct keeping *k)
{
    DL_DELETE(g->keepings, k);
    g->n_keeping -= k->is_asked;
    free_keeping(k);
    return keep_count(m, g, -1);
}

/* ---- asking ---- */

static bool may_hold(const struct mesh *m, const struct peer *p)
{
    struct member_view v;

    return p && p != m->me && p->is_live && gossip_find(m->gossip, &p->id, &v)
           && v.note->has_card && !v.note->card.is_draining;
}

/* A home if there is one, another when that one has not answered for long: it may live
 * and be unable to. When all had their turn, anybody. */
static const struct peer *choose(struct mesh *m, const struct group *g,
                                 uint32_t n_asked)
{
    struct node_id homes[HOMES_MAX];
    uint32_t n = group_homes(m, g, homes), turn = n_asked / ASKED_IN_A_ROW, first;

    for (uint32_t i = 0; i < n; i++)
        if (may_hold(m, peer_find(m, &homes[i])) && turn-- == 0)
            return peer_find(m, &homes[i]);
    first = (uint32_t)prng_below(&m->prng, m->n_peers);
    for (uint32_t i = 0; i < m->n_peers; i++)
        if (may_hold(m, peer_at(m, 1 + (first + i) % m->n_peers)))
            return peer_at(m, 1 + (first + i) % m->n_peers);
    return NULL;
}

static int get_here(struct mesh *m, const struct run_id *run, uint64_t token,
                    const struct node_id *holder, const uint8_t *record, size_t len)
{
    struct action a = { .type = ACTION_KEEP,
                        .run = *run,
                        .ticket = m->last_ticket,
                        .slot = NODE_SLOT_NONE };

    a.u.mesh.peer = *holder;
    a.u.mesh.token = token;
    a.u.mesh.bytes = record;
    a.u.mesh.len = len;
    return mesh_emit(m, &a);
}

/* What this node made and nobody gets from it may be gone from here too. */
static bool must_check(struct keeping *k)
{
    bool must = !k->is_checked && k->n_asked && k->n_asked % ASKED_IN_A_ROW == 0;

    k->is_checked = must;
    return must;
}

static int ask(struct mesh *m, struct group *g, struct keeping *k)
{
    struct message msg = { .type = MESSAGE_BLOB_KEEP };
    const struct peer *p;

    k->again = m->now + KEEP_WAIT;
    if (!k->is_asked)
        g->n_keeping++;
    k->is_asked = true;
    if (!node_id_equal(&k->holder, &m->self) || must_check(k))
        return get_here(m, &g->run, k->token, &k->holder, k->record, k->record_len);
    p = choose(m, g, k->n_asked++);
    if (!p)
        return done(m, g, k);
    msg.u.blob_find = (struct blob_find_message){ .request = k->token,
                                                  .ids = k->ids,
                                                  .n_ids = k->n_ids,
                                                  .from = m->self,
                                                  .run = g->run,
                                                  .record = k->record,
                                                  .record_len = k->record_len };
    return mesh_send(m, &p->id, &msg, 0);
}

/* ---- what there is to keep ---- */

static bool is_blob(const struct artifact *a)
{
    return a->size && !a->inline_data;
}

static size_t collect(const struct attempt_record *r, struct digest *ids)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n_outputs && n < MESSAGE_ITEMS_MAX; i++)
        if (is_blob(&r->outputs[i])) {
            if (ids)
                ids[n] = r->outputs[i].id;
            n++;
        }
    return n;
}

static struct keeping *new_keeping(struct mesh *m, const struct task_id *task,
                                   const struct attempt_record *r)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct attempt_record copy = *r;
    struct keeping *k = calloc(1, sizeof(*k));

    if (!k)
        return NULL;
    k->token = ++m->last_token;
    k->task = *task;
    k->holder = node_id_is_none(&r->node) ? m->self : r->node;
    k->n_ids = collect(r, NULL);
    k->ids = calloc(k->n_ids + 1, sizeof(k->ids[0]));
    copy.verdict = copy.verdict ? copy.verdict : VERDICT_DONE;
    if (!k->ids || attempt_record_encode(&copy, &bytes) == -ENOMEM) {
        free_keeping(k);
        return NULL;
    }
    (void)collect(r, k->ids);
    k->record_len = bytes.len;
    k->record = (uint8_t *)buffer_take(&bytes);
    return k;
}

int keep_begin(struct mesh *m, struct group *g, const struct task_id *task,
               const struct attempt_record *record)
{
    struct keeping *k;
    int error;

    if (m->level < 2 || record->reason != REASON_OK || !collect(record, NULL)
        || gossip_alive(m->gossip) < 2)
        return 0;
    k = new_keeping(m, task, record);
    if (!k)
        return -ENOMEM;
    DL_APPEND(g->keepings, k);
    error = keep_count(m, g, 1);
    return error || g->n_keeping >= KEEPS_AT_ONCE ? error : ask(m, g, k);
}

bool keep_has_room(const struct group *g)
{
    return g->n_keeping < KEEPS_AT_ONCE;
}

static bool is_kept(const struct group *g, const struct task_id *task)
{
    const struct keeping *k;

    DL_FOREACH(g->keepings, k)
    if (task_id_equal(&k->task, task))
        return true;
    return false;
}

int keep_again(struct mesh *m, struct group *g, const struct task_id *task,
               const struct attempt_record *record)
{
    struct keeping *k;

    if (record->reason != REASON_OK || !collect(record, NULL) || is_kept(g, task))
        return 0;
    k = new_keeping(m, task, record);
    if (!k)
        return -ENOMEM;
    k->is_orphan = mesh_is_gone(m, &k->holder);
    DL_APPEND(g->keepings, k);
    return keep_count(m, g, 1);
}

/* ---- answers ---- */

static struct keeping *find(const struct group *g, uint64_t token)
{
    struct keeping *k;

    DL_FOREACH(g->keepings, k)
    if (k->token == token)
        return k;
    return NULL;
}

static int ask_next(struct mesh *m, struct group *g)
{
    struct keeping *k, *next;
    int error = 0;

    DL_FOREACH_SAFE(g->keepings, k, next)
    if (error == 0 && g->n_keeping < KEEPS_AT_ONCE && !k->is_asked)
        error = ask(m, g, k);
    return error;
}

/* Nobody gives it: whoever reads the store knows which attempt that is, and says so by
 * EVENT_UNDO; or that another one counts, of which nothing is lost. */
static int tell_gone(struct mesh *m, const struct group *g, struct keeping *k)
{
    struct action a = { .type = ACTION_GONE,
                        .run = g->run,
                        .task = k->task,
                        .ticket = m->last_ticket,
                        .slot = NODE_SLOT_NONE };

    a.u.mesh.token = k->token;
    k->again = m->now + KEEP_WAIT;
    return mesh_emit(m, &a);
}

int keep_forget(struct mesh *m, struct group *g, const struct task_id *task)
{
    struct keeping *k, *next;
    int error = 0;

    DL_FOREACH_SAFE(g->keepings, k, next)
    if (error == 0 && task_id_equal(&k->task, task))
        error = done(m, g, k);
    return error;
}

/* The holder may be back soon; one that answers has it no more. */
static int give_up(struct mesh *m, struct group *g, struct keeping *k, int status)
{
    bool is_gone = mesh_is_gone(m, &k->holder);

    k->again = m->now + TIME_S(1);
    if (status == -ENOENT && (is_gone || gossip_is_live(m->gossip, &k->holder)))
        return tell_gone(m, g, k);
    return is_gone ? done(m, g, k) : 0;
}

/* Here it is now: somebody else is to have it too. */
static int ask_for_second(struct mesh *m, struct group *g, struct keeping *k)
{
    k->is_orphan = false;
    k->holder = m->self;
    return ask(m, g, k);
}

static int settle(struct mesh *m, uint64_t token, const struct node_id *from,
                  int status)
{
    struct group *g, *next;
    struct keeping *k = NULL;
    int error = 0;

    HASH_ITER (hh, m->groups, g, next)
        if ((k = find(g, token)))
            break;
    if (!k || (status <= 0 && node_id_equal(&k->holder, from) && !k->is_checked))
        return 0;
    if (status < 0)
        error = give_up(m, g, k, status);
    else if (status == 0 && k->is_orphan)
        error = ask_for_second(m, g, k);
    else if (status == 0 && node_id_equal(&k->holder, from))
        error = ask(m, g, k);
    else
        error = done(m, g, k);
    return error ? error : ask_next(m, g);
}

/* Of what this node was asked to hold for another. */
static int answer(struct mesh *m, struct read *r, int status)
{
    struct message msg = { .type = MESSAGE_BLOB_KEPT };
    int error = 0;

    msg.u.blob_find.request = r->lo;
    if (status == 0)
        error = mesh_send(m, &r->peer, &msg, 0);
    read_free(m, r);
    return error;
}

int keep_on_kept(struct mesh *m, const struct mesh_event *event)
{
    struct read *r = read_find(m, event->token);

    return r ? answer(m, r, event->status)
             : settle(m, event->token, &m->self, event->status);
}

int keep_on_message(struct mesh *m, struct peer *p, const struct message *msg)
{
    const struct blob_find_message *b = &msg->u.blob_find;
    static const struct group_id none;
    struct read *r;

    if (msg->type == MESSAGE_BLOB_KEPT)
        return settle(m, b->request, &p->id, 0);
    r = read_add(m, READ_KEEP, &none);
    if (!r)
        return 0;
    r->peer = p->id;
    r->lo = b->request;
    return get_here(m, &b->run, r->token, &b->from, b->record, b->record_len);
}

int keep_on_tick(struct mesh *m, struct group *g)
{
    struct keeping *k, *next;
    int error = 0;

    DL_FOREACH_SAFE(g->keepings, k, next)
    if (error == 0 && k->is_asked && m->now >= k->again)
        error = ask(m, g, k);
    return error ? error : ask_next(m, g);
}
