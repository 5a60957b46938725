/* SPDX-License-Identifier: Apache-2.0 */
/* How many leases a worker would take, and of whom. A want stands until another one
 * replaces it: a leader that has nothing grants when it has something. In a small mesh
 * every member is asked in advance, so that a new run finds its workers waiting; in a
 * large one those that lead runs with something to take. */
#include <errno.h>

#include "node/mesh_internal.h"

static const time_us AHEAD = TIME_MS(200);
static const time_us AGAIN = TIME_S(5);

/* A moving average; a longer task shows at once what is to come. */
void want_on_duration(struct mesh *m, time_us took)
{
    m->average =
        m->average && took < 4 * m->average ? (7 * m->average + took) / 8 : took;
    m->average = m->average ? m->average : 1;
}

/* As many as run in AHEAD, one at least while the average is below 4 s. */
static uint32_t leases_ahead(const struct mesh *m)
{
    uint64_t n;

    if (!m->average)
        return m->slots_max;
    if (m->average > TIME_S(4))
        return 0;
    n = m->slots_max * (1 + AHEAD / m->average);
    return n < GUESTS_PER_PEER_MAX - m->slots_max ? (uint32_t)n
                                                  : GUESTS_PER_PEER_MAX - m->slots_max;
}

static uint32_t count_leaders(struct mesh *m)
{
    uint32_t n = 0;

    for (uint32_t i = 1; i <= m->n_peers; i++)
        m->by_number[i]->n_leading = 0;
    for (size_t i = 0; i < gossip_runs(m->gossip); i++) {
        const struct run_note *note = gossip_run_at(m->gossip, i);
        struct peer *p = peer_find(m, &note->leader);

        if (!p || !p->is_live || note->is_ended)
            continue;
        if (note->n_ready || p->told.slots) {
            n += p->n_leading == 0;
            p->n_leading++;
        }
    }
    return n;
}

static int tell(struct mesh *m, struct peer *p, uint32_t slots)
{
    struct message msg = { .type = MESSAGE_WANT };
    uint32_t was = p->told.slots;
    bool is_near = slots && was && slots < was + was / 4 && was < slots + slots / 4;

    if ((slots == was || is_near) && m->now < p->told_at + AGAIN)
        return 0;
    if (!slots && !was)
        return 0;
    p->told_at = m->now;
    p->told = (struct want_message){ .boot = m->boot,
                                     .seq = p->told.seq + 1,
                                     .slots = slots,
                                     .ahead_percent = 100 * slots / m->slots_max };
    if (p->told.ahead_percent < 100)
        p->told.ahead_percent = 100;
    msg.u.want = p->told;
    return mesh_send(m, &p->id, &msg, 0);
}

int want_update(struct mesh *m)
{
    uint32_t n_leaders = count_leaders(m);
    uint32_t all = m->slots_max + leases_ahead(m);
    bool is_small = gossip_members(m->gossip) <= GOSSIP_MESH_MAX;
    int error = 0;

    if (m->is_draining || m->is_full || !m->is_worker || !m->slots_max)
        all = 0;
    for (uint32_t i = 1; i <= m->n_peers && error == 0; i++) {
        struct peer *p = m->by_number[i];
        uint32_t slots = is_small ? all : 0;

        if (p == m->me || !p->is_live)
            continue;
        if (p->n_leading)
            slots = all ? all / n_leaders + (all % n_leaders != 0) : 0;
        error = tell(m, p, slots);
    }
    return error;
}
