/* SPDX-License-Identifier: Apache-2.0 */
/* What all nodes are told of the runs that are led here. */
#include "node/mesh_internal.h"

int note_update(struct mesh *m, struct group *g, bool is_forced)
{
    struct rank rank;
    struct run_note note = { .run = g->run, .leader = m->self };
    struct run_view view;
    int error;
    bool is_old = m->now >= g->note_at + NOTE_AGAIN;
    bool leads = g->phase == LEAD_FULL || g->phase == LEAD_ENDED;

    if (!leads || g->is_void || m->n_peers == 1)
        return 0;
    is_forced = is_forced || is_old;
    if (!is_forced && g->note_ready && m->now < g->note_at + NOTE_EVERY)
        return 0;
    note.n_ready = g->phase == LEAD_FULL ? engine_ready(m, &g->run) : 0;
    if (!is_forced && note.n_ready == g->note_ready)
        return 0;
    g->note_ready = note.n_ready;
    g->note_at = m->now;
    rank = group_rank(m, g);
    note.generation = rank.generation;
    note.ballot = rank.ballot.counter;
    note.seq = ++g->note_seq;
    note.is_tentative = g->is_tentative;
    note.is_ended = g->phase == LEAD_ENDED;
    note.n_homes = group_homes(m, g, note.homes);
    note.number = g->number;
    note.user = (char[]){ "" };
    if (node_run(m->node, &g->run, &view)) {
        note.user = view.record->user;
        note.weight = view.record->share;
    }
    error = gossip_tell_run(m->gossip, &note, m->now, &m->gossip_out);
    return error ? error : members_emit(m);
}
