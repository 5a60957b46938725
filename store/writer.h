/* SPDX-License-Identifier: Apache-2.0 */
/* writer - the one thread that writes the store, committing in groups.
 *
 * The loop hands over writes and gets a ticket; tickets become durable in order. A
 * group is committed at once when somebody waits (urgent) or when nothing was in
 * flight lately, else after window_us, so that a lone task never waits and a flood
 * costs one fsync for many. Nothing queued: the thread sleeps without a timeout.
 *
 * What is queued and not yet durable can be read by writer_get(), so a task may read
 * what its predecessor wrote a moment ago. */
#pragma once

#include "base/histogram.h"
#include "store/store.h"

struct writer;

struct writer_config {
    time_us window_us;      /* 10 ms */
    size_t queue_bytes_max; /* 64 MiB: writer_is_full() beyond */
    /* Called by the writer's thread after each commit, and once with a negative errno
     * when a commit failed; after a failure nothing becomes durable any more. */
    void (*on_durable)(void *arg, uint64_t ticket, int error);
    void *arg;
};

/* Takes the store's pointer, not its ownership. -ENOMEM, -EAGAIN (no thread). */
int writer_start(struct store *store, const struct writer_config *config,
                 struct writer **ret_writer);
/* Commits what is queued, ends the thread. NULL is fine. */
void writer_stop(struct writer *w);

/* Queue writes, copied, to be committed together; returns their ticket, 0 without
 * memory. After a failed commit the ticket never becomes durable. Any thread. */
uint64_t writer_put(struct writer *w, const struct store_write *writes, size_t n,
                    bool is_urgent);
/* Queue a sync of an open file, then rename old to new in the same file system and a
 * sync of new's folder, before whatever is queued after it. Takes the descriptor. The
 * paths are copied; old NULL: no rename; new NULL too: no folder. After a failure the
 * descriptor is closed and nothing done. 0: no memory, the descriptor is closed. */
uint64_t writer_sync_file(struct writer *w, int take_fd, const char *old_path,
                          const char *new_path);
/* End the commit window for what is queued so far. */
void writer_hurry(struct writer *w);
/* Commits so far, what they wrote, and what waits. Any thread. */
struct writer_stats {
    struct histogram commit_time; /* by histogram_bounds */
    uint64_t n_writes, queued_bytes;
};
void writer_stats(struct writer *w, struct writer_stats *ret);
/* The newest durable ticket; a negative errno in *ret_error after a failure. */
uint64_t writer_durable(struct writer *w, int *ret_error);
/* Wait until ticket is durable, and hurry it. 0 or the commit's errno; -EINVAL for a
 * ticket that was not given yet. Not on the loop thread in the course of normal work.
 */
int writer_wait(struct writer *w, uint64_t ticket);
/* The loop must stop taking new work, not wait, while this is so. */
bool writer_is_full(struct writer *w);
/* As store get, with what is queued on top. */
int writer_get(struct writer *w, enum store_table table, struct span key,
               struct buffer *ret);
/* As store scan, with what is queued made visible first (it waits for a commit when
 * something with this prefix is queued). Not in on_durable. */
int writer_scan(struct writer *w, enum store_table table, struct span prefix,
                struct span from,
                int (*each)(void *arg, struct span key, struct span value), void *arg);
