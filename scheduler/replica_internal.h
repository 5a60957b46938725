/* SPDX-License-Identifier: Apache-2.0 */
/* replica_internal - the inside of a replica, shared by replica*.c only.
 *
 *     replica.c          what it is told, deadlines, questions
 *     replica_log.c      the log, what is kept, what is decided, generations
 *     replica_elect.c    votes
 *     replica_lead.c     entries to the others, what they acknowledge, moves
 *     replica_follow.c   entries from a leader
 *     replica_install.c  all that is decided, in parts */
#pragma once

#include "scheduler/replica.h"

enum {
    PEERS_MAX = 2 * HOMES_MAX, /* homes and those that are to become some */
    PIPELINE_MAX = 4,          /* unanswered SEND_ENTRIES of a peer */
    STALL_BEATS = 4, /* heartbeats after which one that is silent has stopped */
    TICKETS_MAX = 32,
};

enum replica_role {
    REPLICA_FOLLOWER = 1,
    REPLICA_TRIAL,     /* asks whether the others would vote for it */
    REPLICA_CANDIDATE, /* its own promise may not be durable yet */
    REPLICA_LEADER,
};

struct replica_peer {
    struct node_id id;
    bool is_home; /* counts; else it is to become one */
    bool is_live; /* as gossip believes */
    bool has_voted, has_refused;
    bool is_ready; /* was as far as what is decided */
    bool is_installing;
    time_us heard, sent;
    uint64_t match; /* durable there */
    uint64_t next;  /* to be sent */
    uint32_t n_unanswered;
    bool is_probing; /* finds out from where to go on */
    uint64_t probe;
    time_us probed;
    struct log_position base; /* of what is installed there */
    uint64_t part;
};

/* What is to be kept and not yet known to be durable. */
struct replica_kept {
    uint64_t ticket;
    uint64_t last; /* index; less when it was cut since */
    struct ballot promised;
};

/* What a leader installs here. */
struct replica_incoming {
    bool is_active, is_complete;
    struct node_id from;
    uint64_t generation;
    struct ballot ballot;
    struct log_position base;
    uint64_t next_part;
    uint64_t ticket; /* of the newest part; 0: it is durable and answered */
    time_us at;      /* when it came */
};

struct replica {
    struct group_id group;
    struct node_id self;
    struct replica_timing timing;
    struct prng prng;
    struct replica_state state;
    size_t cap_stretches;
    time_us now;

    enum replica_role role;
    struct node_id leader;          /* all zero: nobody known */
    bool is_founder;                /* has not led yet */
    bool is_leading;                /* REPLICA_LEAD was told */
    bool is_isolated, has_majority; /* as gossip believes */
    struct replica_peer peers[PEERS_MAX];
    size_t n_peers;

    /* elections */
    struct ballot standing; /* of the trial */
    uint64_t seen;          /* greatest counter that refused us */
    unsigned n_tries;
    bool is_heir;     /* no trial: the generation before chose it */
    bool owes_vote;   /* to promised.node, when it is durable */
    bool owes_asking; /* for votes, when the own promise is durable */
    time_us elect_at, ask_at, heard_leader;

    /* a leader */
    uint64_t lead_from; /* first index of its own ballot */
    struct node_id target[HOMES_MAX];
    uint32_t n_target;    /* 0: no move */
    uint64_t move_ticket; /* to be durable before anything goes to those that join */
    struct log_entry closing_entry;

    /* a follower */
    uint64_t matched; /* up to here the log is the leader's */
    bool owes_ack;
    struct replica_incoming incoming;

    /* no home any more */
    bool is_handing; /* the homes of now may not know that they are */
    time_us hand_at;

    /* the disk */
    uint64_t ticket, done; /* last given; last durable */
    uint64_t open_ticket;  /* of this call; 0: nothing is to be kept */
    bool is_dirty;         /* the state is to be kept */
    struct replica_kept kept[TICKETS_MAX];
    size_t n_kept;
    uint64_t durable; /* index */
    struct ballot durable_promise;
};

static inline bool ballot_is_none(const struct ballot *b)
{
    return !b->counter && node_id_is_none(&b->node);
}

static inline bool ballot_equal(const struct ballot *a, const struct ballot *b)
{
    return a->counter == b->counter && node_id_equal(&a->node, &b->node);
}

/* ---- replica.c ---- */

struct replica_action *replica_act(struct replica_outbox *out,
                                   enum replica_action_type type);
struct message *replica_send(struct replica_outbox *out, const struct node_id *to,
                             enum message_type type);
struct replica_peer *replica_find(struct replica *r, const struct node_id *id);
bool replica_is_home(const struct replica *r, const struct node_id *id);
size_t replica_majority(const struct replica *r);
/* The homes of this generation and those of a move, keeping what is known of them. */
void replica_gather_peers(struct replica *r);
void replica_set_leader(struct replica *r, const struct node_id *id,
                        struct replica_outbox *out);
/* Follows nobody, whatever it was. */
void replica_stand_down(struct replica *r, struct replica_outbox *out);
/* A list of homes from somebody else: odd, not too many, nobody twice. */
bool replica_are_homes(const struct node_id *homes, size_t n);

/* ---- replica_log.c ---- */

int position_compare(const struct log_position *a, const struct log_position *b);
/* False: not known, index is before base or behind last. */
bool log_ballot_at(const struct replica *r, uint64_t index, struct ballot *ret);
/* With an unknown ballot: zero. */
struct log_position log_position_at(const struct replica *r, uint64_t index);
void log_cut(struct replica *r, uint64_t last);
/* The next entry; homes: of one that closes the generation. */
void log_push(struct replica *r, const struct ballot *ballot,
              const struct node_id *homes, uint32_t n_homes,
              struct replica_outbox *out);
/* The log is what was installed, and its end is `base`. */
void log_replace(struct replica *r, const struct log_position *base);
/* This call asks to keep something: the state goes with it. */
struct replica_action *replica_keep(struct replica *r, enum replica_action_type type,
                                    struct replica_outbox *out);
/* At the end of every call: what changed is kept. */
int replica_finish(struct replica *r, struct replica_outbox *out);
bool replica_is_promise_durable(const struct replica *r);
void replica_commit(struct replica *r, uint64_t index, struct replica_outbox *out);

/* ---- replica_elect.c ---- */

void replica_rest(struct replica *r); /* until the next election */
/* Without a trial. */
void replica_stand(struct replica *r, struct replica_outbox *out);
void replica_elect_tick(struct replica *r, struct replica_outbox *out);
void replica_ask(struct replica *r, struct replica_peer *p, struct replica_outbox *out);
void replica_elect_durable(struct replica *r, struct replica_outbox *out);
void replica_on_vote(struct replica *r, const struct node_id *from,
                     const struct vote_message *m, struct replica_outbox *out);
void replica_on_voted(struct replica *r, const struct node_id *from,
                      const struct voted_message *m, struct replica_outbox *out);
/* The asker's generation is over: says so, and what was decided since. */
void replica_refuse_old(struct replica *r, const struct node_id *from,
                        uint64_t generation, uint64_t index,
                        struct replica_outbox *out);

/* ---- replica_lead.c ---- */

void replica_lead(struct replica *r, struct replica_outbox *out);
void replica_resign(struct replica *r, struct replica_outbox *out);
void replica_lead_tick(struct replica *r, struct replica_outbox *out);
time_us replica_lead_deadline(const struct replica *r);
void replica_lead_durable(struct replica *r, struct replica_outbox *out);
void replica_on_appended(struct replica *r, const struct node_id *from,
                         const struct appended_message *m, struct replica_outbox *out);
void replica_send_header(struct replica *r, struct message *m, uint64_t before,
                         bool is_leader);
void replica_beat(struct replica *r, struct replica_peer *p,
                  struct replica_outbox *out);
void replica_send_all(struct replica *r, struct replica_outbox *out);
/* No home any more: tells those of now until a majority knows. */
void replica_hand_over(struct replica *r, struct replica_outbox *out);
/* To one of an older generation: what is decided, from index on. */
void replica_help(struct replica *r, const struct node_id *peer, uint64_t index,
                  struct replica_outbox *out);

/* ---- replica_follow.c ---- */

/* Whether this leader may be followed; if so it is. A ballot too low is refused. */
bool replica_follow(struct replica *r, const struct node_id *from, uint64_t generation,
                    const struct ballot *ballot, struct replica_outbox *out);
void replica_on_append(struct replica *r, const struct node_id *from,
                       const struct append_message *m, struct replica_outbox *out);
/* What is the leader's and durable; later if it is not yet. */
void replica_acknowledge(struct replica *r, struct replica_outbox *out);
void replica_follow_durable(struct replica *r, struct replica_outbox *out);
struct appended_message *replica_answer(struct replica *r, const struct node_id *to,
                                        uint64_t generation,
                                        const struct ballot *ballot,
                                        struct replica_outbox *out);

/* ---- replica_install.c ---- */

void replica_install(struct replica *r, struct replica_peer *p,
                     struct replica_outbox *out);
void replica_send_part(struct replica *r, struct replica_peer *p,
                       struct replica_outbox *out);
void replica_on_install(struct replica *r, const struct node_id *from,
                        const struct install_message *m, struct replica_outbox *out);
void replica_on_installed(struct replica *r, const struct node_id *from,
                          const struct installed_message *m,
                          struct replica_outbox *out);
void replica_install_durable(struct replica *r, struct replica_outbox *out);
