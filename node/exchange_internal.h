/* SPDX-License-Identifier: Apache-2.0 */
/* exchange_internal - what the files exchange*.c share. */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "node/exchange.h"
#include "node/fetch.h"

/* Those of all leaves of a blob, for whoever asks for a part. Counted: a job in the
 * pool reads them. */
struct leaf_list {
    struct digest id;
    uint64_t size, n;
    unsigned n_refs;
    UT_hash_handle hh; /* of the cache, the one used longest ago is the first */
    struct digest leaves[];
};
enum { LEAF_CACHE_BYTES_MAX = 16 << 20 };

struct want_ref {
    struct exchange_want *want;
    struct download *download; /* NULL: it was here, or is by now */
    struct want_ref *next;     /* of the same download */
};

struct exchange_want {
    struct exchange *exchange;
    struct digest *ids;
    struct want_ref *refs; /* one for each id */
    size_t n_ids, n_left, n_pinned;
    struct node_id *hints;
    size_t n_hints;
    int status;
    struct digest failed;
    void (*done)(void *arg, int status, const struct digest *failed);
    void *arg;
    struct exchange_want *prev, *next;
};

/* A blob on its way here. */
struct download {
    struct digest id;
    struct want_ref *refs;
    uint64_t size; /* 0: not known yet, or one leaf */
    uint8_t *data; /* up to BLOB_CHUNKED_MAX, else */
    int fd;        /* a file at `path` */
    char *path;
    struct digest *top;
    struct leaf_list *leaves; /* those of groups that came */
    unsigned n_jobs;          /* that use it */
    bool is_ended;            /* all was found good, or it failed: kept or left next */
    bool is_waiting;          /* the planner has no room for it yet */
    struct download *prev, *next; /* of those */
    bool is_kept;                 /* being put into the store */
    bool is_dropped;
    int status;
    UT_hash_handle hh;
};

/* A question of somebody else. */
struct give {
    uint64_t request;
    struct digest id;
    enum blob_part part;
    uint64_t offset;
    struct give *next;
};

struct give_peer {
    struct node_id id;
    struct give *first, **last;
    size_t n;
    size_t n_leaves;                      /* of them: parts of large blobs */
    time_us blocked_until, blocked_since; /* since 0: its connection takes what comes */
    UT_hash_handle hh;
};

/* Who asked for a large blob lately. */
enum { ASKERS_MAX = 8, ASKED_BLOBS_MAX = 256 };
struct asked_blob {
    struct digest id;
    struct {
        struct node_id node;
        time_us at;
    } askers[ASKERS_MAX];
    UT_hash_handle hh;
};

struct exchange {
    struct exchange_config config;
    struct fetch *fetch;
    struct fetch_outbox out;
    bool is_applying, is_stopping;
    int error; /* -ENOMEM: give up */
    unsigned n_jobs;
    struct exchange_want *wants;
    struct download *downloads;
    struct download *waiting; /* in the order in which they were wanted */

    struct give_peer *givers;
    struct node_id turn; /* who was answered last */
    size_t n_queued;
    unsigned n_giving;
    struct digest measured[GIVE_JOBS_MAX]; /* whose leaves are being hashed */
    size_t n_measured;
    struct leaf_list *leaves; /* the cache */
    size_t leaves_bytes;
    struct asked_blob *asked; /* the one asked for longest ago is the first */

    struct exchange_counts counts;
};

time_us exchange_now(const struct exchange *x);
int exchange_send(struct exchange *x, const struct node_id *peer,
                  const struct message *m, bool is_bulk);
/* Start a job in the pool; the second function must end it. */
void exchange_start(struct exchange *x, uv_work_t *work, uv_work_cb run,
                    uv_after_work_cb after);
/* True: nothing else may be done, the exchange may be gone. */
bool exchange_end_job(struct exchange *x);
/* Carry out what the planner wants. */
void exchange_apply(struct exchange *x);

/* ---- getting ---- */

struct download *download_find(const struct exchange *x, const struct digest *id);
struct download *download_add(struct exchange *x, const struct digest *id);
void download_on_data(struct exchange *x, const struct node_id *from,
                      struct message *m);
/* The planner has ended it. */
void download_on_ended(struct exchange *x, const struct digest *id, int status);
/* Nobody wants it any more, or the exchange ends. */
void download_drop(struct exchange *x, struct download *d);
/* A job is done with it. */
void download_unref(struct exchange *x, struct download *d);

/* Tell those who wait for it, and forget it. */
void exchange_conclude(struct exchange *x, struct download *d, int status);

/* ---- giving ---- */

void give_on_find(struct exchange *x, const struct node_id *from,
                  const struct blob_find_message *m);
void give_on_get(struct exchange *x, const struct node_id *from,
                 const struct blob_get_message *m);
void give_on_disconnected(struct exchange *x, const struct node_id *peer);
void give_on_writable(struct exchange *x, const struct node_id *peer);
void give_release(struct exchange *x);
/* Answer what waits, as far as there are jobs. */
void give_next(struct exchange *x);

struct give_answer {
    int status;
    enum blob_part part;
    uint64_t size;
    struct buffer data;
};
/* Read it in the pool; it is given back to give_on_read(). -ENOMEM: it is the caller's.
 */
int give_start(struct exchange *x, const struct node_id *to, struct give *g);
void give_on_read(struct exchange *x, const struct node_id *to, struct give *g,
                  const struct give_answer *a);

struct leaf_list *leaf_list_new(const struct digest *id, uint64_t size);
struct leaf_list *leaf_list_ref(struct leaf_list *l);
void leaf_list_unref(struct leaf_list *l);
void leaf_cache_add(struct exchange *x, struct leaf_list *l);
void leaf_cache_release(struct exchange *x);
struct leaf_list *leaf_cache_find(struct exchange *x, const struct digest *id);
