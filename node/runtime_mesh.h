/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_mesh - the runtime of a node among others, for the files that make it up:
 *
 *     runtime_mesh.c        opening, events in, actions out
 *     runtime_mesh_store.c  what is written for the mesh core
 *     runtime_mesh_read.c   what it reads: logs, records, runs
 *     runtime_mesh_start.c  what it is told when the node starts
 *     runtime_mesh_wire.c   messages to and from the other nodes
 *     runtime_mesh_guest.c  tasks of runs that others lead
 *     runtime_mesh_blobs.c  blobs of others
 *     runtime_mesh_full.c   no work while the disk is full
 *     runtime_register.c    what the whole mesh shares
 *     runtime_admission.c   invitations, and who comes by them
 *     runtime_mesh_sign.c   signatures of attempts, and whose key is whose
 *
 * A node alone has none of this: rt->mesh is NULL, and each of its events goes to
 * node_step(). With it they go to mesh_step() as the peers' messages do. An action that
 * has to read the store or to ask others becomes a job, which is done when the step is
 * over, so that its answer may be the next event. */
#pragma once

#include "node/attestation.h"
#include "node/mesh.h"
#include "node/peers/peers.h"
#include "node/prepare.h"
#include "node/record_range.h"
#include "node/runtime_internal.h"

struct exchange;

/* The first byte of the key of the record of a run that is led elsewhere. */
enum { RUNTIME_MARK_COPY = 'c' };

/* An action, for when the step that it came from is over. */
struct mesh_job {
    enum action_type type;
    struct run_id run;
    struct task_id task;
    struct node_id peer;
    struct group_id group;
    uint64_t token, lo, hi;
    int status;     /* ASKED */
    uint8_t *bytes; /* KEEP: a record; READ_RECORDS: a key; ASKED: a value */
    size_t len;
};

/* A message that waits for a ticket, or for room. */
struct mesh_letter {
    uint64_t ticket;
    struct node_id peer;
    size_t len;
    struct mesh_letter *next;
    uint8_t bytes[];
};

struct mesh_letters {
    struct mesh_letter *first, **last;
    size_t bytes;
};

/* Writes of ACTION_PERSIST that go into one transaction. */
struct mesh_batch {
    struct store_write *writes;
    size_t n, cap;
    void **owned; /* keys and values that are in no outbox */
    size_t n_owned, cap_owned;
    bool is_urgent;
};

struct runtime_mesh {
    struct mesh *core;
    struct identity *identity;
    struct node_id self;
    uint32_t boot, term; /* the same but after a planned restart */
    struct member_card card;

    const struct peers_module *peers_module;
    struct peers *peers;
    struct mesh_letters held; /* by ticket */

    struct mesh_job *jobs; /* a queue */
    size_t job_head, n_jobs, cap_jobs;
    bool is_stepping, is_working, is_flushed;
    struct mesh_batch batch;

    struct preparer *preparer;
    struct run_id refused; /* the last run that the policy did not let in, */
    enum refusal refusal;  /* and why */
    uint64_t n_made;       /* rows of runtime_mesh_made(), in this life */
    struct exchange *exchange;
    struct gathering *gatherings; /* runtime_mesh_blobs.c */
    uint64_t n_fetches;
    struct register_job *registers; /* runtime_register.c */
    uint64_t n_register_jobs;
    struct admission *admissions; /* runtime_admission.c */
    size_t n_admissions;
    uint64_t n_invited;
    struct attestation_memory signatures;
    time_us refused_at;           /* when that was said last */
    uint64_t n_refused;           /* since then */
    struct running_entry *before; /* what ran when the node died */
    uint32_t n_before;
    uv_prepare_t flush;
    uv_timer_t prepare_timer, exchange_timer, leave_timer, probe_timer;
    uint64_t probe_ms; /* the pause before the next look at a full disk */
    bool is_full;
    time_us prepare_at, exchange_at; /* what they are set to */
    bool has_left;
};

/* ---- runtime_mesh.c ---- */

/* An event of the mesh, and all that follows from it. Not from inside the carrying out
 * of actions: those who would have to, queue a job. Its times are filled in. */
void runtime_mesh_event(struct runtime *rt, struct mesh_event *event);
/* The same for one of the engine's, and for whoever drains the queue itself. */
void runtime_mesh_step(struct runtime *rt, struct mesh_event *event);
void runtime_mesh_carry_out(struct runtime *rt, const struct action *a);
/* A job that no action asked for. */
void runtime_mesh_queue(struct runtime *rt, enum action_type type,
                        const struct run_id *run);
/* Does what waits; false: there was nothing. */
bool runtime_mesh_work(struct runtime *rt);
/* mesh_deadline(), or TIME_NEVER while a flush is near. */
time_us runtime_mesh_deadline(struct runtime *rt);
/* Milliseconds from now, at least one. */
uint64_t runtime_timeout(time_us now, time_us at);
/* Has the timer go off at this time; *set is what it was set to before. */
void runtime_mesh_set_timer(struct runtime *rt, uv_timer_t *timer, uv_timer_cb on_timer,
                            time_us *set, time_us at);
/* Tickets up to this one are durable. */
void runtime_mesh_durable(struct runtime *rt, uint64_t ticket);
int runtime_mesh_open(struct runtime *rt, struct error *ret_error);
/* Nobody is talked to any more; then, when the loop has ended, it goes. */
void runtime_mesh_close(struct runtime *rt);
void runtime_mesh_release(struct runtime *rt);

/* ---- runtime_mesh_store.c ---- */

void runtime_mesh_persist(struct runtime *rt, const struct action *a);
/* A run that is removed is in no list any more. */
void runtime_mesh_unlist(struct runtime *rt, const struct run_id *run);
void runtime_mesh_batch_release(struct mesh_batch *b);
/* A ticket of the writer's behind all that was written; 0: no memory. */
uint64_t runtime_mesh_barrier(struct runtime *rt);
/* The record of the attempt that is told of, all zero if there is none; who executed
 * it, in `name`, or NULL: this node. */
const char *runtime_mesh_read_attempt(struct runtime *rt, const struct action *a,
                                      struct attempt_record *ret,
                                      char name[MEMBER_NAME_MAX + 1]);
/* A member's name, in `name`; NULL: this node. */
const char *runtime_mesh_name(struct runtime *rt, const struct node_id *id,
                              char name[MEMBER_NAME_MAX + 1]);
const char *runtime_mesh_node_of_lease(struct runtime *rt, uint32_t slot,
                                       char name[MEMBER_NAME_MAX + 1]);
/* The end of a run as it is kept, for followers. */
void runtime_mesh_read_end(struct runtime *rt, const struct run_id *run);
/* What users changed of a run is to be decided: key and value of its record.
 * -EREMOTE: it is led elsewhere. */
int runtime_mesh_record(struct runtime *rt, const struct run_id *run,
                        const struct record_key *key, const struct buffer *value);

/* ---- runtime_mesh_read.c ---- */

void runtime_mesh_read_entries(struct runtime *rt, const struct mesh_job *job);
void runtime_mesh_read_records(struct runtime *rt, const struct mesh_job *job);
void runtime_mesh_load_run(struct runtime *rt, const struct mesh_job *job);
void runtime_mesh_find_end(struct runtime *rt, const struct mesh_job *job);
void runtime_mesh_witness(struct runtime *rt, const struct mesh_job *job);
/* A peer asks for records of a run. */
void runtime_mesh_serve_records(struct runtime *rt, const struct node_id *peer,
                                const struct records_get_message *get);

/* ---- runtime_mesh_start.c ---- */

int runtime_mesh_restore(struct runtime *rt, struct error *ret_error);
/* A member was met: where to knock when this node starts again. */
void runtime_mesh_remember(struct runtime *rt, const struct member_note *note);

/* ---- runtime_mesh_wire.c ---- */

int runtime_mesh_wire_open(struct runtime *rt, struct error *ret_error);
void runtime_mesh_wire_close(struct runtime *rt);
/* Bytes of ACTION_SEND. */
void runtime_mesh_post(struct runtime *rt, const struct action *a);
/* Tickets up to this one are durable. */
void runtime_mesh_post_durable(struct runtime *rt, uint64_t ticket);
void runtime_mesh_connect(struct runtime *rt, const struct action *a);
/* 0, -EAGAIN, -ENOTCONN, or what encoding returned. */
int runtime_mesh_send(struct runtime *rt, const struct node_id *peer,
                      const struct message *m, bool is_bulk);
bool runtime_mesh_is_connected(const struct runtime *rt, const struct node_id *peer);

/* ---- runtime_mesh_guest.c ---- */

int runtime_mesh_guests_open(struct runtime *rt);
void runtime_mesh_guests_close(struct runtime *rt);
void runtime_mesh_prepare(struct runtime *rt, const struct mesh_job *job);
void runtime_mesh_unprepare(struct runtime *rt, const struct mesh_job *job);
/* What a task is told of who leads its run. */
void runtime_mesh_begin(struct runtime *rt, struct slot *s);
/* A guest has ended: what it made stays, also when no record here names it. */
void runtime_mesh_made(struct runtime *rt, const struct slot *s);
/* Whether something here still needs the run's context. */
bool runtime_mesh_is_used(struct runtime *rt, const struct run_id *run);
/* The run is led elsewhere, or over. */
void runtime_mesh_forget_run(struct runtime *rt, const struct run_id *run);
/* What is kept of runs that others lead goes: copies are of one life of a node. */
int runtime_mesh_drop_copies(struct runtime *rt);

/* ---- runtime_register.c ---- */

/* ACTION_ASKED, as a job. */
void runtime_registers_answer(struct runtime *rt, uint64_t id, int status,
                              const void *value, size_t len);
void runtime_registers_release(struct runtime *rt);

/* ---- runtime_admission.c ---- */

/* peers_callbacks.on_join. */
int runtime_admit(void *arg, uint64_t asked, const struct join_message *join,
                  const uint8_t curve_key[CURVE_KEY_SIZE], struct error *ret_error);
void runtime_admissions_release(struct runtime *rt);

/* ---- runtime_mesh_sign.c ---- */

struct mesh_signer runtime_mesh_signer(struct runtime *rt);
/* ACTION_REFUSED. */
void runtime_mesh_refused(struct runtime *rt, const struct action *a);
/* A certificate of a member, or of this node, is kept for good. */
void runtime_mesh_keep_certificate(struct runtime *rt, const struct node_id *node);

/* ---- runtime_mesh_full.c ---- */

/* Something could not be written for this reason: if the disk is full, no more work is
 * asked for until it is not. */
void runtime_mesh_note_error(struct runtime *rt, int error);

/* ---- runtime_mesh_blobs.c ---- */

int runtime_mesh_blobs_open(struct runtime *rt);
void runtime_mesh_blobs_close(struct runtime *rt);
/* Get a blob that is not here: `done` is called later, with 0 or a negative errno.
 * 1: it is here by now, and `done` is not called. */
typedef void blob_done_fn(void *arg, const struct digest *id, int status);
int runtime_mesh_get_blob(struct runtime *rt, const struct run_id *run,
                          const struct node_id *from, const struct digest *id,
                          blob_done_fn *done, void *arg);
/* Whether all that a task needs, which nobody could carry out, is to be had; what is
 * not is told by EVENT_UNDO. */
void runtime_mesh_look(struct runtime *rt, const struct mesh_job *job);
/* Get what a task of this node's own needs first: true, and it starts later. */
bool runtime_mesh_fetch_first(struct runtime *rt, struct slot *s);
void runtime_mesh_keep(struct runtime *rt, const struct mesh_job *job);
/* The code and the parameters of a run that this node is a home of now. */
void runtime_mesh_get_run(struct runtime *rt, const struct mesh_job *job);
void runtime_mesh_set_exchange_timer(struct runtime *rt);
