/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/shared_tokens.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "node/api/exchange.h"
#include "node/api/server.h"
#include "node/api/tokens.h"
#include "node/mesh.h"
#include "node/runtime_register.h"
#include "proto/rows.h"

enum {
    LOOK_MS = 2000,       /* between two looks for requests that are open */
    TOKEN_TEXT_MAX = 247, /* in a token_list, with the comma */
};
static_assert(SHARED_TOKENS_MAX * TOKEN_TEXT_MAX + 16 <= REGISTER_VALUE_MAX,
              "they fit into a register");

struct shared_tokens {
    struct api *api;
    struct token_list list;
    uint64_t exchange; /* 0: they are not being read */
    time_us reading;   /* when that was begun */
    time_us begun;     /* what was read last; 0: nothing */
    int status;        /* of that */
    uv_timer_t look;
};

static time_us now(void)
{
    return uv_hrtime() / 1000;
}

/* ---- those who came by them ---- */

static void on_look(uv_timer_t *timer);

static bool is_open(const struct request *r)
{
    return r->token_used.is_shared;
}

static void look_later(struct shared_tokens *s)
{
    for (const struct request *r = s->api->requests; r; r = r->next)
        if (is_open(r)) {
            uv_timer_start(&s->look, on_look, LOOK_MS, 0);
            return;
        }
}

static void on_look(uv_timer_t *timer)
{
    struct shared_tokens *s = timer->data;
    bool has_open = false;

    for (const struct request *r = s->api->requests; r; r = r->next)
        has_open |= is_open(r);
    if (has_open && shared_tokens_read(s) < 0)
        look_later(s);
}

static bool is_over(const struct shared_tokens *s, const struct request *r)
{
    const struct token *t = token_list_find(&s->list, r->token_used.hash);

    return s->status < 0 || !t || tokens_is_expired(t);
}

static void wake(struct request *r)
{
    r->awaits_tokens = false;
    request_wake(r);
}

static void take_in(struct shared_tokens *s, time_us begun, int status)
{
    s->begun = begun;
    s->status = status;
    for (struct request *r = s->api->requests; r; r = r->next) {
        if (r->stage == STAGE_AUTH)
            exchange_resume(r);
        else if (r->awaits_tokens)
            wake(r);
        else if (is_open(r) && is_over(s, r))
            exchange_drop(r);
    }
    look_later(s);
}

/* ---- reading ---- */

static int read_list(const void *value, size_t len, struct token_list *ret)
{
    struct error why;

    *ret = (struct token_list){ .n = 0 };
    if (!value)
        return 0;
    return token_list_read(value, len, ret, &why) == -ENOMEM ? -ENOMEM
           : ret->all                                        ? 0
                                                             : -EBADMSG;
}

static int set_list(struct shared_tokens *s, const void *value, size_t len)
{
    struct token_list list;
    int r = read_list(value, len, &list);

    if (r < 0)
        return r;
    token_list_release(&s->list);
    s->list = list;
    return 0;
}

static int status_of(int status)
{
    return status == -ETIMEDOUT || status == -EBUSY ? -EHOSTUNREACH : status;
}

static void on_read(void *arg, int status, const void *value, size_t len)
{
    struct shared_tokens *s = arg;

    s->exchange = 0;
    if (status == 0)
        status = set_list(s, value, len);
    take_in(s, s->reading, status_of(status));
}

int shared_tokens_read(struct shared_tokens *s)
{
    const struct register_exchange x = { .name = REGISTER_TOKENS,
                                         .done = on_read,
                                         .arg = s };

    if (s->exchange)
        return 0;
    s->reading = now();
    return runtime_register_exchange(s->api->rt, &x, &s->exchange);
}

bool shared_tokens_exist(const struct shared_tokens *s)
{
    return runtime_has_registers(s->api->rt);
}

bool shared_tokens_are_of(const struct shared_tokens *s, const struct request *r)
{
    return s->begun >= r->began;
}

bool shared_tokens_may_open(const struct shared_tokens *s, const struct request *r)
{
    return s->begun && s->begun + SHARED_TOKENS_FRESH >= r->began;
}

int shared_tokens_check(struct shared_tokens *s, const char *text, struct token *ret)
{
    uint8_t hash[TOKEN_HASH_SIZE];
    const struct token *found;

    if (s->status < 0)
        return s->status;
    token_hash(text, hash);
    found = token_list_find(&s->list, hash);
    if (!found)
        return -ENOENT;
    if (tokens_is_expired(found))
        return -EKEYEXPIRED;
    *ret = *found;
    ret->is_shared = true;
    if (!uv_is_active((const uv_handle_t *)&s->look))
        uv_timer_start(&s->look, on_look, LOOK_MS, 0);
    return 0;
}

const struct token_list *shared_tokens_list(const struct shared_tokens *s)
{
    return &s->list;
}

int shared_tokens_status(const struct shared_tokens *s)
{
    return s->status;
}

/* ---- changing ---- */

static int change_list(struct token_change *c, struct token_list *list)
{
    tokens_forget_expired(list);
    if (c->is_revocation)
        return token_list_take(list, c->token.id, &c->token) ? 0 : -ENOENT;
    return list->n < SHARED_TOKENS_MAX ? token_list_add(list, &c->token) : -ENOSPC;
}

static int change(void *arg, const void *value, size_t len, struct buffer *ret_value)
{
    struct token_list list;
    int r = read_list(value, len, &list);

    if (r == 0)
        r = change_list(arg, &list);
    if (r == 0)
        r = token_list_write(&list, ret_value);
    token_list_release(&list);
    return r;
}

static void on_changed(void *arg, int status, const void *value, size_t len)
{
    struct token_change *c = arg;
    struct shared_tokens *s = c->all;

    c->exchange = 0;
    if (status == 0 && set_list(s, value, len) == 0)
        take_in(s, c->begun, 0);
    c->done(c->arg, status_of(status));
}

int shared_tokens_change(struct shared_tokens *s, struct token_change *c)
{
    const struct register_exchange x = {
        .name = REGISTER_TOKENS, .change = change, .done = on_changed, .arg = c
    };

    c->all = s;
    c->begun = now();
    return runtime_register_exchange(s->api->rt, &x, &c->exchange);
}

void shared_tokens_cancel(struct token_change *c)
{
    if (c->exchange)
        runtime_register_cancel(c->all->api->rt, c->exchange);
    c->exchange = 0;
}

/* ---- opening ---- */

struct shared_tokens *shared_tokens_new(struct api *api)
{
    struct shared_tokens *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->api = api;
    api->n_refs++;
    uv_timer_init(runtime_loop(api->rt), &s->look);
    s->look.data = s;
    return s;
}

static void on_closed(uv_handle_t *timer)
{
    struct shared_tokens *s = timer->data;
    struct api *api = s->api;

    token_list_release(&s->list);
    free(s);
    api_drop(api);
}

void shared_tokens_free(struct shared_tokens *s)
{
    if (!s)
        return;
    if (s->exchange)
        runtime_register_cancel(s->api->rt, s->exchange);
    uv_close((uv_handle_t *)&s->look, on_closed);
}
