/* SPDX-License-Identifier: Apache-2.0 */
#include "node/fetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/fetch_internal.h"

enum { STRIKES_MAX = 5 };
#define TICK_US TIME_MS(100)
#define SILENCE_US TIME_S(3) /* of a peer of whom something is wanted */
#define STRIKE_US TIME_S(2)  /* then it is left alone, twice as long each time */
#define ASKED_US TIME_S(2)   /* for an answer whether it has anything */

/* ---- actions ---- */

void fetch_outbox_release(struct fetch_outbox *out)
{
    free(out->actions);
    *out = (struct fetch_outbox){ .actions = NULL };
}

void fetch_act(struct fetch *f, const struct fetch_action *a)
{
    struct fetch_outbox *out = f->out;

    f->n_finds += a->type == FETCH_FIND;
    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 16;
        struct fetch_action *actions = realloc(out->actions, cap * sizeof(*actions));

        if (!actions) {
            f->is_out_of_memory = true;
            return;
        }
        out->actions = actions;
        out->cap = cap;
    }
    out->actions[out->n++] = *a;
}

int fetch_finish(struct fetch *f, time_us now)
{
    fetch_pump(f, now);
    f->out = NULL;
    return f->is_out_of_memory ? -ENOMEM : 0;
}

/* ---- blobs ---- */

static struct fetch_blob *find_blob(const struct fetch *f, const struct digest *id)
{
    struct fetch_blob *b;

    HASH_FIND(hh, f->blobs, id->bytes, DIGEST_SIZE, b);
    return b;
}

static void free_blob(struct fetch *f, struct fetch_blob *b)
{
    for (size_t i = 0; i < FETCH_IN_FLIGHT_MAX; i++)
        if (f->requests[i].number && f->requests[i].blob == b)
            fetch_settle(f, &f->requests[i]);
    while (b->n_holders)
        fetch_holder_remove(b, &b->holders[b->n_holders - 1]);
    HASH_DELETE(hh, f->blobs, b);
    if (b->next)
        b->next->prev = b->prev;
    else if (f->list != b)
        f->list->prev = b->prev;
    if (f->list == b)
        f->list = b->next;
    else
        b->prev->next = b->next;
    free(b->leaves);
    free(b->groups);
    free(b);
}

/* At the end; the first one's `prev` is the last one. */
static void add_to_list(struct fetch *f, struct fetch_blob *b)
{
    b->prev = f->list ? f->list->prev : b;
    if (f->list) {
        f->list->prev->next = b;
        f->list->prev = b;
    } else {
        f->list = b;
    }
}

void fetch_end(struct fetch *f, struct fetch_blob *b, int status)
{
    fetch_act(f, &(struct fetch_action){
                     .type = FETCH_ENDED, .id = b->id, .status = status });
    free_blob(f, b);
}

struct fetch *fetch_new(const struct node_id *self, uint64_t seed)
{
    struct fetch *f = calloc(1, sizeof(*f));

    if (!f)
        return NULL;
    f->self = *self;
    f->next_request = 1;
    f->tick_at = TIME_NEVER;
    prng_init(&f->prng, seed);
    return f;
}

void fetch_free(struct fetch *f)
{
    struct fetch_peer *p, *next;

    if (!f)
        return;
    while (f->list)
        free_blob(f, f->list);
    HASH_ITER (hh, f->peers, p, next) {
        HASH_DELETE(hh, f->peers, p);
        free(p);
    }
    free(f);
}

static struct fetch_blob *add_blob(struct fetch *f, const struct digest *id,
                                   time_us now)
{
    struct fetch_blob *b = calloc(1, sizeof(*b));

    if (!b)
        return NULL;
    b->id = *id;
    b->progress = now;
    HASH_ADD(hh, f->blobs, id.bytes, DIGEST_SIZE, b);
    if (!b->hh.tbl) {
        free(b);
        return NULL;
    }
    add_to_list(f, b);
    if (f->tick_at == TIME_NEVER)
        f->tick_at = now + TICK_US;
    return b;
}

int fetch_want(struct fetch *f, const struct digest *id, const struct node_id *hints,
               size_t n_hints, time_us now, struct fetch_outbox *out)
{
    struct fetch_blob *b = find_blob(f, id);

    if (!b && HASH_COUNT(f->blobs) >= FETCH_BLOBS_MAX)
        return -ENOSPC;
    if (!b)
        b = add_blob(f, id, now);
    if (!b)
        return -ENOMEM;
    f->out = out;
    for (size_t i = 0; i < n_hints; i++) {
        struct fetch_holder *h = fetch_holder_add(f, b, &hints[i], HOLDER_WHOLE);

        if (h && h->kind == HOLDER_ASKED)
            h->kind = HOLDER_WHOLE;
    }
    fetch_look_around(f, b, now);
    return fetch_finish(f, now);
}

void fetch_drop(struct fetch *f, const struct digest *id)
{
    struct fetch_blob *b = find_blob(f, id);

    if (b)
        free_blob(f, b);
}

/* ---- connections and holders ---- */

int fetch_on_connected(struct fetch *f, const struct node_id *peer, time_us now,
                       struct fetch_outbox *out)
{
    struct fetch_peer *p = fetch_peer_get(f, peer);

    f->out = out;
    if (p)
        p->is_connected = true;
    return fetch_finish(f, now);
}

int fetch_on_disconnected(struct fetch *f, const struct node_id *peer, time_us now,
                          struct fetch_outbox *out)
{
    struct fetch_peer *p = fetch_peer_find(f, peer);

    f->out = out;
    if (p) {
        p->is_connected = false;
        fetch_avoid(f, p, now + STRIKE_US);
        for (struct fetch_blob *b = f->list; b; b = b->next) {
            struct fetch_holder *h = fetch_holder_find(b, peer);

            if (h)
                fetch_holder_remove(b, h);
        }
    }
    return fetch_finish(f, now);
}

static int copy_have(struct fetch_holder *h, const struct blob_holder *from)
{
    uint8_t *have = malloc(from->have_len);

    if (!have)
        return -ENOMEM;
    memcpy(have, from->have, from->have_len);
    free(h->have);
    h->have = have;
    h->have_len = from->have_len;
    h->kind = HOLDER_PART;
    h->dry_until = 0;
    return 0;
}

static void gather_parts(struct fetch_blob *b)
{
    memset(b->spread, 0, sizeof(b->spread));
    b->has_parts = false;
    for (size_t i = 0; i < b->n_holders; i++) {
        const struct fetch_holder *h = &b->holders[i];

        if (h->kind != HOLDER_PART)
            continue;
        b->has_parts = true;
        for (size_t k = 0; k < h->have_len; k++)
            b->spread[k] |= h->have[k];
    }
}

static void hear_of(struct fetch *f, struct fetch_blob *b, const struct node_id *from,
                    const struct blob_holder *said, time_us now)
{
    bool has_any =
        (said->is_whole || said->have_len) && (!b->has_size || said->size == b->size)
        && (said->is_whole || said->have_len == fetch_have_bytes(said->size));
    struct fetch_holder *h = has_any ? fetch_holder_add(f, b, from, HOLDER_ASKED)
                                     : fetch_holder_find(b, from);

    if (h && !has_any)
        fetch_holder_remove(b, h);
    else if (h && said->is_whole)
        h->kind = HOLDER_WHOLE;
    else if (h && h->kind != HOLDER_WHOLE && copy_have(h, said) < 0)
        f->is_out_of_memory = true;
    gather_parts(b);
    for (size_t i = 0; i < said->n_others; i++) {
        const struct node_id *other = &said->others[i];

        if (fetch_holder_find(b, other))
            continue;
        h = fetch_holder_add(f, b, other, HOLDER_ASKED);
        if (h)
            fetch_ask_holder(f, b, h, now);
    }
}

int fetch_on_holders(struct fetch *f, const struct node_id *from,
                     const struct blob_holders_message *m, time_us now,
                     struct fetch_outbox *out)
{
    f->out = out;
    for (size_t i = 0; i < m->n_holders; i++) {
        struct fetch_blob *b = find_blob(f, &m->holders[i].id);

        if (b)
            hear_of(f, b, from, &m->holders[i], now);
    }
    return fetch_finish(f, now);
}

/* ---- time ---- */

/* A peer of whom something is wanted and nothing is heard. */
static void punish_silence(struct fetch *f, time_us now)
{
    for (struct fetch_peer *p = f->peers; p; p = p->hh.next) {
        if (p->n_asked == 0 || now < p->heard + SILENCE_US)
            continue;
        fetch_avoid(f, p, now + (STRIKE_US << p->n_strikes));
        p->n_strikes += p->n_strikes < STRIKES_MAX;
    }
}

static void forget_asked(struct fetch_blob *b, time_us now)
{
    for (size_t i = b->n_holders; i-- > 0;)
        if (b->holders[i].kind == HOLDER_ASKED && now >= b->holders[i].asked + ASKED_US)
            fetch_holder_remove(b, &b->holders[i]);
}

int fetch_on_tick(struct fetch *f, time_us now, struct fetch_outbox *out)
{
    struct fetch_blob *b, *next;

    if (now < f->tick_at)
        return 0;
    f->out = out;
    f->n_finds = 0;
    punish_silence(f, now);
    for (b = f->list; b; b = next) {
        next = b->next;
        forget_asked(b, now);
        if (now >= b->progress + FETCH_PATIENCE_US)
            fetch_end(f, b, -ETIMEDOUT);
    }
    for (b = f->list; b; b = next) {
        next = b->next;
        fetch_look_around(f, b, now);
    }
    f->tick_at = f->list ? now + TICK_US : TIME_NEVER;
    return fetch_finish(f, now);
}

time_us fetch_deadline(const struct fetch *f)
{
    return f->tick_at;
}

/* ---- questions ---- */

size_t fetch_blobs(const struct fetch *f)
{
    return HASH_COUNT(f->blobs);
}

size_t fetch_in_flight(const struct fetch *f)
{
    return f->n_requests;
}

bool fetch_size(const struct fetch *f, const struct digest *id, uint64_t *ret_size)
{
    const struct fetch_blob *b = find_blob(f, id);

    if (!b || !b->has_size)
        return false;
    *ret_size = b->size;
    return true;
}

bool fetch_has_leaf(const struct fetch *f, const struct digest *id, uint64_t leaf)
{
    const struct fetch_blob *b = find_blob(f, id);

    return b && b->has_size && leaf < b->n_leaves && b->leaves[leaf] == LEAF_HERE;
}

bool fetch_have(const struct fetch *f, const struct digest *id, uint64_t *ret_size,
                uint8_t ret_have[BLOB_HAVE_MAX], size_t *ret_len)
{
    const struct fetch_blob *b = find_blob(f, id);
    uint64_t stretch;

    if (!b || !b->has_size)
        return false;
    stretch = b->stretch;
    *ret_size = b->size;
    *ret_len = fetch_have_bytes(b->size);
    memset(ret_have, 0xff, *ret_len);
    for (uint64_t i = 0; i < b->n_leaves; i++)
        if (b->leaves[i] != LEAF_HERE)
            ret_have[i / stretch / 8] &= (uint8_t) ~(1U << i / stretch % 8);
    return true;
}

bool fetch_avoids(const struct fetch *f, const struct node_id *peer, time_us now)
{
    const struct fetch_peer *p = fetch_peer_find(f, peer);

    return p && p->avoid_until > now;
}
