/* SPDX-License-Identifier: Apache-2.0 */
#include "store/writer.h"

#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/fault.h"
#include "store/pending.h"
#include "store/place.h"

struct writer {
    struct store *store;
    struct writer_config config;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    /* Filled by callers while the thread commits the other. The thread alone changes
     * `committing`, and only under the lock, so that all may read it. */
    struct pending *filling, *committing;
    struct pending both[2];
    uint64_t ticket, durable;
    time_us committed_at; /* when the last commit ended; 0: none yet */
    struct histogram commit_time;
    uint64_t n_writes;
    int error;
    bool is_hurried, is_half_full, is_stopping;
};

static time_us now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (time_us)t.tv_sec * 1000000 + (time_us)t.tv_nsec / 1000;
}

/* ---- the thread ---- */

static int sync_folder_of(const char *path)
{
    char copy[PLACE_PATH_MAX];

    if (strlen(path) >= sizeof(copy))
        return -ENAMETOOLONG;
    memcpy(copy, path, strlen(path) + 1);
    return place_sync_folder(dirname(copy));
}

static int sync_file(const struct file_sync *s)
{
    if (fault_hits(FAULT_SYNC_EIO))
        return -EIO;
    if (fdatasync(s->fd) < 0)
        return -errno;
    if (s->old_path && rename(s->old_path, s->new_path) < 0)
        return -errno;
    return s->new_path ? sync_folder_of(s->new_path) : 0;
}

/* Files first: a record that is durable never names one that is not. */
static int carry_out(struct writer *w)
{
    const struct pending *p = w->committing;

    for (const struct file_sync *s = p->syncs; s; s = s->next) {
        int r = sync_file(s);

        if (r < 0)
            return r;
    }
    return p->n ? w->store->ops->commit(w->store, p->writes, p->n) : 0;
}

static void wait_until(struct writer *w, time_us deadline)
{
    struct timespec t = { .tv_sec = (time_t)(deadline / 1000000),
                          .tv_nsec = (long)(deadline % 1000000) * 1000 };

    pthread_cond_timedwait(&w->work, &w->lock, &t);
}

/* False when there is nothing more to do, ever. */
static bool wait_for_work(struct writer *w)
{
    for (;;) {
        time_us deadline = w->committed_at ? w->committed_at + w->config.window_us : 0;

        if (w->is_stopping)
            return !pending_is_empty(w->filling);
        if (w->is_hurried || w->is_half_full)
            return true;
        if (pending_is_empty(w->filling))
            pthread_cond_wait(&w->work, &w->lock);
        else if (now_us() >= deadline)
            return true;
        else
            wait_until(w, deadline);
    }
}

static void swap(struct writer *w)
{
    struct pending *p = w->filling;

    w->filling = w->committing;
    w->committing = p;
    w->is_hurried = w->is_half_full = false;
}

/* A group that failed is left where it is: what was read from it before can be read
 * still. */
static void settle(struct writer *w, int error, time_us began)
{
    w->committed_at = now_us();
    if (error) {
        w->error = error;
    } else {
        histogram_add(&w->commit_time, histogram_bounds, w->committed_at - began);
        w->n_writes += w->committing->n;
        w->durable = w->committing->last_ticket;
        pending_clear(w->committing);
    }
    pthread_cond_broadcast(&w->done);
}

static void *write_groups(void *arg)
{
    struct writer *w = arg;

    pthread_mutex_lock(&w->lock);
    while (!w->error && wait_for_work(w)) {
        time_us began = now_us();
        uint64_t ticket;
        int error;

        swap(w);
        ticket = w->committing->last_ticket;
        pthread_mutex_unlock(&w->lock);
        error = carry_out(w);
        pthread_mutex_lock(&w->lock);
        settle(w, error, began);
        pthread_mutex_unlock(&w->lock);
        if (w->config.on_durable)
            w->config.on_durable(w->config.arg, ticket, error);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* ---- the callers ---- */

static void writer_free(struct writer *w)
{
    pending_release(&w->both[0]);
    pending_release(&w->both[1]);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static void init_conditions(struct writer *w)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&w->work, &attributes);
    pthread_cond_init(&w->done, &attributes);
    pthread_condattr_destroy(&attributes);
}

int writer_start(struct store *store, const struct writer_config *config,
                 struct writer **ret_writer)
{
    struct writer *w = calloc(1, sizeof(*w));
    int r;

    if (!w)
        return -ENOMEM;
    w->store = store;
    w->config = *config;
    w->filling = &w->both[0];
    w->committing = &w->both[1];
    pthread_mutex_init(&w->lock, NULL);
    init_conditions(w);
    r = pthread_create(&w->thread, NULL, write_groups, w);
    if (r) {
        writer_free(w);
        return -r;
    }
    *ret_writer = w;
    return 0;
}

void writer_stop(struct writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_stopping = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    writer_free(w);
}

static size_t queued_bytes(const struct writer *w)
{
    return w->filling->bytes + w->committing->bytes;
}

/* Waking costs the caller: it is done only when the thread would not wake in time. */
static uint64_t enter(struct writer *w, bool was_empty, bool is_urgent)
{
    bool is_half = w->filling->bytes >= w->config.queue_bytes_max / 2;
    bool wakes =
        was_empty || (is_urgent && !w->is_hurried) || (is_half && !w->is_half_full);

    w->filling->last_ticket = ++w->ticket;
    w->is_hurried |= is_urgent;
    w->is_half_full |= is_half;
    if (wakes)
        pthread_cond_signal(&w->work);
    return w->ticket;
}

uint64_t writer_put(struct writer *w, const struct store_write *writes, size_t n,
                    bool is_urgent)
{
    struct pending_block *packed = NULL;
    uint64_t ticket = 0;
    bool was_empty;

    if (pending_pack(writes, n, &packed) < 0)
        return 0;
    pthread_mutex_lock(&w->lock);
    was_empty = pending_is_empty(w->filling);
    if (w->error)
        ticket = ++w->ticket;
    else if (pending_add(w->filling, writes, n, &packed) == 0)
        ticket = enter(w, was_empty, is_urgent);
    pthread_mutex_unlock(&w->lock);
    free(packed);
    return ticket;
}

static struct file_sync *file_sync_new(int take_fd, const char *old_path,
                                       const char *new_path)
{
    struct file_sync *s = calloc(1, sizeof(*s));

    if (!s) {
        close(take_fd);
        return NULL;
    }
    s->fd = take_fd;
    s->old_path = old_path ? strdup(old_path) : NULL;
    s->new_path = new_path ? strdup(new_path) : NULL;
    if (!s->old_path == !old_path && !s->new_path == !new_path)
        return s;
    file_sync_free(s);
    return NULL;
}

uint64_t writer_sync_file(struct writer *w, int take_fd, const char *old_path,
                          const char *new_path)
{
    struct file_sync *s = file_sync_new(take_fd, old_path, new_path);
    uint64_t ticket;
    bool was_empty;

    if (!s)
        return 0;
    pthread_mutex_lock(&w->lock);
    was_empty = pending_is_empty(w->filling);
    if (w->error) {
        ticket = ++w->ticket;
        file_sync_free(s);
    } else {
        pending_add_sync(w->filling, s);
        ticket = enter(w, was_empty, false);
    }
    pthread_mutex_unlock(&w->lock);
    return ticket;
}

static void hurry(struct writer *w)
{
    if (w->is_hurried || w->error || pending_is_empty(w->filling))
        return;
    w->is_hurried = true;
    pthread_cond_signal(&w->work);
}

void writer_hurry(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    hurry(w);
    pthread_mutex_unlock(&w->lock);
}

uint64_t writer_durable(struct writer *w, int *ret_error)
{
    uint64_t ticket;

    pthread_mutex_lock(&w->lock);
    ticket = w->durable;
    *ret_error = w->error;
    pthread_mutex_unlock(&w->lock);
    return ticket;
}

void writer_stats(struct writer *w, struct writer_stats *ret)
{
    pthread_mutex_lock(&w->lock);
    *ret = (struct writer_stats){ .commit_time = w->commit_time,
                                  .n_writes = w->n_writes,
                                  .queued_bytes = queued_bytes(w) };
    pthread_mutex_unlock(&w->lock);
}

static int wait_locked(struct writer *w, uint64_t ticket)
{
    if (ticket > w->ticket)
        return -EINVAL;
    while (w->durable < ticket && !w->error) {
        /* Under the group that is being committed nothing can be hurried. */
        if (ticket > w->committing->last_ticket)
            hurry(w);
        pthread_cond_wait(&w->done, &w->lock);
    }
    return w->durable >= ticket ? 0 : w->error;
}

int writer_wait(struct writer *w, uint64_t ticket)
{
    int r;

    pthread_mutex_lock(&w->lock);
    r = wait_locked(w, ticket);
    pthread_mutex_unlock(&w->lock);
    return r;
}

bool writer_is_full(struct writer *w)
{
    bool is_full;

    pthread_mutex_lock(&w->lock);
    is_full = queued_bytes(w) > w->config.queue_bytes_max;
    pthread_mutex_unlock(&w->lock);
    return is_full;
}

int writer_get(struct writer *w, enum store_table table, struct span key,
               struct buffer *ret)
{
    const struct store_write *found;
    int r = -ENOENT;

    pthread_mutex_lock(&w->lock);
    found = pending_find(w->filling, table, key);
    if (!found)
        found = pending_find(w->committing, table, key);
    if (found && !found->is_delete)
        r = buffer_append(ret, found->value.data, found->value.len);
    pthread_mutex_unlock(&w->lock);
    return found ? r : w->store->ops->get(w->store, table, key, ret);
}

/* The newest ticket that must be durable before the table shows all with the prefix. */
static uint64_t ticket_of_prefix(const struct writer *w, enum store_table table,
                                 struct span prefix)
{
    if (pending_has_prefix(w->filling, table, prefix))
        return w->filling->last_ticket;
    if (pending_has_prefix(w->committing, table, prefix))
        return w->committing->last_ticket;
    return 0;
}

int writer_scan(struct writer *w, enum store_table table, struct span prefix,
                struct span from,
                int (*each)(void *arg, struct span key, struct span value), void *arg)
{
    int r;

    pthread_mutex_lock(&w->lock);
    r = wait_locked(w, ticket_of_prefix(w, table, prefix));
    pthread_mutex_unlock(&w->lock);
    return r < 0 ? r : w->store->ops->scan(w->store, table, prefix, from, each, arg);
}
