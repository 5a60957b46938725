/* SPDX-License-Identifier: Apache-2.0 */
/* shared_tokens - the tokens that hold at every node of a mesh.
 *
 * They are one register of the mesh group, a token_list as text. A node looks them up
 * in what it read last, which counts for SHARED_TOKENS_FRESH: so a token that was
 * revoked opens nothing after that, at whatever node, also one that was away; and a
 * node that reaches no majority takes none of these tokens. While requests that came by
 * one are open it is read again and again, and they end with the token. On the loop. */
#pragma once

#include "node/api/token_list.h"

struct api;
struct request;
struct shared_tokens;

enum { SHARED_TOKENS_MAX = 256 };
#define SHARED_TOKENS_FRESH TIME_S(1)

/* NULL without memory. */
struct shared_tokens *shared_tokens_new(struct api *api);
void shared_tokens_free(struct shared_tokens *s);

/* Whether there are any such tokens: the node is one of a mesh. */
bool shared_tokens_exist(const struct shared_tokens *s);
/* They were read since the request came: what is not among them is nowhere. */
bool shared_tokens_are_of(const struct shared_tokens *s, const struct request *r);
/* They were read so short a time before that what is among them opens. */
bool shared_tokens_may_open(const struct shared_tokens *s, const struct request *r);
/* Read them again; all requests that wait for that are resumed. -ENOMEM, -ENOTSUP. */
int shared_tokens_read(struct shared_tokens *s);
/* Of what was read: the token that this is the text of. -ENOENT,
 * -EKEYEXPIRED; -EHOSTUNREACH: they could not be read. */
int shared_tokens_check(struct shared_tokens *s, const char *text, struct token *ret);
/* As they were read. */
const struct token_list *shared_tokens_list(const struct shared_tokens *s);
/* As they could be: 0, or as shared_tokens_check(). */
int shared_tokens_status(const struct shared_tokens *s);

/* Adds a token, or takes one out: `done` is called later, or before it returns. */
struct token_change {
    struct shared_tokens *all; /* filled in */
    bool is_revocation;
    struct token token; /* with an id for a revocation: the token that was */
    time_us begun;      /* filled in */
    uint64_t exchange;  /* filled in, for shared_tokens_cancel(); 0: it is over */
    /* -ENOSPC, -ENOENT; -EHOSTUNREACH: it is not known whether it is changed; ... */
    void (*done)(void *arg, int status);
    void *arg;
};
int shared_tokens_change(struct shared_tokens *s, struct token_change *change);
void shared_tokens_cancel(struct token_change *change);
