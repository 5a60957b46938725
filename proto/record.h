/* SPDX-License-Identifier: Apache-2.0 */
/* record - what is kept of runs and attempts, as bytes.
 *
 * Each record is a protobuf message (record.proto, proto2) behind a header:
 *
 *     magic 'm' | version u8 | XXH3-64 of the message, little-endian | message
 *
 * The checksum finds torn and flipped bytes; it is no proof against a forger. Unknown
 * fields are skipped, so that an older node reads what a newer one wrote; a newer
 * version byte is refused with -EPROTONOSUPPORT.
 *
 * Keys, compared by memcmp:
 *
 *     run       'r' run_id                                   struct run_record
 *     run end   'e' run_id                                   struct run_end_record
 *     attempt   'a' run_id task_id attempt-varint            struct attempt_record
 *     state     'm' run_id                                   struct run_state_record
 *     number    'n' number-varint                            run_id, 16 bytes
 *     fence     'f' run_id task_id                           the last that was granted
 *     equal     'k' SHA-256 of what a task depends on        an attempt's key
 *
 * Pure: bytes in, bytes out. Decoded records own what they point to; release them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"

enum {
    RECORD_VERSION = 1,
    /* The longest is that of an attempt that is offered: proto/rows.h. */
    RECORD_KEY_MAX = 1 + RUN_ID_SIZE + TASK_ID_SIZE_MAX + 2 * VARINT_SIZE_MAX,
    RECORD_OUTPUTS_MAX = 65536, /* artifacts of an attempt */
    RECORD_PARAMETERS_MAX = 4096,
    RECORD_TAGS_MAX = 4096,
    ATTEMPT_SIGNATURE_MAX = 193, /* see proto/statement.h */
};

struct record_key {
    uint8_t bytes[RECORD_KEY_MAX];
    size_t len;
};

/* Why an attempt ended. What only a person reads is in `message`. */
enum reason {
    REASON_OK = 1,
    REASON_EXIT,   /* exit code is not 0 */
    REASON_SIGNAL, /* ended by a signal we did not send */
    REASON_OOM,    /* killed by the kernel at the memory limit */
    REASON_TIMEOUT,
    REASON_CANCELLED,
    REASON_LOST,           /* its node died; not the task's fault */
    REASON_START,          /* could not be started: message says why */
    REASON_OUTPUT,         /* a declared output is missing or cannot be kept */
    REASON_INPUT,          /* an input could not be laid out */
    REASON_INPUT_MODIFIED, /* it wrote to a linked input */
    REASON_CHOICE,         /* a switch named no case */
    REASON_WIDTH,          /* the foreach artifact is no list */
    REASON_MERGE,          /* branches differ in artifacts that merge should pass */
    REASON_STORE,          /* the store refused: full disk, I/O error */
    REASON_OUTPUT_LOST,    /* it was done; nobody has an output of it any more */
    REASON_STALE,          /* it was done; what it consumed was made again, otherwise */
    REASON_LAST = REASON_STALE,
};
const char *reason_name(enum reason r); /* "ok", "exit", "oom", ... */

/* Why a node does not carry out tasks of a run: the key of its policy. */
enum refusal {
    REFUSAL_NONE = 0,
    REFUSAL_USERS,
    REFUSAL_REMOTE,
    REFUSAL_ENVIRONMENT,
    REFUSAL_PATHS,
    REFUSAL_RESOURCES,
};
const char *refusal_name(enum refusal r); /* "users", ...; "unknown" */

/* What the scheduler made of an attempt. */
enum verdict {
    VERDICT_DONE = 1, /* it counts: the task is done */
    VERDICT_FAILED,   /* charged as a try */
    VERDICT_LOST,     /* not charged */
    VERDICT_CAUGHT,   /* the last try failed and `catch` made the task done */
    VERDICT_ADOPTED,  /* done in another run, taken over by resume */
};

enum artifact_encoding {
    ENCODING_BYTES = 1, /* as is */
    ENCODING_JSON,
    ENCODING_TREE,   /* a folder: a manifest, see store/tree.h */
    ENCODING_PICKLE, /* runs code of whoever wrote it when it is read */
    ENCODING_NPY,
    ENCODING_ARROW, /* a stream of IPC messages */
};
const char *encoding_name(enum artifact_encoding e); /* "bytes", "json", ... */
/* 0 if there is none of this name. */
enum artifact_encoding encoding_find(const char *name);

struct artifact {
    char *name;
    char *type; /* for people and clients: "bytes", "json", "text", "folder", or what
                   the task's language calls it: "int", "sklearn.svm.SVC" */
    enum artifact_encoding encoding;
    uint64_t size; /* of the content; of all files in a tree */
    struct digest id;
    uint8_t
        *inline_data;  /* size bytes when it is small, else NULL: in the blob store */
    bool is_inherited; /* passed on by merge, not made here */
};

/* Bytes of a log: at most one of the two. Its format is in node/log.h. */
struct log_ref {
    uint8_t *inline_data;
    size_t inline_len;
    bool has_blob;
    struct digest blob;
    uint64_t size;
    bool is_truncated;
};

struct attempt_record {
    struct run_id run;
    struct task_id task;
    uint32_t attempt; /* from 0 */
    enum verdict verdict;
    enum reason reason;
    int exit_code, signal; /* as waitid() told */
    char *message;         /* NULL: none */
    time_us started_wall, ended_wall;
    uint32_t pid;
    uint64_t max_rss_bytes; /* of its largest process; 0: no more than the node had */
    uint64_t cpu_us;
    /* Of all its processes together, as seen now and then while it ran; 0: it ended
     * before anybody looked. */
    uint64_t memory_peak_bytes, cpu_peak_milli;
    uint64_t width; /* of the scope a foreach step opened */
    bool has_width;
    char *choice; /* the case a switch step took */
    struct artifact *outputs;
    size_t n_outputs;
    struct log_ref log;
    struct run_id origin; /* VERDICT_ADOPTED: the run it was made in */
    bool has_origin;
    uint64_t gpus; /* which it had, a bit for each */
    /* Who executed it, as its how-manieth; all zero: the node that kept this. */
    struct node_id node;
    uint32_t boot;
    uint64_t counter;
    struct digest witness; /* of what it consumed */
    bool has_witness;
    /* That of the executor, see proto/statement.h; of length 0: nobody signed it. */
    uint8_t signature[ATTEMPT_SIGNATURE_MAX];
    size_t signature_len;
    struct digest said; /* the result, as it was signed */
    bool is_judged;     /* the leader has made another result of it; else `said` is
                           what the record says, and is not in the bytes */
    uint64_t fence;     /* of a step with `effect: exclusive`; 0: none */
    struct digest made; /* REASON_OUTPUT_LOST: of what it had made, node/witness.h */
    bool has_made;
};

struct record_parameter {
    char *name, *value; /* text as on the command line; the file's blob id for a file */
    bool is_secret;     /* then value is "" */
};

struct run_record {
    struct run_id run;
    uint64_t number;
    char *flow_name, *flow_path; /* path as the user gave it, for messages */
    char *flow_text;             /* the .mf file */
    size_t flow_text_len;
    struct digest package; /* tree of the code */
    struct record_parameter *parameters;
    size_t n_parameters;
    char **tags;
    size_t n_tags;
    char *user;
    time_us submitted_wall;
    uint32_t max_workers; /* override; 0: the flow's */
    struct run_id origin; /* of a resumed run */
    bool has_origin;
    char *on_failure; /* override: "stop", "finish", "kill"; NULL: the flow's */
    uint32_t share;   /* its weight among its user's runs; 0: 1 */
    bool is_remote;   /* it did not come by a socket of the machine it came to */
};

enum run_outcome { RUN_OK = 1, RUN_FAILED, RUN_CANCELLED };
const char *run_outcome_name(enum run_outcome o);

struct run_end_record {
    struct run_id run;
    enum run_outcome outcome;
    time_us started_wall, ended_wall;
    uint64_t n_done, n_failed, n_skipped, n_adopted; /* tasks */
    uint64_t n_attempts;
    char *message; /* the first failure, in a sentence; NULL: none */
};

/* What users changed of a run since it was submitted. A run that nobody touched has no
 * such record, which means all zeros. */
struct run_state_record {
    bool is_cancelled; /* only while it has no end */
    bool is_suspended; /* likewise */
    bool has_tags;     /* these, maybe none, take the place of the run record's */
    char **tags;
    size_t n_tags;
};

struct record_key run_key(const struct run_id *run);
struct record_key run_end_key(const struct run_id *run);
struct record_key run_state_key(const struct run_id *run);
/* From here on: where a run that has no number yet stands in lists. */
#define NUMBER_PLACES (1ULL << 62)
struct record_key number_key(uint64_t number);
/* -EBADMSG unless the bytes are the key of a number. */
int number_key_decode(const void *key, size_t len, uint64_t *ret_number);
struct record_key attempt_key(const struct run_id *run, const struct task_id *task,
                              uint32_t attempt);
/* The prefix of all attempts of a run; of a step; of a task. */
struct record_key attempts_of_run(const struct run_id *run);
struct record_key attempts_of_step(const struct run_id *run, uint32_t step);
struct record_key attempts_of_task(const struct run_id *run,
                                   const struct task_id *task);
/* A task whose step has `effect: exclusive`. */
struct record_key fence_key(const struct run_id *run, const struct task_id *task);
struct record_key fences_of_run(const struct run_id *run);
/* -EBADMSG unless the bytes are a fence's key. */
int fence_key_decode(const void *key, size_t len, struct run_id *ret_run,
                     struct task_id *ret_task);
/* -EBADMSG unless the bytes are an attempt's key. */
int attempt_key_decode(const void *key, size_t len, struct run_id *ret_run,
                       struct task_id *ret_task, uint32_t *ret_attempt);

/* Append the record to `out`. Text that is not UTF-8 is kept with U+FFFD in place of
 * the bytes that are not, because what cannot be read back must not be written.
 * -ENOMEM, -E2BIG  no memory, or `out` is full
 * -E2BIG           more outputs, parameters or tags than RECORD_*_MAX
 * -EINVAL          an enumerator or a name is unset, or a log is inline and a blob
 * On failure nothing was appended. */
int run_record_encode(const struct run_record *r, struct buffer *out);
int run_end_record_encode(const struct run_end_record *r, struct buffer *out);
int attempt_record_encode(const struct attempt_record *r, struct buffer *out);
int run_state_record_encode(const struct run_state_record *r, struct buffer *out);
int fence_record_encode(uint64_t fence, struct buffer *out);

/* The run, task and attempt of an attempt are in its key and are not repeated in the
 * bytes: the caller fills them in by attempt_key_decode(). Text that is not said to be
 * NULL is "" when it is absent.
 * -EBADMSG           torn, flipped or not a record
 * -EPROTONOSUPPORT   written by a newer version, or an enumerator is unknown
 * -ENOMEM
 * On failure *ret is unchanged. */
int run_record_decode(const void *data, size_t len, struct run_record *ret);
int run_end_record_decode(const void *data, size_t len, struct run_end_record *ret);
int attempt_record_decode(const void *data, size_t len, struct attempt_record *ret);
int run_state_record_decode(const void *data, size_t len, struct run_state_record *ret);
int fence_record_decode(const void *data, size_t len, uint64_t *ret_fence);

/* What a list is searched by; NULL: any. */
struct run_filter {
    const char *flow, *user, *tag;
};
/* Whether a run's record is one that is searched for, without decoding the rest of it.
 * 1, 0, -EBADMSG or -EPROTONOSUPPORT as run_record_decode(). */
int run_record_matches(const void *data, size_t len, const struct run_filter *f);

void run_record_release(struct run_record *r);
void run_end_record_release(struct run_end_record *r);
void attempt_record_release(struct attempt_record *r);
void run_state_record_release(struct run_state_record *r);
