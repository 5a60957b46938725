/* SPDX-License-Identifier: Apache-2.0 */
/* gossip - who is here: membership without a server.
 *
 * Every node holds the list of all members and talks to few of them. Each member is
 * observed by its predecessors on GOSSIP_RINGS pseudo-random rings (Rapid, USENIX
 * ATC'18): they ping it; what two of them miss is suspected and, unless the member
 * refutes it by a greater incarnation (SWIM, DSN'02), declared dead. A node that is
 * slow itself knows it by its own timers and waits longer before it blames others
 * (Lifeguard, 2018).
 *
 *     ALIVE --- two observers miss it ---> SUSPECT --- not refuted in time ---> DEAD
 *       ^--------- a greater incarnation -----'                                   |
 *       '--------- a greater incarnation -----------------------------------------'
 *     any --- says so itself ---> LEFT
 *
 * A member's note replaces another of a lower incarnation, or of the same and an
 * earlier state: joining notes is commutative, associative and idempotent, so all nodes
 * that heard the same agree, in whatever order they heard it. Rumours travel in
 * batches; what they missed, and both sides of a healed partition, meet by
 * anti-entropy.
 *
 * A false death costs duplicate work and no more: nothing that must not happen twice
 * rests on this list.
 *
 * Pure: told the time and what arrived, it answers with actions. The maps of the
 * simulated nodes of one process share their structure: notes are immutable and
 * counted. */
#pragma once

#include "base/macros.h"
#include "base/time.h"
#include "proto/message.h"

enum { GOSSIP_RINGS = 8, GOSSIP_MESH_MAX = 64, GOSSIP_HEALTH_MAX = 7 };

struct gossip_timing {    /* zero: the default */
    time_us ping;         /* 1 s: each subject, when this node is well */
    time_us ping_timeout; /* 500 ms: three in a row without a pong are a blame */
    time_us suspect_min, suspect_max; /* 2 s, 8 s: by how many observers agree */
    time_us rumour;                   /* 100 ms: between two frames to a neighbour */
    time_us sync;                     /* 10 s: between two comparisons */
    time_us redial;    /* 30 s: one dead member; a sixth of it in a small mesh */
    time_us tombstone; /* 24 h: how long the dead are remembered */
};

struct gossip_config {
    struct node_id self;
    const struct member_card *card; /* copied */
    uint64_t incarnation;           /* the boot counter << 32, persisted before */
    struct gossip_timing timing;
    uint64_t seed;
    struct gossip_pool *pool;  /* NULL: one of its own */
    const struct gossip *like; /* know all that this one, of that pool, knows; NULL */
};

/* What the nodes of one process share: notes and parts of maps that are equal. */
struct gossip_pool;
/* NULL without memory. Counted: each node holds it too. */
struct gossip_pool *gossip_pool_new(void);
void gossip_pool_unref(struct gossip_pool *p);

enum gossip_action_type {
    GOSSIP_SEND = 1,   /* message to `peer`, who is connected or else it is dropped */
    GOSSIP_CONNECT,    /* dial: the card of gossip_find() says where, if one has come; a
                          peer that is connected already stays so */
    GOSSIP_DISCONNECT, /* no more needed by gossip */
    GOSSIP_CHANGED,    /* the state or card of `peer` changed, or whether it can be
                          reached: look at gossip_find() */
    GOSSIP_RUN,        /* the note of `run` changed: look at gossip_find_run() */
    GOSSIP_INCARNATION, /* persist the own incarnation `value` before what follows is
                           sent */
    GOSSIP_TWIN,        /* another node goes on saying that it is this one */
};

struct gossip_action {
    enum gossip_action_type type;
    struct node_id peer;
    struct run_id run;
    uint64_t value;
    struct message message; /* GOSSIP_SEND: borrowed until the next call */
};

struct gossip_outbox { /* the caller's; grows as needed */
    struct gossip_action *actions;
    size_t n, cap;
};
void gossip_outbox_clear(struct gossip_outbox *out);
void gossip_outbox_release(struct gossip_outbox *out);

struct gossip;

/* NULL without memory. */
struct gossip *gossip_new(const struct gossip_config *config);
void gossip_free(struct gossip *g);
CLEANUP_POINTER(struct gossip, gossip_free);

/* All return 0 or -ENOMEM, after which the node is to be given up. */

/* Told by a contact, by the peers remembered from before, or at the join. */
int gossip_add(struct gossip *g, const struct member_note *note, time_us now,
               struct gossip_outbox *out);
/* PING, PONG, GOSSIP (its members), SYNC; from a member whose key the transport proved.
 */
int gossip_on_message(struct gossip *g, const struct node_id *from,
                      const struct message *m, time_us now, struct gossip_outbox *out);
/* A connection is there, or is not any more; is_refused: its process is gone. */
int gossip_on_connected(struct gossip *g, const struct node_id *peer, time_us now,
                        struct gossip_outbox *out);
int gossip_on_disconnected(struct gossip *g, const struct node_id *peer,
                           bool is_refused, time_us now, struct gossip_outbox *out);
int gossip_on_tick(struct gossip *g, time_us now, struct gossip_outbox *out);
time_us gossip_deadline(const struct gossip *g);

/* The own card changed: a greater incarnation spreads it. */
int gossip_set_card(struct gossip *g, const struct member_card *card, time_us now,
                    struct gossip_outbox *out);
/* Say LEFT to all; then the caller waits a moment and ends. */
int gossip_leave(struct gossip *g, time_us now, struct gossip_outbox *out);

/* What the leader says of its run, spread with the members' rumours: at once when it is
 * new, has another leader, homes or state, or a tenth more or less to take; else within
 * 5 s; and every 10 s, until it ends or another leader says more. `seq` is set here, by
 * the own boot. A greater (generation, ballot, seq) replaces; an ended one is forgotten
 * after ten minutes, one that nobody tells any more after a day. */
int gossip_tell_run(struct gossip *g, const struct run_note *note, time_us now,
                    struct gossip_outbox *out);
size_t gossip_runs(const struct gossip *g);
const struct run_note *gossip_run_at(const struct gossip *g, size_t i);
const struct run_note *gossip_find_run(const struct gossip *g,
                                       const struct run_id *run);

/* ---- questions ---- */

struct member_view {
    const struct member_note
        *note;     /* borrowed until the next call that may change it */
    time_us since; /* in this state, by the own clock */
    time_us heard; /* last pong; 0: not observed from here */
    bool is_self;
};
size_t gossip_members(const struct gossip *g); /* all, tombstones too */
/* ALIVE and SUSPECT, itself too; 1 when it is alone. */
size_t gossip_alive(const struct gossip *g);
bool gossip_at(const struct gossip *g, size_t i, struct member_view *ret); /* by id */
bool gossip_find(const struct gossip *g, const struct node_id *id,
                 struct member_view *ret);
/* ALIVE or SUSPECT; nobody but itself when it is alone. */
bool gossip_is_live(const struct gossip *g, const struct node_id *id);
/* Nobody was heard for 2 s: the fault is likely here, and nobody is blamed. */
bool gossip_is_isolated(const struct gossip *g);
/* Nobody was heard for 15 s: whoever is right, the others are out of reach. The list
 * stays, so that nothing has to be undone when they are back. */
bool gossip_is_alone(const struct gossip *g);
uint8_t gossip_health(const struct gossip *g);
void gossip_fingerprint(const struct gossip *g, uint8_t ret[16]);
uint64_t gossip_hash(const struct gossip *g);
