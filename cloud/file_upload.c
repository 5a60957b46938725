/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads of file_disk.h: a folder `up-<id>` in the hidden one, with the file `data`,
 * where each part has its place, and for each part that is on disk an empty file
 * `part-<number>-<offset>-<size>`, which needs no disk to be written twice. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloud/encode.h"
#include "cloud/file_disk.h"

enum { FOLDER_SIZE = 4 + FILE_UPLOAD_ID_SIZE };

static const char data_name[] = "data";

struct part {
    uint32_t number;
    uint64_t offset, size;
};

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static void folder_name(const char *upload, char ret[FOLDER_SIZE])
{
    snprintf(ret, FOLDER_SIZE, "up-%.*s", FILE_UPLOAD_ID_SIZE - 1, upload);
}

/* The id comes back from a file or from far away. */
static bool is_id(const char *upload)
{
    return upload && strlen(upload) == FILE_UPLOAD_ID_SIZE - 1
           && strspn(upload, "0123456789abcdef") == FILE_UPLOAD_ID_SIZE - 1;
}

static int open_upload(const struct file_disk *d, const char *upload, int *ret_fd,
                       struct error *ret_error)
{
    CLEANUP(closep) int hidden = -1;
    struct error ignored;
    char folder[FOLDER_SIZE];
    int r = is_id(upload) ? file_disk_hidden(d, false, &hidden, &ignored) : -ENOENT;

    if (r == 0) {
        folder_name(upload, folder);
        *ret_fd =
            openat(hidden, folder, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        r = *ret_fd < 0 ? -errno : 0;
    }
    if (r == -ENOENT)
        return fail(ret_error, r, "there is no such upload in %s", d->folder);
    return r < 0 ? file_disk_failed(d, r, "opened", "an upload", ret_error) : 0;
}

int file_disk_begin(const struct file_disk *d, char ret_upload[FILE_UPLOAD_ID_SIZE],
                    struct error *ret_error)
{
    CLEANUP(closep) int hidden = -1;
    CLEANUP(closep) int dir = -1;
    CLEANUP(closep) int data = -1;
    uint8_t id[FILE_UPLOAD_ID_SIZE / 2];
    char folder[FOLDER_SIZE];
    int r = file_disk_hidden(d, true, &hidden, ret_error);

    if (r < 0)
        return r;
    if (getrandom(id, sizeof(id), 0) != sizeof(id))
        return fail(ret_error, -EIO, "there are no random bytes: %s", strerror(errno));
    encode_hex(id, sizeof(id), ret_upload);
    folder_name(ret_upload, folder);
    if (mkdirat(hidden, folder, 0700) < 0
        || (dir = openat(hidden, folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC)) < 0
        || (data = openat(dir, data_name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666))
               < 0
        || (!d->is_relaxed && (fsync(dir) < 0 || fsync(hidden) < 0)))
        return file_disk_failed(d, -errno, "made", "an upload", ret_error);
    return 0;
}

static void part_name(const struct part *p, char ret[64])
{
    snprintf(ret, 64, "part-%" PRIu32 "-%" PRIu64 "-%" PRIu64, p->number, p->offset,
             p->size);
}

static void part_tell(const struct part *p, struct object_part *ret)
{
    *ret = (struct object_part){ .number = p->number, .size = p->size };
    snprintf(ret->tag, sizeof(ret->tag), "\"%" PRIu64 "-%" PRIu64 "\"", p->offset,
             p->size);
}

int file_disk_part(const struct file_disk *d, const struct object_upload *part,
                   const file_stop *stop, struct object_part *ret_part,
                   struct error *ret_error)
{
    const struct part mine = { part->number, part->offset, part->body.len };
    CLEANUP(closep) int dir = -1;
    CLEANUP(closep) int data = -1;
    CLEANUP(closep) int note = -1;
    char name[64];
    int r = open_upload(d, part->upload, &dir, ret_error);

    if (r < 0)
        return r;
    data = openat(dir, data_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (data < 0)
        return file_disk_failed(d, -errno, "opened", part->name, ret_error);
    r = file_disk_write(data, part->offset, &part->body, part->sha256, stop, ret_error);
    if (r < 0)
        return r;
    if (!d->is_relaxed && fdatasync(data) < 0)
        return file_disk_failed(d, -errno, "written", part->name, ret_error);
    part_name(&mine, name);
    note = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (note < 0)
        return file_disk_failed(d, -errno, "written", part->name, ret_error);
    part_tell(&mine, ret_part);
    return 0;
}

static int compare_parts(const void *a, const void *b)
{
    const struct part *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static int read_parts(int dir, struct part **ret_parts, size_t *ret_n)
{
    CLEANUP(freep) struct part *parts = calloc(OBJECT_PARTS_MAX, sizeof(*parts));
    int copy = openat(dir, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    struct dirent *e;
    size_t n = 0;

    if (!entries && copy >= 0)
        close(copy);
    if (!entries || !parts) {
        if (entries)
            closedir(entries);
        return -ENOMEM;
    }
    while (n < OBJECT_PARTS_MAX && (e = readdir(entries))) {
        struct part *p = &parts[n];

        n += sscanf(e->d_name, "part-%" SCNu32 "-%" SCNu64 "-%" SCNu64, &p->number,
                    &p->offset, &p->size)
             == 3;
    }
    closedir(entries);
    qsort(parts, n, sizeof(*parts), compare_parts);
    *ret_parts = TAKE(parts);
    *ret_n = n;
    return 0;
}

int file_disk_parts(const struct file_disk *d, const char *upload,
                    struct object_part **ret_parts, size_t *ret_n,
                    struct error *ret_error)
{
    CLEANUP(freep) struct object_part *told = NULL;
    CLEANUP(freep) struct part *parts = NULL;
    CLEANUP(closep) int dir = -1;
    size_t n = 0;
    int r = open_upload(d, upload, &dir, ret_error);

    if (r == 0)
        r = read_parts(dir, &parts, &n);
    if (r < 0)
        return r;
    told = calloc(n ? n : 1, sizeof(*told));
    if (!told)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        part_tell(&parts[i], &told[i]);
    *ret_parts = TAKE(told);
    *ret_n = n;
    return 0;
}

static bool is_on_disk(const struct part *parts, size_t n, const struct part *wanted)
{
    for (size_t i = 0; i < n; i++)
        if (parts[i].number == wanted->number && parts[i].offset == wanted->offset
            && parts[i].size == wanted->size)
            return true;
    return false;
}

/* All the parts that are named, one behind the other, are there, and nothing else. */
static int check_parts(int dir, const struct object_upload *u, struct error *ret_error)
{
    CLEANUP(freep) struct part *parts = NULL;
    uint64_t at = 0;
    size_t n = 0;
    struct stat st;
    int r = read_parts(dir, &parts, &n);

    for (size_t i = 0; r == 0 && i < u->n_parts; i++) {
        const struct part wanted = { u->parts[i].number, at, u->parts[i].size };

        if (!is_on_disk(parts, n, &wanted))
            return fail(ret_error, -EBADMSG, "part %" PRIu32 " of '%.300s' is missing",
                        wanted.number, u->name);
        at += wanted.size;
    }
    if (r == 0 && fstatat(dir, data_name, &st, 0) == 0 && (uint64_t)st.st_size != at)
        return fail(ret_error, -EBADMSG,
                    "the parts of '%.300s' are not the whole of it", u->name);
    return r;
}

int file_disk_finish(const struct file_disk *d, const struct object_upload *u,
                     struct object_about *ret_about, struct error *ret_error)
{
    CLEANUP(closep) int dir = -1;
    CLEANUP(closep) int data = -1;
    struct file_place place = { .from = data_name,
                                .name = u->name,
                                .is_if_absent = u->is_if_absent };
    struct error ignored;
    int r = open_upload(d, u->upload, &dir, ret_error);

    if (r == 0)
        r = check_parts(dir, u, ret_error);
    if (r < 0)
        return r;
    data = openat(dir, data_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (data < 0 || (!d->is_relaxed && fsync(data) < 0))
        return file_disk_failed(d, -errno, "written", u->name, ret_error);
    place.dir = dir;
    r = file_disk_publish(d, &place, ret_about, ret_error);
    if (r == 0)
        file_disk_abort(d, u->upload, &ignored); /* what is left of it */
    return r;
}

int file_disk_abort(const struct file_disk *d, const char *upload,
                    struct error *ret_error)
{
    CLEANUP(closep) int hidden = -1;
    CLEANUP(freep) struct part *parts = NULL;
    CLEANUP(closep) int dir = -1;
    char folder[FOLDER_SIZE], name[64];
    size_t n = 0;
    int r = open_upload(d, upload, &dir, ret_error);

    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = read_parts(dir, &parts, &n);
    if (r == 0)
        r = file_disk_hidden(d, false, &hidden, ret_error);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        part_name(&parts[i], name);
        unlinkat(dir, name, 0);
    }
    unlinkat(dir, data_name, 0);
    folder_name(upload, folder);
    if (unlinkat(hidden, folder, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return file_disk_failed(d, -errno, "removed", "an upload", ret_error);
    return 0;
}
