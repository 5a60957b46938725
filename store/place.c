/* SPDX-License-Identifier: Apache-2.0 */
#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { FUSE_MAGIC = 0x65735546 };

static const struct {
    uint64_t magic;
    const char *name;
} remote_systems[] = {
    { 0x6969, "NFS" },
    { 0x517b, "SMB" },
    { 0xfe534d42, "SMB" },
    { 0xff534d42, "CIFS" },
    { 0x0bd00bd0, "Lustre" },
    { 0x00c36400, "Ceph" },
    { 0x47504653, "GPFS" },
    { 0x01021997, "9p" },
    { 0x5346414f, "AFS" },
    { 0x6b414653, "AFS" },
    { 0x73757245, "Coda" },
    { 0x564c, "NCP" },
    { 0x01161970, "GFS2" },
    { 0x7461636f, "OCFS2" },
    { 0x19830326, "BeeGFS" },
    { 0xaad7aaea, "PanFS" },
    { 0x20030528, "OrangeFS" },
    { 0x786f4256, "a VirtualBox shared folder" },
    { 0xbacbacbc, "a VMware shared folder" },
    { 0x7c7c6673, "a Parallels shared folder" },
};

/* What stands on FUSE and keeps its files on this machine. */
static const char *const local_fuse_types[] = {
    "fuseblk", "fuse.fuse-overlayfs", "fuse.mergerfs", "fuse.gocryptfs", "fuse.ext2fs",
};

const char *place_remote_name(uint64_t magic, const char *fuse_type)
{
    for (size_t i = 0; i < ARRAY_SIZE(remote_systems); i++)
        if (remote_systems[i].magic == magic)
            return remote_systems[i].name;
    if (magic != FUSE_MAGIC)
        return NULL;
    if (!fuse_type)
        return "FUSE";
    for (size_t i = 0; i < ARRAY_SIZE(local_fuse_types); i++)
        if (strcmp(local_fuse_types[i], fuse_type) == 0)
            return NULL;
    return strncmp(fuse_type, "fuse.", 5) == 0 ? fuse_type + 5 : fuse_type;
}

static void close_file(FILE **f)
{
    if (*f)
        fclose(*f);
}

/* The type of the mounted file system with this device number. */
static bool find_mount_type(dev_t dev, char ret_type[64])
{
    CLEANUP(close_file) FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[4096];

    while (f && fgets(line, sizeof(line), f)) {
        unsigned major_number, minor_number;
        const char *rest = strstr(line, " - ");

        if (rest && sscanf(line, "%*d %*d %u:%u", &major_number, &minor_number) == 2
            && makedev(major_number, minor_number) == dev
            && sscanf(rest, " - %63s", ret_type) == 1)
            return true;
    }
    return false;
}

int place_check(const char *dir, struct error *ret_error)
{
    const char *name;
    struct statfs fs;
    struct stat st;
    char type[64];
    bool has_type;

    if (statfs(dir, &fs) < 0 || stat(dir, &st) < 0)
        return fail(ret_error, -errno, "%s: %s", dir, strerror(errno));
    has_type = (uint64_t)fs.f_type == FUSE_MAGIC && find_mount_type(st.st_dev, type);
    name = place_remote_name((uint64_t)fs.f_type, has_type ? type : NULL);
    if (!name)
        return 0;
    return fail(ret_error, -EREMOTE,
                "%s is on %s, where a store does not survive a crash; choose a disk of "
                "this machine, such as --data /var/tmp/mesh-%u",
                dir, name, (unsigned)getuid());
}

int place_join(char path[PLACE_PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(path, PLACE_PATH_MAX, "%s/%s", dir, name);

    return n < 0 || n >= PLACE_PATH_MAX ? -ENAMETOOLONG : 0;
}

int place_make(const char *dir)
{
    char path[PLACE_PATH_MAX];
    size_t len = strlen(dir);
    struct stat st;

    if (len == 0 || len >= sizeof(path))
        return len ? -ENAMETOOLONG : -ENOENT;
    memcpy(path, dir, len + 1);
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return -errno;
        *at = '/';
    }
    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST || stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int read_pid(int fd)
{
    char text[16] = "";
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    return n > 0 ? atoi(text) : 0;
}

static void write_pid(int fd)
{
    char text[16];
    int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

    /* It only helps a person: a lock without the number holds as well. */
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
        return;
}

int place_lock(const char *path, int *ret_fd, int *ret_pid, struct error *ret_error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r, pid;

    if (fd < 0)
        return fail(ret_error, -errno, "%s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        write_pid(fd);
        *ret_fd = fd;
        return 0;
    }
    r = -errno;
    pid = read_pid(fd);
    close(fd);
    if (r != -EWOULDBLOCK)
        return fail(ret_error, r, "cannot lock %s: %s", path, strerror(-r));
    if (ret_pid)
        *ret_pid = pid;
    return fail(ret_error, -EBUSY, "%s is held by process %d", path, pid);
}

int place_sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    if (fd < 0)
        return -errno;
    r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/* ---- with the rights of others ---- */

static _Thread_local const struct place_reader *reader;

void place_read_as(const struct place_reader *r)
{
    reader = r;
}

/* The kernel's call changes this thread; the C library's would change all. Who cannot
 * give the rights up must not read with them. */
static void set_groups(int n, const gid_t *groups)
{
    if (syscall(SYS_setgroups, (size_t)n, groups) < 0)
        abort();
}

void place_reader_enter(void)
{
    int error = errno;

    if (!reader)
        return;
    set_groups(reader->n_groups, reader->groups);
    setfsgid(reader->gid);
    setfsuid(reader->uid);
    if (setfsuid((uid_t)-1) != (int)reader->uid)
        abort();
    errno = error;
}

void place_reader_leave(void)
{
    int error = errno;

    if (!reader)
        return;
    setfsuid(geteuid());
    setfsgid(getegid());
    set_groups(0, NULL); /* root needs none to read what is the node's */
    errno = error;
}

int place_open(const char *path, int flags)
{
    int fd;

    place_reader_enter();
    fd = open(path, flags);
    fd = fd < 0 ? -errno : fd;
    place_reader_leave();
    return fd;
}
