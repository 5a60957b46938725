/* SPDX-License-Identifier: Apache-2.0 */
#include "node/outputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/artifacts.h"
#include "node/declared.h"
#include "proto/text.h"
#include "store/digest.h"
#include "store/place.h"
#include "store/tree.h"

enum { TREE_BYTES_NO_MAX = 0, SHOWN_BYTES_MAX = 64 };

struct kept {
    struct artifact *all;
    size_t n, cap;
};

void outputs_free(struct artifact *outputs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        artifact_release(&outputs[i]);
    free(outputs);
}

static void kept_release(struct kept *k)
{
    outputs_free(k->all, k->n);
}

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The folder itself, not what a task has put in its place, and with our rights. */
static DIR *open_out(const char *path)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = open(path, flags);
    DIR *d;

    if (fd < 0 && errno == EACCES && chmod(path, 0700) == 0)
        fd = open(path, flags);
    if (fd < 0)
        return NULL;
    fchmod(fd, 0700);
    d = fdopendir(fd);
    if (!d)
        close(fd);
    return d;
}

bool outputs_are_small(const struct outputs_job *job)
{
    uint64_t bytes = 0;
    unsigned n = 0;
    bool small = job->step->n_outputs == 0;
    DIR *d = small ? open_out(job->out_path) : NULL;

    if (!d)
        return false;
    for (struct dirent *e; small && (e = readdir(d));) {
        struct stat st;

        if (is_dot(e->d_name))
            continue;
        if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0
            || !S_ISREG(st.st_mode))
            small = false;
        else
            bytes += (uint64_t)st.st_size;
        small = small && bytes <= OUTPUTS_SMALL_BYTES && ++n <= OUTPUTS_SMALL_N;
    }
    closedir(d);
    return small;
}

/* What the task said, else what the name says. */
static const char *type_of(const struct outputs_job *job, const char *name)
{
    const char *dot = strrchr(name, '.');

    for (const struct output_type *t = job->types; t; t = t->next)
        if (strcmp(t->name, name) == 0)
            return t->type;
    if (dot && strcmp(dot, ".json") == 0)
        return "json";
    if (dot && strcmp(dot, ".txt") == 0)
        return "text";
    return "bytes";
}

static int read_all(int fd, uint8_t *data, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, data + done, size - done);

        if (n == 0)
            return -ESTALE;
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int keep_small(const struct outputs_job *job, int fd, struct artifact *a)
{
    CLEANUP(freep) uint8_t *data = malloc(a->size + 1);
    int r;

    if (!data)
        return -ENOMEM;
    r = read_all(fd, data, a->size);
    if (r < 0)
        return r;
    if (a->size <= BLOB_INLINE_MAX) {
        a->id = digest_memory(data, a->size);
        a->inline_data = TAKE(data);
        return 0;
    }
    return blobs_put(job->blobs, data, a->size, &a->id);
}

static int keep_file(const struct outputs_job *job, const char *path, bool may_take,
                     const struct stat *st, struct artifact *a)
{
    int fd = place_open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    int r;

    if (fd < 0)
        return fd;
    a->size = (uint64_t)st->st_size;
    if (a->size <= BLOB_CHUNKED_MAX) {
        r = keep_small(job, fd, a);
        if (r == 0 && may_take)
            unlink(path);
    } else {
        r = digest_file(fd, a->size, job->threads, &a->id);
        if (r == 0)
            r = may_take ? blobs_adopt_file(job->blobs, path, a->size, &a->id)
                         : blobs_copy_file(job->blobs, path, a->size, &a->id);
    }
    close(fd);
    return r;
}

static int keep_folder(const struct outputs_job *job, const char *path, bool may_take,
                       struct artifact *a, struct error *ret_error)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    int r = tree_keep(job->blobs, path, NULL, 0, may_take, TREE_BYTES_NO_MAX, &t,
                      ret_error);

    if (r < 0)
        return r;
    a->encoding = ENCODING_TREE;
    a->size = t.bytes;
    free(a->type);
    a->type = strdup("folder");
    return a->type ? tree_put(job->blobs, &t, &a->id) : -ENOMEM;
}

static int add(struct kept *k, const struct artifact *a)
{
    if (k->n == k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 4;
        struct artifact *all = realloc(k->all, cap * sizeof(*all));

        if (!all)
            return -ENOMEM;
        k->all = all;
        k->cap = cap;
    }
    k->all[k->n++] = *a;
    return 0;
}

static const char *kind_of(mode_t mode)
{
    return S_ISLNK(mode)    ? "it is a link"
           : S_ISFIFO(mode) ? "it is a pipe"
           : S_ISSOCK(mode) ? "it is a socket"
                            : "it is a device";
}

/* A name is shown, typed and sent as JSON: text without control characters. */
static int check_name(const char *name, struct error *ret_error)
{
    size_t len = strlen(name);
    bool ok = text_is_valid((const uint8_t *)name, len);
    char shown[4 * SHOWN_BYTES_MAX + 1] = "";

    for (size_t i = 0; ok && i < len; i++)
        ok = (unsigned char)name[i] >= ' ' && name[i] != 0x7f;
    if (ok)
        return 0;
    for (size_t i = 0, n = 0; i < len && i < SHOWN_BYTES_MAX; i++) {
        bool plain = name[i] >= ' ' && name[i] < 0x7f;

        n += (size_t)snprintf(shown + n, sizeof(shown) - n, plain ? "%c" : "\\x%02x",
                              (unsigned char)name[i]);
    }
    return fail(ret_error, -EINVAL,
                "output '%s'%s: an artifact's name must be UTF-8 without control "
                "characters",
                shown, len > SHOWN_BYTES_MAX ? "..." : "");
}

/* As the task's account sees it. */
static int look_at(const char *path, struct stat *ret)
{
    int r;

    place_reader_enter();
    r = lstat(path, ret) < 0 ? -errno : 0;
    place_reader_leave();
    return r;
}

static int keep_path(const struct outputs_job *job, const char *path, bool may_take,
                     struct artifact *a, struct error *why)
{
    struct stat st;
    int r = look_at(path, &st);

    if (r < 0)
        return r;
    if (S_ISREG(st.st_mode))
        return keep_file(job, path, may_take, &st, a);
    if (S_ISDIR(st.st_mode))
        return keep_folder(job, path, may_take, a, why);
    return fail(why, -EINVAL, "%s, which cannot be kept", kind_of(st.st_mode));
}

/* Takes what it keeps; names the output in what it says. */
static int add_kept(struct kept *k, struct artifact *take_a, int r, struct error *why,
                    struct error *ret_error)
{
    if (r == 0 && k->n == OUTPUTS_MAX)
        r = fail(why, -E2BIG, "a task may keep %d artifacts at most", OUTPUTS_MAX);
    if (r == 0)
        r = add(k, take_a);
    if (r == 0)
        return 0;
    if (r == -ESTALE && !why->text[0])
        fail(why, r, "somebody wrote to it while it was kept");
    r = fail(ret_error, r, "output '%s': %s", take_a->name ? take_a->name : "?",
             why->text[0] ? why->text : strerror(-r));
    artifact_release(take_a);
    return r;
}

/* may_take: the file may be moved into the store, because the task's folder is its only
 * place. */
static int keep_named(const struct outputs_job *job, const char *path, const char *name,
                      bool may_take, struct kept *k, struct error *ret_error)
{
    struct artifact a = { .name = strdup(name), .type = strdup(type_of(job, name)) };
    struct error why = { .text = "" };
    int r = -ENOMEM;

    /* What others can still rename is copied, and hashed as it is copied. */
    may_take = may_take && !job->as;

    if (a.name && a.type) {
        a.encoding = strcmp(a.type, "json") == 0 ? ENCODING_JSON : ENCODING_BYTES;
        r = keep_path(job, path, may_take, &a, &why);
    }
    return add_kept(k, &a, r, &why, ret_error);
}

static int keep_one(const struct outputs_job *job, const char *path, const char *name,
                    bool may_take, struct kept *k, struct error *ret_error)
{
    int r = check_name(name, ret_error);

    return r < 0 ? r : keep_named(job, path, name, may_take, k, ret_error);
}

static bool is_taken(const struct kept *k, const char *name)
{
    for (size_t i = 0; i < k->n; i++)
        if (strcmp(k->all[i].name, name) == 0)
            return true;
    return false;
}

/* Whether an entry of $MESH_OUT was kept under the name that `outputs` gives it. */
static bool is_mapped(const struct outputs_job *job, const char *entry)
{
    size_t len = strlen(entry);

    for (size_t i = 0; i < job->step->n_outputs; i++) {
        const char *path = job->step->outputs[i].value;

        if (strncmp(path, "./", 2) == 0)
            path += 2;
        if (strncmp(path, entry, len) == 0
            && path[len + strspn(path + len, "/")] == '\0')
            return true;
    }
    return false;
}

static bool is_named_again(const struct outputs_job *job, size_t i)
{
    for (size_t k = i + 1; k < job->step->n_outputs; k++)
        if (strcmp(job->step->outputs[k].value, job->step->outputs[i].value) == 0)
            return true;
    return false;
}

/* A relative path is looked for in $MESH_OUT first, which no other task shares. What
 * lies elsewhere is the user's or other tasks' too: it stays. */
static int keep_mapped(const struct outputs_job *job, size_t i, struct kept *k,
                       struct error *ret_error)
{
    const struct pair *output = &job->step->outputs[i];
    const char *bases[] = { job->out_path, job->work_path };

    if (output->value[0] == '/')
        return keep_one(job, output->value, output->name, false, k, ret_error);
    for (size_t b = 0; b < ARRAY_SIZE(bases); b++) {
        CLEANUP(freep) char *path = NULL;
        struct stat st;

        if (asprintf(&path, "%s/%s", bases[b], output->value) < 0)
            return -ENOMEM;
        if (look_at(path, &st) == 0)
            return keep_one(job, path, output->name, b == 0 && !is_named_again(job, i),
                            k, ret_error);
    }
    return fail(ret_error, -ENOENT, "output '%s': there is no file '%s'", output->name,
                output->value);
}

/* ---- what the task's package declared ---- */

static int read_declared(int dir, struct buffer *ret, struct error *ret_error)
{
    int fd = openat(dir, DECLARED_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    uint8_t *room;
    int r = 0;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        r = fail(ret_error, -EINVAL, "$MESH_OUT/" DECLARED_FILE " is no plain file");
    else if (st.st_size > DECLARED_BYTES_MAX)
        r = fail(ret_error, -E2BIG, "$MESH_OUT/" DECLARED_FILE " is above %d MiB",
                 DECLARED_BYTES_MAX >> 20);
    else if (!(room = (uint8_t *)buffer_reserve(ret, (size_t)st.st_size)))
        r = -ENOMEM;
    else
        r = read_all(fd, room, (size_t)st.st_size);
    if (r == 0)
        ret->len = (size_t)st.st_size;
    if (fd >= 0)
        close(fd);
    unlinkat(dir, DECLARED_FILE, 0);
    return r;
}

static int keep_bytes(const struct outputs_job *job, const struct declared *d,
                      struct artifact *a)
{
    a->size = d->size;
    if (d->size > BLOB_INLINE_MAX)
        return blobs_put(job->blobs, d->data, d->size, &a->id);
    a->id = digest_memory(d->data, d->size);
    a->inline_data = malloc(d->size + 1);
    if (!a->inline_data)
        return -ENOMEM;
    memcpy(a->inline_data, d->data, d->size);
    return 0;
}

static int keep_declared_file(const struct outputs_job *job, struct artifact *a,
                              struct error *why)
{
    CLEANUP(freep) char *path = NULL;
    struct stat st;

    if (asprintf(&path, "%s/%s", job->out_path, a->name) < 0)
        return -ENOMEM;
    if (lstat(path, &st) < 0)
        return fail(why, -errno, "the file is not in $MESH_OUT");
    if (!S_ISREG(st.st_mode))
        return fail(why, -EINVAL, "it is no plain file");
    return keep_file(job, path, !job->as, &st, a);
}

static int keep_declared(const struct outputs_job *job, const struct declared_list *l,
                         struct kept *k, struct error *ret_error)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < l->n; i++) {
        const struct declared *d = &l->all[i];
        struct artifact a = { .name = strdup(d->name),
                              .type = strdup(d->type),
                              .encoding = d->encoding };
        struct error why = { .text = "" };

        if (!a.name || !a.type)
            r = -ENOMEM;
        else if (is_taken(k, d->name))
            r = fail(&why, -EEXIST, "`outputs` has it too");
        else
            r = d->is_file ? keep_declared_file(job, &a, &why) : keep_bytes(job, d, &a);
        r = add_kept(k, &a, r, &why, ret_error);
    }
    return r;
}

static int keep_out_folder(const struct outputs_job *job, DIR *d,
                           const struct declared_list *declared, struct kept *k,
                           struct error *ret_error)
{
    int r = 0;

    for (struct dirent *e; r == 0 && (e = readdir(d));) {
        const struct declared *same = declared_find(declared, e->d_name);
        CLEANUP(freep) char *path = NULL;

        if (same && !same->is_file)
            r = fail(ret_error, -EEXIST,
                     "output '%s': the task set it and wrote $MESH_OUT/%s", same->name,
                     same->name);
        if (r < 0 || is_dot(e->d_name) || is_taken(k, e->d_name)
            || is_mapped(job, e->d_name))
            continue;
        r = asprintf(&path, "%s/%s", job->out_path, e->d_name) < 0
                ? -ENOMEM
                : keep_one(job, path, e->d_name, true, k, ret_error);
    }
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct artifact *)a)->name,
                  ((const struct artifact *)b)->name);
}

static int keep_all(const struct outputs_job *job, struct artifact **ret_outputs,
                    size_t *ret_n, char **ret_choice, struct error *ret_error)
{
    CLEANUP(kept_release) struct kept k = { .all = NULL };
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    CLEANUP(declared_release) struct declared_list declared = { .all = NULL };
    DIR *d = open_out(job->out_path);
    int r = d ? read_declared(dirfd(d), &bytes, ret_error)
              : fail(ret_error, -errno, "cannot read $MESH_OUT: %s", strerror(errno));

    if (r == 0)
        r = declared_parse(bytes.data, bytes.len, &declared, ret_error);
    for (size_t i = 0; r == 0 && i < job->step->n_outputs; i++)
        r = keep_mapped(job, i, &k, ret_error);
    if (r == 0)
        r = keep_declared(job, &declared, &k, ret_error);
    if (r == 0)
        r = keep_out_folder(job, d, &declared, &k, ret_error);
    if (d)
        closedir(d);
    if (r < 0)
        return r;
    *ret_choice = TAKE(declared.choice);
    if (k.n > 1)
        qsort(k.all, k.n, sizeof(*k.all), by_name);
    *ret_n = k.n;
    *ret_outputs = TAKE(k.all);
    k.n = 0;
    return 0;
}

int outputs_keep(const struct outputs_job *job, struct artifact **ret_outputs,
                 size_t *ret_n, char **ret_choice, struct error *ret_error)
{
    const struct account *as = job->as;
    struct place_reader reader;
    int r;

    if (!as)
        return keep_all(job, ret_outputs, ret_n, ret_choice, ret_error);
    reader = (struct place_reader){ as->uid, as->gid, as->groups, as->n_groups };
    place_read_as(&reader);
    r = keep_all(job, ret_outputs, ret_n, ret_choice, ret_error);
    place_read_as(NULL);
    return r;
}

/* Messages quote paths and what programs said, which may be anything. */
static char *failure_text(const struct attempt_record *attempt)
{
    CLEANUP(buffer_release) struct buffer message = BUFFER_INIT;
    json_t *what;
    char *text;

    if (attempt->message)
        text_clean((const uint8_t *)attempt->message, strlen(attempt->message),
                   &message);
    what =
        json_pack("{s:s, s:i, s:i, s:s?, s:I}", "reason", reason_name(attempt->reason),
                  "exit", attempt->exit_code, "signal", attempt->signal, "message",
                  attempt->message ? buffer_text(&message) : NULL, "attempts",
                  (json_int_t)attempt->attempt + 1);
    text = what ? json_dumps(what, JSON_COMPACT) : NULL;
    json_decref(what);
    return text;
}

int outputs_of_failure(struct attempt_record *attempt, const char *name)
{
    char *text = failure_text(attempt);
    struct artifact *a = text ? calloc(1, sizeof(*a)) : NULL;

    outputs_forget(attempt);
    if (!a) {
        free(text);
        return -ENOMEM;
    }
    a->name = strdup(name);
    a->type = strdup("json");
    a->encoding = ENCODING_JSON;
    a->size = strlen(text);
    a->id = digest_memory(text, a->size);
    a->inline_data = (uint8_t *)text;
    attempt->outputs = a;
    attempt->n_outputs = 1;
    if (a->name && a->type)
        return 0;
    outputs_forget(attempt);
    return -ENOMEM;
}

void outputs_forget(struct attempt_record *attempt)
{
    outputs_free(TAKE(attempt->outputs), attempt->n_outputs);
    attempt->n_outputs = 0;
}
