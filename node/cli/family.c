/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/macros.h"

enum {
    DEPTH_MAX = 64,
    CHILDREN_BYTES = 64 << 10, /* of one thread: some eight thousand */
};

static ssize_t read_file(const char *path, char *data, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, data, size - 1);
    close(fd);
    data[n > 0 ? n : 0] = '\0';
    return n;
}

/* What ended children used counts with who waited for them: nothing is lost. */
static int add_process(pid_t pid, struct family_use *use)
{
    unsigned long long user, system, waited_user, waited_system;
    uint64_t tick_us = 1000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    char path[64], text[1024];
    const char *behind;
    long long pages;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (read_file(path, text, sizeof(text)) <= 0)
        return -ENOENT;
    behind = strrchr(text, ')'); /* a name may have brackets too */
    if (!behind
        || sscanf(behind + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu"
                  " %*d %*d %*d %*d %*u %*u %lld",
                  &user, &system, &waited_user, &waited_system, &pages)
               != 5)
        return -ENOENT;
    use->cpu_us += (user + system + waited_user + waited_system) * tick_us;
    use->rss_bytes += (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    use->n_processes++;
    return 0;
}

static void add_family(pid_t pid, unsigned depth, struct family_use *use);

static void add_children(const char *path, unsigned depth, struct family_use *use)
{
    CLEANUP(freep) char *text = malloc(CHILDREN_BYTES);
    char *at = text, *end;

    if (!text || read_file(path, text, CHILDREN_BYTES) <= 0)
        return;
    for (;; at = end) {
        long child = strtol(at, &end, 10);

        if (end == at || child <= 0)
            return;
        add_family((pid_t)child, depth + 1, use);
    }
}

static void add_family(pid_t pid, unsigned depth, struct family_use *use)
{
    char path[64 + NAME_MAX];
    struct dirent *thread;
    DIR *threads;

    if (depth > DEPTH_MAX || add_process(pid, use) < 0)
        return;
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    threads = opendir(path);
    while (threads && (thread = readdir(threads))) {
        if (thread->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid,
                 thread->d_name);
        add_children(path, depth, use);
    }
    if (threads)
        closedir(threads);
}

int family_use(pid_t pid, struct family_use *ret)
{
    struct family_use use = { .n_processes = 0 };

    if (pid > 0)
        add_family(pid, 0, &use);
    if (!use.n_processes)
        return -ENOENT;
    *ret = use;
    return 0;
}
