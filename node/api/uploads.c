/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/uploads.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "store/blobs.h"

struct upload {
    struct digest id;
    time_t until;
    UT_hash_handle hh; /* in order of insertion, which is that of `until` */
};

struct uploads {
    struct blobs *blobs;
    pthread_mutex_t lock;
    struct upload *all;
};

static time_t now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return t.tv_sec;
}

struct uploads *uploads_new(struct blobs *blobs)
{
    struct uploads *u = calloc(1, sizeof(*u));

    if (!u)
        return NULL;
    u->blobs = blobs;
    pthread_mutex_init(&u->lock, NULL);
    return u;
}

static void let_go(struct uploads *u, struct upload *upload)
{
    HASH_DEL(u->all, upload);
    blobs_unpin(u->blobs, &upload->id);
    free(upload);
}

void uploads_free(struct uploads *u)
{
    if (!u)
        return;
    while (u->all)
        let_go(u, u->all);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

static void expire(struct uploads *u, time_t now)
{
    while (u->all && u->all->until <= now)
        let_go(u, u->all);
}

static int add(struct uploads *u, struct upload *upload)
{
    int r = blobs_pin(u->blobs, &upload->id);

    if (r < 0)
        return r;
    HASH_ADD(hh, u->all, id, sizeof(upload->id), upload);
    if (upload->hh.tbl)
        return 0;
    blobs_unpin(u->blobs, &upload->id);
    return -ENOMEM;
}

static int hold(struct uploads *u, const struct digest *id, time_t now)
{
    struct upload *upload;
    int r;

    HASH_FIND(hh, u->all, id, sizeof(*id), upload);
    if (upload) {
        /* Last in the order again; its pin stays meanwhile. */
        HASH_DEL(u->all, upload);
        upload->until = now + UPLOAD_HOLD_S;
        HASH_ADD(hh, u->all, id, sizeof(upload->id), upload);
        return 0;
    }
    if (HASH_COUNT(u->all) >= UPLOADS_MAX)
        return -ENOSPC;
    upload = calloc(1, sizeof(*upload));
    if (!upload)
        return -ENOMEM;
    upload->id = *id;
    upload->until = now + UPLOAD_HOLD_S;
    r = add(u, upload);
    if (r < 0)
        free(upload);
    return r;
}

int uploads_hold(struct uploads *u, const struct digest *id)
{
    time_t now = now_s();
    int r;

    pthread_mutex_lock(&u->lock);
    expire(u, now);
    r = hold(u, id, now);
    pthread_mutex_unlock(&u->lock);
    return r;
}

void uploads_expire(struct uploads *u)
{
    pthread_mutex_lock(&u->lock);
    expire(u, now_s());
    pthread_mutex_unlock(&u->lock);
}
