/* SPDX-License-Identifier: Apache-2.0 */
/* mesh - a node among others, without its input and output.
 *
 * Puts together who is here (gossip/), the logs of the groups this node is a home of
 * (scheduler/replica.h), the engine for the runs it leads (node/node.h), and the leases
 * it carries out for others. docs/mesh.md tells how. The runtime and the simulator
 * drive it as they drive the engine: an event in, actions out, carried out in order.
 *
 * A node alone needs none of this: the runtime makes a mesh when the node has peers, or
 * may get some. All runs of the store are then taken in: one without a `q` row has one
 * home, this node.
 *
 * Tickets count up from 1 over all ACTION_PERSIST; ACTION_SEND and ACTION_TELL name the
 * one that must be durable before, and actions that read the store the one that must be
 * in it. What waits for a majority the mesh keeps back itself.
 *
 * What goes to peers in lists (leases, attempts that ended, entries) is collected until
 * MESH_EVENT_FLUSH, which the caller gives when it has no more events for now; a tick
 * does it too, and while something is collected mesh_deadline() is 0.
 *
 * Pure: reads no clock, opens nothing, draws no number that it was not handed. Messages
 * of RECORDS_GET .. REPLY and BLOB_FIND .. BLOB_DATA are not for it: who carries it out
 * answers them from the store. */
#pragma once

#include "gossip/gossip.h"
#include "node/node.h"
#include "scheduler/replica.h"

struct mesh;

/* Signs the attempts that this node carried out and checks those of others: both are
 * computed from their arguments and a key, so they are asked for in the middle of a
 * step. -ENOMEM ends the step. */
struct mesh_signer {
    void *arg;
    uint32_t batch_max; /* MESH_BATCH_MAX at most */
    /* As attestation_sign(). */
    int (*sign)(void *arg, struct attempt_record *const *records, size_t n);
    /* As attestation_check(), by what is known of the record's node; -ENOENT: nothing
     * is. */
    int (*check)(void *arg, struct attempt_record *record);
};
enum { MESH_BATCH_MAX = 16 };

struct mesh_config {
    struct node_id self;
    uint32_t boot; /* counted and persisted before; incarnation = boot << 32 */
    uint32_t term; /* the same, of each planned restart in a boot; 0: none yet */
    const struct member_card *card;
    const struct node_config *node;
    struct gossip_timing gossip;   /* all zero: the defaults */
    struct replica_timing replica; /* likewise */
    time_us degrade;  /* go on tentatively after so long without a majority; 0: 15 s */
    uint32_t level;   /* copies of a kept output before a run ends; 0: 2 */
    bool is_founder;  /* of the mesh: founds its group if that is not known here */
    bool has_numbers; /* runs get numbers, from the mesh group */
    uint64_t last_number;             /* that this node gave before it had others */
    const struct mesh_signer *signer; /* copied; NULL: nothing is signed or checked */
    uint64_t seed;
};

/* Registers of the mesh group that the runtime knows: an invitation's is called so with
 * a number of its own behind it, and only an issuer changes it. */
#define REGISTER_INVITATION "invitation."
#define REGISTER_TOKENS "tokens"

/* The status of MESH_EVENT_KEPT: nothing that counts is lost. */
enum { KEPT_NEEDLESS = 1 };

enum mesh_event_type {
    MESH_EVENT_NODE = 1, /* of the engine: a submission, the end of a local task, what
                            users change of a run that this node leads, EVENT_RESTORE_*
                            of a run that is being loaded */
    MESH_EVENT_MESSAGE,  /* from a peer whose key was proved */
    MESH_EVENT_CONNECTED,
    MESH_EVENT_DISCONNECTED,
    MESH_EVENT_CONTACT, /* a member that was remembered, or told at the join */
    MESH_EVENT_TICK,    /* mesh_deadline() has come */
    MESH_EVENT_FLUSH,   /* nothing more for now: what was collected goes out */
    MESH_EVENT_DURABLE, /* all tickets up to this one */
    MESH_EVENT_RECORD,  /* of a run that this node leads: users changed its state; when
                            it is decided ACTION_RECORDED tells */

    /* After the start, in this order, from the store; then MESH_EVENT_START. */
    MESH_EVENT_RESTORE_GROUP, /* each `q` row */
    MESH_EVENT_RESTORE_ENTRY, /* its `l` rows, ascending */
    MESH_EVENT_RESTORE_RUN,   /* a run without an end: `q` row or not */
    MESH_EVENT_RESTORE_KEPT,  /* each `o` row */
    MESH_EVENT_RESTORE_GUEST, /* after a planned restart: what has run all along */
    MESH_EVENT_START,

    /* Answers to actions. */
    MESH_EVENT_PREPARED,
    MESH_EVENT_ENTRIES,
    MESH_EVENT_RECORDS,
    MESH_EVENT_LOADED, /* after EVENT_RESTORE_RUN, its attempts, what was lost here and
                          whether it is suspended or cancelled; or -ENOENT: the store
                          has no such run; -EALREADY: it has ended; else it cannot be
                          read */
    MESH_EVENT_WITNESS,
    MESH_EVENT_KEPT,      /* of ACTION_KEEP; or, KEPT_NEEDLESS, of ACTION_GONE */
    MESH_EVENT_END_FOUND, /* of ACTION_FIND_END */

    MESH_EVENT_ASK, /* the mesh group, about a register; answered by ACTION_ASKED */

    MESH_EVENT_CARD,  /* what the node says of itself changed */
    MESH_EVENT_DRAIN, /* take no more; is_on false: do again */
    MESH_EVENT_FULL, /* ask for no work: what it needs could not be written; or again */
    MESH_EVENT_PAUSE, /* take and grant nothing for a planned restart; or do again */
    MESH_EVENT_STEP_DOWN, /* paused: lead no run any more, so that all that runs here is
                             a guest; with is_on those whose log is not settled too */
    MESH_EVENT_LEAVE,     /* drained: hand over what it is a home of, then say so */
};

struct mesh_event {
    enum mesh_event_type type;
    time_us now, wall;
    struct node_id peer; /* MESSAGE, CONNECTED, DISCONNECTED */
    uint64_t token;      /* of the action that is answered */
    int status;          /* of an answer: 0 or a negative errno */
    union {
        struct event node; /* its now and wall are filled in */
        const struct message *message;
        const struct member_note *contact;
        const struct member_card *card;
        bool is_refused; /* DISCONNECTED: nothing listens there */
        bool is_on;      /* DRAIN, FULL, PAUSE, STEP_DOWN */
        uint64_t ticket; /* DURABLE */
        struct {
            struct group_id group;
            const struct replica_state *state;
        } group; /* RESTORE_GROUP */
        struct {
            struct group_id group;
            uint64_t index;
            const struct log_entry *entry; /* without the value of a record that lies
                                              under its own key */
        } entry;                           /* RESTORE_ENTRY */
        struct run_id run;                 /* RESTORE_RUN */
        struct {
            struct run_id run;
            const void *record; /* with -EALREADY: its run record, if it is there */
            size_t record_len;
        } loaded; /* LOADED */
        struct {
            struct run_id run;
            const void *value; /* its end record, with status 0 */
            size_t value_len;
        } end; /* END_FOUND */
        struct {
            struct run_id run;
            const void *key, *value;
            size_t key_len, value_len;
        } record; /* RECORD */
        struct {
            const struct propose_message *what; /* its request is filled in; copied */
            time_us patience;
        } ask; /* ASK */
        const struct offered_attempt *kept;
        struct {
            const struct mesh_guest *guest;
            struct flow *flow; /* a reference is taken */
        } restored;            /* RESTORE_GUEST */
        struct {
            struct flow *flow; /* a reference is taken */
            struct digest witness;
            const char *text;     /* with a status: why it cannot be carried out here */
            enum refusal refusal; /* -EPERM: what the policy here says */
            bool is_fault; /* of the task's own: its attempt fails with `reason` */
            enum reason reason;
        } prepared;
        struct {
            const struct log_entry *entries; /* ENTRIES: from `lo`; maybe fewer, none:
                                                they are gone */
            size_t n;
            bool is_last; /* RECORDS */
        } entries;
        struct digest witness; /* WITNESS; status -ENOENT: not all is decided */
    } u;
};

/* What the next life of the process has to know of a task that runs here. */
struct mesh_guest {
    struct run_id run;
    struct task_id task;
    uint32_t attempt, slot;
    uint64_t gpus, fence, lease, counter;
    time_us started;
    struct digest witness;
    bool has_witness, is_void;
    struct rank rank; /* whom it listens to */
    struct node_id leader;
};

/* NULL without memory. */
struct mesh *mesh_new(const struct mesh_config *config, time_us now);
void mesh_free(struct mesh *m);

/* Total, as node_step(). 0, or -ENOMEM, after which the node must be given up. */
int mesh_step(struct mesh *m, const struct mesh_event *event, struct outbox *out);
time_us mesh_deadline(const struct mesh *m);

/* ---- questions ---- */

const struct gossip *mesh_members(const struct mesh *m);
/* The engine, for what the interface shows of the runs that this node leads. */
const struct node *mesh_node(const struct mesh *m);

enum run_place {
    RUN_PLACE_UNKNOWN = 1,
    RUN_PLACE_LEADS,
    RUN_PLACE_HOME,
    RUN_PLACE_ELSEWHERE
};
struct run_where {
    enum run_place place;
    struct node_id leader; /* all zero: nobody known */
    struct node_id homes[HOMES_MAX];
    uint32_t n_homes;
    bool is_tentative;
    uint64_t decided, last; /* entries of its log; of a home */
};
/* Whether a member has left, or has been dead for so long that its place is given to
 * others; nobody's id counts as one. */
bool mesh_is_gone(const struct mesh *m, const struct node_id *id);
/* Where a run is led, as far as is known here. */
void mesh_where(const struct mesh *m, const struct run_id *run, struct run_where *ret);
/* Who carries out the lease of this slot; false: there is none. */
bool mesh_lease_node(const struct mesh *m, uint32_t slot, struct node_id *ret);
/* Leases carried out here for others: waiting to be prepared, for room, running. */
struct guest_counts {
    uint32_t n_preparing, n_waiting, n_running;
};
struct guest_counts mesh_guests(const struct mesh *m);
/* What runs in this slot; false: nothing that is a guest. */
bool mesh_guest_in(const struct mesh *m, uint32_t slot, struct mesh_guest *ret);
/* Stepped down: no run is led here any more. */
bool mesh_leads_nothing(const struct mesh *m);
/* Drained: nothing runs, and this node is the only copy of nothing. */
bool mesh_may_leave(const struct mesh *m);
/* What it is called by at its start: greater than what it refuted before. */
uint64_t mesh_incarnation(uint32_t boot, uint32_t term);
uint64_t mesh_hash(const struct mesh *m);
