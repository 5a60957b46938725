/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts without a lease of this leader's: from an older leader's time, or given up
 * too early. What they consumed must be what counts upstream now. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

int late_answer(struct mesh *m, struct peer *p, const struct run_id *run,
                const struct attempt_name *name, enum offer_result result,
                uint64_t ticket)
{
    struct post post = { .type = POST_ANSWER,
                         .run = *run,
                         .ticket = ticket,
                         .u.answer = { .name = *name, .result = result } };

    return post_add(m, p, &post);
}

/* Of what is in the records: all that the engine knows has to be there first. */
static int ask_witness(struct mesh *m, const struct peer *p, struct group *g,
                       const struct offered_attempt *offer)
{
    struct action ask = { .type = ACTION_WITNESS,
                          .run = g->run,
                          .task = offer->task,
                          .slot = NODE_SLOT_NONE };
    int error = group_append(m, g);
    struct read *r =
        error || g->entries.n_new ? NULL : read_add(m, READ_WITNESS, &g->id);

    if (!r) /* it is offered again */
        return error;
    r->peer = p->id;
    r->is_settled = node_awaits(m->node, &g->run, &offer->task);
    ask.ticket = m->last_ticket;
    if (offer_copy(offer, &r->offer) < 0)
        return -ENOMEM;
    ask.u.mesh.token = r->token;
    return mesh_emit(m, &ask);
}

/* Of a run that nobody here knows: its end may be in the store. One question for each
 * peer at a time. */
static int find_end(struct mesh *m, enum read_type type, const struct node_id *peer,
                    const struct run_id *run, struct read **ret_r)
{
    struct action ask = { .type = ACTION_FIND_END,
                          .run = *run,
                          .ticket = m->last_ticket,
                          .slot = NODE_SLOT_NONE };
    struct group_id id;
    struct read *r;

    *ret_r = NULL;
    for (r = m->reads; r; r = r->hh.next)
        if (r->type == type && node_id_equal(&r->peer, peer)
            && is_same_run(&r->offer.run, run))
            return 0;
    memcpy(id.bytes, run->bytes, RUN_ID_SIZE);
    r = read_add(m, type, &id);
    if (!r)
        return 0;
    r->peer = *peer;
    r->offer.run = *run;
    ask.u.mesh.token = r->token;
    *ret_r = r;
    return mesh_emit(m, &ask);
}

int late_find_end(struct mesh *m, const struct node_id *peer, const struct run_id *run)
{
    struct read *r;

    return find_end(m, READ_END, peer, run, &r);
}

int late_find_own_end(struct mesh *m, const struct run_id *run)
{
    struct read *r;

    return find_end(m, READ_OWN_END, &m->self, run, &r);
}

int late_meet(struct mesh *m, const struct node_id *peer, const struct run_id *run,
              const struct message *msg)
{
    struct read *r;
    int error = find_end(m, READ_MEET, peer, run, &r);

    if (error < 0 || !r)
        return error;
    error = message_encode(msg, &r->frame);
    return error == -ENOMEM ? error : 0;
}

static int meet(struct mesh *m, const struct read *r)
{
    CLEANUP(message_release) struct message msg = { .type = 0 };
    int error = message_decode(r->frame.data, r->frame.len, &msg);

    if (error < 0)
        return error == -ENOMEM ? error : 0;
    error = group_meet(m, &r->offer.run);
    if (error < 0 || !group_find(m, &r->offer.run))
        return error;
    return group_on_message(m, &r->peer, &msg);
}

static int note_own_end(struct mesh *m, const struct read *r,
                        const struct mesh_event *event)
{
    struct group *g = group_find(m, &r->offer.run);

    if (!g || event->status < 0 || g->has_end)
        return 0;
    return group_note_end(g, event->u.end.value, event->u.end.value_len);
}

static int tell_end(struct mesh *m, const struct read *r,
                    const struct mesh_event *event)
{
    struct message msg = { .type = MESSAGE_LEAD };

    if (node_id_equal(&r->peer, &m->self))
        return work_end(m, &r->offer.run);
    msg.u.lead = (struct lead_message){ .run = r->offer.run,
                                        .rank = { .is_sealed = true },
                                        .is_ended = true,
                                        .end = (uint8_t *)event->u.end.value,
                                        .end_len = event->u.end.value_len };
    return mesh_send(m, &r->peer, &msg, 0);
}

int late_on_end_found(struct mesh *m, const struct mesh_event *event)
{
    struct read *r = read_find(m, event->token);
    int error = 0;

    if (!r)
        return 0;
    if (r->type == READ_OWN_END)
        error = note_own_end(m, r, event);
    else if (event->status == 0)
        error = tell_end(m, r, event);
    else if (r->type == READ_MEET)
        error = meet(m, r);
    read_free(m, r);
    return error;
}

int late_offer(struct mesh *m, struct peer *p, struct group *g,
               const struct offered_attempt *offer)
{
    if (!g)
        return late_find_end(m, &p->id, &offer->run);
    if (g->phase == LEAD_ENDED && !g->is_void)
        return late_answer(m, p, &offer->run, &offer->name, OFFER_ENDED, 0);
    return g->phase == LEAD_FULL ? ask_witness(m, p, g, offer) : 0;
}

/* Stale, or of a task that another attempt has done: told only when what it lost
 * against cannot change any more. */
static int refuse(struct mesh *m, struct peer *p, const struct group *g,
                  const struct offered_attempt *offer)
{
    if (g->is_tentative)
        return late_answer(m, p, &offer->run, &offer->name, OFFER_TENTATIVE, 0);
    return group_is_settled(g)
               ? late_answer(m, p, &offer->run, &offer->name, OFFER_LOSER, 0)
               : 0;
}

static int judge(struct mesh *m, struct peer *p, struct group *g,
                 const struct offered_attempt *offer, const struct digest *witness)
{
    CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };
    struct event e = { .type = EVENT_LATE, .run = g->run, .u.late = &record };
    int error;

    uint32_t slot = grant_slot_of_worker(m, p, &offer->name);

    if (!digest_equal(witness, &offer->witness)) {
        error = slot ? grant_give_back(m, slot) : 0;
        return error ? error : refuse(m, p, g, offer);
    }
    if (slot && task_id_equal(&lease_at(m, slot)->task, &offer->task))
        return grant_end_lease(m, g, p, slot, offer);
    error = attempt_of_offer(m, p, offer, &record);
    if (error < 0)
        return error == -ENOMEM ? error : refuse(m, p, g, offer);
    error = keep_begin(m, g, &record.task, &record);
    if (error == 0)
        error = grant_tell_engine(m, p, &e, offer);
    return error || m->is_offer_taken ? error : refuse(m, p, g, offer);
}

/* What it consumes may be offered together with it. */
static int answer_witness(struct mesh *m, struct group *g, const struct read *r,
                          const struct digest *witness)
{
    struct peer *p = peer_find(m, &r->peer);

    if (!p || g->phase != LEAD_FULL)
        return 0;
    if (!r->is_settled && node_awaits(m->node, &g->run, &r->offer.task))
        return ask_witness(m, p, g, &r->offer);
    return judge(m, p, g, &r->offer, witness);
}

int late_on_witness(struct mesh *m, const struct mesh_event *event)
{
    struct read *r = read_find(m, event->token);
    struct group *g = r ? group_find(m, &r->group) : NULL;
    int error = 0;

    if (!r)
        return 0;
    if (r->type == READ_LOCAL_WITNESS)
        error = guest_on_local_witness(m, r, event);
    else if (r->type == READ_OWN_WITNESS && event->status == 0) {
        r->offer.witness = event->u.witness;
        error = work_keep_offer(m, &r->offer);
    } else if (r->type == READ_WITNESS && g && event->status == 0) {
        error = answer_witness(m, g, r, &event->u.witness);
    }
    read_free(m, r);
    return error;
}
