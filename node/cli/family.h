/* SPDX-License-Identifier: Apache-2.0 */
/* family - what a process and all that descend from it use, from /proc. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct family_use {
    uint64_t cpu_us;    /* so far, with those that ended */
    uint64_t rss_bytes; /* shared pages count for each */
    uint32_t n_processes;
};

/* -ENOENT: it is not there, or cannot be seen from here. */
int family_use(pid_t pid, struct family_use *ret);
