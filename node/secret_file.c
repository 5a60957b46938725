/* SPDX-License-Identifier: Apache-2.0 */
#include "node/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* For a local: the descriptor of an open file. */
static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static char *path_of(const char *dir, const char *name, const char *end)
{
    char *path;

    return asprintf(&path, "%s/%s%s", dir, name, end) < 0 ? NULL : path;
}

/* ---- writing ---- */

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder(const char *dir)
{
    CLEANUP(closep) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_new(const char *path, const void *data, size_t len)
{
    CLEANUP(closep) int fd = -1;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : write_all(fd, data, len);
}

int secret_file_write(const char *dir, const char *name, const void *data, size_t len,
                      struct error *ret_error)
{
    CLEANUP(freep) char *path = path_of(dir, name, "");
    CLEANUP(freep) char *temporary = path_of(dir, name, ".new");
    int r;

    if (!path || !temporary)
        return -ENOMEM;
    r = write_new(temporary, data, len);
    if (r == 0 && rename(temporary, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(temporary);
    else
        r = sync_folder(dir);
    return r < 0 ? fail(ret_error, r, "cannot write %s: %s", path, strerror(-r)) : 0;
}

/* ---- reading ---- */

/* The size, or why it is not to be trusted. */
static off_t check(int fd, const char *path, struct error *ret_error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return fail(ret_error, -EACCES,
                    "%s must be a file of this user that nobody else can read: "
                    "chmod 600",
                    path);
    return st.st_size;
}

static int read_exactly(int fd, char *to, size_t len)
{
    while (len) {
        ssize_t n = read(fd, to, len);

        if (n == 0)
            return -EBADMSG;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            to += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

static int open_checked(const char *path, int *ret_fd, size_t *ret_len,
                        struct error *ret_error)
{
    CLEANUP(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    off_t size;

    if (fd < 0)
        return fail(ret_error, -errno, "cannot read %s: %s", path, strerror(errno));
    size = check(fd, path, ret_error);
    if (size < 0)
        return (int)size;
    *ret_len = (size_t)size;
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int secret_file_read(const char *dir, const char *name, size_t bytes_max,
                     struct buffer *ret, struct error *ret_error)
{
    CLEANUP(freep) char *path = path_of(dir, name, "");
    CLEANUP(closep) int fd = -1;
    size_t len;
    char *to;
    int r = path ? open_checked(path, &fd, &len, ret_error) : -ENOMEM;

    if (r < 0)
        return r;
    if (len > bytes_max)
        return fail(ret_error, -EFBIG, "%s is larger than it can be", path);
    to = buffer_reserve(ret, len + 1);
    if (!to)
        return -ENOMEM;
    r = read_exactly(fd, to, len);
    if (r < 0)
        return fail(ret_error, r, "cannot read %s", path);
    to[len] = '\0';
    ret->len += len;
    return 0;
}

int secret_file_read_into(const char *dir, const char *name, void *ret, size_t len,
                          struct error *ret_error)
{
    CLEANUP(freep) char *path = path_of(dir, name, "");
    CLEANUP(closep) int fd = -1;
    size_t size;
    int r = path ? open_checked(path, &fd, &size, ret_error) : -ENOMEM;

    if (r < 0)
        return r;
    r = size == len ? read_exactly(fd, ret, len) : -EBADMSG;
    return r < 0 ? fail(ret_error, r, "%s is damaged", path) : 0;
}
