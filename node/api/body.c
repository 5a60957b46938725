/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/body.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char name_prefix[] = "upload-";

void body_init(struct body *b, enum body_kind kind, uint64_t bytes_max,
               const char *spool_dir)
{
    *b = (struct body){
        .kind = kind, .bytes_max = bytes_max, .fd = -1, .spool_dir = spool_dir
    };
}

void body_release(struct body *b)
{
    buffer_release(&b->memory);
    if (b->fd >= 0)
        close(b->fd);
    if (b->path)
        unlink(b->path);
    free(b->path);
    b->fd = -1;
    b->path = NULL;
}

static int open_file(struct body *b)
{
    CLEANUP(freep) char *path = NULL;

    if (mkdir(b->spool_dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    if (asprintf(&path, "%s/%sXXXXXX", b->spool_dir, name_prefix) < 0)
        return -ENOMEM;
    b->fd = mkostemp(path, O_CLOEXEC);
    if (b->fd < 0)
        return -errno;
    b->path = TAKE(path);
    return 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EDQUOT ? -ENOSPC : -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Move what is in memory to a file. */
static int spill(struct body *b)
{
    int r = open_file(b);

    if (r == 0)
        r = write_all(b->fd, buffer_text(&b->memory), b->memory.len);
    buffer_release(&b->memory);
    return r;
}

static bool wants_file(const struct body *b, size_t len)
{
    if (b->path)
        return false;
    return b->kind == BODY_FILE
           || (b->kind == BODY_SPOOL && b->memory.len + len > BODY_MEMORY_MAX);
}

static int add(struct body *b, const void *data, size_t len)
{
    int r = wants_file(b, len) ? spill(b) : 0;

    if (r < 0)
        return r;
    return b->path ? write_all(b->fd, data, len) : buffer_append(&b->memory, data, len);
}

int body_add(struct body *b, const void *data, size_t len)
{
    if (!b->error && len > b->bytes_max - b->size)
        b->error = -E2BIG;
    if (!b->error)
        b->error = add(b, data, len);
    if (!b->error)
        b->size += len;
    return b->error;
}

void body_clean_spool(const char *spool_dir)
{
    DIR *dir = opendir(spool_dir);
    struct dirent *entry;

    if (!dir)
        return;
    while ((entry = readdir(dir)))
        if (strncmp(entry->d_name, name_prefix, sizeof(name_prefix) - 1) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}
