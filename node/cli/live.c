/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/live.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <uthash.h>

enum { LIVE_DONE = 1 };

struct live_attempt {
    UT_hash_handle hh;
    json_t *events;
    char key[];
};

struct live {
    struct live_attempt *attempts; /* by key, in the order they began to write */
    struct event_lines lines;
    uint64_t last; /* the newest event when we began */
    const char *run;
};

static void attempt_free(struct live *l, struct live_attempt *a)
{
    HASH_DELETE(hh, l->attempts, a);
    json_decref(a->events);
    free(a);
}

void live_free(struct live *l)
{
    struct live_attempt *a, *next;

    if (!l)
        return;
    HASH_ITER (hh, l->attempts, a, next)
        attempt_free(l, a);
    event_lines_release(&l->lines);
    free(l);
}

static char *key_of(const char *step, const char *task, uint64_t attempt)
{
    char *key;

    return asprintf(&key, "%s/%s/%" PRIu64, step, task, attempt) < 0 ? NULL : key;
}

static struct live_attempt *find(const struct live *l, const char *key)
{
    struct live_attempt *a = NULL;

    if (key)
        HASH_FIND_STR(l->attempts, key, a);
    return a;
}

void live_forget(struct live *l, const char *step, const char *task, uint64_t attempt)
{
    CLEANUP(freep) char *key = key_of(step, task, attempt);
    struct live_attempt *a = find(l, key);

    if (a)
        attempt_free(l, a);
}

static int keep(struct live *l, json_t *event)
{
    CLEANUP(freep)
    char *key = key_of(json_text(event, "step"), json_text(event, "task"),
                       json_number(event, "attempt"));
    struct live_attempt *a = find(l, key);

    if (!key)
        return -ENOMEM;
    if (!a) {
        size_t len = strlen(key);

        a = calloc(1, sizeof(*a) + len + 1);
        if (!a)
            return -ENOMEM;
        memcpy(a->key, key, len);
        a->events = json_array();
        HASH_ADD_STR(l->attempts, key, a);
    }
    return json_array_append(a->events, event) < 0 ? -ENOMEM : 0;
}

static int on_event(void *arg, uint64_t id, const char *name, const char *data,
                    size_t len)
{
    CLEANUP(json_decrefp) json_t *json = json_loadb(data, len, JSON_ALLOW_NUL, NULL);
    struct live *l = arg;
    int r = 0;

    if (json && strcmp(json_text(json, "run"), l->run) == 0) {
        if (strcmp(name, "log") == 0)
            r = keep(l, json);
        else if (strcmp(name, "task_ended") == 0)
            live_forget(l, json_text(json, "step"), json_text(json, "task"),
                        json_number(json, "attempt"));
    }
    return r == 0 && id >= l->last ? LIVE_DONE : r;
}

static int on_body(void *arg, const char *data, size_t len)
{
    struct live *l = arg;

    return event_lines_feed(&l->lines, data, len, on_event, l);
}

/* Of all runs: then the events are without gaps, and the last one surely comes. */
static int read_feed(struct client *c, struct live *l)
{
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    int r = client_request(c,
                           &(struct request){ .method = "GET",
                                              .path = "/v1/events?since=1",
                                              .on_body = on_body,
                                              .arg = l },
                           &a, &error);

    if (r < 0)
        return client_lost(r, &error);
    return a.status >= 300 ? client_refused(&a) : 0;
}

int live_read(struct client *c, const char *run, struct live **ret)
{
    CLEANUP(live_freep) struct live *l = calloc(1, sizeof(*l));
    CLEANUP(json_decrefp) json_t *node = NULL;
    int r = l ? client_get_json(c, "/v1/node", &node) : cli_failed(-ENOMEM, NULL);

    if (r)
        return r;
    l->run = run;
    l->last = json_number(node, "seq");
    /* The first event can only be that the run was accepted. */
    if (l->last > 1)
        r = read_feed(c, l);
    if (r == 0)
        *ret = TAKE(l);
    return r;
}

void live_each(const struct live *l, void (*each)(void *arg, const json_t *event),
               void *arg)
{
    const struct live_attempt *a;
    const json_t *event;
    size_t i;

    for (a = l->attempts; a; a = a->hh.next)
        json_array_foreach(a->events, i, event) each(arg, event);
}
