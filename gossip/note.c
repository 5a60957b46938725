/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/note.h"

#include <assert.h>
#include <endian.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "gossip/pool.h"

/* ---- cards ---- */

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 1;
}

static char *put(char **at, const void *from, size_t size)
{
    char *start = *at;

    if (size)
        memcpy(start, from, size);
    *at += size;
    return start;
}

static char *put_text(char **at, const char *text)
{
    return put(at, text ? text : "", text_size(text));
}

static size_t card_extra(const struct member_card *c)
{
    size_t size = text_size(c->name) + text_size(c->address) + text_size(c->zone)
                  + text_size(c->version) + c->certificate_len
                  + c->n_custom * sizeof(c->custom[0]);

    for (size_t i = 0; i < c->n_custom; i++)
        size += text_size(c->custom[i].name);
    return size;
}

struct card *card_new(const struct member_card *from)
{
    struct card *c = calloc(1, sizeof(*c) + card_extra(from));
    struct member_card *to;
    char *at;

    if (!c)
        return NULL;
    c->refs = 1;
    at = c->bytes;
    to = &c->card;
    *to = *from;
    /* First what must be aligned. */
    to->custom =
        (struct member_custom *)(void *)put(&at, from->custom,
                                            from->n_custom * sizeof(from->custom[0]));
    for (size_t i = 0; i < from->n_custom; i++)
        to->custom[i].name = put_text(&at, from->custom[i].name);
    to->name = put_text(&at, from->name);
    to->address = put_text(&at, from->address);
    to->zone = put_text(&at, from->zone);
    to->version = put_text(&at, from->version);
    to->certificate = (uint8_t *)put(&at, from->certificate, from->certificate_len);
    return c;
}

void card_unref(struct card *c)
{
    if (c && --c->refs == 0)
        free(c);
}

/* ---- the order ---- */

static bool join_state(struct fact *mine, const struct fact *theirs)
{
    uint8_t observers = mine->observers;

    if (theirs->incarnation < mine->incarnation)
        return false;
    if (theirs->incarnation > mine->incarnation || theirs->state > mine->state) {
        mine->incarnation = theirs->incarnation;
        mine->state = theirs->state;
        mine->observers = theirs->observers;
        return true;
    }
    if (theirs->state < mine->state || mine->state != MEMBER_SUSPECT)
        return false;
    mine->observers |= theirs->observers;
    return mine->observers != observers;
}

bool fact_join(struct fact *mine, const struct fact *theirs)
{
    bool is_new = join_state(mine, theirs);

    if (theirs->card_incarnation > mine->card_incarnation) {
        mine->card = theirs->card;
        mine->card_incarnation = theirs->card_incarnation;
        is_new = true;
    }
    return is_new;
}

/* ---- notes ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

static uint64_t fact_hash(const struct fact *f)
{
    uint64_t halves[2], hash = 1;

    memcpy(halves, f->id.bytes, sizeof(halves));
    hash = mix(mix(hash, halves[0]), halves[1]);
    hash = mix(mix(hash, f->incarnation), f->card_incarnation);
    return mix(hash, (uint64_t)f->state << 8 | f->observers);
}

static bool is_same(const struct note *n, const struct fact *f)
{
    return node_id_equal(&n->member.id, &f->id)
           && n->member.incarnation == f->incarnation && n->member.state == f->state
           && n->member.observers == f->observers
           && n->card_incarnation == f->card_incarnation;
}

/* One digest gives the places on all rings. */
static void find_places(struct note *n)
{
    static_assert(sizeof(n->places) == 64, "a BLAKE2b of 64 bytes");
    crypto_generichash((unsigned char *)n->places, sizeof(n->places),
                       n->member.id.bytes, NODE_ID_SIZE, NULL, 0);
    for (size_t i = 0; i < GOSSIP_RINGS; i++)
        n->places[i] = le64toh(n->places[i]);
}

static void find_sum(struct note *n)
{
    uint64_t incarnation = note_complete(n);
    uint8_t bytes[NODE_ID_SIZE + sizeof(incarnation)];

    memcpy(bytes, n->member.id.bytes, NODE_ID_SIZE);
    for (size_t i = 0; i < sizeof(incarnation); i++)
        bytes[NODE_ID_SIZE + i] = (uint8_t)(incarnation >> (8 * i));
    crypto_generichash((unsigned char *)n->sum, sizeof(n->sum), bytes, sizeof(bytes),
                       NULL, 0);
    n->sum[0] = le64toh(n->sum[0]);
    n->sum[1] = le64toh(n->sum[1]);
}

static struct note *note_new(const struct fact *f, uint64_t hash)
{
    struct note *n = calloc(1, sizeof(*n));

    if (!n)
        return NULL;
    n->refs = 1;
    n->hash = hash;
    n->card_incarnation = f->card_incarnation;
    n->card = f->card ? card_ref(f->card) : NULL;
    n->member = (struct member_note){ .id = f->id,
                                      .incarnation = f->incarnation,
                                      .state = f->state,
                                      .observers = f->observers,
                                      .has_card = f->card != NULL };
    if (f->card)
        n->member.card = f->card->card;
    find_places(n);
    if (note_is_live(n))
        find_sum(n);
    return n;
}

struct note *note_get(struct gossip_pool *p, const struct fact *f)
{
    uint64_t hash = fact_hash(f);
    struct note *n;

    if (!pool_reserve_note(p))
        return NULL;
    for (n = *pool_notes(p, hash); n; n = n->next)
        if (n->hash == hash && is_same(n, f))
            return note_ref(n);
    n = note_new(f, hash);
    if (n)
        pool_add_note(p, n);
    return n;
}

void note_unref(struct gossip_pool *p, struct note *n)
{
    if (!n || --n->refs > 0)
        return;
    pool_remove_note(p, n);
    card_unref(n->card);
    free(n);
}

struct fact note_fact(const struct note *n)
{
    return (struct fact){ .id = n->member.id,
                          .incarnation = n->member.incarnation,
                          .state = n->member.state,
                          .observers = n->member.observers,
                          .card_incarnation = n->card_incarnation,
                          .card = n->card };
}

size_t note_bytes(const struct note *n, bool with_card)
{
    enum { NOTE_BYTES = 40, CARD_BYTES = 120 };

    return NOTE_BYTES
           + (with_card && n->card ? CARD_BYTES + card_extra(&n->card->card) : 0);
}
