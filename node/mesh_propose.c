/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the mesh group. Only its homes know who they are: who asks begins with whom it
 * knows to lead, then goes round the members, and each that knows names the leader. */
#include <errno.h>
#include <string.h>

#include "node/mesh_internal.h"

static char run_number[] = REGISTER_RUN_NUMBER;

static bool is_live(const struct mesh *m, const struct node_id *id)
{
    const struct peer *p = peer_find(m, id);

    return p && p->is_live;
}

static const struct peer *next_peer(const struct mesh *m, struct proposal *p)
{
    for (uint32_t i = 0; i < m->n_peers; i++) {
        const struct peer *peer;

        p->next = p->next % m->n_peers + 1;
        peer = peer_at(m, p->next);
        if (peer->is_live)
            return peer;
    }
    return m->me;
}

static int send(struct mesh *m)
{
    struct proposal *p = &m->proposal;
    struct message msg = { .type = MESSAGE_PROPOSE, .u.propose = p->what };

    p->is_waiting = true;
    p->asked = is_live(m, &m->mesh_leader) ? m->mesh_leader : next_peer(m, p)->id;
    p->at = m->now + PROPOSE_WAIT;
    if (node_id_equal(&p->asked, &m->self))
        return registers_on_propose(m, &m->self, &p->what);
    return mesh_send(m, &p->asked, &msg, 0);
}

static int begin(struct mesh *m, const struct propose_message *what,
                 struct question *question)
{
    struct proposal *p = &m->proposal;

    p->what = *what;
    p->question = question;
    m->has_asked = question != NULL;
    p->request = p->what.request = (uint64_t)m->boot << 32 | ++m->n_requests;
    p->n_told = 0;
    return send(m);
}

int propose_add(struct mesh *m, uint64_t by)
{
    return begin(m,
                 &(struct propose_message){ .op = by ? PROPOSE_ADD : PROPOSE_READ,
                                            .key = run_number,
                                            .add = (int64_t)by },
                 NULL);
}

int propose_question(struct mesh *m, struct question *q)
{
    return begin(m, &q->what, q);
}

void propose_give_up(struct mesh *m, const struct question *q)
{
    if (m->proposal.question == q)
        m->proposal.request = 0;
}

int propose_swap(struct mesh *m, const uint8_t *expected, uint64_t to)
{
    struct proposal *p = &m->proposal;
    struct propose_message what = { .op = PROPOSE_SWAP,
                                    .key = run_number,
                                    .has_expected = expected != NULL,
                                    .value = p->value,
                                    .value_len = sizeof(p->value) };

    register_put_number(to, p->value);
    if (expected) {
        memcpy(p->expected, expected, sizeof(p->expected));
        what.expected = p->expected;
        what.expected_len = sizeof(p->expected);
    }
    return begin(m, &what, NULL);
}

/* The next one at once, until all were asked: then after a pause. */
static int ask_another(struct mesh *m, const struct node_id *leader)
{
    struct proposal *p = &m->proposal;
    bool is_news = !node_id_is_none(leader) && !node_id_equal(leader, &p->asked)
                   && is_live(m, leader);

    m->mesh_leader = is_news ? *leader : (struct node_id){ .bytes = { 0 } };
    if (++p->n_told > 2 * m->n_peers) {
        p->n_told = 0;
        p->at = m->now + PROPOSE_AGAIN;
        return 0;
    }
    p->at = m->now; /* by a step of its own: this one may ask already */
    return 0;
}

int propose_on_answer(struct mesh *m, const struct node_id *from,
                      const struct proposed_message *answer)
{
    struct proposal *p = &m->proposal;

    if (!p->request || answer->request != p->request || !node_id_equal(from, &p->asked))
        return 0;
    p->is_waiting = false;
    if (answer->status == -EAGAIN)
        return ask_another(m, &answer->leader);
    if (answer->status == -EBUSY) {
        p->at = m->now + PROPOSE_AGAIN;
        return 0;
    }
    m->mesh_leader = *from;
    p->request = 0;
    return p->question ? ask_on_answer(m, TAKE(p->question), answer)
                       : numbers_on_answer(m, p, answer);
}

int propose_on_tick(struct mesh *m)
{
    static const struct node_id nobody;
    struct proposal *p = &m->proposal;

    if (!p->request || m->now < p->at)
        return 0;
    if (p->is_waiting && node_id_equal(&p->asked, &m->mesh_leader))
        m->mesh_leader = nobody;
    return send(m);
}

/* Numbers of runs and questions in turn, so that neither waits for all of the other. */
int propose_flush(struct mesh *m)
{
    bool is_numbers_turn = !asks_are_due(m) || (m->has_asked && numbers_are_due(m));

    m->has_asked = false;
    return is_numbers_turn ? numbers_flush(m) : asks_flush(m);
}

bool propose_is_due(const struct mesh *m)
{
    return asks_are_due(m) || numbers_are_due(m);
}

time_us propose_deadline(const struct mesh *m)
{
    return m->proposal.request ? m->proposal.at : TIME_NEVER;
}
