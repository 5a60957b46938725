/* SPDX-License-Identifier: Apache-2.0 */
/* Leading a run: from its submission, or by taking it over.
 *
 *     none -- this home leads its log --> loading -- read back, and all that live have
 *       ^                                    |       reported or had 2 s --> full
 *       '--- another one leads, or nobody ---+------------------------------- '  |
 *                                                        its end is decided --> ended
 *
 * A leader that is new asks before it grants: what members run or have finished for the
 * last one is not started again. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

/* ---- what was reported while it was read back ---- */

static void release_report(struct report *r)
{
    for (size_t i = 0; i < r->n_kept; i++)
        free(r->kept[i].record);
    free(r->kept);
    free(r->held);
}

static void forget_reports(struct group *g)
{
    for (size_t i = 0; i < g->n_reports; i++)
        release_report(&g->reports[i]);
    free(g->reports);
    free(g->asked);
    g->reports = NULL;
    g->asked = NULL;
    g->n_reports = g->n_asked = 0;
}

void lead_release(struct group *g)
{
    forget_reports(g);
    free(g->holders);
}

int offer_copy(const struct offered_attempt *from, struct offered_attempt *ret)
{
    struct offered_attempt copy = *from;

    copy.record = malloc(from->record_len + 1);
    if (!copy.record)
        return -ENOMEM;
    if (from->record_len)
        memcpy(copy.record, from->record, from->record_len);
    *ret = copy;
    return 0;
}

static int keep_report(struct group *g, uint32_t peer, const struct report_message *r)
{
    struct report *all = realloc(g->reports, (g->n_reports + 1) * sizeof(*all));
    struct report *copy;

    if (!all)
        return -ENOMEM;
    g->reports = all;
    copy = &all[g->n_reports++];
    *copy = (struct report){ .peer = peer };
    copy->held = calloc(r->n_held + 1, sizeof(copy->held[0]));
    copy->kept = calloc(r->n_kept + 1, sizeof(copy->kept[0]));
    if (!copy->held || !copy->kept)
        return -ENOMEM;
    if (r->n_held)
        memcpy(copy->held, r->held, r->n_held * sizeof(copy->held[0]));
    copy->n_held = r->n_held;
    for (; copy->n_kept < r->n_kept; copy->n_kept++)
        if (offer_copy(&r->kept[copy->n_kept], &copy->kept[copy->n_kept]) < 0)
            return -ENOMEM;
    return 0;
}

static const struct attempt_name *
find_reported(const struct report *r, const struct task_id *task, bool *ret_is_started)
{
    for (size_t i = 0; i < r->n_held; i++)
        if (task_id_equal(&r->held[i].task, task)) {
            *ret_is_started = r->held[i].is_started;
            return &r->held[i].name;
        }
    for (size_t i = 0; i < r->n_kept; i++)
        if (task_id_equal(&r->kept[i].task, task)) {
            *ret_is_started = false;
            return &r->kept[i].name;
        }
    return NULL;
}

const struct attempt_name *lead_reported(const struct group *g, uint32_t peer,
                                         const struct task_id *task,
                                         bool *ret_is_started)
{
    const struct attempt_name *name = NULL;

    for (size_t i = 0; i < g->n_reports && !name; i++)
        if (g->reports[i].peer == peer)
            name = find_reported(&g->reports[i], task, ret_is_started);
    return name;
}

/* ---- telling ---- */

int lead_tell(struct mesh *m, const struct group *g, const struct node_id *peer)
{
    struct message msg = { .type = MESSAGE_LEAD };

    msg.u.lead = (struct lead_message){ .run = g->run,
                                        .rank = group_rank(m, g),
                                        .is_ended = g->phase == LEAD_ENDED };
    if (g->is_void) /* nobody is to look for an end */
        msg.u.lead.rank.generation = 0;
    return mesh_send(m, peer, &msg, 0);
}

int lead_add_holder(struct group *g, uint32_t peer)
{
    for (size_t i = 0; i < g->n_holders; i++)
        if (g->holders[i] == peer)
            return 0;
    if (mesh_grow(&g->holders, g->n_holders, &g->cap_holders, sizeof(g->holders[0]))
        < 0)
        return -ENOMEM;
    g->holders[g->n_holders++] = peer;
    return 0;
}

static int ask(struct mesh *m, struct group *g, const struct peer *p)
{
    uint32_t *asked = realloc(g->asked, (g->n_asked + 1) * sizeof(*asked));

    if (!asked)
        return -ENOMEM;
    g->asked = asked;
    asked[g->n_asked++] = p->number;
    return lead_tell(m, g, &p->id);
}

static void answered(struct group *g, uint32_t peer)
{
    for (size_t i = 0; i < g->n_asked; i++)
        if (g->asked[i] == peer) {
            g->asked[i] = g->asked[--g->n_asked];
            return;
        }
}

/* ---- founding ---- */

int lead_found(struct mesh *m, const struct event *submit)
{
    const struct run_id *run = &submit->u.submit.record->run;
    struct replica_state state = { .generation = 1 };
    struct event e = *submit;
    struct group *g = group_find(m, run);
    int error;

    if (g)
        return 0;
    error = group_add(m, run, &g);
    if (error < 0)
        return error;
    if (g) {
        g->phase = LEAD_FULL;
        g->is_loaded = true;
        g->repair.seen = m->n_losses; /* who is gone has had nothing of it */
        g->leader = m->self;
        state.n_homes = home_choose(m, run, state.homes);
        if (state.n_homes > 1)
            error = group_open(m, g, &state, true);
        if (error == 0)
            error = number_want(m, g, submit->u.submit.record);
    }
    return error ? error : engine_step(m, &e);
}

/* ---- taking over ---- */

static int load(struct mesh *m, struct group *g)
{
    return mesh_emit(m, &(struct action){ .type = ACTION_LOAD_RUN,
                                          .run = g->run,
                                          .ticket = m->last_ticket,
                                          .slot = NODE_SLOT_NONE });
}

static int ask_myself(struct mesh *m, const struct group *g)
{
    struct lead_message l = { .run = g->run, .rank = group_rank(m, g) };

    return work_on_lead(m, m->me, &l);
}

int lead_tell_all(struct mesh *m, struct group *g)
{
    int error = ask_myself(m, g);

    for (uint32_t i = 1; i <= m->n_peers && error == 0; i++)
        if (peer_at(m, i)->is_live)
            error = lead_tell(m, g, &peer_at(m, i)->id);
    return error;
}

/* The last leader may have been the only one that told it, or have told nobody. */
static int lead_ended(struct mesh *m, struct group *g)
{
    struct action tell = { .type = ACTION_TELL,
                           .run = g->run,
                           .ticket = m->last_ticket,
                           .slot = NODE_SLOT_NONE,
                           .u.tell = { .type = TELL_RUN_ENDED,
                                       .outcome = g->outcome } };
    int error = g->outcome ? mesh_emit(m, &tell) : 0;

    g->phase = LEAD_ENDED;
    g->ended_at = m->now;
    g->is_loaded = false;
    if (error == 0)
        error = load(m, g); /* has it a number? */
    return error ? error : note_update(m, g, true);
}

int lead_begin(struct mesh *m, struct group *g)
{
    group_mark(m, g);
    g->leader = m->self;
    m->has_wishes = m->has_wishes || g->unnumbered.len;
    if (g->phase == LEAD_FULL || g->phase == LEAD_ENDED)
        return 0;
    if (g->has_end)
        return lead_ended(m, g);
    return lead_take_over(m, g);
}

int lead_take_over(struct mesh *m, struct group *g)
{
    int error = 0;

    g->phase = LEAD_LOADING;
    g->is_loaded = g->is_void = false;
    g->ask_until = m->now + HELD_WAIT;
    if (g->ask_until < m->housekeeping_at)
        m->housekeeping_at = g->ask_until;
    forget_reports(g);
    for (uint32_t i = 1; i <= m->n_peers && error == 0; i++)
        if (peer_at(m, i)->is_live && peer_at(m, i) != m->me)
            error = ask(m, g, peer_at(m, i));
    if (error == 0)
        error = ask_myself(m, g);
    return error ? error : load(m, g);
}

static int offer_kept(struct mesh *m, struct group *g)
{
    struct report *reports = TAKE(g->reports);
    size_t n = g->n_reports;
    int error = 0;

    g->n_reports = 0;
    for (size_t i = 0; i < n; i++) {
        struct peer *p = peer_at(m, reports[i].peer);

        for (size_t k = 0; k < reports[i].n_kept && error == 0; k++)
            error = late_offer(m, p, g, &reports[i].kept[k]);
        release_report(&reports[i]);
    }
    free(reports);
    return error;
}

static int hold(struct mesh *m, const struct group *g, uint32_t peer,
                const struct task_id *task, uint64_t fence, bool is_started)
{
    struct event e = { .type = EVENT_HELD, .run = g->run };

    e.u.held.worker = peer;
    e.u.held.task = *task;
    e.u.held.fence = fence;
    e.u.held.is_started = is_started;
    return engine_step(m, &e);
}

/* What has ended there is held too, until it is judged: else it would be started again
 * at once. */
static int adopt(struct mesh *m, struct group *g, const struct report *r)
{
    const struct peer *p = peer_at(m, r->peer);
    int error = p->is_live ? lead_add_holder(g, r->peer) : 0;

    for (size_t i = 0; i < r->n_held && error == 0 && p->is_live; i++)
        error = hold(m, g, r->peer, &r->held[i].task, r->held[i].fence,
                     r->held[i].is_started);
    for (size_t i = 0; i < r->n_kept && error == 0 && p->is_live; i++)
        if (r->kept[i].name.boot == peer_boot(p))
            error = hold(m, g, r->peer, &r->kept[i].task, 0, false);
    return error;
}

static int refuse_held(struct mesh *m, struct group *g)
{
    int error = 0;

    for (size_t i = 0; i < g->n_reports; i++) {
        const struct report *r = &g->reports[i];

        for (size_t k = 0; k < r->n_held && error == 0; k++)
            error = grant_refuse_held(m, g, peer_at(m, r->peer), &r->held[k]);
    }
    return error;
}

static int finish(struct mesh *m, struct group *g)
{
    struct event end = { .type = EVENT_RESTORE_END, .run = g->run };
    struct run_view view;
    int error = 0;

    g->phase = LEAD_FULL;
    if (g->is_tentative)
        node_lead_tentatively(m->node, &g->run);
    for (size_t i = 0; i < g->n_reports && error == 0; i++)
        error = adopt(m, g, &g->reports[i]);
    if (error == 0)
        error = keep_recount(m, g);
    if (error == 0)
        error = engine_step(m, &end);
    if (error == 0)
        error = refuse_held(m, g);
    if (error == 0)
        error = offer_kept(m, g);
    forget_reports(g);
    if (error == 0 && node_run(m->node, &g->run, &view))
        error = number_want(m, g, view.record);
    return error ? error : note_update(m, g, true);
}

static int check(struct mesh *m, struct group *g)
{
    bool has_heard = g->n_asked == 0 && !m->is_young;

    if (g->phase != LEAD_LOADING || !g->is_loaded)
        return 0;
    return has_heard || m->now >= g->ask_until ? finish(m, g) : 0;
}

static int drop(struct mesh *m, struct group *g)
{
    struct event e = { .type = EVENT_DROP, .run = g->run };

    grants_drop(m, &g->run);
    return engine_step(m, &e);
}

/* The leader that wrote the end may have given it none, or one that was not decided. */
static int want_number(struct mesh *m, struct group *g, const struct mesh_event *event)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    int error =
        run_record_decode(event->u.loaded.record, event->u.loaded.record_len, &record);

    if (error < 0)
        return error == -ENOMEM ? error : 0;
    return number_want(m, g, &record);
}

int lead_again(struct mesh *m, struct group *g)
{
    int error;

    if (!g || g->phase != LEAD_FULL)
        return 0;
    error = drop(m, g);
    number_drop(m, g);
    return error ? error : lead_take_over(m, g);
}

/* A group whose run was never decided has nothing to lead. */
int lead_on_loaded(struct mesh *m, const struct mesh_event *event)
{
    struct group *g = group_find(m, &event->u.loaded.run);
    bool has_record = event->status == -EALREADY && event->u.loaded.record;
    int error;

    if (!g || (g->phase != LEAD_LOADING && g->phase != LEAD_ENDED))
        return 0;
    g->is_loaded = true;
    error = has_record ? want_number(m, g, event) : 0;
    if (error < 0 || g->phase == LEAD_ENDED)
        return error;
    if (event->status == 0)
        return check(m, g);
    error = drop(m, g);
    forget_reports(g);
    g->has_end = g->has_end || event->status == -EALREADY;
    g->is_void = !g->has_end;
    g->phase = LEAD_ENDED;
    g->ended_at = m->now;
    return error || g->is_void ? error : note_update(m, g, true);
}

int lead_on_report(struct mesh *m, struct peer *p, const struct report_message *r)
{
    struct group *g = group_find(m, &r->run);
    struct rank rank;
    int error = 0;

    if (!g)
        return late_find_end(m, &p->id, &r->run);
    if (g->phase == LEAD_NONE || r->boot != peer_boot(p))
        return 0;
    rank = group_rank(m, g);
    if (g->phase == LEAD_ENDED || rank_compare(&r->rank, &rank) < 0)
        return lead_tell(m, g, &p->id);
    if (rank_compare(&r->rank, &rank) > 0)
        return 0;
    if (g->phase == LEAD_FULL)
        return grant_on_report(m, g, p, r);
    if (r->n_held || r->n_kept)
        error = keep_report(g, p->number, r);
    if (error == 0 && r->is_last)
        answered(g, p->number);
    return error ? error : check(m, g);
}

int lead_on_peer_gone(struct mesh *m, struct peer *p)
{
    struct group *g, *next;
    int error = 0;

    HASH_ITER (hh, m->groups, g, next)
        if (error == 0 && g->phase == LEAD_LOADING) {
            answered(g, p->number);
            error = check(m, g);
        }
    return error;
}

/* One that is seen for the first time while others are asked. */
int lead_on_peer_live(struct mesh *m, struct peer *p)
{
    struct group *g, *next;
    int error = 0;

    HASH_ITER (hh, m->groups, g, next)
        if (error == 0 && g->phase == LEAD_LOADING)
            error = ask(m, g, p);
    return error;
}

/* ---- letting go ---- */

int lead_end(struct mesh *m, struct group *g)
{
    bool was_leading = g->phase == LEAD_LOADING || g->phase == LEAD_FULL;
    int error = was_leading ? drop(m, g) : 0;

    if (g->phase != LEAD_NONE) {
        entries_drop_new(&g->entries);
        entries_forget_tells(&g->entries);
        forget_reports(g);
        keep_release(g);
        number_drop(m, g);
    }
    g->phase = LEAD_NONE;
    return error;
}

/* ---- the end ---- */

/* Who may still hold something of it. */
static int tell_end(struct mesh *m, struct group *g)
{
    struct node_id homes[HOMES_MAX];
    uint32_t n = group_homes(m, g, homes);
    int error = 0;

    for (size_t i = 0; i < g->n_holders && error == 0; i++)
        error = lead_tell(m, g, &peer_at(m, g->holders[i])->id);
    for (uint32_t i = 0; i < n && error == 0 && g->replica; i++)
        error = lead_tell(m, g, &homes[i]);
    return error;
}

int lead_on_end(struct mesh *m, struct group *g)
{
    int error;

    g->has_end = true;
    if (g->phase != LEAD_FULL)
        return 0;
    g->phase = LEAD_ENDED;
    g->ended_at = m->now;
    grants_drop(m, &g->run);
    keep_release(g);
    error = note_update(m, g, true);
    /* Who is told forgets the log, in which the number is to be yet. */
    return error || g->unnumbered.len ? error : tell_end(m, g);
}

/* The last that is said of it here. */
static int forget(struct mesh *m, struct group *g)
{
    int error = group_answer(m, g, g->has_run || g->has_end);

    group_forget(m, g);
    return error;
}

/* Its log is of no use any more: all homes have the end. */
static int clean(struct mesh *m, struct group *g)
{
    uint64_t ticket;
    int error = g->replica ? tell_end(m, g) : 0;

    if (error == 0)
        error = work_end(m, &g->run);
    if (error == 0 && g->replica)
        error = row_delete_group(m, g, &ticket);
    return error ? error : forget(m, g);
}

/* ---- the end, told by others ---- */

static int forget_log(struct mesh *m, struct group *g)
{
    uint64_t ticket;
    int error = row_delete_group(m, g, &ticket);

    return error ? error : forget(m, g);
}

/* The same end in the log here: then all before it is what was decided. */
static uint64_t find_end(const struct group *g, const struct lead_message *l)
{
    for (size_t i = g->entries.n; i-- > 0;) {
        const struct log_entry *e = &g->entries.all[i].log;

        if (e->key_len && e->key[0] == 'e' && e->value_len == l->end_len
            && memcmp(e->value, l->end, l->end_len) == 0)
            return g->entries.all[i].index;
    }
    return 0;
}

/* A copy that has not this end is of an older generation; others have what counts. What
 * stays is the end alone, so that nothing of the run is begun here again. */
static int keep_end(struct mesh *m, struct group *g, const struct lead_message *l,
                    uint64_t index)
{
    struct record_key key = run_end_key(&g->run);
    struct mesh_write w = { .key = key.bytes,
                            .key_len = key.len,
                            .value = l->end,
                            .value_len = l->end_len,
                            .with_next = true };
    uint64_t ticket;
    int error;

    if (index)
        return group_apply(m, g, index);
    g->has_end = true;
    error = copy_delete_all(m, g);
    return error ? error : mesh_persist(m, &g->run, &w, &ticket);
}

/* A leader says so as long as some homes may lack the end; who has forgotten the group
 * knows the end from its record, and all homes of the last generation had it then. Of a
 * run that was never decided nobody has an end. */
int lead_on_ended(struct mesh *m, const struct lead_message *l)
{
    struct group *g = group_find(m, &l->run);
    bool is_run = g && !group_is_mesh(g);
    int error = is_run && l->rank.is_sealed ? tentative_end(m, g) : 0;
    uint64_t index; /* of the end in the log here; 0: it is not there */
    bool is_copy;

    if (error < 0 || !is_run || !g->replica || g->phase == LEAD_FULL
        || g->phase == LEAD_LOADING)
        return error;
    index = g->has_end ? 0 : find_end(g, l);
    is_copy = g->has_end || index;
    if (!g->has_end) {
        if (l->rank.generation || (!l->end_len && g->has_run))
            return 0;
        error = l->end_len ? keep_end(m, g, l, index) : copy_delete_all(m, g);
    }
    /* Not into what is only an end: it would look like a run of no tasks. */
    if (error == 0 && is_copy)
        error = group_apply_number(m, g);
    return error ? error : forget_log(m, g);
}

/* All homes have the end; or some have been gone for so long that they ask when they
 * are back. */
static bool is_over(const struct mesh *m, const struct group *g)
{
    if (g->phase != LEAD_ENDED || !g->is_loaded || !group_is_settled(g)
        || (g->unnumbered.len && m->n_unnumbered <= UNNUMBERED_MAX))
        return false;
    if (!g->replica || m->now >= g->ended_at + END_WAIT)
        return true;
    return replica_leads(g->replica)
           && replica_everywhere(g->replica) >= replica_state(g->replica)->last.index;
}

/* Others took its place: the copy here would only grow old. That they did is remembered
 * until the run is over: a home that comes back late may ask for votes of their time.
 */
static int leave_group(struct mesh *m, struct group *g)
{
    CLEANUP(replica_outbox_release) struct replica_outbox out = { .actions = NULL };
    int error = copy_delete_all(m, g);

    g->left_at = m->now;
    if (error == 0) /* who decided on other homes had decided on the run */
        error = group_answer(m, g, true);
    if (error == 0)
        error = replica_give_up(g->replica, m->now, &out);
    return error ? error : group_carry(m, g, &out);
}

/* A run that goes on has a note. */
static bool is_past(const struct mesh *m, const struct group *g)
{
    const struct run_note *note = gossip_find_run(m->gossip, &g->run);

    return note ? note->is_ended && !note->is_tentative
                : m->now >= g->left_at + LEFT_WAIT;
}

/* It may have been installed again since, for homes that were not to be in the end. */
static int on_left(struct mesh *m, struct group *g)
{
    int error;

    if (!g->left_at)
        return leave_group(m, g);
    if (!is_past(m, g))
        return 0;
    error = g->has_run && !g->has_end ? copy_delete_all(m, g) : 0;
    return error ? error : forget_log(m, g);
}

/* Nothing of its run was ever decided, as far as is known here, and nobody says
 * anything: it was accepted by nobody. Who still owes an answer waits: those that it
 * cannot hear may have decided. */
static bool is_stale(const struct mesh *m, const struct group *g)
{
    return !g->has_run && !g->owes_answer && m->now > g->heard + FORGET_AFTER
           && !gossip_find_run(m->gossip, &g->run);
}

static int follow_on_tick(struct mesh *m, struct group *g)
{
    int error;

    if (replica_is_over(g->replica))
        return on_left(m, g);
    g->left_at = 0;
    if (!is_stale(m, g))
        return 0;
    error = copy_delete_all(m, g);
    return error ? error : forget_log(m, g);
}

int lead_on_tick(struct mesh *m, struct group *g)
{
    if (is_over(m, g))
        return clean(m, g);
    if (g->phase == LEAD_NONE && g->replica)
        return follow_on_tick(m, g);
    return check(m, g);
}
