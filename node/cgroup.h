/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup - groups that hold a task's whole process tree, one for each slot.
 *
 * A v2 group tells when the tree is empty and kills it in one write, also processes
 * that left the task's session. Memory is limited by v2 where its controller was
 * delegated to us, else by a v1 memory group, else by RLIMIT_AS. What cannot be had is
 * left out; cgroups_describe() says what there is. Joining a v2 group costs 5 us, a v1
 * group 43: so v1 only for tasks that ask for a limit. Groups are made with the slot
 * and used again. https://docs.kernel.org/admin-guide/cgroup-v2.html */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

struct cgroups {
    char *v2;        /* folder of this node's groups; NULL: none */
    char *v1_memory; /* made when a task first asks for a limit */
    char *name;
    bool v2_has_memory, was_v1_tried;
};

struct cgroup_slot {
    uint32_t index, generation;
    bool was_killed;
    int v2_dir, v2_events; /* -1: none */
    int v1_procs, v1_limit, v1_oom;
    char *v2_path, *v1_path;
    uint64_t memory_max; /* in force; 0: none */
    uint64_t oom_kills;  /* seen so far */
};

#define CGROUP_SLOT_NONE   \
    ((struct cgroup_slot){ \
        .v2_dir = -1, .v2_events = -1, .v1_procs = -1, .v1_limit = -1, .v1_oom = -1 })

/* Makes the node's folder in each hierarchy that allows it. `name` is unique for the
 * data folder: what an earlier node of the same name left behind is killed and
 * removed. Never fails. */
void cgroups_open(struct cgroups *c, const char *name);
/* The same after a planned restart: the groups of these slots live on, and what is in
 * others is killed. */
void cgroups_reopen(struct cgroups *c, const char *name,
                    const struct cgroup_slot *const *kept, size_t n_kept);
void cgroups_close(struct cgroups *c);
void cgroups_describe(struct cgroups *c, struct buffer *out);

void cgroup_slot_open(const struct cgroups *c, uint32_t index, struct cgroup_slot *s);
/* One that the program before had: by its paths, limit and generation. What cannot be
 * opened any more is left out. */
void cgroup_slot_reopen(struct cgroup_slot *s, uint32_t index);
void cgroup_slot_close(struct cgroup_slot *s);

/* Sets the slot's limit for its next task; 0: none. False: RLIMIT_AS has to serve. */
bool cgroup_slot_limit(struct cgroups *c, struct cgroup_slot *s, uint64_t memory_max);
/* Whether any process of the slot lives; false too where there is no v2 group. */
bool cgroup_slot_is_populated(const struct cgroup_slot *s);
void cgroup_slot_kill(struct cgroup_slot *s);
/* Gives the slot a new group if the old one was killed: Linux 6.18 compares the kills
 * of a new process's group with those of its parent's, so whatever is born into a group
 * that was ever killed dies at once. The old one must be empty. */
void cgroup_slot_renew(const struct cgroups *c, struct cgroup_slot *s);
/* Whether the kernel killed a process of the slot for its memory since the last call.
 */
bool cgroup_slot_had_oom(struct cgroup_slot *s);

/* Where our own group lies, by the texts of /proc/self/mountinfo and /proc/self/cgroup;
 * `controller` NULL asks for v2. NULL: it cannot be seen from here. The caller frees.
 */
char *cgroup_own_folder(const char *mountinfo, const char *proc_cgroup,
                        const char *controller);
