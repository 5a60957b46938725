/* SPDX-License-Identifier: Apache-2.0 */
/* node - the whole node without its input and output.
 *
 * The mesh decides, the runtime does: node_step() is told one event and answers with
 * actions, which its caller carries out in order. The runtime (node/runtime.h) and the
 * simulator (simulations/) are such callers; both drive these same objects.
 *
 * Pure: reads no clock, opens nothing, draws no number that it was not handed.
 *
 * Order in the outbox is contract. ACTION_PERSIST carries a ticket, counted up from 1;
 * writes become durable in the order of their tickets. ACTION_TELL names the ticket
 * that must be durable before anybody may hear of it. A start may come before the
 * durability of what it depends on: on one node both would be lost together. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ids.h"
#include "base/time.h"
#include "flow/flow.h"
#include "proto/message.h"
#include "proto/record.h"
#include "scheduler/sharing.h"

struct node;

struct node_config {
    struct resources capacity; /* custom names: see custom_names */
    char *const *custom_names; /* of capacity.custom[].name; NULL-terminated or NULL */
    const struct sharing *sharing; /* what users may; copied; NULL: all alike */
    uint32_t slots_max;            /* attempts at once, whatever they ask */
    time_us grace_us;              /* between SIGTERM and SIGKILL; 30 s */
    bool is_paused;                /* start nothing: a node that only shows a store */
};

enum event_type {
    EVENT_SUBMIT = 1,  /* a new run */
    EVENT_TASK_ENDED,  /* its process tree is gone and its outputs are known */
    EVENT_CANCEL,      /* end a run; a second one kills at once; of a run that is read
                          back: before EVENT_RESTORE_END, which then starts nothing */
    EVENT_TICK,        /* node_deadline() has come */
    EVENT_RESTORE_RUN, /* a run found in the store that has no end record */
    EVENT_RESTORE_ATTEMPT,
    EVENT_RESTORE_FENCE, /* the last fence of a task; after the attempts */
    EVENT_RESTORE_LOST,  /* this task was running when the node died; after the attempts
                          */
    EVENT_RESTORE_RUNNING, /* this one runs here still, in that slot: a planned restart;
                              likewise */
    EVENT_RESTORE_END, /* all of the store was read: go on; with a run, all of it alone
                        */
    EVENT_ADOPT,       /* resume: an attempt of another run, done there; between
                          EVENT_SUBMIT with is_held and EVENT_RELEASE */
    EVENT_RELEASE,     /* the run may start */
    EVENT_SUSPEND,     /* start nothing of a run; what runs goes on. Also while a run is
                          read back: then after EVENT_RESTORE_END it starts nothing */
    EVENT_UNSUSPEND,
    EVENT_FENCED,     /* the ticket of an ACTION_FENCED is durable, or decided */
    EVENT_INPUT_GONE, /* what was to start in this slot did not: nobody has something
                         that it needs. It is ready again after a pause */
    EVENT_STALE, /* an answer to TELL_TASK_TORN: an attempt that counted; at the end
                    the record of the task's own that was undone last */
    EVENT_TORN,  /* TELL_RUN_TORN was told: for who reads runs back */
    EVENT_UNDO,  /* an attempt that counts: nobody has what it made any more. Its
                    task is done again, at most REMAKES_MAX times (scheduler/remake.h) */
    EVENT_PAUSE, /* start and grant nothing, of any run; or do again */

    /* ---- with others: node/mesh.h tells these ---- */
    EVENT_WORKER,         /* what a member would take; replaces what it said before */
    EVENT_WORKER_GONE,    /* it died: what it had is lost, or ready again if it had not
                             started */
    EVENT_MEMBERS,        /* whether others are known, or remembered: if so a task that
                             fits none waits 5 minutes for one that it fits */
    EVENT_LEASE_STARTED,  /* its process runs there */
    EVENT_LEASE_RETURNED, /* never started there: ready again, no record */
    EVENT_REFUSED, /* a worker's policy, or with worker 0 this node's own, forbids the
                      run: it is given nothing more of it in this life of its */
    EVENT_LATE,  /* an attempt that ended and has no lease of ours; its inputs are those
                    that count now. Taken: its record is persisted; else nothing is */
    EVENT_HELD,  /* this task runs at a worker, or waits there: of a run that is read
                    back, answered by ACTION_LEASED after its EVENT_RESTORE_END, or of
                    one that goes on, answered at once. No answer: it is not wanted */
    EVENT_GUEST, /* a lease of another leader, prepared: start it when there is room */
    EVENT_GUEST_RUNNING, /* the same, and it has run here all along */
    EVENT_GUEST_END,     /* give it back, or, if it runs, end it with this signal */
    EVENT_KEEPING, /* so many more of the run's outputs are not where they must be; the
                      run does not end well before it is 0 again */
    EVENT_HOLD,    /* start nothing of the run for now: what its tasks would read is not
                      written yet; is_held false: go on */
    EVENT_DROP,    /* forget a run that is led elsewhere now, and its leases; what runs
                      here goes on as guests: ACTION_TO_GUEST */
    EVENT_DRAIN,   /* start nothing here any more, or do again: guests that wait are
                      given back, leases are granted as before */
};

struct event {
    enum event_type type;
    time_us now, wall;
    struct run_id run;
    union {
        struct {
            const struct run_record *record; /* persisted for EVENT_SUBMIT; copied */
            struct flow *flow;               /* a reference is taken */
            bool is_held;
            bool has_secrets; /* also those that no record has: it can go on */
        } submit;             /* EVENT_SUBMIT, EVENT_RESTORE_RUN */
        struct {
            uint32_t slot;
            /* All but run, task, attempt, verdict and gpus, which the node fills in. */
            struct attempt_record *record;
        } ended;
        const struct attempt_record *attempt; /* EVENT_RESTORE_ATTEMPT, EVENT_ADOPT */
        struct task_id task;                  /* EVENT_RESTORE_LOST */
        struct {
            struct task_id task;
            uint64_t fence;
        } fence; /* EVENT_RESTORE_FENCE */
        struct {
            uint32_t slot;
            uint64_t fence;
        } fenced; /* EVENT_FENCED: as ACTION_FENCED has them */
        struct {
            struct task_id task;
            uint32_t slot, attempt;
            uint64_t gpus;
            time_us started;
            uint64_t guest;    /* EVENT_GUEST_RUNNING: as u.guest */
            struct flow *flow; /* likewise */
        } running;             /* EVENT_RESTORE_RUNNING, EVENT_GUEST_RUNNING */
        struct {
            uint32_t worker; /* 1 .. WORKERS_MAX: the caller's name for the member */
            struct node_id node;    /* its own, for records of what it lost */
            uint32_t slots;         /* leases at once that it would take; 0: none */
            uint32_t ahead_percent; /* how far its capacity is overbooked */
            const struct resources *capacity; /* all it has; custom names as given... */
            char *const *custom_names;        /* ...here, NULL-terminated or NULL */
        } worker;                             /* EVENT_WORKER, EVENT_WORKER_GONE */
        bool has_others;                      /* EVENT_MEMBERS */
        uint32_t lease; /* EVENT_LEASE_*, EVENT_INPUT_GONE: the slot */
        struct {
            const struct attempt_record *record; /* with run, task and attempt */
            const char *why;                     /* a sentence for people */
        } undo;                                  /* EVENT_UNDO, EVENT_STALE */
        struct {
            uint32_t worker;
            enum refusal why;
        } refused;                   /* EVENT_REFUSED */
        struct attempt_record *late; /* EVENT_LATE: as ended.record, with run
                                        and task */
        struct {
            uint32_t worker;
            struct task_id task;
            uint64_t fence;
            bool is_started;
        } held; /* EVENT_HELD */
        struct {
            uint64_t guest;    /* the caller's name for it, not 0 */
            struct flow *flow; /* a reference is taken */
            struct task_id task;
            uint32_t attempt;
            int signal;      /* EVENT_GUEST_END: 0: only if it has not started */
            enum reason why; /* with a signal */
        } guest;             /* EVENT_GUEST, EVENT_GUEST_END */
        int32_t keeping;     /* EVENT_KEEPING */
        bool is_held;        /* EVENT_HOLD */
        bool is_draining;    /* EVENT_DRAIN */
        bool is_paused;      /* EVENT_PAUSE */
    } u;
};

enum {
    WORKERS_MAX = 16384,
    LEASES_MAX = 1 << 20, /* granted at once */
    GUESTS_MAX = 1 << 16, /* more are given back at once */
};

/* `effect: exclusive`: for how long a permit is good, at most, and how long before its
 * end the attempt is asked to end; how long one that nobody hears of may be alive. The
 * last is longer than the first by a clock that is 10 % slow against one that is as
 * much fast, and what a kill takes. */
#define EXCLUSIVE_PERMIT TIME_S(8)
#define EXCLUSIVE_WARNING TIME_S(2)
#define EXCLUSIVE_WAIT TIME_S(15)

/* The bit that is set in the number of a guest which EVENT_DROP made. */
#define GUEST_DROPPED (UINT64_C(1) << 63)

enum action_type {
    ACTION_START = 1, /* run this attempt in this slot; answered by EVENT_TASK_ENDED */
    ACTION_KILL,      /* send the signal to the slot's process tree */
    ACTION_PERSIST,   /* write key and value */
    ACTION_TELL,      /* followers may know, once the ticket is durable */
    ACTION_FENCED,    /* say EVENT_FENCED, once the ticket is durable */

    /* ---- with others. A slot >= config.slots_max is a lease at a worker. ---- */
    ACTION_LEASE,  /* grant it: as ACTION_START, at u.lease.worker */
    ACTION_LEASED, /* EVENT_HELD was taken in: this is its slot */
    ACTION_RECALL, /* u.kill: give it back, or, with a signal, end it; its slot is free
                      when EVENT_TASK_ENDED or EVENT_LEASE_RETURNED says so, and at once
                      when u.kill.why is REASON_LOST: another attempt counts */
    ACTION_GUEST_STARTED,
    ACTION_GUEST_ENDED,    /* its attempt's record, encoded, with a verdict that only
                              lets it be: the leader judges. Its slot is free */
    ACTION_GUEST_RETURNED, /* it never started */
    ACTION_LOOK,           /* whoever takes this task gives it back: is all that it
                              needs to be had? What is not is told by EVENT_UNDO */
    ACTION_GONE,     /* nobody gives what an attempt of this task made: EVENT_UNDO if
                        that counts and is not here, else MESH_EVENT_KEPT */
    ACTION_TO_GUEST, /* what runs in this slot is a guest now: u.guest.guest */

    /* ---- of node/mesh.h alone ---- */
    ACTION_PERMIT,  /* what has a fence and was to start in this slot may run until
                       u.permit_until, then it is killed, whatever becomes of this node.
                       It starts with the first one; a later one takes its place */
    ACTION_SEND,    /* bytes to a peer, once the ticket is durable; 0: at once */
    ACTION_CONNECT, /* dial a member; its address is on the card */
    ACTION_DISCONNECT,
    ACTION_PREPARE,   /* get all that a lease needs; answered by MESH_EVENT_PREPARED */
    ACTION_UNPREPARE, /* nobody wants it any more */
    ACTION_READ_ENTRIES, /* rows of a log and their records; MESH_EVENT_ENTRIES */
    ACTION_READ_RECORDS, /* a run's records by range; MESH_EVENT_RECORDS */
    ACTION_LOAD_RUN,     /* read a run back; MESH_EVENT_LOADED */
    ACTION_FORGET_RUN,   /* it is led elsewhere, or over: its context may go */
    ACTION_WITNESS,      /* what a task would consume now; MESH_EVENT_WITNESS */
    ACTION_KEEP,         /* have copies of a record's blobs; MESH_EVENT_KEPT */
    ACTION_MEMBER,       /* something about a member changed: people may look */
    ACTION_RECORDED, /* MESH_EVENT_RECORD's is decided; or not, its status tells why */
    ACTION_ASKED,    /* MESH_EVENT_ASK was answered, as u.mesh.bytes and status say it:
                        see proposed_message; -ETIMEDOUT: nobody did, and whether
                        something was changed is not known; -EBUSY: too much is asked */
    ACTION_FIND_END, /* has this run an end record? MESH_EVENT_END_FOUND */
    ACTION_REFUSED,  /* what a peer offered is not what its executor signed; -ENOKEY:
                        nobody signed it; -ENOENT: nobody knows the executor; -EXDEV: it
                        is another's */
};

enum tell_type {
    TELL_RUN_ACCEPTED = 1,
    TELL_TASK_STARTED, /* ticket 0: at once */
    TELL_TASK_ENDED,   /* verdict and reason tell how */
    TELL_RUN_ENDED,    /* the node has forgotten the run after this */
    TELL_RUN_NUMBERED, /* of node/mesh.h alone; may come behind the end */
    TELL_TASK_TORN,    /* to nobody but the caller: it was made again and made something
                          else. What counts behind it is to be told by EVENT_STALE */
    TELL_RUN_TORN,     /* likewise: what counted no more is written, and
                          the run has to be dropped and read back */
    TELL_RUN_REFUSED,  /* instead of RUN_ACCEPTED, in a mesh alone: another node led its
                          log before anybody had the run, so it is nowhere */
};

/* ACTION_TELL of an attempt that had no slot: lost with the node before, or fits none.
 */
enum { NODE_SLOT_NONE = UINT32_MAX };

/* What the actions of node/mesh.h carry. */
struct mesh_action {
    struct node_id peer; /* SEND, CONNECT, DISCONNECT, PREPARE: the leader, KEEP: who
                            has them, MEMBER, REFUSED */
    const void *bytes;   /* SEND: a frame; KEEP: a record; ASKED: a value; span like
                            persist's */
    size_t len;
    const struct member_card *card; /* CONNECT; borrowed until the next mesh_step() */
    uint64_t token;        /* to be given back with the answer; PREPARE: the guest */
    struct group_id group; /* READ_* */
    uint64_t lo, hi;       /* READ_ENTRIES */
    const void *from;      /* READ_RECORDS: the key to go on behind; span */
    size_t from_len;
    int status; /* RECORDED, REFUSED, ASKED */
};

struct action {
    enum action_type type;
    uint64_t ticket; /* ACTION_PERSIST: its own; ACTION_TELL: what must be durable */
    struct run_id run;
    struct task_id task;
    uint32_t attempt, slot;
    union {
        struct {
            struct flow *flow; /* borrowed, lives as long as the run */
            uint64_t gpus;     /* which are its own, a bit for each */
            uint64_t guest;    /* not 0: of another leader */
            uint64_t fence;    /* not 0: `effect: exclusive` */
        } start;               /* ACTION_START */
        struct {
            int signal;
            enum reason
                why; /* what the attempt's record shall say: timeout, cancelled */
        } kill;
        struct {
            const void *key, *value; /* valid until the outbox is used again */
            size_t key_len, value_len;
            bool is_urgent; /* somebody waits: end the commit window */
            bool is_again;  /* the record of an attempt that was written before */
            bool is_delete; /* value is empty */
            bool is_range;  /* with is_delete: every key with this prefix */
            bool with_next; /* in one transaction with the ACTION_PERSIST behind it */
        } persist;
        struct {
            enum tell_type type;
            enum verdict verdict;
            enum reason reason;
            bool is_retried; /* TELL_TASK_ENDED: it will run again */
            time_us retry_in_us;
            enum run_outcome outcome; /* TELL_RUN_ENDED */
            bool is_tentative;        /* without a majority: may turn out otherwise */
            uint64_t number;          /* TELL_RUN_NUMBERED */
        } tell;
        struct {
            uint32_t worker;
            struct flow *flow; /* as start; which GPUs it gets, the worker says */
            uint64_t fence;
        } lease;        /* ACTION_LEASE, ACTION_LEASED */
        uint64_t fence; /* ACTION_FENCED */
        time_us
            permit_until; /* ACTION_PERMIT; TIME_NEVER: as long as this node lives */
        struct {
            uint64_t guest;
            const void *record; /* ACTION_GUEST_ENDED; span like persist's */
            size_t record_len;
            uint64_t fence; /* ACTION_TO_GUEST */
        } guest;            /* ACTION_GUEST_*, ACTION_TO_GUEST */
        struct mesh_action mesh;
    } u;
};

/* The actions of one step and the bytes they point to. The caller owns it, carries the
 * actions out in order, then calls outbox_clear(). It grows as needed. */
struct outbox {
    struct action *actions;
    size_t n, cap;
    struct buffer bytes; /* spans in actions are fixed up at the end of a step */
};

void outbox_clear(struct outbox *out);
void outbox_release(struct outbox *out);

/* NULL without memory. */
struct node *node_new(const struct node_config *config);
void node_free(struct node *n);
CLEANUP_POINTER(struct node, node_free);

/* Total: any event in any state is answered; one that does not fit (an unknown run, a
 * slot that is free) changes nothing. Returns 0, or -ENOMEM, after which the node must
 * be given up as if it had crashed. */
int node_step(struct node *n, const struct event *event, struct outbox *out);

/* A run that goes on has a number now; an unknown one changes nothing. */
void node_number_run(struct node *n, const struct run_id *run, uint64_t number);

/* What the flow says of a good result, and not the task: the width of a foreach over a
 * range or a list. The record's task and reason are set. */
void node_complete_result(const struct flow *flow, struct attempt_record *record);

/* A run is led without a majority: tasks of steps with `effect: exclusive` wait. Before
 * its EVENT_RESTORE_END. */
void node_lead_tentatively(struct node *n, const struct run_id *run);

/* When EVENT_TICK next has work to do; TIME_NEVER if never. */
time_us node_deadline(const struct node *n);

/* ---- questions: what the interface shows. None changes anything. ---- */

enum run_state {
    RUN_STATE_HELD = 1,
    RUN_STATE_RUNNING,
    RUN_STATE_STOPPING,
    RUN_STATE_SUSPENDED,
};

struct run_view {
    struct run_id id;
    const struct run_record *record; /* borrowed until the next node_step() */
    const struct flow *flow;         /* borrowed likewise */
    enum run_state state;
    bool is_failed, is_cancelled; /* the end it is heading for */
    bool is_suspended;            /* also when the state says that it is stopping */
    time_us started_wall;
    uint64_t n_done, n_running, n_failed, n_adopted, n_attempts, n_skipped;
    uint64_t n_leased; /* of those that wait: at a worker, which has not started them */
    uint64_t n_keeping; /* outputs that are not where they must be */
    uint64_t n_waiting; /* known to exist and not started; foreach behind an artifact
                           that is not there yet counts nothing */
};

struct step_view {
    uint64_t n_known, n_done, n_running, n_failed, n_ready, n_skipped;
    uint64_t n_leased; /* as of a run; not among the ready ones */
};

/* Who has active runs. */
struct user_view {
    const char *name;                 /* borrowed until the next node_step() */
    const struct user_limits *limits; /* likewise; a weight of 0 is 1 */
    uint32_t n_runs, n_running;
    uint64_t cpu_milli, memory_bytes, gpu_milli; /* of what runs */
};

size_t node_runs(const struct node *n); /* active runs */
bool node_run_at(const struct node *n, size_t i, struct run_view *ret); /* by age */
bool node_run(const struct node *n, const struct run_id *id, struct run_view *ret);
bool node_step_of(const struct node *n, const struct run_id *id, uint32_t step,
                  struct step_view *ret);
/* Whether all before the task is resolved and no attempt of it counts yet, in this
 * iteration. */
bool node_awaits(const struct node *n, const struct run_id *run,
                 const struct task_id *task);
/* The attempt in a slot, a guest's too, or of a lease; false if it is free. */
bool node_slot(const struct node *n, uint32_t slot, struct run_id *ret_run,
               struct task_id *ret_task, uint32_t *ret_attempt);
/* As node_slot(), but of what runs: not a lease that waits at its worker. */
bool node_runs_slot(const struct node *n, uint32_t slot, struct run_id *ret_run,
                    struct task_id *ret_task, uint32_t *ret_attempt);
/* The fence of what was started in a slot, or granted; 0: none. */
uint64_t node_slot_fence(const struct node *n, uint32_t slot);
/* Which GPUs the attempt in a slot has, a bit for each. */
uint64_t node_slot_gpus(const struct node *n, uint32_t slot);
struct lease_view {
    struct run_id run;
    struct task_id task;
    uint32_t attempt, worker;
    bool is_started;
    bool is_recalled;
};
/* Slots of leases are below this. */
uint32_t node_slots_end(const struct node *n);
/* The lease of a slot >= config.slots_max; false if there is none. */
bool node_lease(const struct node *n, uint32_t slot, struct lease_view *ret);
/* What a worker has of this node's leases; false: it was never told of. */
struct worker_view {
    uint32_t slots, n_leases, n_started;
};
bool node_worker(const struct node *n, uint32_t worker, struct worker_view *ret);
/* Guests that wait for room, and that run. */
void node_guests(const struct node *n, uint32_t *ret_waiting, uint32_t *ret_running);
/* By age. */
bool node_user_at(const struct node *n, size_t i, struct user_view *ret);
/* What attempts that run here hold of the slots and of the capacity. */
struct claims {
    uint64_t n_slots, cpu_milli, memory_bytes;
};
struct claims node_claims(const struct node *n);
/* Why a task of a run waits, as a word and a sentence, for status; false if it does
 * not: "resources", "other users' share", "user cap", "concurrency", "max_workers",
 * "retry", "upstream", "suspended", "leased", "draining", "no node". */
bool node_why_waiting(const struct node *n, const struct run_id *id, uint32_t step,
                      struct buffer *ret_sentence);
/* A digest of all state that decides, equal for equal histories. */
uint64_t node_hash(const struct node *n);
