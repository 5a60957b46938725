/* SPDX-License-Identifier: Apache-2.0 */
/* mesh_story - some nodes among which mesh_step() decides, with a network, disks and
 * tasks in virtual time.
 *
 *     struct mesh_story *s = mesh_story_new(3, 2);
 *     mesh_story_submit(s, 'a', "a\n"
 *                               "b: a\n");
 *     assert_true(mesh_story_run(s, 10000));
 *     assert_string_equal(mesh_story_trace(s), ...);
 *     mesh_story_free(s);
 *
 * Nodes are `a`, `b`, ... Each is told of all others as contacts when it starts. Flows
 * are sketched as tests/unit/story.h says. A task takes 10 ms unless a rule says more;
 * words of a rule: a number (of ms), `exit N`, `width N`, `blob N` (makes so many bytes
 * that are no part of its record), `vary` (what it makes differs each time).
 *
 * Asserted throughout: nothing is told twice as done, nobody is told what is not on the
 * disks of a majority of homes, an attempt counts only if what it consumed counts, and
 * at the end all homes have the same records. */
#pragma once

#include "node/mesh.h"

struct mesh_story;

struct mesh_story *mesh_story_new(unsigned n_nodes, uint32_t slots, uint64_t seed);
/* One whose runs get numbers: `a` founds the mesh group. Nodes gave the numbers up to
 * `floors` (NULL: none) when they were alone. Two slots. */
struct mesh_story *mesh_story_numbered(unsigned n_nodes, const uint64_t *floors,
                                       uint64_t seed);
/* One whose nodes sign, but the last n_old, which are of before. Asserted too: what is
 * kept is what its node signed. */
struct mesh_story *mesh_story_signed(unsigned n_nodes, unsigned n_old, uint32_t slots,
                                     uint64_t seed);
/* The next n attempts that it offers are "changed", "unsigned" or "renamed": in the
 * name of `a`. */
void mesh_story_lie(struct mesh_story *s, char node, const char *lie, unsigned n);
void mesh_story_free(struct mesh_story *s);

/* Until all of them know each other. */
void mesh_story_meet(struct mesh_story *s);
/* Returns the run's number, from 1. */
unsigned mesh_story_submit(struct mesh_story *s, char node, const char *sketch);
void mesh_story_cancel(struct mesh_story *s, char node, unsigned run);
void mesh_story_task(struct mesh_story *s, const char *prefix, const char *behaviour);

void mesh_story_run_for(struct mesh_story *s, uint64_t ms);
/* Until the ends of all runs that were accepted were told, and then until no node holds
 * anything of them; false: not in so many ms. */
bool mesh_story_run(struct mesh_story *s, uint64_t ms_max);
/* Until a line with this text was written; false as above. */
bool mesh_story_run_until(struct mesh_story *s, const char *text, uint64_t ms_max);

void mesh_story_kill(struct mesh_story *s, char node);
void mesh_story_start(struct mesh_story *s, char node); /* again, with its disk */
void mesh_story_pause(struct mesh_story *s, char node); /* as SIGSTOP */
void mesh_story_resume(struct mesh_story *s, char node);
/* Nothing passes between these and the others, as "ab"; NULL: all is well again. */
void mesh_story_cut(struct mesh_story *s, const char *nodes);
/* Nothing of the first comes to the second of these two, as "ba"; the other way it
 * does. NULL: all is well again. */
void mesh_story_deafen(struct mesh_story *s, const char *two);
/* Of a thousand messages; delay: so many are 300 ms late, and so come behind others. */
void mesh_story_network(struct mesh_story *s, unsigned lost, unsigned doubled,
                        unsigned delayed);
void mesh_story_drain(struct mesh_story *s, char node);
bool mesh_story_may_leave(const struct mesh_story *s, char node);
void mesh_story_leave(struct mesh_story *s, char node);

/* Lines that begin with a word of this list, as "start told lead"; NULL: all. Words:
 * start, end (a process), told, run, keep, crash, number, refused, asked. */
void mesh_story_show(struct mesh_story *s, const char *words);
/* What was written since the last call: valid until the next one. */
const char *mesh_story_trace(struct mesh_story *s);
uint64_t mesh_story_now_ms(const struct mesh_story *s);
/* Processes of tasks that began. */
unsigned mesh_story_starts(const struct mesh_story *s);
unsigned mesh_story_starts_of(const struct mesh_story *s, char node);
/* Who leads a run, by its own belief; 0: nobody. */
char mesh_story_leader(const struct mesh_story *s, unsigned run);
/* As was told; 0: none yet. That no two runs have one number is asserted. */
uint64_t mesh_story_number(const struct mesh_story *s, unsigned run);
/* Asks for a register: NULL is none. The answer is a line "asked NODE reads: VALUE"
 * (swaps), or what stands instead of a value: "none", "no", "nobody". */
void mesh_story_read(struct mesh_story *s, char node, const char *name);
void mesh_story_swap(struct mesh_story *s, char node, const char *name,
                     const char *expected, const char *value);
/* Of the mesh group, as its leader knows; 0: nobody leads. */
char mesh_story_mesh_leader(const struct mesh_story *s);
unsigned mesh_story_mesh_homes(const struct mesh_story *s);
/* The least number of nodes that are up and have what an attempt made, over all that a
 * rule gave a `blob`. */
unsigned mesh_story_copies(const struct mesh_story *s);
enum run_outcome mesh_story_outcome(const struct mesh_story *s, unsigned run);
uint64_t mesh_story_hash(const struct mesh_story *s);
/* Whether these nodes, as "abc", have the same attempts of a run, and how many: 0 is
 * not. */
size_t mesh_story_same(const struct mesh_story *s, unsigned run, const char *nodes);
/* What all up nodes hold of runs: rows of logs, of groups, kept attempts. */
size_t mesh_story_rows(const struct mesh_story *s);
/* These, for a person; valid as a trace is. */
const char *mesh_story_left(struct mesh_story *s);
unsigned mesh_story_homes(const struct mesh_story *s, unsigned run, char *ret_names);
uint64_t mesh_story_messages(const struct mesh_story *s, enum message_type type);
