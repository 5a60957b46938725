/* SPDX-License-Identifier: Apache-2.0 */
#include "node/audit_log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 32, NAMES_MAX = 64 };

struct audit_log {
    pthread_mutex_t lock;
    char *dir;
    struct audit_kept kept; /* as it was told when the log was made */
    int dir_fd, fd;         /* -1: not open */
    uint64_t size;          /* of the newest file */
    struct audit_chain chain;
    uint64_t first;
    uint64_t n_unsaid; /* entries that could not be written */
    bool has_added;
};

/* ---- names ---- */

struct names {
    char all[NAMES_MAX][NAME_SIZE]; /* ascending */
    size_t n;
};

static bool is_name(const char *name)
{
    return strlen(name) == 24 && strspn(name, "0123456789") == 20
           && strcmp(name + 20, ".log") == 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Files of others are let be. */
static int list(int dir_fd, struct names *ret)
{
    int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    *ret = (struct names){ .n = 0 };
    if (!dir) {
        int error = errno;

        if (fd >= 0)
            close(fd);
        return -error;
    }
    rewinddir(dir);
    while ((entry = readdir(dir)) && ret->n < NAMES_MAX)
        if (is_name(entry->d_name))
            memcpy(ret->all[ret->n++], entry->d_name, 25);
    closedir(dir);
    qsort(ret->all, ret->n, NAME_SIZE, compare);
    return 0;
}

static uint64_t number_of(const char *name)
{
    return strtoull(name, NULL, 10);
}

/* ---- reading a file ---- */

static void closep(const int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static int read_all(int fd, uint64_t max, struct buffer *ret)
{
    while (ret->len < max) {
        size_t want = (size_t)(max - ret->len);
        ssize_t n;

        want = want < 64 << 10 ? want : 64 << 10;
        if (!buffer_reserve(ret, want))
            return -ENOMEM;
        n = read(fd, ret->data + ret->len, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        ret->len += (size_t)n;
    }
    return 0;
}

/* A file that grew beyond what one may be is read as far as that. */
static int read_file(int dir_fd, const char *name, uint64_t most, struct buffer *ret)
{
    CLEANUP(closep) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    uint64_t max = AUDIT_FILE_MAX + AUDIT_LINE_MAX;

    return fd < 0 ? -errno : read_all(fd, most < max ? most : max, ret);
}

/* ---- opening ---- */

struct audit_log *audit_log_new(const char *dir, const struct audit_kept *kept)
{
    struct audit_log *log = calloc(1, sizeof(*log));

    if (!log)
        return NULL;
    if (asprintf(&log->dir, "%s/audit", dir) < 0) {
        free(log);
        return NULL;
    }
    pthread_mutex_init(&log->lock, NULL);
    log->dir_fd = log->fd = -1;
    log->kept = *kept;
    return log;
}

void audit_log_free(struct audit_log *log)
{
    if (!log)
        return;
    closep(&log->fd);
    closep(&log->dir_fd);
    pthread_mutex_destroy(&log->lock);
    free(log->dir);
    free(log);
}

static int open_dir(struct audit_log *log)
{
    if (log->dir_fd >= 0)
        return 0;
    if (mkdir(log->dir, 0700) < 0 && errno != EEXIST)
        return -errno;
    log->dir_fd = open(log->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return log->dir_fd < 0 ? -errno : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
    size_t at = 0;

    while (at < len) {
        ssize_t n = write(fd, data + at, len - at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += (size_t)n;
    }
    return 0;
}

/* A file that goes on from the chain. */
static int begin_file(struct audit_log *log, const struct audit_chain *from)
{
    CLEANUP(buffer_release) struct buffer head = BUFFER_INIT;
    char name[NAME_SIZE];
    int fd, r = audit_write_head(from, &head);

    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "%020" PRIu64 ".log", from->number + 1);
    fd = openat(log->dir_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC,
                0600);
    if (fd < 0)
        return -errno;
    r = write_all(fd, head.data, head.len);
    if (r < 0) {
        close(fd);
        unlinkat(log->dir_fd, name, 0);
        return r;
    }
    closep(&log->fd);
    log->fd = fd;
    log->size = head.len;
    log->chain = *from;
    return 0;
}

/* Takes up the newest file: its last line alone is looked at, for this is on the way of
 * the first run. What was being written when the machine went down has no end: it goes.
 * -ENODATA: it has no line; 1: it is not what was left, and is not gone on with. */
static int resume_file(struct audit_log *log, const char *name)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(closep)
    int fd = openat(log->dir_fd, name, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    const struct audit_chain *kept = &log->kept.last;
    const char *end, *line;
    struct audit_chain chain;
    struct stat st;
    off_t from;
    int r;

    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    from = st.st_size > 2 * AUDIT_LINE_MAX ? st.st_size - 2 * AUDIT_LINE_MAX : 0;
    if (lseek(fd, from, SEEK_SET) < 0)
        return -errno;
    r = read_all(fd, 2 * AUDIT_LINE_MAX, &text);
    end = r == 0 && text.len ? memrchr(text.data, '\n', text.len) : NULL;
    if (!end)
        return r < 0 ? r : from ? 1 : -ENODATA;
    line = memrchr(text.data, '\n', (size_t)(end - text.data));
    line = line ? line + 1 : text.data;
    if (!audit_read_last(line, (size_t)(end - line), &chain)
        || chain.number < kept->number
        || (chain.number == kept->number
            && !digest_equal(&chain.digest, &kept->digest)))
        return 1;
    log->chain = chain;
    log->size = (uint64_t)from + (uint64_t)(end + 1 - text.data);
    if ((off_t)log->size < st.st_size && ftruncate(fd, (off_t)log->size) < 0)
        return -errno;
    log->fd = fd;
    fd = -1; /* it is the log's */
    return 0;
}

/* Where to go on when the newest file is not what was left: behind all that was. */
static int begin_anew(struct audit_log *log, const struct names *names)
{
    struct audit_chain from = log->kept.last;
    uint64_t last = names->n ? number_of(names->all[names->n - 1]) : 0;

    /* Not over a file that is there. */
    if (names->n && from.number + 1 <= last)
        from.number = last;
    return begin_file(log, &from);
}

static int open_newest(struct audit_log *log, struct names *names)
{
    int r = -ENODATA;

    while (names->n && r == -ENODATA) {
        const char *name = names->all[names->n - 1];

        r = resume_file(log, name);
        if (r == -ENODATA && unlinkat(log->dir_fd, name, 0) < 0)
            return -errno;
        names->n -= r == -ENODATA;
    }
    return r == -ENODATA || r == 1 ? begin_anew(log, names) : r;
}

static int open_log(struct audit_log *log)
{
    struct names names;
    int r = open_dir(log);

    if (r < 0 || log->fd >= 0)
        return r;
    r = list(log->dir_fd, &names);
    if (r == 0)
        r = open_newest(log, &names);
    if (r < 0)
        return r;
    log->first = log->kept.first ? log->kept.first
                 : names.n       ? number_of(names.all[0])
                                 : log->chain.number + 1;
    return 0;
}

/* ---- adding ---- */

/* What is too old goes a file later than it is out of what is kept, which is on disk by
 * then: so a file that is missing is always one too few. */
static int rotate(struct audit_log *log)
{
    struct names names;
    int r = begin_file(log, &log->chain);

    if (r == 0)
        r = list(log->dir_fd, &names);
    if (r < 0)
        return r;
    for (size_t i = 0; i < names.n && number_of(names.all[i]) < log->first; i++)
        unlinkat(log->dir_fd, names.all[i], 0);
    if (names.n > AUDIT_FILES_MAX) {
        uint64_t first = number_of(names.all[names.n - AUDIT_FILES_MAX]);

        log->first = first > log->first ? first : log->first;
    }
    return 0;
}

static int append(struct audit_log *log, struct audit_entry *e)
{
    CLEANUP(buffer_release) struct buffer line = BUFFER_INIT;
    struct audit_chain chain = log->chain;
    int r = audit_write(&chain, e, &line);

    if (r < 0)
        return r;
    r = write_all(log->fd, line.data, line.len);
    if (r < 0) {
        /* A line without its end would spoil the next one. */
        if (ftruncate(log->fd, (off_t)log->size) < 0) {
            closep(&log->fd);
            log->fd = -1;
        }
        return r;
    }
    log->chain = chain;
    log->size += line.len;
    return 0;
}

int audit_log_add(struct audit_log *log, struct audit_entry *e)
{
    int r;

    pthread_mutex_lock(&log->lock);
    e->n_unsaid += log->n_unsaid;
    r = open_log(log);
    if (r == 0 && log->size > AUDIT_FILE_MAX - AUDIT_LINE_MAX)
        r = rotate(log);
    if (r == 0)
        r = append(log, e);
    log->n_unsaid = r < 0 ? e->n_unsaid + 1 : 0;
    log->has_added = log->has_added || r == 0;
    pthread_mutex_unlock(&log->lock);
    return r;
}

int audit_log_fd(struct audit_log *log, int *ret_fd, struct audit_kept *ret_kept)
{
    int r = 0;

    pthread_mutex_lock(&log->lock);
    if (!log->has_added || log->fd < 0) {
        r = -ENOENT;
    } else {
        *ret_fd = fcntl(log->fd, F_DUPFD_CLOEXEC, 0);
        r = *ret_fd < 0 ? -errno : 0;
        *ret_kept = (struct audit_kept){ .last = log->chain, .first = log->first };
    }
    pthread_mutex_unlock(&log->lock);
    return r;
}

void audit_log_keep(struct audit_log *log, const struct audit_kept *kept)
{
    pthread_mutex_lock(&log->lock);
    log->kept = *kept;
    pthread_mutex_unlock(&log->lock);
}

/* ---- reading ---- */

struct walk {
    audit_log_each_fn *each;
    void *arg;
    const char *file;
};

static int each_of_file(void *arg, const struct audit_entry *e, enum audit_fault fault)
{
    const struct walk *w = arg;

    return w->each(w->arg, w->file, e, fault);
}

/* What there is now. Names of files that are removed while they are read are the
 * oldest, and skipped. */
struct look {
    struct names names;
    uint64_t size; /* of the newest */
    struct audit_chain last;
    struct audit_kept kept; /* `first` of the log */
};

static int look(struct audit_log *log, struct look *ret)
{
    int r;

    pthread_mutex_lock(&log->lock);
    r = open_log(log);
    if (r == 0)
        r = list(log->dir_fd, &ret->names);
    ret->size = log->size;
    ret->last = log->chain;
    ret->kept = (struct audit_kept){ .last = log->kept.last, .first = log->first };
    pthread_mutex_unlock(&log->lock);
    return r;
}

static int read_files(const struct audit_log *log, const struct look *there,
                      struct audit_chain *chain, audit_log_each_fn *each, void *arg)
{
    const struct names *names = &there->names;
    struct walk w = { .each = each, .arg = arg };
    int r = 0;

    for (size_t i = 0; r == 0 && i < names->n; i++) {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
        bool is_newest = i + 1 == names->n;

        w.file = names->all[i];
        r = read_file(log->dir_fd, w.file, is_newest ? there->size : UINT64_MAX, &text);
        if (r == -ENOENT && i == 0) {
            r = 0;
            continue;
        }
        if (r == 0)
            r = audit_read(buffer_text(&text), text.len, chain, each_of_file, &w);
    }
    return r;
}

int audit_log_read(struct audit_log *log, audit_log_each_fn *each, void *arg)
{
    struct audit_chain chain = { .number = 0 };
    struct look there;
    int r = look(log, &there);

    return r < 0 ? r : read_files(log, &there, &chain, each, arg);
}

/* ---- verifying ---- */

struct verifying {
    struct audit_report *report;
    const struct audit_chain *chain; /* as it is read */
    const struct audit_chain *kept;  /* is to be met on the way */
};

static void add_fault(struct audit_report *r, const char *file, uint64_t number,
                      const char *text)
{
    size_t i = r->n_faults++;

    if (i >= AUDIT_FAULTS_MAX)
        return;
    snprintf(r->faults[i].file, sizeof(r->faults[i].file), "%s", file);
    r->faults[i].number = number;
    r->faults[i].text = text;
}

static int check_entry(void *arg, const char *file, const struct audit_entry *e,
                       enum audit_fault fault)
{
    struct verifying *v = arg;

    if (!v->report->n++)
        v->report->first = e->number;
    if (fault)
        add_fault(v->report, file, e->number, audit_fault_sentence(fault));
    else if (e->number == v->kept->number
             && !digest_equal(&v->chain->digest, &v->kept->digest))
        add_fault(v->report, file, e->number, "it is not the one that the store knows");
    return 0;
}

int audit_log_verify(struct audit_log *log, struct audit_report *ret)
{
    struct audit_chain chain = { .number = 0 };
    struct look there;
    struct verifying v = { ret, &chain, &there.kept.last };
    int r = look(log, &there);

    *ret = (struct audit_report){ .n = 0 };
    if (r == 0)
        r = read_files(log, &there, &chain, check_entry, &v);
    if (r < 0)
        return r;
    ret->last = chain;
    ret->kept = there.kept.last.number;
    if (there.names.n && number_of(there.names.all[0]) > there.kept.first)
        add_fault(ret, there.names.all[0], 0, "files before it are missing");
    if (chain.number != there.last.number
        || !digest_equal(&chain.digest, &there.last.digest))
        add_fault(ret, "", there.last.number,
                  "the newest entries are missing or changed");
    return 0;
}
