/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/poller.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "node/cli/client.h"

enum {
    POLL_MS = 100,
    POLL_SHARE = 20, /* asking takes at most this part of the time */
};

struct poller {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_over; /* the thread frees all of it then */
    struct client *client;
    char *path;
    json_t *newest;
};

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void release(struct poller *p)
{
    json_decref(p->newest);
    client_close(p->client);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->path);
    free(p);
}

static json_t *ask(struct poller *p)
{
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    struct request q = { .method = "GET", .path = p->path };

    if (client_request(p->client, &q, &a, &error) < 0 || a.status != 200)
        return NULL;
    return json_loadb(buffer_text(&a.body), a.body.len, 0, NULL);
}

static void *work(void *arg)
{
    struct poller *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->is_over) {
        uint64_t from, took, next;
        struct timespec until;
        json_t *json;

        pthread_mutex_unlock(&p->lock);
        from = clock_ns();
        json = ask(p);
        took = clock_ns() - from;
        next = from + took
               + (took * POLL_SHARE > POLL_MS * 1000000u ? took * POLL_SHARE
                                                         : POLL_MS * 1000000u);
        until = (struct timespec){ .tv_sec = (time_t)(next / 1000000000),
                                   .tv_nsec = (long)(next % 1000000000) };
        pthread_mutex_lock(&p->lock);
        if (json) {
            json_decref(p->newest);
            p->newest = json;
        }
        while (!p->is_over && pthread_cond_timedwait(&p->wake, &p->lock, &until) == 0)
            ;
    }
    pthread_mutex_unlock(&p->lock);
    release(p);
    return NULL;
}

struct poller *poller_new(const struct options *o, const char *run)
{
    struct poller *p = calloc(1, sizeof(*p));
    pthread_condattr_t monotonic;
    pthread_t thread;

    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    p->path = client_path("/v1/runs/%s", run);
    if (!p->path || client_open(o, CLIENT_NODE, &p->client)
        || pthread_create(&thread, NULL, work, p)) {
        release(p);
        return NULL;
    }
    pthread_detach(thread);
    return p;
}

void poller_free(struct poller *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->is_over = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

json_t *poller_take(struct poller *p)
{
    json_t *json;

    pthread_mutex_lock(&p->lock);
    json = TAKE(p->newest);
    pthread_mutex_unlock(&p->lock);
    return json;
}
