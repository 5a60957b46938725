/* SPDX-License-Identifier: Apache-2.0 */
/* note - what is known of one member: immutable, counted, and each kept once.
 *
 * A note is the join of all that was heard of the member (see gossip.h for the order).
 * The card has an incarnation of its own: news of a member can be here before its card.
 *
 * All notes and maps of one pool are shared by whoever uses the pool, and equal ones
 * are one: two maps are equal when they are the same pointer. */
#pragma once

#include "gossip/gossip.h"

struct twig;

struct card { /* one block of memory */
    uint32_t refs;
    struct member_card card;
    char bytes[];
};
/* NULL without memory. */
struct card *card_new(const struct member_card *from);
void card_unref(struct card *c);
CLEANUP_POINTER(struct card, card_unref);
static inline struct card *card_ref(struct card *c)
{
    c->refs++;
    return c;
}

/* What is said of a member, and what a note is made of. */
struct fact {
    struct node_id id;
    uint64_t incarnation;
    enum member_state state;
    uint8_t observers;
    uint64_t card_incarnation; /* 0: no card */
    struct card *card;         /* counted by whoever made it */
};

/* mine := the least that has all of both. The card, if theirs is taken, is not counted.
 * False: nothing new. */
bool fact_join(struct fact *mine, const struct fact *theirs);

struct note {
    uint32_t refs;
    struct note *next;             /* in the pool */
    uint64_t hash;                 /* of all that is in it */
    uint64_t sum[2];               /* what a live member adds to the fingerprint */
    uint64_t places[GOSSIP_RINGS]; /* on the rings: of the id alone */
    uint64_t card_incarnation;
    struct card *card;         /* NULL: none yet */
    struct member_note member; /* its card borrows from `card` */
};

struct gossip_pool {
    uint32_t refs;
    struct note **notes;
    struct twig **twigs; /* gossip/members.h */
    size_t n_notes, cap_notes, n_twigs, cap_twigs;
};

void pool_ref(struct gossip_pool *p);

/* The note of these facts; the card is counted once more. NULL without memory. */
struct note *note_get(struct gossip_pool *p, const struct fact *f);
void note_unref(struct gossip_pool *p, struct note *n);
static inline struct note *note_ref(struct note *n)
{
    n->refs++;
    return n;
}
/* The card is not counted. */
struct fact note_fact(const struct note *n);

static inline bool state_is_live(enum member_state s)
{
    return s == MEMBER_ALIVE || s == MEMBER_SUSPECT;
}
static inline bool note_is_live(const struct note *n)
{
    return state_is_live(n->member.state);
}
/* Up to which incarnation nothing is missing: the card may not have come yet. */
static inline uint64_t note_complete(const struct note *n)
{
    return n->card_incarnation < n->member.incarnation ? n->card_incarnation
                                                       : n->member.incarnation;
}
/* About how many bytes it takes in a frame. */
size_t note_bytes(const struct note *n, bool with_card);
