/* SPDX-License-Identifier: Apache-2.0 */
/* What this node holds of a run as a worker, and whom it listens to: the greatest rank
 * that it has answered. An attempt that ended here is kept until a leader has said what
 * became of it; its row stays until the run is over, for it names the blobs that other
 * tasks may need. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/mesh_internal.h"

struct work *work_find(const struct mesh *m, const struct run_id *run)
{
    struct work *w;

    HASH_FIND(hh, m->works, run, sizeof(*run), w);
    return w;
}

int work_get(struct mesh *m, const struct run_id *run, struct work **ret_w)
{
    struct work *w = work_find(m, run);

    *ret_w = w;
    if (w || HASH_COUNT(m->works) >= WORKS_MAX)
        return 0;
    w = calloc(1, sizeof(*w));
    if (!w)
        return -ENOMEM;
    w->run = *run;
    w->since = w->heard = w->reported = m->now;
    w->report_seq = (uint64_t)(m->term - m->boot) << 32;
    HASH_ADD(hh, m->works, run, sizeof(w->run), w);
    if (!w->hh.tbl) {
        free(w);
        return -ENOMEM;
    }
    *ret_w = w;
    return 0;
}

/* ---- attempts that are kept ---- */

struct kept *kept_find(const struct mesh *m, const struct attempt_name *name)
{
    struct kept *k, key = { .key = { .counter = name->counter, .boot = name->boot } };

    HASH_FIND(hh, m->kept, &key.key, sizeof(key.key), k);
    return k;
}

struct attempt_name kept_name(const struct mesh *m, const struct kept *k)
{
    return (struct attempt_name){ .node = m->self,
                                  .boot = (uint32_t)k->key.boot,
                                  .counter = k->key.counter };
}

static void free_kept(struct mesh *m, struct kept *k)
{
    HASH_DEL(m->kept, k);
    DL_DELETE(k->work->kept, k);
    free(k->record);
    free(k);
}

static int add_kept(struct mesh *m, struct work *w, const struct kept *from,
                    const void *record, size_t len, struct kept **ret)
{
    struct kept *k = calloc(1, sizeof(*k));

    if (!k)
        return -ENOMEM;
    *k = *from;
    k->work = w;
    k->record_len = len;
    k->record = malloc(len + 1);
    if (!k->record) {
        free(k);
        return -ENOMEM;
    }
    memcpy(k->record, record, len);
    HASH_ADD(hh, m->kept, key, sizeof(k->key), k);
    if (!k->hh.tbl) {
        free(k->record);
        free(k);
        return -ENOMEM;
    }
    DL_APPEND(w->kept, k);
    w->has_rows = true;
    *ret = k;
    return 0;
}

static int offer(struct mesh *m, struct kept *k)
{
    struct post post = { .type = POST_OFFER,
                         .run = k->work->run,
                         .ticket = k->ticket,
                         .u.name = kept_name(m, k) };
    struct peer *p = peer_find(m, &k->work->leader);

    k->offered = m->now;
    return p && p->is_live ? post_add(m, p, &post) : 0;
}

int work_keep(struct mesh *m, struct guest *g, const void *record, size_t len)
{
    struct kept key = { .key = { .counter = g->counter, .boot = m->boot },
                        .lease = g->lease,
                        .task = g->task,
                        .witness = g->witness };
    struct kept *k;
    int error = add_kept(m, g->work, &key, record, len, &k);

    return error ? error : sign_later(m, k);
}

int work_put(struct mesh *m, struct kept *k)
{
    int error = row_put_kept(m, k->work, k, &k->ticket);

    return error || k->is_quiet ? error : offer(m, k);
}

int work_keep_offer(struct mesh *m, const struct offered_attempt *offer)
{
    struct kept key = { .key = { .counter = offer->name.counter,
                                 .boot = offer->name.boot },
                        .task = offer->task,
                        .witness = offer->witness,
                        .is_quiet = true };
    struct work *w;
    struct kept *k;
    int error = work_get(m, &offer->run, &w);

    if (error == 0 && w)
        error = add_kept(m, w, &key, offer->record, offer->record_len, &k);
    return error || !w ? error : sign_later(m, k);
}

int work_on_restored(struct mesh *m, const struct offered_attempt *kept)
{
    struct kept key = { .key = { .counter = kept->name.counter,
                                 .boot = kept->name.boot },
                        .task = kept->task,
                        .witness = kept->witness };
    struct work *w;
    struct kept *k;
    int error = work_get(m, &kept->run, &w);

    if (error < 0 || !w || kept_find(m, &kept->name))
        return error;
    return add_kept(m, w, &key, kept->record, kept->record_len, &k);
}

/* One that lost is of no use; what counts, or is counted, keeps its row for its blobs.
 */
int work_on_committed(struct mesh *m, const struct committed_message *c)
{
    int error = 0;

    for (size_t i = 0; i < c->n_answers && error == 0; i++) {
        struct kept *k = kept_find(m, &c->answers[i].name);

        if (!k || !node_id_equal(&c->answers[i].name.node, &m->self)
            || !is_same_run(&k->work->run, &c->run))
            continue;
        if (c->answers[i].result == OFFER_ENDED)
            return work_end(m, &c->run);
        if (c->answers[i].result == OFFER_TENTATIVE) {
            k->is_quiet = true;
            continue;
        }
        if (c->answers[i].result == OFFER_LOSER)
            error = row_delete_kept(m, k->work, k);
        free_kept(m, k);
    }
    return error;
}

/* ---- reports ---- */

static struct held_lease held_of(const struct mesh *m, const struct guest *g)
{
    return (struct held_lease){ .run = g->work->run,
                                .task = g->task,
                                .attempt = g->attempt,
                                .name = { m->self, m->boot, g->counter },
                                .gpus = g->gpus,
                                .is_started = g->state == GUEST_RUNNING,
                                .witness = g->witness,
                                .lease = g->lease,
                                .fence = g->fence };
}

static int send_report(struct mesh *m, const struct node_id *to,
                       const struct report_message *r)
{
    struct message msg = { .type = MESSAGE_REPORT, .u.report = *r };

    return node_id_equal(to, &m->self) ? lead_on_report(m, m->me, r)
                                       : mesh_send(m, to, &msg, 0);
}

/* Lists of all that there is; sent in parts. */
struct lists {
    struct held_lease *held;
    struct offered_attempt *kept;
    size_t n_held, n_kept;
};

static void release_lists(struct lists *l)
{
    free(l->held);
    free(l->kept);
}

static int collect(struct mesh *m, struct work *w, bool with_kept, struct lists *l)
{
    struct guest *g;
    struct kept *k;
    size_t n_guests, n_kept;

    DL_COUNT(w->guests, g, n_guests);
    DL_COUNT(w->kept, k, n_kept);
    l->held = calloc(n_guests + 1, sizeof(l->held[0]));
    l->kept = calloc(n_kept + 1, sizeof(l->kept[0]));
    if (!l->held || !l->kept)
        return -ENOMEM;
    DL_FOREACH(w->guests, g)
    if (!g->is_void) {
        l->held[l->n_held++] = held_of(m, g);
        g->is_told = g->is_asked = g->state == GUEST_RUNNING;
    }
    DL_FOREACH(w->kept, k)
    if (with_kept && !k->is_new) {
        k->offered = m->now;
        l->kept[l->n_kept++] = (struct offered_attempt){ .name = kept_name(m, k),
                                                         .lease = k->lease,
                                                         .run = w->run,
                                                         .task = k->task,
                                                         .witness = k->witness,
                                                         .record = k->record,
                                                         .record_len = k->record_len };
    }
    return 0;
}

static int report_to(struct mesh *m, struct work *w, const struct node_id *to,
                     bool with_kept)
{
    enum { HELD_BYTES = 160, HELD_PER_PART = MESSAGE_BATCH_BYTES / HELD_BYTES };
    CLEANUP(release_lists) struct lists l = { .held = NULL };
    size_t held = 0, kept = 0;
    int error = collect(m, w, with_kept, &l);

    w->reported = m->now;
    do {
        struct report_message r = { .run = w->run,
                                    .rank = w->rank,
                                    .boot = m->boot,
                                    .seq = ++w->report_seq,
                                    .held = l.held + held,
                                    .kept = l.kept + kept };
        size_t bytes = 0;

        if (error < 0)
            return error;
        r.n_held = min_size(l.n_held - held, HELD_PER_PART);
        held += r.n_held;
        bytes = r.n_held * HELD_BYTES;
        for (; kept < l.n_kept && (!bytes || bytes < MESSAGE_BATCH_BYTES); kept++) {
            bytes += HELD_BYTES + l.kept[kept].record_len;
            r.n_kept++;
        }
        permit_asked(w, r.seq, m->now);
        r.is_last = held == l.n_held && kept == l.n_kept;
        error = send_report(m, to, &r);
    } while (error == 0 && (held < l.n_held || kept < l.n_kept));
    return error;
}

int work_report(struct mesh *m, struct work *w, bool with_kept)
{
    return report_to(m, w, &w->leader, with_kept);
}

/* ---- whom it listens to ---- */

static void listen(struct mesh *m, struct work *w, const struct node_id *leader,
                   const struct rank *rank)
{
    struct guest *g;
    struct kept *k;

    w->rank = *rank;
    w->leader = *leader;
    w->heard = m->now;
    DL_FOREACH(w->guests, g)
    g->lease = LEASE_OF_WORKER | g->counter;
    DL_FOREACH(w->kept, k)
    {
        k->lease = 0;
        k->is_quiet = false;
    }
}

int work_on_lead(struct mesh *m, struct peer *p, const struct lead_message *l)
{
    struct work *w;
    int error, order;

    if (l->is_ended) {
        error = work_end(m, &l->run);
        return error ? error : lead_on_ended(m, l);
    }
    error = work_get(m, &l->run, &w);
    if (error < 0 || !w)
        return error;
    order = rank_compare(&l->rank, &w->rank);
    if (order < 0)
        return 0;
    if (order > 0 || !node_id_equal(&w->leader, &p->id))
        listen(m, w, &p->id, &l->rank);
    w->heard = m->now;
    return work_report(m, w, true);
}

/* The first lease of a leader says that it leads, as good as `lead` does. */
bool work_obeys(struct mesh *m, struct work *w, const struct peer *p,
                const struct rank *rank)
{
    int order = rank_compare(rank, &w->rank);

    if (order < 0)
        return false;
    if (order > 0)
        listen(m, w, &p->id, rank);
    w->heard = m->now;
    return node_id_equal(&w->leader, &p->id);
}

/* ---- the end ---- */

int work_end(struct mesh *m, const struct run_id *run)
{
    struct work *w = work_find(m, run);
    struct guest *g, *next;
    int error = 0;

    if (!w)
        return 0;
    DL_FOREACH_SAFE(w->guests, g, next)
    if (error == 0)
        error = guest_abandon(m, g);
    w->is_over = true;
    while (w->kept)
        free_kept(m, w->kept);
    if (error == 0 && w->has_rows)
        error = row_delete_all_kept(m, run);
    w->has_rows = false;
    return error ? error : work_collect(m, w);
}

static void free_work(struct mesh *m, struct work *w)
{
    HASH_DEL(m->works, w);
    free(w);
}

/* Nothing is left of a run that is over, or was silent for long. */
int work_collect(struct mesh *m, struct work *w)
{
    struct action forget = { .type = ACTION_FORGET_RUN, .slot = NODE_SLOT_NONE };

    if (w->guests || w->kept || (!w->is_over && m->now < w->heard + m->degrade))
        return 0;
    if (!w->is_over && w->has_rows)
        return 0;
    forget.run = w->run;
    free_work(m, w);
    return mesh_emit(m, &forget);
}

void works_release(struct mesh *m)
{
    struct work *w, *next;

    while (m->kept)
        free_kept(m, m->kept);
    HASH_ITER (hh, m->works, w, next) {
        while (w->guests)
            guest_free(m, w->guests);
        free_work(m, w);
    }
}

/* ---- time ---- */

/* What gossip says of its leader, in case that its own word was lost. */
static int look_at_note(struct mesh *m, struct work *w)
{
    const struct run_note *n = gossip_find_run(m->gossip, &w->run);
    struct lead_message l = { .run = w->run };
    struct peer *p;

    if (!n)
        return 0;
    if (n->is_ended && !n->is_tentative)
        return work_end(m, &w->run);
    p = peer_find(m, &n->leader);
    l.rank = (struct rank){ .is_sealed = !n->is_tentative,
                            .generation = n->generation,
                            .ballot = { .counter = n->ballot, .node = n->leader } };
    if (!p || !p->is_live || p == m->me || rank_compare(&l.rank, &w->rank) <= 0)
        return 0;
    return work_on_lead(m, p, &l);
}

/* Nobody speaks for it any more: any home may have its end. */
static int ask_around(struct mesh *m, struct work *w)
{
    struct peer *p = peer_at(m, 1 + (uint32_t)prng_below(&m->prng, m->n_peers));

    w->reported = m->now;
    if (p == m->me)
        return late_find_end(m, &m->self, &w->run);
    return report_to(m, w, &p->id, true);
}

static bool is_orphan(const struct mesh *m, const struct work *w)
{
    const struct peer *leader = peer_find(m, &w->leader);
    const struct run_note *note = gossip_find_run(m->gossip, &w->run);

    if (m->now < w->reported + OFFER_EVERY || (!w->has_rows && !w->guests))
        return false;
    if (!leader || !leader->is_live)
        return true;
    /* A new run's note is on its way; what an old one says may be long over. */
    return m->now >= (note ? w->reported + 4 * m->degrade : w->since + m->degrade);
}

static int offer_again(struct mesh *m, struct work *w)
{
    struct kept *k;
    int error = 0;

    DL_FOREACH(w->kept, k)
    if (error == 0 && !k->is_quiet && !k->is_new && m->now >= k->offered + OFFER_EVERY)
        error = offer(m, k);
    return error;
}

/* What runs for a while is told, so that people see it; what is short tells itself by
 * its end. And all of it now and then, for what was lost on the way. */
static bool has_to_report(const struct mesh *m, const struct work *w)
{
    const struct guest *g;

    if (w->guests && m->now >= w->reported + REPORT_EVERY)
        return true;
    if (permit_is_due(m, w))
        return true;
    DL_FOREACH(w->guests, g)
    if (g->state == GUEST_RUNNING && !g->is_told && m->now >= g->started + TELL_AFTER)
        return true;
    return false;
}

static int tick(struct mesh *m, struct work *w)
{
    const struct peer *leader = peer_find(m, &w->leader);
    int error = is_orphan(m, w) ? ask_around(m, w) : offer_again(m, w);

    if (error == 0 && leader && leader->is_live && has_to_report(m, w))
        error = work_report(m, w, false);
    if (leader && leader->is_live)
        w->heard = m->now;
    else if (m->now > w->heard + m->degrade * 2 / 3) /* before anybody degrades */
        w->rank = (struct rank){ .is_sealed = false };
    return error ? error : work_collect(m, w);
}

int works_on_tick(struct mesh *m)
{
    struct work *w, *next;
    int error = 0;

    HASH_ITER (hh, m->works, w, next)
        if (error == 0)
            error = look_at_note(m, w);
    HASH_ITER (hh, m->works, w, next)
        if (error == 0)
            error = tick(m, w);
    return error;
}

/* A peer can be reached again: what it was not answered may have been lost. */
void works_on_connected(struct mesh *m, const struct peer *p)
{
    struct work *w;
    struct kept *k;

    for (w = m->works; w; w = w->hh.next)
        if (node_id_equal(&w->leader, &p->id))
            DL_FOREACH(w->kept, k)
    k->offered = 0;
}
