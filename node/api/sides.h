/* SPDX-License-Identifier: Apache-2.0 */
/* sides - two runs next to each other, read from the store, and how they differ.
 *
 * A change is {kind, name, change, before, after, own}: kind is "parameter", "flow"
 * (the flow file), "code" (another file of the package), "step" (a key of the step in
 * the flow file), or "input" (an artifact that the task reads); change is "added",
 * "removed" or "changed"; before and after are values of parameters and ids of content;
 * own tells that a step names the file itself. On a thread. */
#pragma once

#include "node/api/emit.h"
#include "node/api/source.h"
#include "store/tree.h"

enum { CHANGES_LISTED_MAX = 1000 };

struct sides {
    struct run_record before, after;
    struct flow *flow_before, *flow_after; /* before's is ours, after's is borrowed */
    struct tree tree_before, tree_after;   /* empty when they are the same */
};

void sides_release(struct sides *s);
/* Reads both runs; the flow of `after` is lent. -ENOENT: no such run, or what it
 * consisted of is gone; -EINVAL: the flow before cannot be read any more. */
int sides_read(struct request *r, const struct run_id *before,
               const struct run_id *after, struct flow *flow_after, struct sides *ret);

/* Counts all changes, writes the first CHANGES_LISTED_MAX. */
struct changes {
    struct emit *e;
    const struct step *step; /* whose own files are marked; NULL: nobody's */
    uint64_t n, n_own;       /* own: files that the step names, and its keys */
};
void change_emit(struct changes *c, const char *kind, const char *name, bool is_own,
                 const char *before, const char *after);
int sides_emit_parameters(const struct sides *s, struct changes *c);
int sides_emit_flow(const struct sides *s, struct changes *c);
int sides_emit_code(const struct sides *s, struct changes *c);
/* Of the step of flow_after, if the flow before has one of its name. */
int sides_emit_step(const struct sides *s, uint32_t step, struct changes *c);
/* The artifacts that the task reads, as it saw them and as the same task of the run
 * before did. Where that one did not get so far there is nothing to compare. */
int sides_emit_inputs(struct request *r, const struct sides *s,
                      const struct task_id *task, struct changes *c);
