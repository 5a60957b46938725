/* SPDX-License-Identifier: Apache-2.0 */
#include "node/use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"

enum { LIST_SIZE = 64 << 10 }; /* of process ids, as text */

struct pids {
    pid_t all[USE_PROCESSES_MAX];
    uint32_t n;
};

static ssize_t read_path(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;

    if (fd < 0)
        return -errno;
    while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    text[len] = '\0';
    return n < 0 ? -EIO : (ssize_t)len;
}

static ssize_t read_of(pid_t pid, const char *name, char *text, size_t size)
{
    char path[128];

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    return read_path(path, text, size);
}

/* ---- who ---- */

static void add_listed(struct pids *p, const char *text)
{
    char *end;

    for (long pid = strtol(text, &end, 10); end != text && p->n < USE_PROCESSES_MAX;
         pid = strtol(text, &end, 10)) {
        p->all[p->n++] = (pid_t)pid;
        text = end;
    }
}

/* A process's children are listed by the thread that forked them. */
static void add_children(struct pids *p, pid_t pid, char *scratch)
{
    char path[64];
    DIR *threads;

    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    threads = opendir(path);
    if (!threads)
        return;
    for (struct dirent *e; (e = readdir(threads));) {
        snprintf(path, sizeof(path), "task/%.20s/children", e->d_name);
        if (e->d_name[0] != '.' && read_of(pid, path, scratch, LIST_SIZE) > 0)
            add_listed(p, scratch);
    }
    closedir(threads);
}

static int find(pid_t leader, const char *group, struct pids *p)
{
    CLEANUP(freep) char *scratch = malloc(LIST_SIZE);
    CLEANUP(freep) char *path = NULL;

    if (!scratch)
        return -ENOMEM;
    if (group) {
        if (asprintf(&path, "%s/cgroup.procs", group) < 0)
            return -ENOMEM;
        if (read_path(path, scratch, LIST_SIZE) > 0)
            add_listed(p, scratch);
    } else {
        p->all[p->n++] = leader;
        for (uint32_t i = 0; i < p->n; i++)
            add_children(p, p->all[i], scratch);
    }
    return p->n ? 0 : -ESRCH;
}

/* ---- how much ---- */

int use_parse_stat(const char *text, uint64_t ticks_per_s, uint64_t *ret_cpu_us)
{
    const char *behind = strrchr(text, ')'); /* the name may hold anything */
    uint64_t ticks[4]; /* user and system, own and of children that were waited for */

    if (!behind
        || sscanf(behind + 1,
                  " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64
                  " %" SCNu64 " %" SCNu64,
                  &ticks[0], &ticks[1], &ticks[2], &ticks[3])
               != 4)
        return -EBADMSG;
    *ret_cpu_us = (ticks[0] + ticks[1] + ticks[2] + ticks[3]) * (1000000 / ticks_per_s);
    return 0;
}

uint64_t use_parse_pss(const char *text)
{
    const char *line = strstr(text, "\nPss:");

    return line ? strtoull(line + strlen("\nPss:"), NULL, 10) << 10 : 0;
}

static uint64_t resident(pid_t pid, bool is_alone)
{
    uint64_t pages, shared;
    char text[128];

    if (read_of(pid, "statm", text, sizeof(text)) <= 0
        || sscanf(text, "%*s %" SCNu64 " %" SCNu64, &pages, &shared) != 2)
        return 0;
    return (is_alone || shared > pages ? pages : pages - shared)
           * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t memory_of(pid_t pid, bool is_alone)
{
    char text[4096];
    uint64_t pss = 0;

    if (!is_alone && read_of(pid, "smaps_rollup", text, sizeof(text)) > 0)
        pss = use_parse_pss(text);
    return pss ? pss : resident(pid, is_alone);
}

int use_read(pid_t leader, const char *group, struct use *ret)
{
    CLEANUP(freep) struct pids *p = calloc(1, sizeof(*p));
    uint64_t ticks_per_s = (uint64_t)sysconf(_SC_CLK_TCK);
    struct use use = { .n_processes = 0 };
    int r = p ? find(leader, group, p) : -ENOMEM;

    for (uint32_t i = 0; r == 0 && i < p->n; i++) {
        char text[1024];
        uint64_t cpu_us;

        if (read_of(p->all[i], "stat", text, sizeof(text)) <= 0
            || use_parse_stat(text, ticks_per_s, &cpu_us) < 0)
            continue; /* it has just gone */
        use.cpu_us += cpu_us;
        use.memory_bytes += memory_of(p->all[i], p->n == 1);
        use.n_processes++;
    }
    if (r < 0 || use.n_processes == 0)
        return r < 0 ? r : -ESRCH;
    *ret = use;
    return 0;
}
