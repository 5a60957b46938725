/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/pool.h"

#include <assert.h>
#include <stdlib.h>

#include "gossip/members.h"

enum { CHAINS_MIN = 64 };

struct gossip_pool *gossip_pool_new(void)
{
    struct gossip_pool *p = calloc(1, sizeof(*p));

    if (p)
        p->refs = 1;
    return p;
}

void pool_ref(struct gossip_pool *p)
{
    p->refs++;
}

void gossip_pool_unref(struct gossip_pool *p)
{
    if (!p || --p->refs > 0)
        return;
    assert(p->n_notes == 0 && p->n_twigs == 0);
    free(p->notes);
    free(p->twigs);
    free(p);
}

struct note **pool_notes(const struct gossip_pool *p, uint64_t hash)
{
    return &p->notes[hash & (p->cap_notes - 1)];
}

struct twig **pool_twigs(const struct gossip_pool *p, uint64_t hash)
{
    return &p->twigs[hash & (p->cap_twigs - 1)];
}

static void push_note(struct gossip_pool *p, struct note *n)
{
    struct note **chain = pool_notes(p, n->hash);

    n->next = *chain;
    *chain = n;
}

static void push_twig(struct gossip_pool *p, struct twig *t)
{
    struct twig **chain = pool_twigs(p, t->hash);

    t->next = *chain;
    *chain = t;
}

bool pool_reserve_note(struct gossip_pool *p)
{
    struct note **old = p->notes;
    size_t n_old = p->cap_notes;

    if (p->n_notes < p->cap_notes)
        return true;
    p->cap_notes = n_old ? 2 * n_old : CHAINS_MIN;
    p->notes = calloc(p->cap_notes, sizeof(struct note *));
    if (!p->notes) {
        p->notes = old;
        p->cap_notes = n_old;
        return false;
    }
    for (size_t i = 0; i < n_old; i++)
        for (struct note *n = old[i], *next; n; n = next) {
            next = n->next;
            push_note(p, n);
        }
    free(old);
    return true;
}

bool pool_reserve_twig(struct gossip_pool *p)
{
    struct twig **old = p->twigs;
    size_t n_old = p->cap_twigs;

    if (p->n_twigs < p->cap_twigs)
        return true;
    p->cap_twigs = n_old ? 2 * n_old : CHAINS_MIN;
    p->twigs = calloc(p->cap_twigs, sizeof(struct twig *));
    if (!p->twigs) {
        p->twigs = old;
        p->cap_twigs = n_old;
        return false;
    }
    for (size_t i = 0; i < n_old; i++)
        for (struct twig *t = old[i], *next; t; t = next) {
            next = t->next;
            push_twig(p, t);
        }
    free(old);
    return true;
}

void pool_add_note(struct gossip_pool *p, struct note *n)
{
    push_note(p, n);
    p->n_notes++;
}

void pool_add_twig(struct gossip_pool *p, struct twig *t)
{
    push_twig(p, t);
    p->n_twigs++;
}

void pool_remove_note(struct gossip_pool *p, struct note *n)
{
    struct note **at = pool_notes(p, n->hash);

    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    p->n_notes--;
}

void pool_remove_twig(struct gossip_pool *p, struct twig *t)
{
    struct twig **at = pool_twigs(p, t->hash);

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    p->n_twigs--;
}
