/* SPDX-License-Identifier: Apache-2.0 */
#include "node/slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/log.h"

/* Longer than any kernel's coarse clock step, by which folders are stamped. */
enum { SETTLE_US = 20000 };
enum { ASIDE_MAX = 1000 };

static const char log_cut_marker[] = "\n[mesh: the log was cut here: max_log_size]\n";

static int make_dir(const char *path, struct error *ret_error)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return fail(ret_error, -errno, "cannot make %s: %s", path, strerror(errno));
    return 0;
}

/* The ctime, not the mtime: a task can set that one back, and `cp -a` does. */
static void note_empty(struct slot_dir *d, time_us wall)
{
    struct stat st;

    d->is_settled = false;
    if (lstat(d->path, &st) < 0)
        return;
    d->ctime = st.st_ctim;
    d->is_settled = (time_us)st.st_ctim.tv_sec * 1000000
                        + (time_us)st.st_ctim.tv_nsec / 1000 + SETTLE_US
                    < wall;
}

/* Whether it is still our folder, with our rights and nothing in it. */
static bool is_empty(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    struct stat st;
    bool empty = d && fstat(fd, &st) == 0 && (st.st_mode & 0777) == 0700;

    for (struct dirent *e; empty && (e = readdir(d));)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    return empty;
}

bool slot_dir_is_clean(struct slot_dir *d, time_us wall)
{
    struct stat st;

    if (d->is_settled && lstat(d->path, &st) == 0
        && st.st_ctim.tv_sec == d->ctime.tv_sec
        && st.st_ctim.tv_nsec == d->ctime.tv_nsec)
        return true;
    if (!is_empty(d->path))
        return false;
    note_empty(d, wall);
    return true;
}

bool slot_dir_is_left_clean(struct slot_dir *d, time_us wall)
{
    if (!d->is_looked_at)
        d->is_looked_at = slot_dir_is_clean(d, wall);
    return d->is_looked_at;
}

/* What cannot be removed, such as files of another user or a mount, must not be seen by
 * the next task. The next start of a node tries again. */
static int put_aside(const char *path)
{
    for (unsigned i = 0; i < ASIDE_MAX; i++) {
        CLEANUP(freep) char *aside = NULL;

        if (asprintf(&aside, "%s.unclean-%u", path, i) < 0)
            return -ENOMEM;
        if (renameat2(AT_FDCWD, path, AT_FDCWD, aside, RENAME_NOREPLACE) == 0)
            return 1;
        if (errno != EEXIST)
            return -errno;
    }
    return -EEXIST;
}

int slot_clear_path(const char *path)
{
    return remove_tree(path) == 0 ? 0 : put_aside(path);
}

int slot_dir_clean(struct slot_dir *d, time_us wall)
{
    int r = slot_clear_path(d->path);

    if (r < 0)
        return r;
    if (mkdir(d->path, 0700) < 0)
        return -errno;
    note_empty(d, wall);
    return r;
}

static int prepare_dir(struct slot_dir *d, struct error *ret_error)
{
    int r = slot_dir_clean(d, 0);

    return r < 0 ? fail(ret_error, r, "cannot make %s: %s", d->path, strerror(-r)) : 0;
}

static void close_pipes(struct slot *s)
{
    for (int i = 0; i < 2; i++) {
        if (s->pipe_read[i] >= 0)
            close(s->pipe_read[i]);
        if (s->pipe_write[i] >= 0)
            close(s->pipe_write[i]);
        s->pipe_read[i] = s->pipe_write[i] = -1;
    }
}

int slot_renew_pipes(struct slot *s)
{
    close_pipes(s);
    for (int i = 0; i < 2; i++) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
            return -errno;
        s->pipe_read[i] = fds[0];
        s->pipe_write[i] = fds[1];
        if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0)
            return -errno;
    }
    return 0;
}

static int name_paths(struct slot *s, const char *data_dir)
{
    if (asprintf(&s->dir, "%s/slots/%" PRIu32, data_dir, s->index) < 0
        || asprintf(&s->out.path, "%s/out", s->dir) < 0
        || asprintf(&s->tmp.path, "%s/tmp", s->dir) < 0
        || asprintf(&s->in_path, "%s/in", s->dir) < 0
        || asprintf(&s->log_path, "%s/log", s->dir) < 0)
        return -ENOMEM;
    return 0;
}

int slot_open(struct slot *s, uint32_t index, const char *data_dir,
              const struct cgroups *cgroups, struct error *ret_error)
{
    int r;

    *s = SLOT_NONE;
    s->index = index;
    if (name_paths(s, data_dir) < 0)
        return -ENOMEM;
    r = make_dir(s->dir, ret_error);
    if (r == 0)
        r = prepare_dir(&s->out, ret_error);
    if (r == 0)
        r = prepare_dir(&s->tmp, ret_error);
    if (r == 0) {
        slot_clear_path(s->in_path);
        r = slot_renew_pipes(s);
        if (r < 0)
            fail(ret_error, r, "cannot make a pipe: %s", strerror(-r));
    }
    if (r < 0) {
        slot_release(s);
        return r;
    }
    cgroup_slot_open(cgroups, index, &s->cgroup);
    return 0;
}

int slot_reopen(struct slot *s, const char *data_dir)
{
    if (name_paths(s, data_dir) < 0)
        return -ENOMEM;
    if (s->has_log_file) {
        s->log.fd = open(s->log_path, O_RDWR | O_APPEND | O_CLOEXEC);
        if (s->log.fd < 0)
            s->log.is_truncated = true;
    }
    s->has_log_file = false;
    cgroup_slot_reopen(&s->cgroup, s->index);
    s->state = SLOT_RUNNING;
    return 0;
}

static int give_dir(struct slot_dir *d, uid_t uid, gid_t gid)
{
    d->is_settled = false; /* its ctime changes */
    return lchown(d->path, uid, gid) < 0 ? -errno : 0;
}

/* A folder that was made anew is ours again. */
static bool is_of(const struct slot_dir *d, uid_t uid)
{
    struct stat st;

    return lstat(d->path, &st) == 0 && st.st_uid == uid;
}

int slot_give(struct slot *s, uid_t uid, gid_t gid)
{
    int r = 0;

    if (s->owner == 0 && chmod(s->dir, 0711) < 0)
        return -errno;
    s->owner = uid;
    if (!is_of(&s->out, uid))
        r = give_dir(&s->out, uid, gid);
    if (r == 0 && !is_of(&s->tmp, uid))
        r = give_dir(&s->tmp, uid, gid);
    return r;
}

static void forget_types(struct slot *s)
{
    for (struct output_type *t = TAKE(s->types), *next; t; t = next) {
        next = t->next;
        free(t->name);
        free(t->type);
        free(t);
    }
}

static void forget_links(struct slot *s)
{
    for (size_t i = 0; i < s->n_links; i++)
        free(s->links[i].path);
    free(TAKE(s->links));
    s->n_links = 0;
}

void slot_reset(struct slot *s)
{
    attempt_record_release(&s->record);
    s->record = (struct attempt_record){ .attempt = 0 };
    if (s->types)
        forget_types(s);
    free(TAKE(s->choice));
    forget_links(s);
    if (s->log.fd >= 0) {
        close(s->log.fd);
        unlink(s->log_path);
    }
    buffer_clear(&s->log.pieces);
    s->log = (struct slot_log){ .fd = -1, .pieces = s->log.pieces };
    flow_unref(TAKE(s->flow));
    s->use = (struct slot_use){ .at = 0 };
    s->run = NULL;
    s->kill_reason = 0;
    s->out.is_looked_at = s->tmp.is_looked_at = false;
    s->has_cache_key = false;
    s->kill_signal = 0;
    s->has_start_told = false;
    if (s->guard_fd > 0)
        close(s->guard_fd);
    s->guard_fd = 0;
    s->awaits_permit = false;
    s->token[0] = '\0';
    s->pid = 0;
    s->state = SLOT_IDLE;
}

void slot_release(struct slot *s)
{
    if (s->pidfd >= 0)
        close(s->pidfd);
    slot_reset(s);
    buffer_release(&s->log.pieces);
    close_pipes(s);
    cgroup_slot_close(&s->cgroup);
    free(s->dir);
    free(s->out.path);
    free(s->tmp.path);
    free(s->in_path);
    free(s->log_path);
    *s = (struct slot){ .index = s->index };
}

/* Moves the pieces to the slot's log file. */
static int spill(struct slot *s)
{
    struct slot_log *log = &s->log;
    size_t done = 0;

    if (log->fd < 0) {
        log->fd = open(s->log_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (log->fd < 0)
            return -errno;
    }
    while (done < log->pieces.len) {
        ssize_t n = write(log->fd, log->pieces.data + done, log->pieces.len - done);

        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    buffer_clear(&log->pieces);
    return 0;
}

static void add_piece(struct slot *s, enum log_stream stream, time_us since_start,
                      const void *data, size_t len)
{
    struct slot_log *log = &s->log;

    if (log_piece_encode(stream, since_start, data, len, &log->pieces) < 0
        || (log->pieces.len > LOG_INLINE_MAX && spill(s) < 0)) {
        buffer_clear(&log->pieces); /* a log that cannot be kept is cut, not fatal */
        log->is_truncated = true;
    }
}

size_t slot_log_add(struct slot *s, enum log_stream stream, time_us since_start,
                    const void *data, size_t len)
{
    struct slot_log *log = &s->log;
    size_t room =
        log->bytes_max > log->bytes ? (size_t)(log->bytes_max - log->bytes) : 0;
    size_t taken = log->is_truncated ? 0 : min_size(len, room);

    if (taken) {
        add_piece(s, stream, since_start, data, taken);
        log->bytes += taken;
    }
    if (taken < len && !log->is_truncated) {
        add_piece(s, LOG_STDERR, since_start, log_cut_marker,
                  sizeof(log_cut_marker) - 1);
        log->is_truncated = true;
    }
    return taken;
}
