/* SPDX-License-Identifier: Apache-2.0 */
/* gather - the same question to all other members, and what they answered in time.
 *
 * One that does not answer within GATHER_MS is left out, and said to be: a list of what
 * most know is worth more than an error. */
#pragma once

#include "node/api/request.h"
#include "proto/message.h"

enum { GATHER_MS = 2000, GATHER_BYTES_MAX = 16 << 20 };

struct gather;

struct gathered {
    struct node_id id;
    char name[MEMBER_NAME_MAX + 1];
    bool has_answered; /* with all of it, and 200 */
    struct buffer body;
};

/* Ask all that live. It is the request's, which is woken when it waits and all have
 * answered. On the loop; 0 or -ENOMEM. */
int gather_begin(struct request *r, const char *target);
void gather_free(struct gather *g);
/* All are here, or the time is over. True when nobody was asked. */
bool gather_is_done(const struct request *r);
/* NULL behind the last. */
const struct gathered *gather_at(const struct request *r, size_t i);
/* The field `silent`: the names of those that did not answer. */
struct emit;
void gather_emit_silent(const struct request *r, struct emit *e);
