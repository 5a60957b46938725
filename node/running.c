/* SPDX-License-Identifier: Apache-2.0 */
#include "node/running.h"

#include <ctype.h>
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

enum { ENVIRON_READ_MAX = 256 << 10 };

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
    int fd;

    if (asprintf(&path, "%s/running", dir) < 0)
        return -ENOMEM;
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(ret_error, -errno, "cannot open %s: %s", path, strerror(errno));
    read_before(fd, ret_before, ret_n_before);
    if (ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0) {
        int r = fail(ret_error, -errno, "cannot size %s: %s", path, strerror(errno));

        close(fd);
        return r;
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

/* Whether a process was started by a node with this data folder. */
static bool is_ours(const char *pid, const char *data_dir)
{
    CLEANUP(freep) char *text = malloc(ENVIRON_READ_MAX);
    CLEANUP(freep) char *wanted = NULL;
    char path[64];
    size_t len = 0, wanted_len;
    ssize_t n;
    int fd;

    if (!text || asprintf(&wanted, "MESH_DATA=%s", data_dir) < 0)
        return false;
    wanted_len = strlen(wanted) + 1;
    snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while (len < ENVIRON_READ_MAX && (n = read(fd, text + len, ENVIRON_READ_MAX - len)) > 0)
        len += (size_t)n;
    close(fd);
    return memmem(text, len, wanted, wanted_len) != NULL;
}

static pid_t session_of(const char *pid)
{
    char path[64], text[512], *behind;
    int session = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
    fclose(f);
    behind = strrchr(text, ')'); /* the name may hold anything */
    if (!behind || sscanf(behind + 1, " %*c %*d %*d %d", &session) != 1)
        return 0;
    return session;
}

void running_kill_orphans(const struct running_entry *e, const char *data_dir)
{
    DIR *proc = opendir("/proc");

    if (!proc)
        return;
    for (struct dirent *d; (d = readdir(proc));)
        if (isdigit((unsigned char)d->d_name[0]) && session_of(d->d_name) == e->pid
            && is_ours(d->d_name, data_dir))
            kill((pid_t)strtol(d->d_name, NULL, 10), SIGKILL);
    closedir(proc);
}
