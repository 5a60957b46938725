/* SPDX-License-Identifier: Apache-2.0 */
/* missing - which blobs are named by what is to be used here, and are elsewhere.
 *
 * A folder is known by its manifest, which names its files: while the manifest itself
 * is missing they cannot be told, so whoever gets blobs asks again until none is
 * missing. What cannot be found by name is not told either: the task's start says so.
 */
#pragma once

#include "node/artifacts.h"

struct missing {
    struct digest *ids;
    size_t n, cap;
};
void missing_release(struct missing *m);

/* Each appends to *m. 0, -ENOMEM, or what reading the store returned. */

/* A blob or a folder. */
int missing_of_blob(struct blobs *b, const struct digest *id, struct missing *m);
int missing_of_tree(struct blobs *b, const struct digest *id, struct missing *m);
/* The code package and the parameters that are files. */
int missing_of_run(struct blobs *b, const struct flow *flow,
                   const struct run_record *record, struct missing *m);
/* The declared inputs, the lists that the task's scopes run over, and the list that its
 * own foreach may have been passed. */
int missing_of_task(const struct artifacts *a, const struct flow *flow,
                    const struct run_id *run, const struct task_id *task,
                    struct missing *m);
/* What an attempt made, and its log. */
int missing_of_attempt(struct blobs *b, const struct attempt_record *attempt,
                       struct missing *m);
