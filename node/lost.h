/* SPDX-License-Identifier: Apache-2.0 */
/* lost - which attempts made what a task needs, of which the bytes are nowhere.
 *
 * What is not in this node's store counts as lost: whoever asks has tried to get it. */
#pragma once

#include "node/missing.h"

/* An attempt that counts, and the name of an artifact of it that is not here. */
struct lost_output {
    struct attempt_record attempt;
    char *name;
};

struct lost {
    struct lost_output *all;
    size_t n, cap;
};
void lost_release(struct lost *l);

/* Of what the task needs; appends. A blob that several made is named once.
 * 0, -ENOMEM, or what reading the store returned. */
int lost_of_task(const struct artifacts *a, const struct flow *flow,
                 const struct run_id *run, const struct task_id *task, struct lost *l);
/* What the task made itself. */
int lost_of_maker(const struct artifacts *a, const struct run_id *run,
                  const struct task_id *task, struct lost *l);
/* What counts behind the task, however far, and may have consumed what it made; and, as
 * the last one, the record of the task's own that was undone last. Without names. */
int lost_behind(const struct artifacts *a, const struct flow *flow,
                const struct run_id *run, const struct task_id *task, struct lost *l);
/* Who made these blobs, or folders that they are in. */
int lost_of_blobs(const struct artifacts *a, const struct run_id *run,
                  const struct missing *m, struct lost *l);
