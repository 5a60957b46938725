/* SPDX-License-Identifier: Apache-2.0 */
#include "node/running.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "node/process.h"

static void read_before(int fd, struct running_entry **ret_before, uint32_t *ret_n)
{
    struct stat st;
    size_t n;

    *ret_before = NULL;
    *ret_n = 0;
    if (fstat(fd, &st) < 0 || st.st_size <= 0)
        return;
    n = (size_t)st.st_size / sizeof(struct running_entry);
    *ret_before = calloc(n + 1, sizeof(struct running_entry));
    if (*ret_before && pread(fd, *ret_before, n * sizeof(struct running_entry), 0) > 0)
        *ret_n = (uint32_t)n;
}

int running_open(const char *dir, uint32_t n, struct running *ret,
                 struct running_entry **ret_before, uint32_t *ret_n_before,
                 struct error *ret_error)
{
    CLEANUP(freep) char *path = NULL;
    size_t size = n * sizeof(struct running_entry);
    void *map;
    int fd, r;

    if (asprintf(&path, "%s/running", dir) < 0)
        return -ENOMEM;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(ret_error, -errno, "cannot open %s: %s", path, strerror(errno));
    read_before(fd, ret_before, ret_n_before);
    /* With its blocks: on a full disk a store into a hole would be a SIGBUS. */
    r = ftruncate(fd, 0) < 0 ? -errno : -posix_fallocate(fd, 0, (off_t)size);
    if (r < 0) {
        close(fd);
        free(TAKE(*ret_before));
        return fail(ret_error, r, "cannot size %s: %s", path, strerror(-r));
    }
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED)
        return fail(ret_error, -errno, "cannot map %s: %s", path, strerror(errno));
    *ret = (struct running){ .entries = map, .n = n };
    return 0;
}

void running_close(struct running *r)
{
    if (r->entries)
        munmap(r->entries, r->n * sizeof(*r->entries));
    *r = (struct running){ .entries = NULL };
}

/* We may have been started by what a task left behind: that one stays. */
static bool is_above_us(pid_t pid)
{
    struct process p;

    for (pid_t at = getpid(); at > 1 && process_read(at, &p) == 0; at = p.parent)
        if (at == pid)
            return true;
    return false;
}

void running_kill_orphans(const char *data_dir)
{
    CLEANUP(buffer_release) struct buffer wanted = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer environment = BUFFER_INIT;
    DIR *proc = opendir("/proc");

    if (!proc)
        return;
    buffer_printf(&wanted, "MESH_DATA=%s", data_dir);
    for (struct dirent *d; !buffer_failed(&wanted) && (d = readdir(proc));) {
        pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);

        if (pid <= 1)
            continue;
        process_environment(pid, &environment);
        /* Who looks into a task by mesh exec is a user and no orphan. */
        if (environment_has(&environment, buffer_text(&wanted), false)
            && environment_has(&environment, "MESH_TOKEN=", true)
            && !environment_has(&environment, "MESH_EXEC=", true) && !is_above_us(pid))
            kill(pid, SIGKILL);
    }
    closedir(proc);
}
