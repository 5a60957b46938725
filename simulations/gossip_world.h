/* SPDX-License-Identifier: Apache-2.0 */
/* gossip_world - many nodes of gossip/ on a network of virtual time.
 *
 * Links carry messages in order, as TCP does: a lost segment delays what is behind it
 * by the retransmission, a cut direction swallows all until it is healed, and after 6 s
 * of silence both ends notice. Latency is lognormal. A node that is stalled does
 * nothing, and finds what came when it wakes. Everything by chance comes from the seed.
 *
 * It checks as it goes: that nobody but a node itself raises its incarnation (I11),
 * that no incarnation is sent before it is persisted, and that no node that lives and
 * can be reached is taken for dead (I12). */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "gossip/gossip.h"

struct gossip_world;

struct gossip_world_config {
    uint64_t seed;
    size_t n;      /* nodes at the start, who all know each other */
    size_t joins;  /* more, that may be started later: numbers from n on */
    uint32_t loss; /* of segments, in 10,000 */
    uint32_t
        stalling;    /* of nodes, in 10,000: stalled 30 % of the time, up to 2 s each */
    time_us latency; /* the median; 0: 500 us */
    bool is_traced;
    bool may_bury;        /* a false death is what the story is about */
    bool may_bury_across; /* only of a node that was on another side */
};

struct gossip_world_stats {
    uint64_t events, messages, frames, notes, bytes;
    uint64_t suspicions, refutations; /* first of an incarnation; raised incarnations */
    uint64_t deaths, false_deaths;    /* as the first node sees them */
};

/* NULL without memory. */
struct gossip_world *gossip_world_new(const struct gossip_world_config *config);
void gossip_world_free(struct gossip_world *w);
CLEANUP_POINTER(struct gossip_world, gossip_world_free);

/* Until this time has come; false: a check failed, or no memory. */
bool gossip_world_run(struct gossip_world *w, time_us until);
time_us gossip_world_now(const struct gossip_world *w);
const char *gossip_world_violation(const struct gossip_world *w); /* "": none */
const char *gossip_world_trace(const struct gossip_world *w);
void gossip_world_clear_trace(struct gossip_world *w);
struct gossip_world_stats gossip_world_stats(const struct gossip_world *w);
uint64_t gossip_world_hash(const struct gossip_world *w);

/* ---- what happens ---- */

/* The machine is gone, nothing answers; or the process, and the machine says so. */
void gossip_world_crash(struct gossip_world *w, size_t node);
void gossip_world_kill(struct gossip_world *w, size_t node);
/* Back with a greater boot counter; it remembers some peers, or the contact. */
void gossip_world_start(struct gossip_world *w, size_t node, size_t contact);
void gossip_world_leave(struct gossip_world *w, size_t node);
void gossip_world_stall(struct gossip_world *w, size_t node, time_us length);
/* One direction carries nothing, or does again. */
void gossip_world_cut(struct gossip_world *w, size_t from, size_t to, bool is_cut);
/* Of all directions between two nodes these, in 10,000, carry nothing; 0: none. */
void gossip_world_fray(struct gossip_world *w, uint32_t share);
/* Nodes of different sides cannot reach each other. All begin on side 0. */
void gossip_world_side(struct gossip_world *w, size_t node, uint32_t side);
void gossip_world_tell_run(struct gossip_world *w, size_t node,
                           const struct run_note *note);
void gossip_world_set_card(struct gossip_world *w, size_t node, uint32_t slots);
/* A frame out of nowhere. */
void gossip_world_inject(struct gossip_world *w, size_t from, size_t to,
                         const struct message *m);

/* ---- what is seen ---- */

/* NULL: it is not up. */
const struct gossip *gossip_world_node(const struct gossip_world *w, size_t node);
struct node_id gossip_world_id(const struct gossip_world *w, size_t node);
/* How many nodes that are up have this state of a node, itself not counted. */
size_t gossip_world_seeing(const struct gossip_world *w, size_t node,
                           enum member_state state);
/* When 99 of 100 nodes knew of the death, after the crash; 0: not yet. */
time_us gossip_world_known_after(const struct gossip_world *w, size_t node);
time_us gossip_world_suspected_after(const struct gossip_world *w, size_t node);
/* All nodes that are up have the same fingerprint. */
bool gossip_world_agrees(const struct gossip_world *w);
