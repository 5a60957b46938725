/* SPDX-License-Identifier: Apache-2.0 */
/* spawn - starts one task process and hands back a pidfd for it.
 *
 * The child borrows our memory and we sleep until it execs (CLONE_VM | CLONE_VFORK), so
 * no page table is copied however large the node is, and a failed exec is reported as
 * an errno. libuv 1.44 forks instead, which takes 40 ms in a process of 1 GiB.
 *
 * The child is the leader of a new session, dies with the thread that spawned it
 * (PR_SET_PDEATHSIG, so spawn from the main thread), can gain no privileges, and starts
 * with default signals, an empty mask, and no descriptors but the three. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct account; /* node/account.h */

struct spawn {
    pid_t self;       /* getpid(), asked once by whoever starts thousands */
    const char *path; /* no search */
    char *const *argv, *const *envp;
    const char *cwd;
    int stdio[3];             /* become 0, 1, 2; none of them is one of these */
    int cgroup_dir;           /* of a v2 group the child is born into; -1: none */
    int cgroup_procs;         /* of a v1 group, an open cgroup.procs; -1: none */
    const struct account *as; /* NULL: as we are */
    unsigned long address_space_max;         /* RLIMIT_AS, bytes; 0: none */
    unsigned long files_max, files_hard_max; /* RLIMIT_NOFILE; 0: as ours */
};

/* 0, or the negative errno of the clone or of the step in the child that failed; then
 * *ret_failed_in names it ("exec", "chdir", ...) and nothing is left running. */
int spawn_task(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd,
               const char **ret_failed_in);
