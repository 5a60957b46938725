/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/credentials.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HELD_MS = 1000, REFUSED_AGAIN_MS = 5000 };

struct waiter {
    credentials_got_fn *got;
    void *arg;
};

struct credentials {
    uv_loop_t *loop;
    struct credentials_source *sources;
    size_t n_sources;
    size_t asked; /* the one whose answer is awaited, or that has the key */
    bool is_fetching, has_key, is_answering, is_closing;
    struct credential key;
    uint64_t had_ms;    /* of the loop: when the key came */
    int64_t renew_at_s; /* since 1970 */
    int failed;         /* and its sentence, until held_until_ms */
    struct error error; /* while sources are asked: why those before had none */
    uint64_t held_until_ms;
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
    for (size_t i = 0; i < n; i++)
        c->sources[i] = sources[i];
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
    c->is_answering = true;
    for (size_t i = 0; i < n; i++)
        waiting[i].got(waiting[i].arg, status, key, error);
    c->is_answering = false;
    free(waiting);
}

void credentials_free(struct credentials *c)
{
    struct error error;

    if (!c)
        return;
    assert(!c->is_answering);
    c->is_closing = true;
    for (size_t i = 0; i < c->n_sources; i++)
        c->sources[i].free(c->sources[i].self);
    fail(&error, -ECANCELED, "the store is closed");
    answer_all(c, -ECANCELED, NULL, &error);
    credential_release(&c->key);
    free(c->sources);
    free(c);
}

static int64_t seconds_left(const struct credentials *c)
{
    if (!c->has_key)
        return 0;
    return c->key.expires_s ? c->key.expires_s - (int64_t)time(NULL) : INT64_MAX;
}

/* A key that is still good outlives a fetch that fails. */
static void give_up(struct credentials *c, int status, const struct error *error)
{
    struct error why = { .text = "" };

    if (error)
        why = *error;
    c->is_fetching = false;
    c->failed = status;
    c->error = why;
    c->held_until_ms = uv_now(c->loop) + HELD_MS;
    if (seconds_left(c) > 0)
        answer_all(c, 0, &c->key, NULL);
    else
        answer_all(c, status, NULL, &why);
}

/* Half of a short life is waited for, and also of what is left when the source gave
 * the same key again: so renewal does not become a fetch for each request. */
static int64_t renew_at(int64_t expires_s)
{
    int64_t now = (int64_t)time(NULL), left = expires_s - now;

    if (!expires_s)
        return INT64_MAX;
    return now
           + (left > 2 * CREDENTIALS_EARLY_S ? left - CREDENTIALS_EARLY_S : left / 2);
}

static void take_key(struct credentials *c, struct credential *key)
{
    int64_t over = key->expires_s ? (int64_t)time(NULL) - key->expires_s : -1;

    if (over >= 0) {
        struct error error;

        fail(&error, -EACCES,
             "the key of %s expired %lld s ago: renew it there, or set this machine's "
             "clock",
             c->sources[c->asked].name, (long long)over);
        credential_release(key);
        give_up(c, -EACCES, &error);
        return;
    }
    credential_release(&c->key);
    c->key = *key;
    c->has_key = true;
    c->is_fetching = false;
    c->failed = 0;
    c->had_ms = uv_now(c->loop);
    c->held_until_ms = c->had_ms + HELD_MS;
    c->renew_at_s = renew_at(key->expires_s);
    answer_all(c, 0, &c->key, NULL);
}

/* Who has no key at all is told of all places where it was looked for; a source that
 * says nothing leaves it to those behind it. */
static void add_reason(struct credentials *c, const struct error *error)
{
    const struct error so_far = c->error;

    if (error && *error->text)
        fail(&c->error, -ENOENT, "%s%s%s", so_far.text, *so_far.text ? "; " : "",
             error->text);
}

static void ask_source(struct credentials *c);

static void on_fetched(void *arg, int status, const struct credential *key,
                       const struct error *error)
{
    struct credentials *c = arg;
    struct credential copy;

    assert(c->is_fetching && !c->is_closing);
    if (status == -ENOENT && !c->has_key) {
        add_reason(c, error);
        if (c->asked + 1 < c->n_sources) {
            c->asked++;
            ask_source(c);
        } else {
            if (!*c->error.text)
                fail(&c->error, status, "no place has a key");
            give_up(c, status, &c->error);
        }
        return;
    }
    if (status == 0)
        status = credential_copy(key, &copy);
    if (status < 0) {
        static const struct error no_memory = { "no memory is left for a key" };

        give_up(c, status, status == -ENOMEM || !error ? &no_memory : error);
        return;
    }
    take_key(c, &copy);
}

static void ask_source(struct credentials *c)
{
    struct credentials_source *s = &c->sources[c->asked];

    s->fetch(s->self, on_fetched, c);
}

static void forget_key(struct credentials *c)
{
    credential_release(&c->key);
    c->has_key = false;
}

/* One whose key has run out is no better than the others. */
static void start_fetch(struct credentials *c)
{
    c->is_fetching = true;
    if (c->has_key && seconds_left(c) <= 0)
        forget_key(c);
    c->error = (struct error){ .text = "" };
    if (!c->has_key)
        c->asked = 0;
    if (c->n_sources) {
        ask_source(c);
    } else {
        fail(&c->error, -ENOENT, "no place is known where a key could be");
        give_up(c, -ENOENT, &c->error);
    }
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

static void give_error(int status, const char *text, credentials_got_fn *got, void *arg)
{
    struct error error;

    fail(&error, status, "%s", text);
    got(arg, status, NULL, &error);
}

static void wait_for_key(struct credentials *c, credentials_got_fn *got, void *arg)
{
    int r = add_waiter(c, got, arg);

    if (r < 0)
        give_error(r, "too many requests wait for a key", got, arg);
    else if (!c->is_fetching)
        start_fetch(c);
}

static void hand_out(struct credentials *c, credentials_got_fn *got, void *arg)
{
    bool was_answering = c->is_answering;

    c->is_answering = true;
    got(arg, 0, &c->key, NULL);
    c->is_answering = was_answering;
}

void credentials_get(struct credentials *c, credentials_got_fn *got, void *arg)
{
    bool is_held = !c->is_fetching && uv_now(c->loop) < c->held_until_ms;
    int64_t left = seconds_left(c);

    if (c->is_closing) {
        give_error(-ECANCELED, "the store is closed", got, arg);
        return;
    }
    if (left >= CREDENTIALS_LEAST_S && !is_held && !c->is_fetching && !c->is_answering
        && (int64_t)time(NULL) >= c->renew_at_s)
        start_fetch(c);
    left = seconds_left(c);
    if (left >= CREDENTIALS_LEAST_S || (is_held && left > 0)) {
        hand_out(c, got, arg);
    } else if (is_held && c->failed) {
        const struct error why = c->error;

        got(arg, c->failed, NULL, &why);
    } else {
        wait_for_key(c, got, arg);
    }
}

bool credentials_refused(struct credentials *c, const char *id_or_token)
{
    if (!c->has_key)
        return true; /* the next one is awaited, or the next who asks hears why not */
    if ((!c->key.id || strcmp(c->key.id, id_or_token) != 0)
        && (!c->key.token || strcmp(c->key.token, id_or_token) != 0))
        return true; /* there is a newer one already */
    if (uv_now(c->loop) - c->had_ms < REFUSED_AGAIN_MS)
        return false;
    /* Those who hold the key may be in the middle of their answer. */
    assert(!c->is_answering);
    forget_key(c);
    c->held_until_ms = 0;
    return true;
}
