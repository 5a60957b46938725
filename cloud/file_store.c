/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/file_store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloud/file_walk.h"

enum { READ_BYTES = 256 << 10 };

struct file_store {
    struct object_store base;
    uv_loop_t *loop;
    struct file_disk disk;
    struct object_call *calls; /* whose done is still to come */
    unsigned refs;             /* of the store itself and of works that are left */
    /* Where the last listing ended: the next page goes on there. */
    struct file_walk *walk;
    char *walk_at;
};

/* How far a thread is with a call. */
enum work_state { WORK_QUEUED = 1, WORK_RUNNING, WORK_OVER };

struct object_call {
    struct file_store *store;
    struct object_call *next, **link;
    uv_work_t work;
    pthread_mutex_t mutex;
    pthread_cond_t over;
    enum work_state state; /* guarded by mutex */
    file_stop stop;
    void (*run)(struct object_call *c);  /* on a thread */
    bool (*then)(struct object_call *c); /* on the loop: whether it shall run again */
    void (*tell)(struct object_call *c); /* on the loop: calls done */
    bool is_told;

    int status;
    struct error error;
    struct object_about about;
    void *arg;
    object_done_fn *done;
    object_listed_fn *listed;
    object_uploaded_fn *uploaded;

    char *texts[4]; /* of the request, freed with it */
    struct object_put put;
    struct object_get get;
    int fd;
    char *room;
    uint64_t at, end;
    size_t n_read;
    struct object_list list;
    struct file_walk *walk;
    struct object_entry *entries;
    size_t n_entries;
    struct object_upload upload;
    struct object_part part, *parts;
    size_t n_parts;
    char upload_id[FILE_UPLOAD_ID_SIZE];
};

/* ---- the life of a call ---- */

static void store_unref(struct file_store *s)
{
    if (--s->refs)
        return;
    file_walk_free(s->walk);
    free(s->walk_at);
    file_disk_release(&s->disk);
    free(s);
}

static void call_free(struct object_call *c)
{
    for (size_t i = 0; i < c->n_entries; i++)
        free((char *)c->entries[i].name);
    for (size_t i = 0; i < ARRAY_SIZE(c->texts); i++)
        free(c->texts[i]);
    free(c->entries);
    free(c->parts);
    free(c->room);
    file_walk_free(c->walk);
    if (c->fd >= 0)
        close(c->fd);
    pthread_mutex_destroy(&c->mutex);
    pthread_cond_destroy(&c->over);
    free(c);
}

static struct object_call *call_new(struct object_store *base, void *arg)
{
    struct object_call *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->store = CONTAINER_OF(base, struct file_store, base);
    c->arg = arg;
    c->fd = -1;
    c->work.data = c;
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->over, NULL);
    return c;
}

/* A copy of the text of a request; NULL stays NULL. */
static bool keep_text(struct object_call *c, const char **text)
{
    size_t i = 0;

    if (!*text)
        return true;
    while (c->texts[i])
        i++;
    c->texts[i] = strdup(*text);
    *text = c->texts[i];
    return c->texts[i] != NULL;
}

static void tell(struct object_call *c)
{
    if (c->is_told)
        return;
    c->is_told = true;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->tell(c);
}

static void on_thread(uv_work_t *work)
{
    struct object_call *c = work->data;

    pthread_mutex_lock(&c->mutex);
    c->state = WORK_RUNNING;
    pthread_mutex_unlock(&c->mutex);
    if (atomic_load(&c->stop))
        c->status = -ECANCELED;
    else
        c->run(c);
    pthread_mutex_lock(&c->mutex);
    c->state = WORK_OVER;
    pthread_cond_signal(&c->over);
    pthread_mutex_unlock(&c->mutex);
}

static int queue(struct object_call *c);

static void on_worked(uv_work_t *work, int status)
{
    struct object_call *c = work->data;
    struct file_store *s = c->store;

    if (atomic_load(&c->stop) || status < 0)
        c->status = -ECANCELED;
    if (!c->is_told && c->status == 0 && c->then && c->then(c)) {
        c->status = queue(c);
        if (c->status == 0)
            return;
    }
    if (c->status == -ECANCELED)
        fail(&c->error, c->status, "it was cancelled");
    else if (c->status == -ENOMEM)
        fail(&c->error, c->status, "there is no memory left");
    tell(c);
    call_free(c);
    store_unref(s);
}

static int queue(struct object_call *c)
{
    c->state = WORK_QUEUED;
    return uv_queue_work(c->store->loop, &c->work, on_thread, on_worked);
}

/* Takes the call, also when it fails. */
static int call_start(struct object_call *c, struct object_call **ret_call)
{
    struct file_store *s = c->store;
    int r = queue(c);

    if (r < 0) {
        call_free(c);
        return r;
    }
    s->refs++;
    c->link = &s->calls;
    c->next = s->calls;
    if (c->next)
        c->next->link = &c->next;
    s->calls = c;
    *ret_call = c;
    return 0;
}

static int no_memory(struct object_call *c)
{
    call_free(c);
    return -ENOMEM;
}

static void file_cancel(struct object_call *c)
{
    atomic_store(&c->stop, true);
    uv_cancel((uv_req_t *)&c->work);
}

/* What a thread still reads for the call is its caller's again after done. */
static void cancel_now(struct object_call *c)
{
    file_cancel(c);
    pthread_mutex_lock(&c->mutex);
    while (c->state == WORK_RUNNING)
        pthread_cond_wait(&c->over, &c->mutex);
    pthread_mutex_unlock(&c->mutex);
    c->status = -ECANCELED;
    fail(&c->error, c->status, "the store is closed");
    tell(c);
}

static void file_free(struct object_store *base)
{
    struct file_store *s = CONTAINER_OF(base, struct file_store, base);

    while (s->calls)
        cancel_now(s->calls);
    store_unref(s);
}

static void tell_done(struct object_call *c)
{
    c->done(c->arg, c->status, c->status == 0 ? &c->about : NULL, &c->error);
}

/* ---- put, head, remove ---- */

static void run_put(struct object_call *c)
{
    c->status = file_disk_put(&c->store->disk, &c->put, &c->stop, &c->about, &c->error);
}

static int file_put(struct object_store *s, const struct object_put *put,
                    object_done_fn *done, void *arg, struct object_call **ret_call)
{
    struct object_call *c = call_new(s, arg);

    if (!c)
        return -ENOMEM;
    c->put = *put;
    c->run = run_put;
    c->tell = tell_done;
    c->done = done;
    if (!keep_text(c, &c->put.name) || !keep_text(c, &c->put.if_match))
        return no_memory(c);
    return call_start(c, ret_call);
}

static void run_head(struct object_call *c)
{
    c->status =
        file_disk_open(&c->store->disk, c->get.name, NULL, &c->about, &c->error);
}

static void run_remove(struct object_call *c)
{
    c->status = file_disk_remove(&c->store->disk, c->get.name, &c->error);
}

static int start_named(struct object_store *s, const char *name,
                       void (*run)(struct object_call *c), object_done_fn *done,
                       void *arg, struct object_call **ret_call)
{
    struct object_call *c = call_new(s, arg);

    if (!c)
        return -ENOMEM;
    c->get.name = name;
    c->run = run;
    c->tell = tell_done;
    c->done = done;
    return keep_text(c, &c->get.name) ? call_start(c, ret_call) : no_memory(c);
}

static int file_head(struct object_store *s, const char *name, object_done_fn *done,
                     void *arg, struct object_call **ret_call)
{
    return start_named(s, name, run_head, done, arg, ret_call);
}

static int file_remove(struct object_store *s, const char *name, object_done_fn *done,
                       void *arg, struct object_call **ret_call)
{
    return start_named(s, name, run_remove, done, arg, ret_call);
}

/* ---- get: piece by piece ---- */

static int open_get(struct object_call *c)
{
    const struct object_get *g = &c->get;
    int r = file_disk_open(&c->store->disk, g->name, &c->fd, &c->about, &c->error);
    uint64_t left;

    if (r < 0)
        return r;
    if (g->if_match && strcmp(g->if_match, c->about.etag) != 0)
        return fail(&c->error, -EBADMSG, "'%.300s' in %.120s is not what it was",
                    g->name, c->store->disk.folder);
    if (g->offset && g->offset >= c->about.size)
        return fail(&c->error, -ERANGE, "'%.300s' in %.120s has no byte %llu", g->name,
                    c->store->disk.folder, (unsigned long long)g->offset);
    left = c->about.size - g->offset;
    c->at = g->offset;
    c->end = g->offset + (g->len < left ? g->len : left);
    c->room = malloc(min_size(READ_BYTES, c->end - c->at + 1));
    return c->room ? 0 : -ENOMEM;
}

static void run_get(struct object_call *c)
{
    struct object_about now;
    size_t wanted;
    ssize_t n;

    c->n_read = 0;
    if (c->fd < 0)
        c->status = open_get(c);
    if (c->status < 0)
        return;
    wanted = min_size(READ_BYTES, c->end - c->at);
    n = wanted ? pread(c->fd, c->room, wanted, (off_t)c->at) : 0;
    if (n < 0) {
        c->status =
            file_disk_failed(&c->store->disk, -errno, "read", c->get.name, &c->error);
        return;
    }
    c->n_read = (size_t)n;
    if ((wanted && !n)
        || (c->at + c->n_read == c->end
            && (file_disk_about(c->fd, &now) < 0
                || strcmp(now.etag, c->about.etag) != 0)))
        c->status = fail(&c->error, -EBADMSG,
                         "'%.300s' in %.120s changed while it was "
                         "read",
                         c->get.name, c->store->disk.folder);
}

static bool then_get(struct object_call *c)
{
    uint64_t offset = c->at - c->get.offset;

    if (c->n_read)
        c->status = c->get.on_data(c->arg, offset, c->room, c->n_read);
    c->at += c->n_read;
    return c->status == 0 && c->at < c->end;
}

static int file_get(struct object_store *s, const struct object_get *get,
                    object_done_fn *done, void *arg, struct object_call **ret_call)
{
    struct object_call *c = call_new(s, arg);

    if (!c)
        return -ENOMEM;
    c->get = *get;
    c->run = run_get;
    c->then = then_get;
    c->tell = tell_done;
    c->done = done;
    if (!keep_text(c, &c->get.name) || !keep_text(c, &c->get.if_match))
        return no_memory(c);
    return call_start(c, ret_call);
}

/* ---- list ---- */

static int add_entry(struct object_call *c, const struct object_entry *e)
{
    char *name = strdup(e->name);

    if (!name)
        return -ENOMEM;
    c->entries[c->n_entries] = *e;
    c->entries[c->n_entries++].name = name;
    return 0;
}

static void run_list(struct object_call *c)
{
    uint32_t max =
        c->list.max && c->list.max < OBJECT_LIST_MAX ? c->list.max : OBJECT_LIST_MAX;
    struct object_entry e;
    int r = 0;

    c->entries = calloc(max, sizeof(*c->entries));
    if (!c->entries)
        r = -ENOMEM;
    if (r == 0 && !c->walk)
        r = file_walk_new(&c->store->disk, &c->list, &c->walk, &c->error);
    while (r == 0 && c->n_entries < max) {
        r = file_walk_next(c->walk, &c->stop, &e, &c->error);
        if (r <= 0)
            break;
        r = add_entry(c, &e);
    }
    if (r == 0 && c->n_entries < max) {
        file_walk_free(c->walk);
        c->walk = NULL; /* there is no more */
    }
    c->status = r;
}

/* What tells two listings apart, and where one is. */
static char *list_key(const struct object_list *list, const char *after)
{
    char *key;

    return asprintf(&key, "%c%s\n%s", list->delimiter ? list->delimiter : '-',
                    list->prefix ? list->prefix : "", after)
                   < 0
               ? NULL
               : key;
}

static void tell_list(struct object_call *c)
{
    struct file_store *s = c->store;
    const char *next = NULL;

    if (c->status < 0) {
        c->listed(c->arg, c->status, NULL, 0, NULL, &c->error);
        return;
    }
    if (c->walk && c->n_entries) {
        next = c->entries[c->n_entries - 1].name;
        file_walk_free(s->walk);
        free(s->walk_at);
        s->walk = TAKE(c->walk);
        s->walk_at = list_key(&c->list, next);
    }
    c->listed(c->arg, 0, c->entries, c->n_entries, next, &c->error);
}

static int file_list(struct object_store *base, const struct object_list *list,
                     object_listed_fn *listed, void *arg, struct object_call **ret_call)
{
    struct object_call *c = call_new(base, arg);
    CLEANUP(freep) char *key = NULL;
    struct file_store *s;

    if (!c)
        return -ENOMEM;
    s = c->store;
    c->list = *list;
    c->run = run_list;
    c->tell = tell_list;
    c->listed = listed;
    if (!keep_text(c, &c->list.prefix) || !keep_text(c, &c->list.after))
        return no_memory(c);
    key = list->after ? list_key(list, list->after) : NULL;
    if (key && s->walk_at && strcmp(key, s->walk_at) == 0)
        c->walk = TAKE(s->walk);
    return call_start(c, ret_call);
}

/* ---- uploads ---- */

static void run_upload(struct object_call *c)
{
    const struct file_disk *d = &c->store->disk;
    const struct object_upload *u = &c->upload;

    switch (u->step) {
    case OBJECT_UPLOAD_BEGIN:
        c->status = file_disk_begin(d, c->upload_id, &c->error);
        break;
    case OBJECT_UPLOAD_PART:
        c->status = file_disk_part(d, u, &c->stop, &c->part, &c->error);
        break;
    case OBJECT_UPLOAD_PARTS:
        c->status = file_disk_parts(d, u->upload, &c->parts, &c->n_parts, &c->error);
        break;
    case OBJECT_UPLOAD_FINISH:
        c->status = file_disk_finish(d, u, &c->about, &c->error);
        break;
    case OBJECT_UPLOAD_ABORT:
        c->status = file_disk_abort(d, u->upload, &c->error);
        break;
    }
}

static void tell_upload(struct object_call *c)
{
    const struct object_uploaded u = { .upload = c->upload_id,
                                       .part = c->part,
                                       .parts = c->parts,
                                       .n_parts = c->n_parts,
                                       .about = c->about };

    c->uploaded(c->arg, c->status, c->status == 0 ? &u : NULL, &c->error);
}

static bool keep_parts(struct object_call *c)
{
    struct object_part *parts;

    if (!c->upload.n_parts)
        return true;
    parts = calloc(c->upload.n_parts, sizeof(*parts));
    if (!parts)
        return false;
    memcpy(parts, c->upload.parts, c->upload.n_parts * sizeof(*parts));
    c->upload.parts = c->parts = parts;
    return true;
}

static int file_upload(struct object_store *s, const struct object_upload *upload,
                       object_uploaded_fn *uploaded, void *arg,
                       struct object_call **ret_call)
{
    struct object_call *c = call_new(s, arg);

    if (!c)
        return -ENOMEM;
    c->upload = *upload;
    c->run = run_upload;
    c->tell = tell_upload;
    c->uploaded = uploaded;
    if (!keep_text(c, &c->upload.name) || !keep_text(c, &c->upload.upload)
        || (upload->step == OBJECT_UPLOAD_FINISH && !keep_parts(c)))
        return no_memory(c);
    return call_start(c, ret_call);
}

/* ---- the store ---- */

static const struct object_store_class file_class = {
    .scheme = "file",
    .put = file_put,
    .get = file_get,
    .head = file_head,
    .list = file_list,
    .remove = file_remove,
    .upload = file_upload,
    .cancel = file_cancel,
    .free = file_free,
};

/* What a folder cannot do must not seem to be done. */
static const char *unknown_option(const struct object_store_options *o)
{
    return o->encryption || o->kms_key ? "encryption"
           : o->storage_class          ? "storage class"
           : o->tags                   ? "tags"
                                       : NULL;
}

int file_open(uv_loop_t *loop, const struct object_store_options *options,
              struct object_store **ret_store, struct error *ret_error)
{
    const char *unknown = unknown_option(options);
    struct file_store *s;
    int r;

    if (!options->bucket || !*options->bucket)
        return fail(ret_error, -EINVAL, "which folder is not said");
    if (unknown)
        return fail(ret_error, -EINVAL, "a folder has no %s: leave it out for %s",
                    unknown, options->bucket);
    s = calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    r = file_disk_init(&s->disk, options->bucket, options->prefix, options->is_relaxed);
    if (r < 0) {
        free(s);
        return r == -EINVAL
                   ? fail(ret_error, r, "'%.300s' cannot be a prefix", options->prefix)
                   : r;
    }
    s->base.class = &file_class;
    s->loop = loop;
    s->refs = 1;
    *ret_store = &s->base;
    return 0;
}
