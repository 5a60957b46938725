/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/self.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static time_us clock_us(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (time_us)t.tv_sec * 1000000 + (time_us)t.tv_nsec / 1000;
}

/* The fields behind the program's name, which may hold anything (proc_pid_stat(5)). */
static int read_stat(struct self *ret)
{
    uint64_t user, system, started, pages;
    const uint64_t tick_us = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    char line[1024];
    const char *rest;
    FILE *file = fopen("/proc/self/stat", "re");
    size_t n = file ? fread(line, 1, sizeof(line) - 1, file) : 0;

    if (file)
        fclose(file);
    line[n] = '\0';
    rest = strrchr(line, ')');
    if (!rest
        || sscanf(rest,
                  ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                  " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNu64,
                  &user, &system, &started, &ret->virtual_bytes, &pages)
               != 5)
        return -EIO;
    ret->cpu_us = (user + system) * tick_us;
    ret->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    ret->started_wall =
        clock_us(CLOCK_REALTIME) - clock_us(CLOCK_BOOTTIME) + started * tick_us;
    return 0;
}

static int count_fds(struct self *ret)
{
    DIR *folder = opendir("/proc/self/fd");
    struct rlimit limit = { .rlim_cur = 0 };
    const struct dirent *entry;

    if (!folder)
        return -errno;
    ret->n_fds = 0;
    while ((entry = readdir(folder)))
        ret->n_fds += entry->d_name[0] != '.';
    ret->n_fds -= ret->n_fds > 0; /* the folder's own */
    closedir(folder);
    getrlimit(RLIMIT_NOFILE, &limit);
    ret->fds_max = limit.rlim_cur;
    return 0;
}

int self_read(struct self *ret)
{
    int r = read_stat(ret);

    return r < 0 ? r : count_fds(ret);
}
