/* SPDX-License-Identifier: Apache-2.0 */
/* gossip_world_state - the inside of gossip_world, for its own files. */
#pragma once

#include "base/prng.h"
#include "simulations/gossip_world.h"

enum gossip_event {
    GOSSIP_EVENT_TICK = 1,
    GOSSIP_EVENT_MESSAGE,
    GOSSIP_EVENT_CONNECTED,
    GOSSIP_EVENT_BROKEN, /* the link is silent for too long */
    GOSSIP_EVENT_REFUSED,
    GOSSIP_EVENT_STALL, /* a stalling node stalls again */
};

/* The lists of a message, once for all that get it. */
struct payload {
    uint32_t refs;
    const void *source; /* the list in the outbox it was made from */
    struct message message;
    struct payload_note {
        uint32_t node;
        uint8_t state, observers;
        bool has_card;
        uint64_t incarnation;
    } * notes;
    size_t n_notes;
};

struct happening {
    time_us at;
    uint64_t order;
    enum gossip_event type;
    uint32_t node, peer;
    uint32_t life; /* of the node; of messages: of the link */
    enum message_type message;
    struct ping ping;
    struct payload *payload;
    uint32_t next_free;
};

struct queued { /* in the heap */
    time_us at;
    uint64_t order;
    uint32_t happening;
};

struct sim_link {        /* one end */
    uint32_t peer, life; /* of the connection */
    bool is_up, is_dialled;
    time_us last; /* when the last message towards the peer arrives */
};

struct sim_node {
    struct node_id id;
    struct gossip *gossip; /* NULL: down */
    struct member_card card;
    char name[16], address[24];
    uint32_t life, boot, side;
    uint32_t last_side; /* before all were on one again */
    uint64_t persisted;
    bool is_stalling;
    time_us stalled; /* until then */
    time_us tick;    /* the one that is queued; TIME_NEVER: none */
    struct sim_link *links;
    uint32_t n_links, cap_links;
    /* of its end */
    time_us crashed, suspected, known;
    uint64_t suspected_incarnation;
    uint32_t n_know;
    bool is_gone; /* crashed or left, so its death is none that is false */
};

struct cut {
    uint32_t from, to;
};

struct gossip_world {
    struct gossip_world_config config;
    struct prng prng;
    time_us now;
    uint64_t order;
    struct gossip_pool *pool;
    struct sim_node *nodes;
    size_t n_nodes, n_up;
    struct cut *cuts;
    size_t n_cuts, cap_cuts;
    uint32_t frayed;

    struct queued *heap;
    size_t n_heap, cap_heap;
    struct happening *happenings;
    uint32_t n_happenings, cap_happenings, free_happening; /* from 1 */

    struct gossip_outbox out;
    struct payload *last;      /* of the outbox that is carried out */
    struct member_note *notes; /* of a message that is delivered */
    size_t cap_notes;
    struct gossip_world_stats stats;
    struct buffer trace;
    uint8_t *seen; /* of a traced world: the state of each for each */
    char violation[ERROR_TEXT_MAX];
    int error;
};

void gossip_world_blame(struct gossip_world *w, const char *format, ...)
    PRINTF_LIKE(2, 3);
struct happening *gossip_world_later(struct gossip_world *w, time_us at,
                                     enum gossip_event type, size_t node);
bool gossip_queue_push(struct gossip_world *w, struct queued q);
struct queued gossip_queue_pop(struct gossip_world *w);
void gossip_world_act(struct gossip_world *w, size_t node); /* carry out the outbox */
uint32_t gossip_world_index(const struct gossip_world *w, const struct node_id *id);

bool gossip_network_reaches(const struct gossip_world *w, uint32_t from, uint32_t to);
struct sim_link *gossip_network_link(struct gossip_world *w, uint32_t node,
                                     uint32_t peer);
void gossip_network_send(struct gossip_world *w, uint32_t node, uint32_t peer,
                         const struct message *m);
void gossip_network_dial(struct gossip_world *w, uint32_t node, uint32_t peer);
void gossip_network_drop(struct gossip_world *w, uint32_t node, uint32_t peer);
/* Both ends notice after a while, if nothing changed. */
void gossip_network_doubt(struct gossip_world *w, uint32_t node, time_us after);
/* The node ends: the other ends of its links notice later. */
void gossip_network_end(struct gossip_world *w, uint32_t node, bool is_refused);
void gossip_network_deliver(struct gossip_world *w, struct happening *h);
void gossip_network_connected(struct gossip_world *w, const struct happening *h);
void gossip_network_broken(struct gossip_world *w, const struct happening *h);
void payload_unref(struct payload *p);
