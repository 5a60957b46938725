/* SPDX-License-Identifier: Apache-2.0 */
#include "node/remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int remove_at(int parent, const char *name, dev_t device, unsigned depth);

/* Opens a folder to list and change it. */
static int open_folder(int parent, const char *name, struct stat *ret_st)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, flags);

    /* A task may have taken its own right to list or write it away. */
    if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
        fd = openat(parent, name, flags);
    if (fd < 0)
        return -errno;
    if (fstat(fd, ret_st) < 0) {
        close(fd);
        return -EIO;
    }
    if ((ret_st->st_mode & 0700) != 0700)
        fchmod(fd, 0700);
    return fd;
}

static int remove_below(int take_fd, dev_t device, unsigned depth)
{
    DIR *d = fdopendir(take_fd);
    int first_error = 0;

    if (!d) {
        close(take_fd);
        return -ENOMEM;
    }
    for (struct dirent *e; (e = readdir(d));) {
        int r;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        r = remove_at(dirfd(d), e->d_name, device, depth + 1);
        if (r < 0 && first_error == 0)
            first_error = r;
    }
    closedir(d);
    return first_error;
}

static int remove_folder(int parent, const char *name, dev_t device, unsigned depth)
{
    struct stat st;
    int fd, r;

    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return 0;
    if (errno == EBUSY && depth)
        return -EXDEV; /* a mount */
    if (depth > REMOVE_DEPTH_MAX)
        return -ELOOP;
    fd = open_folder(parent, name, &st);
    if (fd < 0)
        return fd;
    if (depth && st.st_dev != device) {
        close(fd);
        return -EXDEV;
    }
    r = remove_below(fd, st.st_dev, depth);
    if (r < 0)
        return r;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -errno;
}

static int remove_at(int parent, const char *name, dev_t device, unsigned depth)
{
    struct stat st;

    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno == EISDIR)
        return remove_folder(parent, name, device, depth);
    if (errno != EPERM && errno != EACCES)
        return -errno;
    /* POSIX and some file systems say this of a folder too. */
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return -EPERM;
    return remove_folder(parent, name, device, depth);
}

int remove_tree(const char *path)
{
    return remove_at(AT_FDCWD, path, 0, 0);
}
