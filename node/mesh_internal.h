/* SPDX-License-Identifier: Apache-2.0 */
/* mesh_internal - the inside of the mesh core, shared by node/mesh*.c only.
 *
 *     mesh.c          events in, deadlines
 *     mesh_outbox.c   actions out
 *     mesh_rows.c     what a home and an executor keep beside the records
 *     mesh_engine.c   the engine's events and what it answers
 *     mesh_members.c  who is here: peers and their numbers
 *     mesh_post.c     what is collected for peers until the caller has no more events
 *     mesh_group.c    the log of one run at one home
 *     mesh_entries.c  the part of a log that is in memory
 *     mesh_copy.c     entries and records for homes that lack them
 *     mesh_lead.c     taking a run over, and letting it go
 *     mesh_grant.c    the leader's side of leases
 *     mesh_late.c     attempts from an older leader's time
 *     mesh_work.c     the worker's side: whom it listens to, what it holds of a run
 *     mesh_guest.c    the worker's side of leases
 *     mesh_pause.c    a planned restart: what runs goes on in the next life
 *     mesh_permit.c   how long what has a fence may run
 *     mesh_want.c     the worker's side: whom to ask, and for how much
 *     mesh_sign.c     attempts signed, and checked
 *     mesh_home.c     who is a home
 *     mesh_keep.c     copies of kept outputs
 *     mesh_repair.c   made anew when a member is gone
 *     mesh_registers.c  the mesh group: its homes, and registers at its leader
 *     mesh_propose.c  asking the mesh group
 *     mesh_ask.c      what the caller asks of it
 *     mesh_numbers.c  a number for each run
 *     mesh_notes.c    what all are told of a run
 *
 * All functions that return int return 0 or -ENOMEM. */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/prng.h"
#include "node/mesh.h"
#include "proto/rows.h"

#define REGISTER_RUN_NUMBER "run_number" /* of the mesh group: the last one given */

enum {
    GROUPS_MAX = 65536,
    WORKS_MAX = 65536,
    GUESTS_PER_PEER_MAX = 2048,     /* what a worker asks of one leader */
    ENTRIES_BYTES_MAX = 4 << 20,    /* of a log, decided, in memory */
    UNDECIDED_BYTES_MAX = 64 << 20, /* beyond, a leader grants nothing */
    READS_MAX = 1024,
    HOMES_OF_RUN = 3,
    HOMES_OF_MESH = 5,
    REGISTERS_MAX = 4096,
    QUESTIONS_MAX = 256,    /* of the caller, not yet answered */
    ASKED_MAX = 4096,       /* of a leader of the mesh group, not yet answered */
    UNNUMBERED_MAX = 1024,  /* runs that have ended and wait for a number */
    PERMITS_ASKED_MAX = 16, /* of a worker's last reports */
    LOG_STRETCH = 256,      /* rows whose keys differ in the last byte alone */
};

static const time_us REPORT_EVERY = TIME_S(2);
static const time_us PERMIT_EVERY = TIME_S(1);  /* asked for by what has a fence */
static const time_us TELL_AFTER = TIME_MS(200); /* that a task runs */
static const time_us OFFER_EVERY = TIME_S(5);
static const time_us LEASE_TTL = TIME_S(10);
static const time_us HELD_WAIT = TIME_S(2);
static const time_us REPAIR_AFTER = TIME_S(10);
static const time_us END_WAIT = TIME_S(30); /* for homes that are not there */
static const time_us FORGET_AFTER = TIME_S(60);
static const time_us NOTE_EVERY = TIME_MS(200);
static const time_us NOTE_AGAIN = TIME_S(10); /* gossip forgets what nobody renews */
static const time_us HOUSEKEEPING = TIME_MS(500);
static const time_us READ_WAIT = TIME_S(60);
static const time_us LEFT_WAIT = TIME_S(600);
static const time_us DEGRADE_AFTER = TIME_S(15);

static const time_us PROPOSE_WAIT = TIME_MS(500);  /* then somebody else is asked */
static const time_us PROPOSE_AGAIN = TIME_MS(500); /* when nobody knew */

struct group;
struct work;

/* ---- what is collected for a peer ---- */

enum post_type {
    POST_GRANT = 1,
    POST_RECALL,
    POST_RECALLED,
    POST_OFFER,
    POST_DROPPED,
    POST_REFUSED,
    POST_ANSWER
};
struct post {
    enum post_type type;
    struct run_id run;
    uint64_t ticket; /* to be durable before */
    uint32_t order;
    union {
        struct lease lease; /* POST_GRANT */
        struct {
            uint64_t lease;
            int signal;
            enum reason why;
        } recall;
        uint64_t lease_id; /* POST_RECALLED, POST_DROPPED */
        struct {
            uint64_t lease;
            enum refusal why;
        } refused;                /* POST_REFUSED */
        struct attempt_name name; /* POST_OFFER */
        struct offer_answer answer;
    } u;
};

/* ---- members ---- */

struct peer {
    struct node_id id;
    uint32_t number; /* the engine's name for it, from 1 */
    uint64_t incarnation;
    bool is_live, is_connected;
    bool is_worker;   /* the engine was told of it */
    bool is_given_up; /* gone for good, and counted as a loss */
    time_us gone_since;
    struct want_message wanted; /* the last WANT that it sent */
    bool has_new_want;          /* which the engine does not know yet */
    struct want_message told;   /* the last WANT to it */
    time_us told_at;
    uint32_t n_leading; /* runs that it leads, as far as is known: mesh_want.c */
    struct post *posts;
    size_t n_posts, cap_posts;
    UT_hash_handle hh;
};

/* ---- a log ---- */

/* Who asked for an entry of the mesh group. */
struct asked {
    struct node_id node;
    uint64_t request;
    int32_t status;
    uint8_t *value; /* of the answer; owned */
    size_t value_len;
};

struct entry {
    uint64_t index;       /* 0: not yet in the log */
    struct log_entry log; /* owns key and value */
    bool is_bare;         /* its value lies under its own key in the store alone */
    uint64_t ticket;      /* of its row */
    struct action *tells; /* TELL, RECORDED and FENCED for when it is decided */
    size_t n_tells;
    time_us proposed;    /* by this node; 0: not so */
    struct asked *asked; /* NULL: nobody */
    uint32_t offerer;    /* peer's number, 0: none */
    struct attempt_name name;
};

/* Entries first .. first + n - 1, then those that have no index yet. */
struct entries {
    struct entry *all;
    size_t n, n_new, cap;
    uint64_t first;
    size_t bytes, decided_bytes;
};

enum lead_phase {
    LEAD_NONE = 1,
    LEAD_LOADING, /* its records are being read back, and members report */
    LEAD_FULL,
    LEAD_ENDED, /* its end is decided */
};

/* A look at all attempts of a run: mesh_repair.c. */
struct repair {
    bool is_on;
    uint64_t seen, goal; /* losses that it was done for, and is done for */
    uint64_t read;       /* the token of what is being read; 0: nothing */
    struct record_key behind;
};

struct report {
    uint32_t peer;
    struct held_lease *held;
    size_t n_held;
    struct offered_attempt *kept; /* records are owned */
    size_t n_kept;
};

struct group {
    struct group_id id;
    struct run_id run;
    struct replica *replica; /* NULL: one home, this one */
    struct entries entries;
    uint64_t applied; /* entries up to here are in the records */
    uint64_t trimmed; /* rows below are gone; a multiple of LOG_STRETCH */
    uint64_t told;    /* ticket of what was told last: tells keep their order */
    bool
        owes_answer; /* whoever submitted the run here was not told what became of it */
    time_us heard;   /* of another home */
    struct node_id leader;
    bool is_tentative; /* led without a majority, or was: what is in the overlay goes */
    struct record_key *overlay;
    size_t n_overlay, cap_overlay, n_sorted;
    time_us opened;
    bool has_run, has_end; /* decided, and in the records */
    uint64_t end_index;    /* of the end's entry; 0: none, or it came without the log */
    time_us ended_at;
    bool is_void;             /* its run was never decided */
    enum run_outcome outcome; /* has_end: as it is told; 0: not known here */

    time_us left_at; /* others took its place, only that is remembered; 0: not so */
    enum lead_phase phase;
    bool is_loaded;
    bool is_held;      /* the engine starts nothing of it */
    time_us ask_until; /* they have reported by then, or will not */
    uint32_t *asked;   /* peers that have not */
    size_t n_asked;
    struct report *reports;
    size_t n_reports;
    uint32_t *holders; /* peers that were granted something, or reported it */
    size_t n_holders, cap_holders;

    uint64_t number;          /* decided; 0: none yet, or not known here */
    struct buffer unnumbered; /* the run's record, while it waits for a number */
    uint64_t number_request;  /* by which one is asked for; 0: none yet */
    uint64_t number_given;    /* with which its record is being decided; 0: none */
    struct group *unnumbered_prev, *unnumbered_next;

    bool has_fences; /* something of it was granted one here */
    time_us proof;   /* of its last own entry that is decided: when it proposed it */
    time_us proof_asked; /* when it proposed an empty one */

    uint64_t note_seq, note_ready;
    time_us note_at;
    struct keeping *keepings; /* mesh_keep.c */
    size_t n_keeping;         /* that are asked for */
    struct repair repair;
    struct cursor *cursors; /* mesh_copy.c */
    bool is_marked;         /* to be looked at when the mesh is flushed */
    struct group *marked_prev, *marked_next;
    UT_hash_handle hh;
};

/* ---- the leader's leases, by slot ---- */

struct lease_entry {
    bool is_used;
    uint64_t id;
    uint32_t peer;
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    uint64_t fence;
    bool is_started, is_adopted;
    time_us seen; /* granted, or last reported */
};

struct adopted { /* leases that a worker numbered */
    struct {
        uint64_t id;
        uint64_t peer;
    } key;
    uint32_t slot;
    UT_hash_handle hh;
};

/* ---- the worker's side ---- */

enum guest_state { GUEST_PREPARING = 1, GUEST_WAITING, GUEST_RUNNING };

struct guest {
    uint64_t number;
    struct work *work;
    enum guest_state state;
    uint64_t lease; /* 0: of no leader that is known */
    struct task_id task;
    uint32_t attempt, slot;
    uint64_t gpus, fence, counter;
    struct digest witness;
    bool has_witness;
    time_us ended_at;
    bool is_void;  /* its end is of no use to anybody */
    bool is_told;  /* that it started */
    bool is_local; /* was the engine's own; see EVENT_DROP */
    bool is_asked; /* with a fence: its leader was asked for a permit */
    time_us permit_until;
    time_us started;
    struct guest *prev, *next;
    UT_hash_handle hh;
};

struct kept {
    struct {
        uint64_t counter;
        uint64_t boot;
    } key;
    struct work *work;
    uint64_t lease;
    struct task_id task;
    struct digest witness;
    uint8_t *record;
    size_t record_len;
    uint64_t ticket;
    time_us offered;
    bool is_quiet; /* a tentative leader has it: the next one is told */
    bool is_new;   /* neither signed nor written down, until the next flush */
    struct kept *prev, *next;
    UT_hash_handle hh;
};

struct asked_permit {
    uint64_t report;
    time_us at; /* when it was sent */
};

struct work { /* what this node holds of a run as a worker */
    struct run_id run;
    struct rank rank;
    struct node_id leader;
    time_us since, heard, reported;
    uint64_t report_seq;
    struct asked_permit asked[PERMITS_ASKED_MAX];
    bool has_rows; /* `o` rows that go when the run is over */
    bool is_over;  /* what still runs is killed */
    struct guest *guests;
    struct kept *kept;
    UT_hash_handle hh;
};

/* ---- answers that are waited for ---- */

struct wait { /* of a replica */
    uint64_t ticket;
    struct group_id group;
    uint64_t replica_ticket;
};

enum read_type {
    READ_ENTRIES = 1,
    READ_INSTALL,
    READ_WITNESS,
    READ_LOCAL_WITNESS,
    READ_OWN_WITNESS,
    READ_END,
    READ_OWN_END,
    READ_MEET,
    READ_KEEP,
    READ_REGISTERS,
    READ_REPAIR
};
struct read {
    uint64_t token;
    enum read_type type;
    struct group_id group;
    struct node_id peer;
    uint64_t lo, hi;
    struct message header;        /* READ_ENTRIES, READ_INSTALL; without lists */
    struct offered_attempt offer; /* READ_WITNESS; owns its record. READ_END: its run */
    bool is_settled;     /* READ_WITNESS: all that it consumes was decided on */
    uint64_t guest;      /* READ_LOCAL_WITNESS */
    struct buffer frame; /* READ_MEET: what was said, for when it is known */
    time_us at;
    UT_hash_handle hh;
};

/* ---- the mesh group ---- */

/* A register as it will be when all that was asked for is decided; of the leader. */
struct reg {
    char name[REGISTER_NAME_MAX + 1];
    uint8_t *value; /* NULL: none */
    size_t value_len;
    struct register_client clients[REGISTER_CLIENTS_MAX];
    size_t n_clients;
    UT_hash_handle hh;
};

struct registers {
    struct reg *all;
    uint64_t read; /* the token of what is being read; 0: nothing */
    bool is_ready; /* this node leads, and has read them */
    size_t n_asked;
};

/* What the caller asks: MESH_EVENT_ASK. */
struct question {
    uint64_t token;
    struct propose_message what; /* owns key, expected and value */
    time_us until;
    struct question *prev, *next;
};

/* What this node asks the mesh group: one thing at a time, so that the register's last
 * request of a node is all that is to be known of those before. */
struct proposal {
    uint64_t request; /* 0: nothing is asked */
    struct propose_message what;
    struct question *question; /* NULL: a number of runs is asked for */
    uint8_t expected[8], value[8];
    struct node_id asked;
    bool is_waiting; /* for it */
    time_us at;      /* when somebody else is asked */
    uint32_t next;   /* peer, when nobody is known to lead */
    uint32_t n_told; /* those that did not know, since the last pause */
};

struct mesh {
    struct node_id self;
    uint32_t boot, term;
    time_us degrade;
    uint32_t level;
    uint32_t slots_max;
    struct replica_timing replica_timing;
    struct prng prng;
    struct node *node;
    struct gossip *gossip;

    struct peer *peers;
    struct peer **by_number; /* [0] unused */
    uint32_t n_peers, cap_peers;
    struct peer *me;

    struct group *groups;
    struct group *marked;
    time_us groups_due;
    struct lease_entry *leases;
    size_t n_leases, cap_leases;
    struct adopted *adopted;
    uint32_t last_lease;

    struct work *works;
    struct guest *guests;
    struct kept *kept;
    bool has_signer;
    struct mesh_signer signer;
    struct attempt_name *unsigned_names; /* of what is new, the oldest first */
    size_t n_unsigned, cap_unsigned;
    uint64_t signed_ticket, durable; /* of what was signed last; of all */
    struct guest **in_slot;          /* by slot */
    uint64_t last_guest, last_counter;
    time_us average; /* of a guest's task; 0: not known */
    bool is_draining, is_leaving;
    bool is_paused, was_draining;
    bool is_full;   /* of disk */
    bool is_worker; /* by its card */
    bool has_told_members;
    time_us started;
    bool is_young; /* has not had the time to see who is here */

    struct wait *waits; /* by ticket, from wait_head on */
    size_t wait_head, n_waits, cap_waits;
    struct read *reads;

    struct registers registers;
    struct proposal proposal;
    struct question *questions; /* the first asked for first */
    size_t n_questions;
    bool has_asked;             /* the last proposal was a question */
    struct node_id mesh_leader; /* of the mesh group, as was told last */
    bool is_founder, has_numbers;
    uint64_t floor; /* numbers up to this one are taken at this node; 0: said so */
    uint32_t n_requests;
    struct group *unnumbered; /* runs that wait for a number, the oldest first */
    size_t n_unnumbered;
    bool has_wishes; /* some of them have not asked */

    uint64_t last_ticket, last_token;
    uint64_t n_losses; /* members that were gone for good since this node started */
    time_us housekeeping_at;
    bool has_posts;

    /* of a step */
    time_us now, wall;
    struct outbox *out, inner;
    struct gossip_outbox gossip_out;
    struct node_id *changed; /* members to be looked at */
    size_t n_changed, cap_changed;
    struct buffer scratch;
    const struct held_lease *held;       /* of a report that is being taken in */
    const struct offered_attempt *offer; /* whose end the engine is being told */
    struct peer *offerer;
    bool is_offer_taken;
};

/* n < *cap afterwards. */
int mesh_grow(void *items, size_t n, size_t *cap, size_t size);

static inline bool is_same_run(const struct run_id *a, const struct run_id *b)
{
    return run_id_equal(a, b);
}

/* ---- mesh_outbox.c ---- */

void mesh_outbox_begin(struct outbox *out);
void mesh_outbox_end(struct outbox *out);
/* A copy of it, its spans' bytes too. */
int mesh_emit(struct mesh *m, const struct action *a);
struct mesh_write {
    const void *key, *value;
    size_t key_len, value_len;
    bool is_urgent, is_delete, is_range, with_next;
};
int mesh_persist(struct mesh *m, const struct run_id *run, const struct mesh_write *w,
                 uint64_t *ret_ticket);
/* A message that cannot be encoded is dropped: it came from here, but of what others
 * said. To itself: nothing. */
int mesh_send(struct mesh *m, const struct node_id *peer, const struct message *msg,
              uint64_t ticket);

/* ---- mesh_rows.c ---- */

/* Of a log's rows, in one transaction with what follows. */
int row_put_entry(struct mesh *m, const struct group *g, const struct entry *e,
                  uint64_t *ret_ticket);
int row_delete_entry(struct mesh *m, const struct group *g, uint64_t index,
                     uint64_t *ret_ticket);
int row_delete_log(struct mesh *m, const struct group *g, uint64_t *ret_ticket);
int row_put_state(struct mesh *m, const struct group *g, uint64_t *ret_ticket);
/* All rows of its log, then its state. */
int row_delete_group(struct mesh *m, const struct group *g, uint64_t *ret_ticket);
/* LOG_STRETCH rows from this one on. */
int row_delete_stretch(struct mesh *m, const struct group *g, uint64_t index,
                       uint64_t *ret_ticket);
int row_put_kept(struct mesh *m, const struct work *w, const struct kept *k,
                 uint64_t *ret_ticket);
int row_delete_kept(struct mesh *m, const struct work *w, const struct kept *k);
int row_delete_all_kept(struct mesh *m, const struct run_id *run);

/* ---- mesh_engine.c ---- */

int engine_step(struct mesh *m, struct event *e);
int engine_on_event(struct mesh *m, const struct event *from);
uint64_t engine_ready(const struct mesh *m, const struct run_id *run);

/* ---- mesh_members.c ---- */

int members_init(struct mesh *m, const struct mesh_config *config, time_us now);
void members_release(struct mesh *m);
struct peer *peer_find(const struct mesh *m, const struct node_id *id);
struct peer *peer_at(const struct mesh *m, uint32_t number);
int peer_get(struct mesh *m, const struct node_id *id, struct peer **ret_peer);
uint32_t peer_boot(const struct peer *p);
/* Carry out what gossip answered: at once, for it points to what the next call to
 * gossip may change; but who changed is looked at by members_carry() alone. */
int members_emit(struct mesh *m);
int members_carry(struct mesh *m);
bool members_has_others(const struct mesh *m);

/* ---- mesh_post.c ---- */

int post_add(struct mesh *m, struct peer *p, const struct post *post);
int post_flush(struct mesh *m);
bool post_has_any(const struct mesh *m);

/* ---- mesh_entries.c ---- */

void entry_release(struct entry *e);
void entries_release(struct entries *es);
struct entry *entries_at(struct entries *es, uint64_t index);
/* At the end, without an index; owned by the list. */
int entries_add(struct entries *es, struct entry *take_e, struct entry **ret_e);
/* The first that has none gets an index; the list's first says where it begins. */
void entries_number(struct entries *es, uint64_t index);
void entries_forget_tells(struct entries *es);
int entries_add_tell(struct entry *e, const struct action *tell);
/* Behind those that have an index. */
int entries_add_numbered(struct entries *es, uint64_t index, struct entry *take_e);
/* Everything from `index` on goes, but what has none. */
void entries_cut(struct entries *es, uint64_t index);
void entries_drop_new(struct entries *es);
/* Decided ones at the front go while they take too much. */
void entries_trim(struct entries *es, uint64_t decided);
int log_entry_copy(const struct log_entry *from, struct log_entry *ret);
void log_entry_release(struct log_entry *e);

/* ---- mesh_group.c ---- */

struct group *group_find(const struct mesh *m, const void *id);
int group_add(struct mesh *m, const struct run_id *run, struct group **ret_g);
void group_forget(struct mesh *m, struct group *g);
void groups_release(struct mesh *m);
/* Become a home that knows nothing yet. */
int group_meet(struct mesh *m, const struct run_id *run);
/* Make its replica, from what was saved, or of a new group. */
int group_open(struct mesh *m, struct group *g, const struct replica_state *state,
               bool is_founder);
/* The entry that founds the run, until it is decided: nobody is told of a run before.
 */
struct entry *group_undecided_run(struct group *g);
/* What was proposed is numbered and written; a flush sends it. */
int group_append(struct mesh *m, struct group *g);
/* Be told when the ticket is durable: the replica, or, if its ticket is 0,
 * number_on_decided(). */
int group_wait(struct mesh *m, const struct group *g, uint64_t ticket,
               uint64_t replica_ticket);
int group_propose(struct mesh *m, struct group *g, struct entry *take_e,
                  struct entry **ret_e);
void group_mark(struct mesh *m, struct group *g);
/* To whom it is owed: that the run was accepted, or refused. It may have been decided
 * by another leader meanwhile. */
int group_answer(struct mesh *m, struct group *g, bool is_accepted);
int group_note_end(struct group *g, const void *record, size_t len);
bool entry_is_attempt(const struct log_entry *e);
int group_on_message(struct mesh *m, const struct node_id *from,
                     const struct message *msg);
int groups_on_tick(struct mesh *m);
int groups_on_durable(struct mesh *m, uint64_t ticket);
int groups_on_members(struct mesh *m);
int group_trim(struct mesh *m, struct group *g);
int groups_flush(struct mesh *m);
int group_on_restored(struct mesh *m, const struct mesh_event *event);
int group_on_restored_entry(struct mesh *m, const struct mesh_event *event);
int group_move(struct mesh *m, struct group *g, const struct node_id *homes,
               uint32_t n);
int group_carry(struct mesh *m, struct group *g, struct replica_outbox *out);
/* All up to here is decided. */
int group_apply(struct mesh *m, struct group *g, uint64_t decided);
int group_apply_number(struct mesh *m, struct group *g);
uint64_t group_decided(const struct group *g);
bool group_is_settled(const struct group *g); /* all of its log is decided */
struct rank group_rank(const struct mesh *m, const struct group *g);
uint32_t group_homes(const struct mesh *m, const struct group *g,
                     struct node_id ret_homes[HOMES_MAX]);
void group_touch(struct mesh *m, struct group *g);

/* ---- mesh_copy.c ---- */

int copy_send_entries(struct mesh *m, struct group *g, const struct replica_action *a);
int copy_send_install(struct mesh *m, struct group *g, const struct replica_action *a);
int copy_keep_install(struct mesh *m, struct group *g,
                      const struct install_message *install);
/* Rows and records of the run, in one transaction with what follows. */
int copy_delete_all(struct mesh *m, struct group *g);
int copy_on_entries(struct mesh *m, const struct mesh_event *event);
int copy_on_records(struct mesh *m, const struct mesh_event *event);
struct read *read_add(struct mesh *m, enum read_type type,
                      const struct group_id *group);
struct read *read_find(const struct mesh *m, uint64_t token);
void read_free(struct mesh *m, struct read *r);
void reads_on_tick(struct mesh *m);
void reads_release(struct mesh *m);
void copy_release(struct group *g);

/* ---- mesh_lead.c ---- */

int lead_found(struct mesh *m, const struct event *submit);
int lead_begin(struct mesh *m, struct group *g);
/* Read it back and ask who works for it. */
/* Read the run back and go on, as a new leader would. NULL: nothing. */
int lead_again(struct mesh *m, struct group *g);
int lead_take_over(struct mesh *m, struct group *g);
int lead_end(struct mesh *m, struct group *g);
int lead_on_loaded(struct mesh *m, const struct mesh_event *event);
int lead_on_report(struct mesh *m, struct peer *p, const struct report_message *r);
int lead_on_peer_gone(struct mesh *m, struct peer *p);
int lead_on_peer_live(struct mesh *m, struct peer *p);
int lead_on_tick(struct mesh *m, struct group *g); /* it may be gone afterwards */
/* What a worker said of a task while the run was read back; NULL: nothing. */
const struct attempt_name *lead_reported(const struct group *g, uint32_t peer,
                                         const struct task_id *task,
                                         bool *ret_is_started);
int lead_on_ended(struct mesh *m, const struct lead_message *l);
int offer_copy(const struct offered_attempt *from, struct offered_attempt *ret);
/* Its end is decided. */
int lead_on_end(struct mesh *m, struct group *g);
int lead_tell(struct mesh *m, const struct group *g, const struct node_id *peer);
int lead_tell_all(struct mesh *m, struct group *g); /* itself too */
int lead_add_holder(struct group *g, uint32_t peer);
void lead_release(struct group *g);

/* ---- mesh_grant.c ---- */

int grant_on_want(struct mesh *m, struct peer *p, const struct want_message *w);
/* Tell the engine of it, if it is known by now what the worker has. */
int grant_take_want(struct mesh *m, struct peer *p);
int grant_on_lease(struct mesh *m, const struct action *a);
int grant_on_recall(struct mesh *m, const struct action *a);
int grant_on_recalled(struct mesh *m, struct peer *p, const struct recalled_message *r);
int grant_on_commit(struct mesh *m, struct peer *p, const struct commit_message *c);
int grant_on_peer_gone(struct mesh *m, struct peer *p);
int grant_on_leased(struct mesh *m, const struct action *a);
/* What was reported and is of no use is ended. */
int grant_refuse_held(struct mesh *m, struct group *g, struct peer *p,
                      const struct held_lease *held);
/* A lease of this leader that the worker has said to have started. */
bool grant_is_held(const struct mesh *m, const struct group *g, const struct peer *p,
                   const struct held_lease *held);
int grant_on_report(struct mesh *m, struct group *g, struct peer *p,
                    const struct report_message *r);
int grants_on_tick(struct mesh *m);
void grants_drop(struct mesh *m, const struct run_id *run);
void grants_release(struct mesh *m);
struct lease_entry *lease_at(const struct mesh *m, uint32_t slot);
void lease_free(struct mesh *m, uint32_t slot);
/* Its process runs: told once. */
int grant_started(struct mesh *m, uint32_t slot);
/* What a peer offers, as a record; as attempt_record_decode(), sign_check(). */
int attempt_of_offer(struct mesh *m, const struct peer *p,
                     const struct offered_attempt *offer, struct attempt_record *ret);
/* Of a lease that this leader granted, or found. */
int grant_end_lease(struct mesh *m, struct group *g, struct peer *p, uint32_t slot,
                    const struct offered_attempt *offer);
int grant_give_back(struct mesh *m, uint32_t slot);
/* The slot of a lease that a worker numbered; 0: it has none. */
uint32_t grant_slot_of_worker(const struct mesh *m, const struct peer *p,
                              const struct attempt_name *name);
/* An event that ends an attempt; whether it counts says m->is_offer_taken. */
int grant_tell_engine(struct mesh *m, struct peer *p, struct event *e,
                      const struct offered_attempt *offer);

/* ---- mesh_late.c ---- */

int late_offer(struct mesh *m, struct peer *p, struct group *g,
               const struct offered_attempt *offer);
int late_on_witness(struct mesh *m, const struct mesh_event *event);
/* Of a group that was read back without a run: has it ended, or never begun? */
int late_find_own_end(struct mesh *m, const struct run_id *run);
int late_find_end(struct mesh *m, const struct node_id *peer, const struct run_id *run);
/* As that; if it has not ended, this node becomes a home that knows nothing yet, and
 * hears the message. */
int late_meet(struct mesh *m, const struct node_id *peer, const struct run_id *run,
              const struct message *msg);
int late_on_end_found(struct mesh *m, const struct mesh_event *event);
int late_answer(struct mesh *m, struct peer *p, const struct run_id *run,
                const struct attempt_name *name, enum offer_result result,
                uint64_t ticket);

/* ---- mesh_work.c ---- */

struct work *work_find(const struct mesh *m, const struct run_id *run);
int work_get(struct mesh *m, const struct run_id *run, struct work **ret_w);
/* It may be gone afterwards. */
int work_collect(struct mesh *m, struct work *w);
void works_release(struct mesh *m);
int work_on_lead(struct mesh *m, struct peer *p, const struct lead_message *l);
int work_report(struct mesh *m, struct work *w, bool with_kept);
/* The run is over: nothing of it is kept here. */
int work_end(struct mesh *m, const struct run_id *run);
int works_on_tick(struct mesh *m);
void works_on_connected(struct mesh *m, const struct peer *p);
bool work_obeys(struct mesh *m, struct work *w, const struct peer *p,
                const struct rank *rank);
int work_on_committed(struct mesh *m, const struct committed_message *c);
int work_on_restored(struct mesh *m, const struct offered_attempt *kept);
/* An attempt of its own, for the leader that comes. */
int work_keep_offer(struct mesh *m, const struct offered_attempt *offer);
int work_keep(struct mesh *m, struct guest *g, const void *record, size_t len);
/* Write it down, and offer it unless it is quiet. */
int work_put(struct mesh *m, struct kept *k);
struct kept *kept_find(const struct mesh *m, const struct attempt_name *name);
struct attempt_name kept_name(const struct mesh *m, const struct kept *k);

/* ---- mesh_guest.c ---- */

int guest_on_grant(struct mesh *m, struct peer *p, const struct grant_message *msg);
int guest_on_recall(struct mesh *m, struct peer *p, const struct recall_message *msg);
int guest_on_prepared(struct mesh *m, const struct mesh_event *event);
int guest_on_started(struct mesh *m, const struct action *a);
int guest_on_ended(struct mesh *m, const struct action *a);
int guest_on_returned(struct mesh *m, const struct action *a);
int guest_on_local(struct mesh *m, const struct action *a);
int guest_on_local_witness(struct mesh *m, struct read *r,
                           const struct mesh_event *event);
void guest_free(struct mesh *m, struct guest *g);
/* NULL: what runs there is the engine's own. */
struct guest *guest_in_slot(const struct mesh *m, uint32_t slot);
int guests_on_drain(struct mesh *m);
/* One more of this number, with the worker's own next one as its name. */
int guest_add(struct mesh *m, struct work *w, uint64_t number, struct guest **ret);

/* ---- mesh_pause.c ---- */

int pause_on(struct mesh *m, bool is_on);
int pause_step_down(struct mesh *m, bool is_forced);
int pause_on_restored(struct mesh *m, const struct mesh_event *event);
/* Nobody wants it any more. */
int guest_abandon(struct mesh *m, struct guest *g);

/* ---- mesh_permit.c ---- */

/* Of what was started here for a run of its own. */
int permit_local(struct mesh *m, struct group *g, uint32_t slot);
int permits_on_tick(struct mesh *m, struct group *g);
/* An entry that was proposed then by this node is decided. */
int permits_on_proof(struct mesh *m, struct group *g, time_us proposed);
/* What of a report has a fence, and is a lease of this leader. */
int permit_answer(struct mesh *m, struct group *g, struct peer *p,
                  const struct report_message *r);
/* The worker's side: a report is sent; a grant that answers one; one is due. */
void permit_asked(struct work *w, uint64_t report, time_us now);
int permit_on_grant(struct mesh *m, struct peer *p, const struct grant_message *msg);
bool permit_is_due(const struct mesh *m, const struct work *w);

/* ---- mesh_want.c ---- */

int want_update(struct mesh *m);
void want_on_duration(struct mesh *m, time_us took);

/* ---- mesh_sign.c ---- */

/* Of an attempt that ended here: it is offered when it is signed. */
int sign_later(struct mesh *m, struct kept *k);
bool sign_is_due(const struct mesh *m);
int sign_flush(struct mesh *m);
/* An attempt of the leader's own, in this slot. */
int sign_own(struct mesh *m, uint32_t slot, struct attempt_record *r);
/* Whether what this peer offered is its own word, and was not changed. -EBADMSG: it is
 * not, and that was said; or -ENOMEM. */
int sign_check(struct mesh *m, const struct peer *p, struct attempt_record *r);
/* ACTION_REFUSED. */
int sign_refuse(struct mesh *m, const struct peer *p, const struct run_id *run,
                const struct task_id *task, int status);
void sign_release(struct mesh *m);

/* ---- mesh_home.c ---- */

uint32_t home_choose(const struct mesh *m, const struct run_id *run,
                     struct node_id ret_homes[HOMES_MAX]);
int home_on_tick(struct mesh *m, struct group *g);

/* ---- mesh_keep.c ---- */

/* Before the engine is told of an attempt that ended: what it made has to be copied
 * before its run may end. */
int keep_begin(struct mesh *m, struct group *g, const struct task_id *task,
               const struct attempt_record *record);
/* The engine has read the run back, and knows nothing of these. */
int keep_recount(struct mesh *m, const struct group *g);
/* It is made again: the new one is to be kept. */
int keep_forget(struct mesh *m, struct group *g, const struct task_id *task);
int keep_on_kept(struct mesh *m, const struct mesh_event *event);
int keep_on_message(struct mesh *m, struct peer *p, const struct message *msg);
int keep_on_tick(struct mesh *m, struct group *g);
void keep_release(struct group *g);
/* As keep_begin(), of an attempt that ended long ago: its copies may have been at who
 * is gone. Asked for when there is room. */
int keep_again(struct mesh *m, struct group *g, const struct task_id *task,
               const struct attempt_record *record);
/* All that there is to keep is asked for, and more could be. */
bool keep_has_room(const struct group *g);
/* So many more that the run's end waits for. */
int keep_count(struct mesh *m, const struct group *g, int32_t by);

/* ---- mesh_repair.c ---- */

/* Looks who is gone. */
void repair_note_losses(struct mesh *m);
int repair_on_tick(struct mesh *m, struct group *g);
int repair_on_records(struct mesh *m, struct group *g, const struct mesh_event *event);

/* ---- mesh_tentative.c ---- */

int tentative_on_tick(struct mesh *m, struct group *g);
int tentative_write(struct mesh *m, struct group *g, const struct action *a,
                    uint64_t *ret_ticket);
int tentative_on_end(struct mesh *m, struct group *g);
int tentative_keep_own(struct mesh *m, struct group *g, const struct task_id *task,
                       const struct attempt_record *record);
int tentative_end(struct mesh *m, struct group *g);
/* Whether a record was decided without a majority: it is not for other homes. */
bool tentative_has(struct group *g, const void *key, size_t len);
/* Whether a sealed leader is there again. */
int tentative_check(struct mesh *m, struct group *g);
int tentative_on_restored(struct mesh *m, const struct group_id *id, uint64_t index,
                          const struct log_entry *e);
void tentative_release(struct group *g);

/* Whether anybody could be a home of something new. */
bool home_has_any(const struct mesh *m);
/* Homes for a group that has these already; false: it stays as it is. */
bool home_refill(const struct mesh *m, const struct group *g, uint32_t most,
                 struct node_id ret_homes[HOMES_MAX], uint32_t *ret_n, int *ret_error);

/* ---- mesh_registers.c ---- */

bool group_is_mesh(const struct group *g);
int registers_found(struct mesh *m);
int registers_on_lead(struct mesh *m, struct group *g);
void registers_on_follow(struct mesh *m, struct group *g);
int registers_on_read(struct mesh *m, const struct mesh_event *event);
int registers_on_tick(struct mesh *m, struct group *g);
int registers_on_propose(struct mesh *m, const struct node_id *from,
                         const struct propose_message *p);
/* An entry that somebody asked for is decided. */
int registers_on_decided(struct mesh *m, struct asked *take_asked);
void asked_free(struct asked *a);
void registers_release(struct mesh *m);

/* ---- mesh_propose.c ---- */

/* Register RUN_NUMBER; its answer goes to numbers_on_answer(). Only when nothing else
 * is asked. An ADD, a READ if `by` is 0. */
int propose_add(struct mesh *m, uint64_t by);
/* RUN_NUMBER from what was read (NULL: it had no value) to this. */
int propose_swap(struct mesh *m, const uint8_t *expected, uint64_t to);
int propose_question(struct mesh *m, struct question *q);
/* If this is what is asked: its answer is of interest to nobody. */
void propose_give_up(struct mesh *m, const struct question *q);
bool propose_is_due(const struct mesh *m);
int propose_flush(struct mesh *m);
int propose_on_answer(struct mesh *m, const struct node_id *from,
                      const struct proposed_message *answer);
int propose_on_tick(struct mesh *m);
time_us propose_deadline(const struct mesh *m);

/* ---- mesh_ask.c ---- */

int ask_on_event(struct mesh *m, const struct mesh_event *event);
bool asks_are_due(const struct mesh *m);
int asks_flush(struct mesh *m);
int ask_on_answer(struct mesh *m, struct question *q,
                  const struct proposed_message *answer);
int asks_on_tick(struct mesh *m);
time_us asks_deadline(const struct mesh *m);
void question_free(struct question *q);
void asks_release(struct mesh *m);

/* ---- mesh_numbers.c ---- */

/* A run is led here: if it has no number, ask for one. */
int number_want(struct mesh *m, struct group *g, const struct run_record *record);
/* Nothing is asked for it any more. */
void number_drop(struct mesh *m, struct group *g);
int numbers_flush(struct mesh *m);
int numbers_on_answer(struct mesh *m, const struct proposal *p,
                      const struct proposed_message *answer);
bool numbers_are_due(const struct mesh *m);
/* The run's record is decided anew, with a number in it. */
int number_on_decided(struct mesh *m, struct group *g, uint64_t ticket);

/* ---- mesh_notes.c ---- */

int note_update(struct mesh *m, struct group *g, bool is_forced);
