/* SPDX-License-Identifier: Apache-2.0 */
/* Tries things out: a disk by writing to it, programs by finding and asking them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/doctor.h"
#include "node/python.h"
#include "store/place.h"

enum {
    SYNCS = 9,
    SYNC_BYTES = 4096,
    ANSWER_TIMEOUT_MS = 10000,
    TMPFS_MAGIC = 0x01021994,
    OVERLAY_MAGIC = 0x794c7630,
};

/* ---- the disk ---- */

static time_us now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (time_us)t.tv_sec * 1000000 + (time_us)t.tv_nsec / 1000;
}

/* A file that nobody else sees and that goes by itself. */
static int open_scratch(const char *dir)
{
    char path[PLACE_PATH_MAX];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || errno != EOPNOTSUPP || place_join(path, dir, ".doctor-XXXXXX") < 0)
        return fd;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static uint64_t measure_sync(int fd)
{
    static const char data[SYNC_BYTES];
    uint64_t took[SYNCS];

    for (int i = 0; i < SYNCS; i++) {
        time_us began = now();

        if (write(fd, data, sizeof(data)) != (ssize_t)sizeof(data) || fdatasync(fd) < 0)
            return 0;
        took[i] = now() - began;
    }
    qsort(took, SYNCS, sizeof(took[0]), by_value);
    return took[SYNCS / 2] ? took[SYNCS / 2] : 1;
}

static void probe_disk(struct facts *f)
{
    int fd = open_scratch(f->probed), copy;

    f->is_writable = fd >= 0;
    if (fd < 0)
        return;
    f->sync_us = measure_sync(fd);
    copy = open_scratch(f->probed);
    f->has_reflink = copy >= 0 && ioctl(copy, FICLONE, fd) == 0;
    if (copy >= 0)
        close(copy);
    close(fd);
}

static void probe_file_system(struct facts *f)
{
    struct statvfs disk;
    struct statfs fs;

    place_check(f->probed, &f->remote);
    if (statvfs(f->probed, &disk) == 0) {
        f->disk_bytes = (uint64_t)disk.f_blocks * disk.f_frsize;
        f->disk_free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
        f->disk_files_free = disk.f_favail;
    }
    if (statfs(f->probed, &fs) < 0)
        return;
    if (fs.f_type == TMPFS_MAGIC)
        snprintf(f->file_system, sizeof(f->file_system), "tmpfs");
    else if (fs.f_type == OVERLAY_MAGIC)
        snprintf(f->file_system, sizeof(f->file_system), "overlayfs");
}

/* The folder, or the nearest one above it that is there. */
static char *nearest_folder(const char *dir)
{
    CLEANUP(freep) char *path = strdup(dir);
    struct stat st;

    while (path && stat(path, &st) < 0) {
        char *slash = strrchr(path, '/');

        if (!slash)
            return strdup(".");
        slash[slash == path] = '\0'; /* of "/x" the root is left */
    }
    return TAKE(path);
}

void facts_probe_folder(struct facts *f)
{
    struct stat st;

    f->has_dir = stat(f->dir, &st) == 0;
    if (f->has_dir) {
        f->mode = st.st_mode & 07777;
        f->owner = st.st_uid;
    }
    f->probed = nearest_folder(f->dir);
    if (!f->probed)
        return;
    probe_file_system(f);
    if (!f->remote.text[0])
        probe_disk(f);
}

/* ---- programs ---- */

static const char *search_path(void)
{
    const char *path = getenv("PATH");

    return path && *path ? path : "/usr/local/bin:/usr/bin:/bin";
}

static char *find_program(const char *name)
{
    for (const char *at = search_path(); *at;) {
        size_t len = strcspn(at, ":");
        char *file;

        if (asprintf(&file, "%.*s/%s", (int)len, at, name) < 0)
            return NULL;
        if (access(file, X_OK) == 0)
            return file;
        free(file);
        at += len + (at[len] == ':');
    }
    return NULL;
}

static bool has_program(const char *name)
{
    CLEANUP(freep) char *path = find_program(name);

    return path != NULL;
}

extern char **environ;

static int spawn_asking(const char *program, const char *script, const char *argument,
                        int output, pid_t *ret_pid)
{
    char *const args[] = { (char *)program, "-c", (char *)script, (char *)argument,
                           NULL };
    posix_spawn_file_actions_t actions;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    r = -posix_spawn(ret_pid, program, &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* What a program prints for a script, up to its first line's end; "" if it does not
 * answer in time. */
static void ask(const char *program, const char *script, const char *argument,
                char *ret, size_t size)
{
    size_t len = 0;
    int fds[2];
    pid_t pid;

    *ret = '\0';
    if (pipe2(fds, O_CLOEXEC) < 0)
        return;
    if (spawn_asking(program, script, argument, fds[1], &pid) < 0) {
        close(fds[0]);
        close(fds[1]);
        return;
    }
    close(fds[1]);
    for (ssize_t n = 1; n > 0 && len<size - 1; len += n> 0 ? (size_t)n : 0) {
        struct pollfd p = { .fd = fds[0], .events = POLLIN };

        n = poll(&p, 1, ANSWER_TIMEOUT_MS) > 0 ? read(fds[0], ret + len, size - 1 - len)
                                               : 0;
    }
    close(fds[0]);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    ret[len] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
}

/* path = the folder of this program/name; false if there is no such thing. */
static bool is_beside(const char *name, char path[PLACE_PATH_MAX])
{
    char self[PLACE_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    self[n > 0 ? n : 0] = '\0';
    slash = strrchr(self, '/');
    if (!slash)
        return false;
    *slash = '\0';
    return place_join(path, self, name) == 0 && access(path, R_OK) == 0;
}

static const char version_script[] =
    "import sys; print('%d.%d.%d' % sys.version_info[:3])";

/* What the fork server needs beside the package: to make its children itself. */
static const char warm_script[] = "import sys\n"
                                  "sys.path.insert(0, sys.argv[1])\n"
                                  "import mesh._step\n"
                                  "try:\n"
                                  "    from mesh._clone import Cloner\n"
                                  "    Cloner()\n"
                                  "    print('warm')\n"
                                  "except Exception as error:\n"
                                  "    print(error or 'plain')\n";

static void probe_python(struct facts *f)
{
    char package[PLACE_PATH_MAX];

    f->python = python_find(search_path());
    if (!f->python)
        return;
    ask(f->python, version_script, NULL, f->python_version, sizeof(f->python_version));
    if (is_beside("python", package))
        ask(f->python, warm_script, package, f->warm, sizeof(f->warm));
}

void facts_probe_programs(struct facts *f)
{
    char path[PLACE_PATH_MAX];

    f->has_sh = access("/bin/sh", X_OK) == 0;
    f->has_bash = has_program("bash");
    f->has_diff = has_program("diff");
    f->has_module = is_beside("mesh-http.so", path);
    probe_python(f);
}
