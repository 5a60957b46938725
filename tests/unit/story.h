/* SPDX-License-Identifier: Apache-2.0 */
/* story - a fake runtime over node_step(): tells what a node does in virtual time.
 *
 *     struct story *s = story_new(NULL);
 *     story_submit(s, "a\n"
 *                     "b: a\n");
 *     story_run(s);
 *     assert_string_equal(story_trace(s), "[    0] start a/0#0 slot 0\n" ...);
 *     story_free(s);
 *
 * A flow is sketched with a line for each step: its name, after a colon what it waits
 * for, then words:
 *
 *     foreach=3 | foreach=?   opens a scope; ?: as wide as the task says
 *     join=OPENER             closes it
 *     switch=A,B              cases named by their targets; default=A, max=N
 *     retry=N delay=MS backoff=N codes=1,2 when=LETTERS (e, t, l, o) lost=N
 *     timeout=MS catch concurrency=N priority=N cpu=MILLI memory=N licence=MILLI
 * gpu=MILLI hook=success | hook=error exclusive
 *
 * A first line that begins with `flow` has words for the flow: max_workers=N
 * on_failure=WORD timeout=MS priority=N.
 *
 * What is exclusive starts 1 ms after its fence was written down.
 *
 * A task takes 10 ms and is done, unless a rule says more: see story_task(). */
#pragma once

#include "node/node.h"

struct story;

struct story_config {
    uint32_t slots;                                  /* 2 */
    uint64_t cpu_milli, memory_bytes, licence_milli; /* plenty; 0 licences */
    uint64_t gpu_milli;                              /* 0 */
    const struct sharing *sharing;                   /* NULL: all alike */
    time_us grace_us;                                /* 1 s */
    bool is_quiet; /* no lines for ends that are done and for run starts */
};

struct story *story_new(const struct story_config *config);
void story_free(struct story *s);

/* Returns the run's number, from 1. */
unsigned story_submit(struct story *s, const char *sketch);
/* Of this user, by this weight among its runs; 0: 1. */
unsigned story_submit_as(struct story *s, const char *user, uint32_t share,
                         const char *sketch);
/* The same, but held until story_release(). */
unsigned story_submit_held(struct story *s, const char *sketch);
void story_adopt(struct story *s, unsigned run, const char *task, uint64_t width);
void story_release(struct story *s, unsigned run);
void story_cancel(struct story *s, unsigned run);
/* Kept over a crash, as the runtime keeps them. */
void story_suspend(struct story *s, unsigned run);
void story_unsuspend(struct story *s, unsigned run);

/* Attempts whose name (`fit/3.1#0`) begins with the prefix behave so; the last rule
 * that fits counts. Words: a number (of ms it takes), `exit N`, `signal N`, `lost`,
 * `gone` (it did not start: an input is nowhere), `refused`, `width N`, `choose NAME`,
 * `stubborn` (ignores SIGTERM), `ok-on-term`. */
void story_task(struct story *s, const char *prefix, const char *behaviour);

/* Nobody has what the task made any more: the attempt that counts is undone. */
void story_lose(struct story *s, unsigned run, const char *task);

/* Until nothing happens any more; until a time in ms; one event (false: none). */
void story_run(struct story *s);
void story_run_until(struct story *s, uint64_t ms);
bool story_step(struct story *s);

/* Kill the node and restore a new one from all records written so far. What was running
 * is lost; with is_told the new node is told so. */
void story_crash(struct story *s, bool is_told);
/* A planned restart: the same, and what runs goes on. */
void story_restart(struct story *s);
/* The last n records were not durable: forget them before a crash. */
void story_forget(struct story *s, size_t n);
/* The digest that a node restored from these records has now. */
uint64_t story_hash_restored(struct story *s);

struct node *story_node(const struct story *s);
const struct run_id *story_run_id(const struct story *s, unsigned run);
uint64_t story_now_ms(const struct story *s);
/* What was written since the last call: valid until the next one. */
const char *story_trace(struct story *s);
size_t story_records(const struct story *s);
