/* SPDX-License-Identifier: Apache-2.0 */
#include "node/machine.h"

#include <glob.h>
#include <sched.h>
#include <sys/sysinfo.h>

#include "base/macros.h"
#include "scheduler/gpus.h"

uint64_t machine_cpu_milli(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        return (uint64_t)CPU_COUNT(&set) * 1000;
    return (uint64_t)get_nprocs() * 1000;
}

uint64_t machine_memory_bytes(void)
{
    struct sysinfo info;

    return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
}

uint32_t machine_gpus(void)
{
    glob_t found;
    size_t n = 0;

    if (glob("/dev/nvidia[0-9]*", 0, NULL, &found) == 0)
        n = found.gl_pathc;
    globfree(&found);
    return (uint32_t)min_size(n, GPUS_MAX);
}
