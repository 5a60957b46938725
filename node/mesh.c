/* SPDX-License-Identifier: Apache-2.0 */
#include "node/mesh.h"

#include <errno.h>
#include <stdlib.h>

#include "node/mesh_internal.h"

/* A planned restart goes on as the same life of the node, and knows none of the numbers
 * that it gave: the next ones are far beyond them. */
static void count_on(struct mesh *m, const struct mesh_config *config)
{
    uint32_t n_restarts;

    m->term = config->term ? config->term : config->boot;
    n_restarts = m->term - m->boot;
    m->last_counter = (uint64_t)n_restarts << 40;
    m->last_lease = n_restarts << 20;
    m->n_requests = n_restarts << 20;
}

struct mesh *mesh_new(const struct mesh_config *config, time_us now)
{
    struct mesh *m = calloc(1, sizeof(*m));

    if (!m)
        return NULL;
    m->self = config->self;
    m->boot = config->boot;
    count_on(m, config);
    m->degrade = config->degrade ? config->degrade : DEGRADE_AFTER;
    m->level = config->level ? config->level : 2;
    m->slots_max = config->node->slots_max;
    m->replica_timing = config->replica;
    m->is_founder = config->is_founder;
    m->has_numbers = config->has_numbers;
    m->has_signer = config->signer != NULL;
    if (m->has_signer)
        m->signer = *config->signer;
    m->floor = config->last_number;
    m->is_worker = config->card->roles & ROLE_WORKER;
    m->is_draining = config->card->is_draining;
    m->now = now;
    m->groups_due = m->housekeeping_at = TIME_NEVER;
    prng_init(&m->prng, config->seed);
    m->node = node_new(config->node);
    m->in_slot = calloc((size_t)m->slots_max + 1, sizeof(m->in_slot[0]));
    if (!m->node || !m->in_slot || members_init(m, config, now) < 0) {
        mesh_free(m);
        return NULL;
    }
    return m;
}

void mesh_free(struct mesh *m)
{
    if (!m)
        return;
    works_release(m);
    groups_release(m);
    registers_release(m);
    asks_release(m);
    reads_release(m);
    grants_release(m);
    sign_release(m);
    members_release(m);
    node_free(m->node);
    free(m->in_slot);
    free(m->waits);
    outbox_release(&m->inner);
    buffer_release(&m->scratch);
    free(m);
}

/* ---- messages ---- */

static int on_gossip(struct mesh *m, const struct node_id *from,
                     const struct message *msg)
{
    int error = gossip_on_message(m->gossip, from, msg, m->now, &m->gossip_out);

    if (error == 0)
        error = members_carry(m);
    return error ? error : want_update(m);
}

static int on_lease_message(struct mesh *m, struct peer *p, const struct message *msg)
{
    switch (msg->type) {
    case MESSAGE_WANT:
        return grant_on_want(m, p, &msg->u.want);
    case MESSAGE_GRANT:
        return guest_on_grant(m, p, &msg->u.grant);
    case MESSAGE_RECALL:
        return guest_on_recall(m, p, &msg->u.recall);
    case MESSAGE_RECALLED:
        return grant_on_recalled(m, p, &msg->u.recalled);
    case MESSAGE_COMMIT:
        return grant_on_commit(m, p, &msg->u.commit);
    case MESSAGE_COMMITTED:
        return work_on_committed(m, &msg->u.committed);
    case MESSAGE_LEAD:
        return work_on_lead(m, p, &msg->u.lead);
    case MESSAGE_REPORT:
        return lead_on_report(m, p, &msg->u.report);
    case MESSAGE_PROPOSE:
        return registers_on_propose(m, &p->id, &msg->u.propose);
    case MESSAGE_PROPOSED:
        return propose_on_answer(m, &p->id, &msg->u.proposed);
    case MESSAGE_BLOB_KEEP:
    case MESSAGE_BLOB_KEPT:
        return keep_on_message(m, p, msg);
    default:
        return 0;
    }
}

static int on_message(struct mesh *m, const struct node_id *from,
                      const struct message *msg)
{
    struct peer *p;
    int error;

    if (node_id_equal(from, &m->self))
        return 0;
    if (msg->type >= MESSAGE_VOTE && msg->type <= MESSAGE_INSTALLED)
        return group_on_message(m, from, msg);
    if (msg->type < MESSAGE_VOTE)
        return on_gossip(m, from, msg);
    error = peer_get(m, from, &p);
    return error || !p ? error : on_lease_message(m, p, msg);
}

/* ---- time ---- */

static int housekeep(struct mesh *m)
{
    struct group *g, *next;
    int error = works_on_tick(m);

    if (error == 0)
        error = grants_on_tick(m);
    if (error == 0)
        error = want_update(m);
    repair_note_losses(m);
    m->has_wishes = m->unnumbered != NULL;
    HASH_ITER (hh, m->groups, g, next) {
        if (group_is_mesh(g)) {
            if (error == 0)
                error = registers_on_tick(m, g);
            if (error == 0)
                error = group_trim(m, g);
            continue;
        }
        if (error == 0)
            error = home_on_tick(m, g);
        if (error == 0)
            error = repair_on_tick(m, g);
        if (error == 0)
            error = keep_on_tick(m, g);
        if (error == 0)
            error = tentative_on_tick(m, g);
        if (error == 0)
            error = permits_on_tick(m, g);
        if (error == 0)
            error = group_trim(m, g);
        if (error == 0)
            error = note_update(m, g, false);
        if (error == 0)
            error = lead_on_tick(m, g);
    }
    reads_on_tick(m);
    return error;
}

static int on_tick(struct mesh *m)
{
    struct event tick = { .type = EVENT_TICK };
    int error = 0;

    if (gossip_deadline(m->gossip) <= m->now)
        error = gossip_on_tick(m->gossip, m->now, &m->gossip_out);
    if (error == 0)
        error = members_carry(m);
    if (error == 0 && node_deadline(m->node) <= m->now)
        error = engine_step(m, &tick);
    if (error == 0)
        error = groups_on_tick(m);
    if (error == 0)
        error = propose_on_tick(m);
    if (error == 0)
        error = asks_on_tick(m);
    if (error || m->now < m->housekeeping_at)
        return error;
    m->is_young = m->is_young && m->now < m->started + HELD_WAIT;
    m->housekeeping_at = m->now + HOUSEKEEPING;
    return housekeep(m);
}

/* What goes to this node itself may bring more of both. */
static int flush(struct mesh *m)
{
    int error = 0;

    while (error == 0
           && (m->marked || m->has_posts || sign_is_due(m) || propose_is_due(m))) {
        error = sign_flush(m);
        if (error == 0)
            error = propose_flush(m);
        if (error == 0)
            error = groups_flush(m);
        if (error == 0)
            error = post_flush(m);
    }
    return error ? error : members_carry(m);
}

static time_us earlier(time_us a, time_us b)
{
    return a < b ? a : b;
}

time_us mesh_deadline(const struct mesh *m)
{
    if (m->has_posts || m->marked || sign_is_due(m) || propose_is_due(m))
        return 0;
    return earlier(earlier(propose_deadline(m), asks_deadline(m)),
                   earlier(earlier(node_deadline(m->node), gossip_deadline(m->gossip)),
                           earlier(m->groups_due, m->housekeeping_at)));
}

/* ---- the start ---- */

static int on_restored_run(struct mesh *m, const struct run_id *run)
{
    struct group *g;
    int error = group_add(m, run, &g);

    if (error == 0 && g)
        g->has_run = true;
    return error;
}

/* Members that lived before may run tasks for this node: they are waited for. */
static int start(struct mesh *m)
{
    struct group *g, *next;
    int error = 0;

    m->started = m->now;
    m->housekeeping_at = m->now;
    m->is_young = gossip_members(m->gossip) > 1;
    error = registers_found(m);
    HASH_ITER (hh, m->groups, g, next)
        if (error == 0 && !g->replica)
            error = lead_begin(m, g);
        else if (error == 0 && !g->has_run && !group_is_mesh(g))
            error = late_find_own_end(m, &g->run);
    return error;
}

/* ---- events ---- */

static int on_peer(struct mesh *m, const struct mesh_event *event)
{
    struct peer *p;
    int error = peer_get(m, &event->peer, &p);

    if (error < 0 || !p || p == m->me)
        return error;
    p->is_connected = event->type == MESH_EVENT_CONNECTED;
    if (p->is_connected) {
        works_on_connected(m, p);
        p->told.slots = 0; /* what it was told may be lost */
        error = gossip_on_connected(m->gossip, &p->id, m->now, &m->gossip_out);
    } else {
        error = gossip_on_disconnected(m->gossip, &p->id, event->u.is_refused, m->now,
                                       &m->gossip_out);
    }
    if (error == 0)
        error = members_carry(m);
    return error ? error : want_update(m);
}

static int on_record(struct mesh *m, const struct mesh_event *event)
{
    struct group *g = group_find(m, &event->u.record.run);
    struct action told = { .type = ACTION_RECORDED,
                           .run = event->u.record.run,
                           .slot = NODE_SLOT_NONE };
    const struct log_entry log = { .key = (uint8_t *)event->u.record.key,
                                   .key_len = event->u.record.key_len,
                                   .value = (uint8_t *)event->u.record.value,
                                   .value_len = event->u.record.value_len };
    const struct mesh_write w = { .key = log.key,
                                  .key_len = log.key_len,
                                  .value = log.value,
                                  .value_len = log.value_len,
                                  .is_urgent = true };
    struct entry e = { .index = 0 }, *added;
    int error;

    told.u.mesh.token = event->token;
    told.u.mesh.status = g && g->phase == LEAD_FULL && !g->is_tentative ? 0 : -EAGAIN;
    if (told.u.mesh.status < 0)
        return mesh_emit(m, &told);
    if (!g->replica) {
        error = mesh_persist(m, &g->run, &w, &told.ticket);
        return error ? error : mesh_emit(m, &told);
    }
    error = log_entry_copy(&log, &e.log);
    if (error == 0)
        error = group_propose(m, g, &e, &added);
    return error ? error : entries_add_tell(added, &told);
}

static int on_card(struct mesh *m, const struct member_card *card)
{
    int error;

    m->is_worker = card->roles & ROLE_WORKER;
    error = gossip_set_card(m->gossip, card, m->now, &m->gossip_out);
    return error ? error : members_carry(m);
}

static int on_drain(struct mesh *m, bool is_on)
{
    struct event e = { .type = EVENT_DRAIN, .u.is_draining = is_on };
    int error;

    m->is_draining = is_on;
    error = engine_step(m, &e);
    if (error == 0)
        error = guests_on_drain(m);
    return error ? error : want_update(m);
}

static int on_leave(struct mesh *m)
{
    int error = gossip_leave(m->gossip, m->now, &m->gossip_out);

    m->is_leaving = true;
    return error ? error : members_carry(m);
}

static int on_contact(struct mesh *m, const struct member_note *note)
{
    int error = gossip_add(m->gossip, note, m->now, &m->gossip_out);

    return error ? error : members_carry(m);
}

static int dispatch(struct mesh *m, const struct mesh_event *event)
{
    switch (event->type) {
    case MESH_EVENT_NODE:
        return engine_on_event(m, &event->u.node);
    case MESH_EVENT_MESSAGE:
        return on_message(m, &event->peer, event->u.message);
    case MESH_EVENT_CONNECTED:
    case MESH_EVENT_DISCONNECTED:
        return on_peer(m, event);
    case MESH_EVENT_CONTACT:
        return on_contact(m, event->u.contact);
    case MESH_EVENT_TICK:
        return on_tick(m);
    case MESH_EVENT_FLUSH:
        return 0;
    case MESH_EVENT_DURABLE:
        m->durable = event->u.ticket;
        return groups_on_durable(m, event->u.ticket);
    case MESH_EVENT_RECORD:
        return on_record(m, event);
    case MESH_EVENT_RESTORE_GROUP:
        return group_on_restored(m, event);
    case MESH_EVENT_RESTORE_ENTRY:
        return group_on_restored_entry(m, event);
    case MESH_EVENT_RESTORE_RUN:
        return on_restored_run(m, &event->u.run);
    case MESH_EVENT_RESTORE_KEPT:
        return work_on_restored(m, event->u.kept);
    case MESH_EVENT_RESTORE_GUEST:
        return pause_on_restored(m, event);
    case MESH_EVENT_START:
        return start(m);
    case MESH_EVENT_PREPARED:
        return guest_on_prepared(m, event);
    case MESH_EVENT_ENTRIES:
        return copy_on_entries(m, event);
    case MESH_EVENT_RECORDS:
        return copy_on_records(m, event);
    case MESH_EVENT_LOADED:
        return lead_on_loaded(m, event);
    case MESH_EVENT_WITNESS:
        return late_on_witness(m, event);
    case MESH_EVENT_KEPT:
        return keep_on_kept(m, event);
    case MESH_EVENT_END_FOUND:
        return late_on_end_found(m, event);
    case MESH_EVENT_CARD:
        return on_card(m, event->u.card);
    case MESH_EVENT_DRAIN:
        return on_drain(m, event->u.is_on);
    case MESH_EVENT_FULL:
        m->is_full = event->u.is_on;
        return want_update(m);
    case MESH_EVENT_PAUSE:
        return pause_on(m, event->u.is_on);
    case MESH_EVENT_STEP_DOWN:
        return pause_step_down(m, event->u.is_on);
    case MESH_EVENT_LEAVE:
        return on_leave(m);
    case MESH_EVENT_ASK:
        return ask_on_event(m, event);
    }
    return 0;
}

int mesh_step(struct mesh *m, const struct mesh_event *event, struct outbox *out)
{
    int error;

    m->now = event->now;
    m->wall = event->wall;
    m->out = out;
    mesh_outbox_begin(out);
    error = dispatch(m, event);
    if (error == 0)
        error = members_carry(m);
    if (error == 0
        && (event->type == MESH_EVENT_FLUSH || event->type == MESH_EVENT_TICK))
        error = flush(m);
    mesh_outbox_end(out);
    m->out = NULL;
    return error;
}
