/* SPDX-License-Identifier: Apache-2.0 */
/* merge - what a join passes on of its branches' artifacts.
 *
 * Of each name that the step did not make itself: equal content in all branches passes,
 * differing content is an error that names it. `include` asks for these names alone and
 * wants each to be there; `exclude` leaves names out. */
#pragma once

#include "node/artifacts.h"

/* What the step itself sees of one name, before it ends: the artifact that would pass.
 * -ENOENT: no branch has it, the step does not merge it, or the branches differ, which
 * the text then says. */
int merge_find(const struct artifacts *a, const struct flow *flow,
               const struct run_id *run, const struct task_id *task, const char *name,
               struct artifact *ret, struct task_id *ret_maker,
               struct error *ret_error);

/* Appends to the attempt's outputs. -EINVAL: the text names what differs or misses. */
int merge_branches(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *task,
                   struct attempt_record *attempt, struct error *ret_error);
