/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/internal.h"

#include <errno.h>
#include <stdlib.h>

void gossip_outbox_clear(struct gossip_outbox *out)
{
    out->n = 0;
}

void gossip_outbox_release(struct gossip_outbox *out)
{
    free(out->actions);
    *out = (struct gossip_outbox){ .actions = NULL };
}

struct gossip_action *gossip_act(struct gossip *g, enum gossip_action_type type,
                                 const struct node_id *peer)
{
    struct gossip_outbox *out = g->out;
    struct gossip_action *a;

    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 16;

        a = realloc(out->actions, cap * sizeof(*a));
        if (!a)
            return NULL;
        out->actions = a;
        out->cap = cap;
    }
    a = &out->actions[out->n++];
    *a = (struct gossip_action){ .type = type, .peer = *peer };
    return a;
}

int gossip_say(struct gossip *g, enum gossip_action_type type,
               const struct node_id *peer)
{
    return gossip_act(g, type, peer) ? 0 : -ENOMEM;
}

int gossip_send(struct gossip *g, const struct node_id *peer,
                const struct message *message)
{
    struct gossip_action *a = gossip_act(g, GOSSIP_SEND, peer);

    if (!a)
        return -ENOMEM;
    a->message = *message;
    return 0;
}

void *gossip_scratch(struct gossip *g, size_t size)
{
    struct scratch *s = calloc(1, sizeof(*s) + size);

    if (!s)
        return NULL;
    s->next = g->scratch;
    g->scratch = s;
    return s->bytes;
}

void gossip_scratch_clear(struct gossip *g)
{
    while (g->scratch) {
        struct scratch *s = g->scratch;

        g->scratch = s->next;
        free(s);
    }
}
