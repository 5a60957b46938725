/* SPDX-License-Identifier: Apache-2.0 */
/* encode - what the interface says of runs, attempts, events and diagnostics.
 *
 * Pure: from structs to JSON. docs/openapi.yaml describes the result. */
#pragma once

#include "flow/diagnostic.h"
#include "node/api/emit.h"
#include "node/feed.h"
#include "proto/record.h"

struct task_counts {
    uint64_t done, running, failed, waiting, skipped, adopted;
};

/* Of a step whose run is not active; its tasks took this long. */
struct step_tally {
    uint64_t done, failed;
    uint64_t median_us, max_us, cpu_us;
};

struct step_about {
    const char *name;
    uint64_t known, done, running, failed, ready, skipped;
    char *waits;                   /* a sentence; NULL: it does not */
    const struct step_tally *past; /* NULL: the run is active */
};

enum { SUMMARY_TASKS_MAX = 5 };

/* A task that is worth a look. */
struct notable_task {
    const char *step;
    struct task_id task;
    uint32_t attempt;
    enum reason reason;
    int exit_code, signal;
    char *message; /* NULL: none */
    uint64_t span_us;
    time_us ended_wall;
};

/* What a run came to. */
struct run_summary {
    uint64_t cpu_us, log_bytes;
    uint64_t n_artifacts, artifact_bytes; /* that its tasks made */
    struct notable_task slowest[SUMMARY_TASKS_MAX + 1], failures[SUMMARY_TASKS_MAX + 1];
    size_t n_slowest, n_failures;
};

struct run_about {
    const struct run_record *record;
    const struct run_state_record *changed; /* NULL: nobody changed it */
    const struct run_end_record *end;       /* NULL: it has not ended */
    const char *state; /* "running", "suspended", "stopping", "interrupted", "ended" */
    bool is_suspended;
    time_us started;
    struct task_counts tasks;
    uint64_t attempts;
    const struct step_about *steps; /* NULL: not asked for */
    size_t n_steps;
    const struct run_summary *summary; /* NULL: it is active, or not asked for */
};

void encode_run(struct emit *e, const struct run_about *run);
/* As `gpus`: a list of the indexes, from a bit for each. */
void encode_gpus(struct emit *e, uint64_t indexes);
/* The field `tags`: those of the run, or those that took their place. */
void encode_tags(struct emit *e, const struct run_record *r,
                 const struct run_state_record *changed);
void encode_attempt(struct emit *e, const char *step, const struct attempt_record *a);
/* The members of an object that is open. */
void encode_artifact_about(struct emit *e, const struct artifact *a);
void encode_artifact(struct emit *e, const char *key, const struct artifact *a);
/* {severity, line, column, width, message, hint, excerpt}, and a last one that counts
 * those that were left out. */
void encode_diagnostics(struct emit *e, const char *key, const struct diagnostics *d);
void encode_error(struct emit *e, const char *sentence, const char *hint);
void encode_event(struct emit *e, const struct feed_event *event);

const char *event_name(enum feed_type type); /* "run_started", ... */
enum feed_type event_type(const char *name); /* 0: there is none */
const char *verdict_name(enum verdict v);    /* "done", ... */
const char *stream_name(enum log_stream s);
