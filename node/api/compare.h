/* SPDX-License-Identifier: Apache-2.0 */
/* compare - what differs between two runs, told one difference after the other.
 *
 * Two sides, `before` and `after`; what is only on one side comes with NULL for the
 * other. Sides that are equal are told only where a function says so. Pure. */
#pragma once

#include "flow/flow.h"
#include "proto/record.h"
#include "store/tree.h"

typedef int compare_parameter_fn(void *arg, const struct record_parameter *before,
                                 const struct record_parameter *after);
typedef int compare_file_fn(void *arg, const struct tree_entry *before,
                            const struct tree_entry *after);
typedef int compare_artifact_fn(void *arg, const struct artifact *before,
                                const struct artifact *after);
typedef int compare_key_fn(void *arg, const char *key);

/* Each stops at the first result of `each` that is not 0 and returns it; else 0 or
 * -ENOMEM. */

/* Values of secret parameters are in no record: two of them pass as equal. */
int compare_parameters(const struct run_record *before, const struct run_record *after,
                       compare_parameter_fn *each, void *arg);
/* Both sides are sorted by path, as trees are. A mode counts. */
int compare_trees(const struct tree *before, const struct tree *after,
                  compare_file_fn *each, void *arg);
/* By name, in the order of names; equal ones too. What was only passed on by merge is
 * left out: it is told of the step that made it. */
int compare_artifacts(const struct attempt_record *before,
                      const struct attempt_record *after, compare_artifact_fn *each,
                      void *arg);
/* Whether its results were made by an attempt of another run: by resume or `cache`. */
bool attempt_is_taken_over(const struct attempt_record *a);
bool artifact_is_same(const struct artifact *a, const struct artifact *b);

/* The keys of a step, as the flow file spells them, whose values differ and may make
 * its tasks do something else: run or python, shell, workdir, environment, inputs,
 * outputs, foreach, merge, switch. */
int compare_steps(const struct flow *flow_before, uint32_t before,
                  const struct flow *flow_after, uint32_t after, compare_key_fn *each,
                  void *arg);

/* Whether a step names this file of the package: in its command, or as its script. */
bool step_names_file(const struct step *step, const char *path);
