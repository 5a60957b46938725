/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FAILURE_HELD_MS = 1000, REFUSED_AGAIN_MS = 5000 };

struct waiter {
    credentials_got_fn *got;
    void *arg;
};

struct credentials {
    uv_loop_t *loop;
    struct credentials_source *sources;
    size_t n_sources;
    size_t asked; /* the one whose answer is awaited, or that has the key */
    bool is_fetching, has_key;
    struct credential key;
    uint64_t had_ms; /* of the loop: when the key came */
    int failed;      /* and its sentence, until failed_until_ms */
    struct error error;
    uint64_t failed_until_ms;
    struct waiter *waiting;
    size_t n_waiting;
};

/* ---- one key ---- */

static int copy_text(const char *text, char **ret)
{
    size_t size;

    if (!text)
        return 0;
    size = strlen(text) + 1;
    *ret = sodium_malloc(size);
    if (!*ret)
        return -ENOMEM;
    memcpy(*ret, text, size);
    return 0;
}

void credential_release(struct credential *key)
{
    sodium_free(key->id);
    sodium_free(key->secret);
    sodium_free(key->token);
    *key = (struct credential){ .id = NULL };
}

int credential_copy(const struct credential *key, struct credential *ret_key)
{
    CLEANUP(credential_release)
    struct credential copy = { .expires_s = key->expires_s,
                               .from = key->from,
                               .is_static = key->is_static };

    if (sodium_init() < 0 || copy_text(key->id, &copy.id) < 0
        || copy_text(key->secret, &copy.secret) < 0
        || copy_text(key->token, &copy.token) < 0)
        return -ENOMEM;
    *ret_key = copy;
    copy = (struct credential){ .id = NULL };
    return 0;
}

/* ---- a chain of sources ---- */

int credentials_new(uv_loop_t *loop, const struct credentials_source *sources, size_t n,
                    struct credentials **ret_credentials)
{
    struct credentials *c = calloc(1, sizeof(*c));

    if (c)
        c->sources = calloc(n ? n : 1, sizeof(*sources));
    if (!c || !c->sources) {
        for (size_t i = 0; i < n; i++)
            sources[i].free(sources[i].self);
        free(c);
        return -ENOMEM;
    }
    memcpy(c->sources, sources, n * sizeof(*sources));
    c->loop = loop;
    c->n_sources = n;
    *ret_credentials = c;
    return 0;
}

/* Whoever is answered may ask again at once: those are of the next round. */
static void answer_all(struct credentials *c, int status, const struct credential *key,
                       const struct error *error)
{
    struct waiter *waiting = c->waiting;
    size_t n = c->n_waiting;

    c->waiting = NULL;
    c->n_waiting = 0;
    for (size_t i = 0; i < n; i++)
        waiting[i].got(waiting[i].arg, status, key, error);
    free(waiting);
}

void credentials_free(struct credentials *c)
{
    struct error error;

    if (!c)
        return;
    for (size_t i = 0; i < c->n_sources; i++)
        c->sources[i].free(c->sources[i].self);
    fail(&error, -ECANCELED, "the store is closed");
    answer_all(c, -ECANCELED, NULL, &error);
    credential_release(&c->key);
    free(c->sources);
    free(c);
}

static void ask_source(struct credentials *c);

static void give_up(struct credentials *c, int status, const struct error *error)
{
    const struct error why = *error;

    c->is_fetching = false;
    c->failed = status;
    c->error = why;
    c->failed_until_ms = uv_now(c->loop) + FAILURE_HELD_MS;
    answer_all(c, status, NULL, &why);
}

/* A key that is still good outlives a fetch that fails. */
static int64_t seconds_left(const struct credentials *c)
{
    if (!c->has_key)
        return 0;
    return c->key.expires_s ? c->key.expires_s - (int64_t)time(NULL) : INT64_MAX;
}

static void on_fetched(void *arg, int status, const struct credential *key,
                       const struct error *error)
{
    struct credentials *c = arg;
    struct credential copy;

    if (status == -ENOENT && !c->has_key && c->asked + 1 < c->n_sources) {
        c->asked++;
        ask_source(c);
        return;
    }
    if (status == 0)
        status = credential_copy(key, &copy);
    if (status < 0) {
        static const struct error no_memory = { "no locked memory is left for a key" };

        give_up(c, status, status == -ENOMEM || !error ? &no_memory : error);
        return;
    }
    credential_release(&c->key);
    c->key = copy;
    c->has_key = true;
    c->is_fetching = false;
    c->failed = 0;
    c->had_ms = uv_now(c->loop);
    answer_all(c, 0, &c->key, NULL);
}

static void ask_source(struct credentials *c)
{
    struct credentials_source *s = &c->sources[c->asked];

    s->fetch(s->self, on_fetched, c);
}

static void start_fetch(struct credentials *c)
{
    c->is_fetching = true;
    if (!c->has_key)
        c->asked = 0;
    ask_source(c);
}

static int add_waiter(struct credentials *c, credentials_got_fn *got, void *arg)
{
    struct waiter *grown;

    if (c->n_waiting == CREDENTIALS_WAITING_MAX)
        return -EBUSY;
    grown = reallocarray(c->waiting, c->n_waiting + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    c->waiting = grown;
    c->waiting[c->n_waiting++] = (struct waiter){ got, arg };
    return 0;
}

void credentials_get(struct credentials *c, credentials_got_fn *got, void *arg)
{
    int64_t left = seconds_left(c);
    bool is_held = c->failed && uv_now(c->loop) < c->failed_until_ms;
    int r;

    if (left >= CREDENTIALS_LEAST_S) {
        got(arg, 0, &c->key, NULL);
        if (left < CREDENTIALS_EARLY_S && !c->is_fetching && !is_held)
            start_fetch(c);
        return;
    }
    if (is_held && !c->is_fetching) {
        const struct error why = c->error;

        got(arg, c->failed, NULL, &why);
        return;
    }
    r = add_waiter(c, got, arg);
    if (r < 0) {
        struct error error;

        fail(&error, r, "too many requests wait for a key");
        got(arg, r, NULL, &error);
        return;
    }
    if (!c->is_fetching)
        start_fetch(c);
}

bool credentials_refused(struct credentials *c, const char *id_or_token)
{
    const char *mine = c->key.token ? c->key.token : c->key.id;

    if (!c->has_key || !mine)
        return c->is_fetching;
    if (strcmp(mine, id_or_token) != 0
        && (!c->key.id || strcmp(c->key.id, id_or_token) != 0))
        return true; /* there is a newer one already */
    if (c->key.is_static || uv_now(c->loop) - c->had_ms < REFUSED_AGAIN_MS)
        return false;
    credential_release(&c->key);
    c->has_key = false;
    return true;
}
