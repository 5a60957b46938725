/* SPDX-License-Identifier: Apache-2.0 */
/* use - what the processes of a task take of the machine at this moment, as /proc
 * tells.
 *
 * Memory of one process is what of it is resident. Of several it is their proportional
 * sets (smaps_rollup), because workers that were forked share most of what they have,
 * and a sum would count it once for each. Processor time is that of all that live and
 * of all that they waited for, so it only grows. Any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { USE_PROCESSES_MAX = 4096 }; /* looked at, of one task */

struct use {
    uint64_t memory_bytes, cpu_us;
    uint32_t n_processes;
};

/* Of the processes in the cgroup v2 with this folder; `group` NULL: of the leader and
 * all below it, without those that were left behind. -ESRCH: there are none. */
int use_read(pid_t leader, const char *group, struct use *ret);

/* The numbers in the text of /proc/PID/stat: 0, or -EBADMSG. */
int use_parse_stat(const char *text, uint64_t ticks_per_s, uint64_t *ret_cpu_us);
/* `Pss:` in the text of smaps_rollup; 0 if it is not there. */
uint64_t use_parse_pss(const char *text);
