/* SPDX-License-Identifier: Apache-2.0 */
#include "node/invitations.h"

#include <errno.h>

#include "node/octets.h"

#define KEPT_AFTER TIME_S(86400)

static const uint8_t magic[] = { 'M', 'I', 1, 0 };

void invitations_release(struct invitations *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->all[i].admitted);
    free(s->all);
    *s = (struct invitations){ .all = NULL };
}

static void forget_old(struct invitations *s, time_us wall)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->n; i++)
        if (wall > s->all[i].expires && wall - s->all[i].expires > KEPT_AFTER)
            free(s->all[i].admitted);
        else
            s->all[kept++] = s->all[i];
    s->n = kept;
}

int invitations_add(struct invitations *s, const struct invitation *i, time_us wall)
{
    struct invitation *all;

    forget_old(s, wall);
    if (s->n == INVITATIONS_MAX)
        return -ENOSPC;
    all = reallocarray(s->all, s->n + 1, sizeof(*all));
    if (!all)
        return -ENOMEM;
    s->all = all;
    s->all[s->n++] = *i;
    return 0;
}

struct invitation *invitations_find(struct invitations *s,
                                    const uint8_t id[INVITATION_ID_SIZE])
{
    for (size_t i = 0; i < s->n; i++)
        if (memcmp(s->all[i].id, id, INVITATION_ID_SIZE) == 0)
            return &s->all[i];
    return NULL;
}

int invitation_admit(struct invitation *i, const struct node_id *node, time_us wall,
                     struct error *ret_error)
{
    struct node_id *admitted;

    if (wall >= i->expires)
        return fail(ret_error, -EKEYEXPIRED,
                    "the token has expired; make another one: mesh invite");
    for (uint32_t k = 0; k < i->n_admitted; k++)
        if (node_id_equal(&i->admitted[k], node))
            return -EALREADY;
    if (i->n_admitted >= i->uses)
        return fail(ret_error, -EDQUOT,
                    "the token was used already; make another one: mesh invite");
    admitted = reallocarray(i->admitted, i->n_admitted + 1, sizeof(*admitted));
    if (!admitted)
        return -ENOMEM;
    i->admitted = admitted;
    i->admitted[i->n_admitted++] = *node;
    return 0;
}

void invitation_undo(struct invitation *i)
{
    i->n_admitted--;
}

/* ---- bytes ---- */

int invitations_encode(const struct invitations *s, struct buffer *out)
{
    buffer_append(out, magic, sizeof(magic));
    for (const struct invitation *i = s->all; i < s->all + s->n; i++) {
        buffer_append(out, i->id, sizeof(i->id));
        buffer_append(out, i->key, sizeof(i->key));
        octets_put_number(out, i->roles, 4);
        octets_put_number(out, i->uses, 4);
        octets_put_number(out, i->expires, 8);
        octets_put_number(out, i->n_admitted, 4);
        for (uint32_t k = 0; k < i->n_admitted; k++)
            buffer_append(out, i->admitted[k].bytes, NODE_ID_SIZE);
    }
    return buffer_failed(out);
}

static int take(struct octets *o, struct invitation *ret)
{
    struct invitation i = { .admitted = NULL };

    octets_copy(o, i.id, sizeof(i.id));
    octets_copy(o, i.key, sizeof(i.key));
    i.roles = (uint32_t)octets_number(o, 4);
    i.uses = (uint32_t)octets_number(o, 4);
    i.expires = octets_number(o, 8);
    i.n_admitted = (uint32_t)octets_number(o, 4);
    if (o->is_bad || i.uses > INVITATION_USES_MAX || i.n_admitted > i.uses
        || i.n_admitted > o->left / NODE_ID_SIZE)
        return -EBADMSG;
    i.admitted = calloc(i.n_admitted + (size_t)1, sizeof(*i.admitted));
    if (!i.admitted)
        return -ENOMEM;
    for (uint32_t k = 0; k < i.n_admitted; k++)
        octets_copy(o, i.admitted[k].bytes, NODE_ID_SIZE);
    *ret = i;
    return 0;
}

int invitations_decode(const void *data, size_t len, struct invitations *ret)
{
    CLEANUP(invitations_release) struct invitations s = { .all = NULL };
    struct octets o = octets_of(data, len);
    const uint8_t *head = octets_take(&o, sizeof(magic));

    if (!head || memcmp(head, magic, sizeof(magic)) != 0)
        return -EBADMSG;
    while (o.left) {
        struct invitation one;
        int r = take(&o, &one);

        if (r == 0)
            r = invitations_add(&s, &one, 0);
        if (r < 0)
            return r == -ENOSPC ? -EBADMSG : r;
    }
    *ret = s;
    s = (struct invitations){ .all = NULL };
    return 0;
}
