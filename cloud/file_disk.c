/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/file_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloud/encode.h"
#include "cloud/file_name.h"

enum { COPY_BYTES = 1 << 20, PUBLISH_TRIES = 16 };

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* ---- the folder ---- */

int file_disk_init(struct file_disk *d, const char *folder, const char *prefix,
                   bool is_relaxed)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    size_t len = prefix ? strlen(prefix) : 0;
    int r = buffer_puts(&path, folder);

    if (r == 0 && len) {
        CLEANUP(freep) char *name = strndup(prefix, len - (prefix[len - 1] == '/'));

        if (!name)
            return -ENOMEM;
        buffer_putc(&path, '/');
        r = file_name_path(name, &path);
    }
    if (r < 0)
        return r;
    *d = (struct file_disk){ .folder = buffer_take(&path), .is_relaxed = is_relaxed };
    return d->folder ? 0 : -ENOMEM;
}

void file_disk_release(struct file_disk *d)
{
    CLEANUP(closep) int root = open(d->folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

    if (root >= 0)
        unlinkat(root, FILE_NAME_HIDDEN, AT_REMOVEDIR);
    free(d->folder);
}

int file_disk_failed(const struct file_disk *d, int code, const char *doing,
                     const char *what, struct error *ret_error)
{
    const char *why = strerror(-code);

    switch (code) {
    case -ENOMEM:
    case -ECANCELED:
        return code;
    case -ENOENT:
    case -EEXIST:
    case -EACCES:
    case -EROFS:
    case -ENOSPC:
        break;
    case -EPERM:
        code = -EACCES;
        break;
    case -EDQUOT:
        code = -ENOSPC;
        break;
    case -ENOTDIR:
    case -EISDIR:
    case -ENOTEMPTY:
        why = "a folder cannot hold a file and a folder of the same name";
        code = -EIO;
        break;
    default:
        code = -EIO;
    }
    return fail(ret_error, code, "'%.300s' in %.120s cannot be %s: %s", what, d->folder,
                doing, why);
}

static int make_folders(const struct file_disk *d)
{
    CLEANUP(freep) char *path = strdup(d->folder);

    if (!path)
        return -ENOMEM;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return mkdir(path, 0777) < 0 && errno != EEXIST ? -errno : 0;
}

int file_disk_root(const struct file_disk *d, bool is_made, int *ret_fd,
                   struct error *ret_error)
{
    int fd = open(d->folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC), r = 0;

    if (fd < 0 && errno == ENOENT && is_made) {
        r = make_folders(d);
        if (r == 0)
            fd = open(d->folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        if (r == 0)
            r = -errno;
        if (r == -ENOENT)
            return fail(ret_error, r, "there is no folder %s", d->folder);
        return fail(ret_error, r == -EACCES || r == -EROFS || r == -ENOSPC ? r : -EIO,
                    "the folder %s cannot be opened: %s", d->folder, strerror(-r));
    }
    *ret_fd = fd;
    return 0;
}

int file_disk_hidden(const struct file_disk *d, bool is_made, int *ret_fd,
                     struct error *ret_error)
{
    CLEANUP(closep) int root = -1;
    int r = file_disk_root(d, is_made, &root, ret_error);

    if (r < 0)
        return r;
    if (is_made && mkdirat(root, FILE_NAME_HIDDEN, 0700) < 0 && errno != EEXIST)
        return file_disk_failed(d, -errno, "made", FILE_NAME_HIDDEN, ret_error);
    *ret_fd =
        openat(root, FILE_NAME_HIDDEN, O_DIRECTORY | O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return file_disk_failed(d, -errno, "opened", FILE_NAME_HIDDEN, ret_error);
    return 0;
}

/* ---- reading ---- */

void file_disk_tell(const struct stat *st, struct object_about *ret)
{
    *ret = (struct object_about){ .size = (uint64_t)st->st_size,
                                  .modified_s = st->st_mtim.tv_sec };
    snprintf(ret->etag, sizeof(ret->etag), "\"%jx-%jx.%lx-%jx\"", (uintmax_t)st->st_ino,
             (uintmax_t)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
             (uintmax_t)st->st_size);
}

int file_disk_about(int fd, struct object_about *ret_about)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    file_disk_tell(&st, ret_about);
    return 0;
}

static int path_of(const struct file_disk *d, const char *name, struct buffer *path,
                   struct error *ret_error)
{
    int r = file_name_path(name, path);

    if (r == -EINVAL)
        return fail(ret_error, -EIO,
                    "%s: a name has 1 to %d bytes; '%.80s' cannot be one", d->folder,
                    OBJECT_NAME_MAX, name);
    return r;
}

static bool is_missing(int code)
{
    return code == -ENOENT || code == -ENOTDIR || code == -ELOOP;
}

int file_disk_open(const struct file_disk *d, const char *name, int *ret_fd,
                   struct object_about *ret_about, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    CLEANUP(closep) int root = -1;
    CLEANUP(closep) int fd = -1;
    struct stat st;
    int r = file_disk_root(d, false, &root, ret_error);

    if (r == 0)
        r = path_of(d, name, &path, ret_error);
    if (r < 0)
        return r;
    /* What is no plain file could keep open() waiting. */
    fd = openat(root, path.data, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        r = -errno;
    if (is_missing(r) || (r == 0 && S_ISDIR(st.st_mode)))
        return fail(ret_error, -ENOENT, "there is no '%.300s' in %.120s", name,
                    d->folder);
    if (r == 0 && !S_ISREG(st.st_mode))
        return fail(ret_error, -EIO, "'%.300s' in %.120s is no plain file", name,
                    d->folder);
    if (r < 0)
        return file_disk_failed(d, r, "read", name, ret_error);
    file_disk_tell(&st, ret_about);
    if (ret_fd) {
        *ret_fd = fd;
        fd = -1;
    }
    return 0;
}

/* ---- writing ---- */

static int write_all(int fd, uint64_t at, const char *data, size_t len)
{
    while (len) {
        ssize_t n = pwrite(fd, data, len, (off_t)at);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            at += (uint64_t)n;
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

/* The next piece of what is sent, in memory. */
static int take_piece(const struct http_body *body, uint64_t done, char *room,
                      const char **ret_data, size_t *ret_len, struct error *ret_error)
{
    size_t len = min_size(body->len - done, COPY_BYTES);
    ssize_t n;

    *ret_len = len;
    if (body->data) {
        *ret_data = (const char *)body->data + done;
        return 0;
    }
    n = pread(body->fd, room, len, (off_t)(body->offset + done));
    if (n < 0)
        return fail(ret_error, -EIO, "the file cannot be read: %s", strerror(errno));
    if (n == 0)
        return fail(ret_error, -EBADMSG, "the file became shorter while it was read");
    *ret_data = room;
    *ret_len = (size_t)n;
    return 0;
}

static int write_pieces(int fd, uint64_t at, const struct http_body *body,
                        EVP_MD_CTX *hash, const file_stop *stop,
                        struct error *ret_error)
{
    CLEANUP(freep) char *room = body->data ? NULL : malloc(COPY_BYTES);
    int r = !body->data && !room ? -ENOMEM : 0;

    for (uint64_t done = 0; r == 0 && done < body->len;) {
        const char *data = NULL;
        size_t len = 0;

        if (atomic_load(stop))
            return -ECANCELED;
        r = take_piece(body, done, room, &data, &len, ret_error);
        if (r < 0)
            return r;
        r = write_all(fd, at + done, data, len);
        if (r < 0)
            return fail(ret_error, r == -EDQUOT ? -ENOSPC : r, "cannot be written: %s",
                        strerror(-r));
        if (hash && EVP_DigestUpdate(hash, data, len) != 1)
            return -ENOMEM;
        done += len;
    }
    return r;
}

int file_disk_write(int fd, uint64_t at, const struct http_body *body,
                    const uint8_t *sha256, const file_stop *stop,
                    struct error *ret_error)
{
    uint8_t found[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *hash = sha256 ? EVP_MD_CTX_new() : NULL;
    int r = 0;

    if (sha256 && (!hash || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1))
        r = -ENOMEM;
    if (r == 0)
        r = write_pieces(fd, at, body, hash, stop, ret_error);
    if (r == 0 && sha256
        && (EVP_DigestFinal_ex(hash, found, NULL) != 1
            || memcmp(found, sha256, ENCODE_SHA256) != 0))
        r = fail(ret_error, -EBADMSG,
                 "what was to be written is not what was promised");
    EVP_MD_CTX_free(hash);
    return r;
}

static int make_parents(int root, const char *path)
{
    CLEANUP(freep) char *parent = strdup(path);

    if (!parent)
        return -ENOMEM;
    for (char *slash = strchr(parent, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(root, parent, 0777) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

static int sync_parent(int root, const char *path)
{
    CLEANUP(freep) char *parent = strdup(path);
    char *slash = parent ? strrchr(parent, '/') : NULL;
    CLEANUP(closep) int fd = -1;

    if (!parent)
        return -ENOMEM;
    if (slash)
        *slash = '\0';
    fd = openat(root, slash ? parent : ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static bool is_match(int root, const char *path, const char *etag)
{
    struct object_about about;
    struct stat st;

    if (fstatat(root, path, &st, 0) < 0)
        return false;
    file_disk_tell(&st, &about);
    return strcmp(about.etag, etag) == 0;
}

/* Once; -ENOENT: a folder of the path is not there, or no longer. */
static int take_place(int root, const struct file_place *p, const char *path)
{
    struct stat st;

    if (p->is_if_absent) {
        if (linkat(p->dir, p->from, root, path, 0) < 0)
            return errno == EEXIST && fstatat(root, path, &st, 0) == 0
                           && S_ISDIR(st.st_mode)
                       ? -EISDIR
                       : -errno;
        unlinkat(p->dir, p->from, 0);
        return 0;
    }
    if (p->if_match && !is_match(root, path, p->if_match))
        return -EEXIST;
    return renameat(p->dir, p->from, root, path) < 0 ? -errno : 0;
}

int file_disk_publish(const struct file_disk *d, const struct file_place *place,
                      struct object_about *ret_about, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    CLEANUP(closep) int root = -1;
    CLEANUP(closep) int lock = -1;
    struct stat st;
    int r = file_disk_root(d, true, &root, ret_error);

    if (r == 0)
        r = path_of(d, place->name, &path, ret_error);
    if (r == 0)
        r = file_disk_hidden(d, true, &lock, ret_error);
    if (r < 0)
        return r;
    if (flock(lock, LOCK_EX) < 0)
        return file_disk_failed(d, -errno, "locked", FILE_NAME_HIDDEN, ret_error);
    /* Whoever removes the last object of a folder removes the folder. */
    for (int i = 0; i < PUBLISH_TRIES; i++) {
        r = take_place(root, place, path.data);
        if (r != -ENOENT)
            break;
        r = make_parents(root, path.data);
        if (r < 0 && r != -ENOENT)
            break;
    }
    if (r == 0 && !d->is_relaxed)
        r = sync_parent(root, path.data);
    if (r == 0 && fstatat(root, path.data, &st, 0) < 0)
        r = -errno;
    if (r == -EEXIST)
        return fail(ret_error, r, "'%.300s' in %.120s is %s", place->name, d->folder,
                    place->is_if_absent ? "there already" : "not what it was");
    if (r < 0)
        return file_disk_failed(d, r, "written", place->name, ret_error);
    file_disk_tell(&st, ret_about);
    return 0;
}

/* A file that nobody else has, in the hidden folder. */
static int make_temporary(const struct file_disk *d, int *ret_hidden, int *ret_fd,
                          char ret_name[32], struct error *ret_error)
{
    static atomic_uint_fast64_t count;
    int r = -ENOENT;

    for (int i = 0; i < PUBLISH_TRIES && (r == -ENOENT || r == -EEXIST); i++) {
        int hidden = -1;

        r = file_disk_hidden(d, true, &hidden, ret_error);
        if (r < 0)
            continue;
        snprintf(ret_name, 32, "put-%d-%" PRIxFAST64, (int)getpid(),
                 atomic_fetch_add(&count, 1));
        *ret_fd = openat(hidden, ret_name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
        if (*ret_fd >= 0) {
            *ret_hidden = hidden;
            return 0;
        }
        r = -errno; /* the folder was just removed, or a file was left by a crash */
        close(hidden);
    }
    return file_disk_failed(d, r, "made", "a new file", ret_error);
}

int file_disk_put(const struct file_disk *d, const struct object_put *put,
                  const file_stop *stop, struct object_about *ret_about,
                  struct error *ret_error)
{
    CLEANUP(closep) int hidden = -1;
    CLEANUP(closep) int fd = -1;
    struct file_place place = { .name = put->name,
                                .is_if_absent = put->is_if_absent,
                                .if_match = put->if_match };
    char name[32];
    int r = make_temporary(d, &hidden, &fd, name, ret_error);

    if (r < 0)
        return r;
    place.dir = hidden;
    place.from = name;
    r = file_disk_write(fd, 0, &put->body, put->sha256, stop, ret_error);
    if (r == 0 && !d->is_relaxed && fsync(fd) < 0)
        r = file_disk_failed(d, -errno, "written", put->name, ret_error);
    if (r == 0)
        r = file_disk_publish(d, &place, ret_about, ret_error);
    if (r < 0)
        unlinkat(hidden, name, 0);
    return r;
}

int file_disk_remove(const struct file_disk *d, const char *name,
                     struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    CLEANUP(closep) int root = -1;
    int r = file_disk_root(d, false, &root, ret_error);
    char *slash;

    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = path_of(d, name, &path, ret_error);
    if (r < 0)
        return r;
    if (unlinkat(root, path.data, 0) < 0 && !is_missing(-errno) && errno != EISDIR)
        return file_disk_failed(d, -errno, "removed", name, ret_error);
    /* Folders are of no use to objects but as a way to them. */
    while ((slash = strrchr(path.data, '/'))) {
        *slash = '\0';
        if (unlinkat(root, path.data, AT_REMOVEDIR) < 0)
            break;
    }
    return 0;
}
