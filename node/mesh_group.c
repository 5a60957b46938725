/* SPDX-License-Identifier: Apache-2.0 */
/* One run's log at one of its homes: the replica decides, this carries it out on rows,
 * records and the engine.
 *
 * What the replica answers is carried out in order, and while that is done the replica
 * is asked, never told: what it points to is its own. What it is to be told (that
 * something is durable, or that there is more) follows in a step of its own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/mesh_internal.h"

struct group *group_find(const struct mesh *m, const void *id)
{
    struct group *g;

    HASH_FIND(hh, m->groups, id, RUN_ID_SIZE, g);
    return g;
}

int group_add(struct mesh *m, const struct run_id *run, struct group **ret_g)
{
    struct group *g = group_find(m, run);

    *ret_g = g;
    if (g || HASH_COUNT(m->groups) >= GROUPS_MAX)
        return 0;
    g = calloc(1, sizeof(*g));
    if (!g)
        return -ENOMEM;
    memcpy(g->id.bytes, run->bytes, RUN_ID_SIZE);
    g->run = *run;
    g->phase = LEAD_NONE;
    g->entries.first = 1;
    HASH_ADD(hh, m->groups, id, RUN_ID_SIZE, g);
    if (!g->hh.tbl) {
        free(g);
        return -ENOMEM;
    }
    *ret_g = g;
    return 0;
}

static void free_group(struct group *g)
{
    replica_free(g->replica);
    entries_release(&g->entries);
    lead_release(g);
    keep_release(g);
    tentative_release(g);
    copy_release(g);
    free(g);
}

void group_forget(struct mesh *m, struct group *g)
{
    HASH_DEL(m->groups, g);
    if (g->is_marked)
        DL_DELETE2(m->marked, g, marked_prev, marked_next);
    number_drop(m, g);
    free_group(g);
}

void groups_release(struct mesh *m)
{
    struct group *g, *next;

    HASH_ITER (hh, m->groups, g, next)
        group_forget(m, g);
}

/* ---- questions ---- */

uint64_t group_decided(const struct group *g)
{
    return g->replica ? replica_decided(g->replica) : 0;
}

bool group_is_settled(const struct group *g)
{
    return !g->replica
           || (g->entries.n_new == 0
               && replica_state(g->replica)->last.index == group_decided(g));
}

struct rank group_rank(const struct mesh *m, const struct group *g)
{
    const struct replica_state *s = g->replica ? replica_state(g->replica) : NULL;
    struct rank rank = { .is_sealed = !g->is_tentative,
                         .generation = s ? s->generation : 1,
                         .ballot = { .counter = m->term, .node = m->self } };

    if (s && g->is_tentative)
        rank.ballot.counter = s->promised.counter + 1;
    else if (s)
        rank.ballot = s->promised;
    if (s && !rank.ballot.counter) /* its founder's first, which comes with a tick */
        rank.ballot = (struct ballot){ .counter = 1, .node = m->self };
    return rank;
}

uint32_t group_homes(const struct mesh *m, const struct group *g,
                     struct node_id ret_homes[HOMES_MAX])
{
    const struct replica_state *s = g->replica ? replica_state(g->replica) : NULL;

    if (!s) {
        ret_homes[0] = m->self;
        return 1;
    }
    memcpy(ret_homes, s->homes, s->n_homes * sizeof(ret_homes[0]));
    return s->n_homes;
}

void group_touch(struct mesh *m, struct group *g)
{
    time_us due = g->replica ? replica_deadline(g->replica) : TIME_NEVER;

    if (due < m->groups_due)
        m->groups_due = due;
}

/* ---- waiting for the disk ---- */

int group_wait(struct mesh *m, const struct group *g, uint64_t ticket,
               uint64_t replica_ticket)
{
    if (m->wait_head == m->n_waits)
        m->wait_head = m->n_waits = 0;
    if (m->wait_head > 1024 && m->wait_head > m->n_waits / 2) {
        m->n_waits -= m->wait_head;
        memmove(m->waits, m->waits + m->wait_head, m->n_waits * sizeof(m->waits[0]));
        m->wait_head = 0;
    }
    if (mesh_grow(&m->waits, m->n_waits, &m->cap_waits, sizeof(m->waits[0])) < 0)
        return -ENOMEM;
    m->waits[m->n_waits++] = (struct wait){ .ticket = ticket,
                                            .group = g->id,
                                            .replica_ticket = replica_ticket };
    return 0;
}

int groups_on_durable(struct mesh *m, uint64_t ticket)
{
    int error = 0;

    while (error == 0 && m->wait_head < m->n_waits
           && m->waits[m->wait_head].ticket <= ticket) {
        CLEANUP(replica_outbox_release) struct replica_outbox out = { .actions = NULL };
        struct wait w = m->waits[m->wait_head++];
        struct group *g = group_find(m, &w.group);

        if (g && !w.replica_ticket)
            error = number_on_decided(m, g, 0);
        if (!g || !g->replica || !w.replica_ticket)
            continue;
        error = replica_on_durable(g->replica, w.replica_ticket, m->now, &out);
        if (error == 0)
            error = group_carry(m, g, &out);
    }
    return error;
}

/* ---- keeping entries: all that a replica asks for at once in one transaction ---- */

bool entry_is_attempt(const struct log_entry *e)
{
    return e->key_len > 1 && e->key[0] == 'a' && !e->is_delete && !e->is_again;
}

static int write_record(struct mesh *m, const struct group *g,
                        const struct log_entry *e, bool is_delete, bool with_next,
                        uint64_t *ret_ticket)
{
    struct mesh_write w = { .key = e->key,
                            .key_len = e->key_len,
                            .value = is_delete ? NULL : e->value,
                            .value_len = is_delete ? 0 : e->value_len,
                            .is_delete = is_delete,
                            .with_next = with_next };

    return mesh_persist(m, &g->run, &w, ret_ticket);
}

/* Its row, and for an attempt its record. */
static int keep_entry(struct mesh *m, struct group *g, struct entry *e)
{
    int error = row_put_entry(m, g, e, &e->ticket);

    if (error == 0 && entry_is_attempt(&e->log))
        error = write_record(m, g, &e->log, false, true, &e->ticket);
    return error;
}

/* What is cut takes the records of its attempts along. */
static int cut(struct mesh *m, struct group *g, uint64_t index)
{
    uint64_t ticket;
    int error = 0;

    for (struct entry *e; error == 0 && (e = entries_at(&g->entries, index)); index++) {
        if (entry_is_attempt(&e->log))
            error = write_record(m, g, &e->log, true, true, &ticket);
        if (error == 0)
            error = row_delete_entry(m, g, index, &ticket);
    }
    return error;
}

static int take_entries(struct mesh *m, struct group *g, uint64_t index,
                        const struct append_message *append)
{
    int error = cut(m, g, index);

    entries_cut(&g->entries, index);
    if (g->entries.n == 0)
        g->entries.first = index;
    for (size_t i = 0; i < append->n_entries && error == 0; i++) {
        struct entry e = { .index = index + i };

        error = log_entry_copy(&append->entries[i], &e.log);
        if (error == 0)
            error = entries_add_numbered(&g->entries, index + i, &e);
    }
    return error;
}

static int carry_append(struct mesh *m, struct group *g, const struct replica_action *a)
{
    const struct append_message *append = &a->message.u.append;
    uint64_t ticket;
    int error = 0;

    /* What was decided tentatively goes before: a record may have the same name as one
     * of the entries, whose leader is known only when they are durable. */
    if (append->n_entries)
        error = tentative_end(m, g);
    if (error == 0 && append->n_entries)
        error = take_entries(m, g, a->lo, append);
    for (uint64_t i = a->lo; i <= a->hi && error == 0; i++) {
        struct entry *e = entries_at(&g->entries, i);

        if (e)
            error = keep_entry(m, g, e);
    }
    if (error == 0)
        error = row_put_state(m, g, &ticket);
    return error ? error : group_wait(m, g, ticket, a->ticket);
}

static int save(struct mesh *m, struct group *g, const struct replica_action *a)
{
    uint64_t ticket;
    int error = row_put_state(m, g, &ticket);

    return error ? error : group_wait(m, g, ticket, a->ticket);
}

static int carry_install(struct mesh *m, struct group *g,
                         const struct replica_action *a)
{
    int error = copy_keep_install(m, g, &a->message.u.install);

    return error ? error : save(m, g, a);
}

/* ---- proposing ---- */

/* What is to be done for it at the next flush. */
void group_mark(struct mesh *m, struct group *g)
{
    if (g->is_marked)
        return;
    g->is_marked = true;
    DL_APPEND2(m->marked, g, marked_prev, marked_next);
}

int group_propose(struct mesh *m, struct group *g, struct entry *take_e,
                  struct entry **ret_e)
{
    group_mark(m, g);
    take_e->proposed = m->now;
    return entries_add(&g->entries, take_e, ret_e);
}

/* Its first entry, while nobody may hear of the run. */
struct entry *group_undecided_run(struct group *g)
{
    struct entries *es = &g->entries;
    struct entry *first = es->all;

    if (!g->replica || g->has_run || es->n + es->n_new == 0 || !first->log.key_len
        || first->log.key[0] != 'r')
        return NULL;
    return first->index == 0 || first->index > group_decided(g) ? first : NULL;
}

/* A generation that closes, or a founder that does not lead yet, makes them wait. */
int group_append(struct mesh *m, struct group *g)
{
    CLEANUP(replica_outbox_release) struct replica_outbox out = { .actions = NULL };
    struct entries *es = &g->entries;
    uint64_t first;
    int error;

    if (!es->n_new || !g->replica)
        return 0;
    error = replica_append(g->replica, es->n_new, m->now, &first, &out);
    if (error == -EPERM || error == -EBUSY)
        return group_carry(m, g, &out);
    if (error < 0)
        return error;
    if (es->n == 0)
        es->first = first;
    while (es->n_new) {
        struct entry *e = &es->all[es->n];

        e->log.ballot = replica_state(g->replica)->promised;
        entries_number(es, first++);
    }
    return group_carry(m, g, &out);
}

int group_move(struct mesh *m, struct group *g, const struct node_id *homes, uint32_t n)
{
    CLEANUP(replica_outbox_release) struct replica_outbox out = { .actions = NULL };
    int error = replica_move(g->replica, homes, n, m->now, &out);

    return error == -ENOMEM ? error : group_carry(m, g, &out);
}

/* ---- what is decided ---- */

int group_answer(struct mesh *m, struct group *g, bool is_accepted)
{
    struct action tell = { .type = ACTION_TELL,
                           .run = g->run,
                           .ticket = g->told,
                           .slot = NODE_SLOT_NONE,
                           .u.tell = { .type = is_accepted ? TELL_RUN_ACCEPTED
                                                           : TELL_RUN_REFUSED } };

    if (!g->owes_answer)
        return 0;
    g->owes_answer = false;
    return mesh_emit(m, &tell);
}

static int tell(struct mesh *m, struct group *g, struct entry *e)
{
    int error;

    if (e->ticket > g->told)
        g->told = e->ticket;
    error = e->log.key_len && e->log.key[0] == 'r' ? group_answer(m, g, true) : 0;
    for (size_t i = 0; i < e->n_tells && error == 0; i++) {
        e->tells[i].ticket = g->told;
        error = mesh_emit(m, &e->tells[i]);
    }
    free(e->tells);
    e->tells = NULL;
    e->n_tells = 0;
    if (error == 0 && e->offerer)
        error = late_answer(m, peer_at(m, e->offerer), &g->run, &e->name, OFFER_DECIDED,
                            e->ticket);
    e->offerer = 0;
    return error;
}

static bool is_end(const struct log_entry *e)
{
    return e->key_len && e->key[0] == 'e' && !e->is_delete;
}

int group_note_end(struct group *g, const void *record, size_t len)
{
    CLEANUP(run_end_record_release) struct run_end_record end = { .outcome = 0 };
    int error = run_end_record_decode(record, len, &end);

    g->has_run = g->has_end = true;
    g->outcome = end.outcome;
    return error == -ENOMEM ? error : 0;
}

static int apply_one(struct mesh *m, struct group *g, struct entry *e)
{
    const struct log_entry *log = &e->log;
    struct asked *asked = TAKE(e->asked);
    int error = 0;

    if (log->key_len && !entry_is_attempt(log))
        error = write_record(m, g, log, log->is_delete, false, &e->ticket);
    if (error == 0)
        error = permits_on_proof(m, g, e->proposed);
    if (error == 0)
        error = tell(m, g, e);
    if (error == 0 && g->has_run && log->key_len && log->key[0] == 'r')
        error = number_on_decided(m, g, e->ticket);
    if (asked)
        return error ? error : registers_on_decided(m, asked);
    g->has_run = g->has_run || (log->key_len && log->key[0] == 'r');
    if (error < 0 || !is_end(log))
        return error;
    g->end_index = e->index;
    return group_note_end(g, log->value, log->value_len);
}

int group_apply(struct mesh *m, struct group *g, uint64_t decided)
{
    bool had_end = g->has_end;
    int error = 0;

    while (g->applied < decided && error == 0) {
        struct entry *e = entries_at(&g->entries, g->applied + 1);

        if (!e)
            break;
        error = apply_one(m, g, e);
        g->applied++;
    }
    entries_trim(&g->entries, g->applied);
    if (error == 0 && g->has_end && !had_end)
        error = lead_on_end(m, g);
    return error;
}

/* Of a run whose end is told: the leader that wrote the end may have written a number
 * behind it, of which this home was not told any more that it is decided. No later
 * leader gives such a run another one. */
int group_apply_number(struct mesh *m, struct group *g)
{
    const struct entry *e;
    uint64_t ticket;
    int error = 0;

    for (uint64_t i = g->applied + 1; (e = entries_at(&g->entries, i)); i++)
        if (error == 0 && e->log.key_len && e->log.key[0] == 'r')
            error = write_record(m, g, &e->log, false, false, &ticket);
    return error;
}

/* Rows that no home needs any more go by stretches. */
int group_trim(struct mesh *m, struct group *g)
{
    uint64_t everywhere = g->replica ? replica_everywhere(g->replica) : 0, ticket;
    int error = 0;

    if (everywhere > g->applied)
        everywhere = g->applied;
    while (g->trimmed + LOG_STRETCH <= everywhere && error == 0) {
        error = row_delete_stretch(m, g, g->trimmed, &ticket);
        g->trimmed += LOG_STRETCH;
    }
    return error;
}

/* ---- carrying out ---- */

static int follow(struct mesh *m, struct group *g, const struct node_id *leader)
{
    g->leader = *leader;
    if (group_is_mesh(g)) {
        registers_on_follow(m, g);
        return 0;
    }
    return g->is_tentative ? 0 : lead_end(m, g);
}

static int carry_one(struct mesh *m, struct group *g, const struct replica_action *a)
{
    switch (a->type) {
    case REPLICA_SAVE:
        return save(m, g, a);
    case REPLICA_SEND:
        return mesh_send(m, &a->peer, &a->message, 0);
    case REPLICA_APPEND:
        return carry_append(m, g, a);
    case REPLICA_KEEP_INSTALL:
        return carry_install(m, g, a);
    case REPLICA_SEND_ENTRIES:
        return copy_send_entries(m, g, a);
    case REPLICA_SEND_INSTALL:
        return copy_send_install(m, g, a);
    case REPLICA_DECIDED:
        return group_apply(m, g, a->hi);
    case REPLICA_LEAD:
        return group_is_mesh(g) ? registers_on_lead(m, g) : lead_begin(m, g);
    case REPLICA_FOLLOW:
        return follow(m, g, &a->peer);
    case REPLICA_HOMES:
        return note_update(m, g, true);
    }
    return 0;
}

/* While a generation closes what the engine decides waits in memory. What depends on it
 * must not start meanwhile, here or elsewhere: it would not find it in the records. */
static int hold(struct mesh *m, struct group *g)
{
    bool must = g->phase == LEAD_FULL && !g->is_tentative
                && (g->entries.n_new || replica_state(g->replica)->closing);
    struct event e = { .type = EVENT_HOLD, .run = g->run, .u.is_held = must };

    if (g->phase != LEAD_FULL)
        g->is_held = false; /* the engine does not have it any more, or not yet */
    if (g->is_held == must)
        return 0;
    g->is_held = must;
    return engine_step(m, &e);
}

int group_carry(struct mesh *m, struct group *g, struct replica_outbox *out)
{
    int error = out->error;

    if (error == 0)
        error = tentative_check(m, g);
    for (size_t i = 0; i < out->n && error == 0; i++)
        error = carry_one(m, g, &out->actions[i]);
    group_touch(m, g);
    return error ? error : hold(m, g);
}

/* ---- events ---- */

int group_open(struct mesh *m, struct group *g, const struct replica_state *state,
               bool is_founder)
{
    struct replica_config config = { .group = g->id,
                                     .self = m->self,
                                     .state = state,
                                     .is_founder = is_founder,
                                     .timing = m->replica_timing,
                                     .seed = prng_next(&m->prng) };

    g->replica = replica_new(&config, m->now);
    if (!g->replica)
        return -ENOMEM;
    g->heard = g->opened = m->now;
    g->entries.first = state->base.index + 1;
    g->applied = state->base.index;
    g->trimmed = state->base.index - state->base.index % LOG_STRETCH;
    m->groups_due = m->now;
    return 0;
}

static const struct group_id *group_of(const struct message *msg)
{
    switch (msg->type) {
    case MESSAGE_VOTE:
        return &msg->u.vote.group;
    case MESSAGE_VOTED:
        return &msg->u.voted.group;
    case MESSAGE_APPEND:
        return &msg->u.append.group;
    case MESSAGE_APPENDED:
        return &msg->u.appended.group;
    case MESSAGE_INSTALL:
        return &msg->u.install.group;
    case MESSAGE_INSTALLED:
        return &msg->u.installed.group;
    default:
        return NULL;
    }
}

int group_meet(struct mesh *m, const struct run_id *run)
{
    static const struct replica_state empty;
    struct group *g;
    int error = group_add(m, run, &g);

    return error < 0 || !g || g->replica ? error : group_open(m, g, &empty, false);
}

/* A home that never heard of the group learns of it from its leader, or from the
 * founder that stands again. But who asks may be late, and the run over: then nothing
 * must be promised once more. So the store is looked at first. */
static int meet(struct mesh *m, const struct node_id *from, const struct message *msg)
{
    const struct group_id *id = group_of(msg);
    struct run_id run;

    memcpy(run.bytes, id->bytes, RUN_ID_SIZE);
    if (msg->type != MESSAGE_VOTE && msg->type != MESSAGE_APPEND
        && msg->type != MESSAGE_INSTALL)
        return 0;
    return late_meet(m, from, &run, msg);
}

int group_on_message(struct mesh *m, const struct node_id *from,
                     const struct message *msg)
{
    CLEANUP(replica_outbox_release) struct replica_outbox out = { .actions = NULL };
    struct group *g = group_find(m, group_of(msg));
    int error;

    if (!g)
        return meet(m, from, msg);
    if (!g->replica)
        return 0;
    g->heard = m->now;
    error = replica_on_message(g->replica, from, msg, m->now, &out);
    return error ? error : group_carry(m, g, &out);
}

static int tick(struct mesh *m, struct group *g)
{
    CLEANUP(replica_outbox_release) struct replica_outbox out = { .actions = NULL };
    int error;

    if (!g->replica)
        return 0;
    error = group_append(m, g);
    if (error == 0 && replica_deadline(g->replica) <= m->now)
        error = replica_on_tick(g->replica, m->now, &out);
    return error ? error : group_carry(m, g, &out);
}

int groups_on_tick(struct mesh *m)
{
    struct group *g, *next;
    int error = 0;

    if (m->now < m->groups_due)
        return 0;
    m->groups_due = TIME_NEVER;
    HASH_ITER (hh, m->groups, g, next)
        if (error == 0) {
            error = tick(m, g);
            group_touch(m, g);
        }
    return error;
}

static bool is_live(void *arg, const struct node_id *id)
{
    return gossip_is_live(((const struct mesh *)arg)->gossip, id);
}

int groups_on_members(struct mesh *m)
{
    struct group *g, *next;
    int error = 0;

    HASH_ITER (hh, m->groups, g, next)
        if (error == 0 && g->replica) {
            CLEANUP(replica_outbox_release)
            struct replica_outbox out = { .actions = NULL };

            error = replica_on_members(g->replica, is_live, m,
                                       gossip_is_isolated(m->gossip), m->now, &out);
            if (error == 0)
                error = group_carry(m, g, &out);
        }
    return error;
}

static int flush(struct mesh *m, struct group *g)
{
    CLEANUP(replica_outbox_release) struct replica_outbox out = { .actions = NULL };
    int error = group_append(m, g);

    if (error == 0 && replica_leads(g->replica))
        error = replica_flush(g->replica, m->now, &out);
    return error ? error : group_carry(m, g, &out);
}

int groups_flush(struct mesh *m)
{
    struct group *g;
    int error = 0;

    while (error == 0 && (g = m->marked)) {
        DL_DELETE2(m->marked, g, marked_prev, marked_next);
        g->is_marked = false;
        if (g->replica)
            error = flush(m, g);
    }
    return error;
}

/* ---- the start ---- */

int group_on_restored(struct mesh *m, const struct mesh_event *event)
{
    struct group *g;
    struct run_id run;
    int error;

    memcpy(run.bytes, event->u.group.group.bytes, RUN_ID_SIZE);
    error = group_add(m, &run, &g);
    if (error < 0 || !g || g->replica)
        return error;
    return group_open(m, g, event->u.group.state, false);
}

int group_on_restored_entry(struct mesh *m, const struct mesh_event *event)
{
    struct group *g = group_find(m, &event->u.entry.group);
    struct entry e = { .index = event->u.entry.index };
    int error;

    if (!g)
        return tentative_on_restored(m, &event->u.entry.group, event->u.entry.index,
                                     event->u.entry.entry);
    if (!g->replica)
        return 0;
    if (g->entries.n == 0) {
        g->entries.first = e.index;
        g->applied = e.index - 1;
    }
    if (e.index != g->entries.first + g->entries.n)
        return 0;
    error = log_entry_copy(event->u.entry.entry, &e.log);
    if (error < 0)
        return error;
    e.is_bare = entry_is_attempt(&e.log);
    if (is_end(&e.log))
        g->end_index = e.index;
    return entries_add_numbered(&g->entries, e.index, &e);
}
