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
#define BUSY_US TIME_MS(100) /* up to three times that */
#define UNSENT_US TIME_MS(20)
#define ASKED_US TIME_S(2) /* for an answer whether it has anything */

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

static int finish(struct fetch *f, time_us now)
{
    fetch_pump(f, now);
    f->out = NULL;
    return f->is_out_of_memory ? -ENOMEM : 0;
}

/* ---- requests ---- */

static struct fetch_request *find_request(struct fetch *f, uint64_t number)
{
    for (size_t i = 0; number && i < FETCH_IN_FLIGHT_MAX; i++)
        if (f->requests[i].number == number)
            return &f->requests[i];
    return NULL;
}

/* It is no longer wanted from this peer. */
static void settle(struct fetch *f, struct fetch_request *r)
{
    if (!r->is_checked)
        r->peer->n_asked--;
    r->blob->n_asked--;
    f->n_requests--;
    r->number = 0;
}

/* And has to be asked for again, unless somebody else was asked too. */
static void give_back(struct fetch *f, struct fetch_request *r)
{
    struct fetch_blob *b = r->blob;
    uint8_t *state = r->part == BLOB_LEAF    ? &b->leaves[r->at]
                     : r->part == BLOB_GROUP ? &b->groups[r->at]
                                             : NULL;

    settle(f, r);
    if (!state || *state == LEAF_HERE)
        return;
    if (*state == LEAF_TWICE) {
        *state = LEAF_ASKED;
        return;
    }
    *state = LEAF_MISSING;
    if (r->part == BLOB_LEAF)
        b->n_missing++;
    else
        b->n_groups_asked--;
}

static void give_back_of(struct fetch *f, const struct fetch_peer *p)
{
    for (size_t i = 0; i < FETCH_IN_FLIGHT_MAX; i++)
        if (f->requests[i].number && f->requests[i].peer == p
            && !f->requests[i].is_checked)
            give_back(f, &f->requests[i]);
}

static void avoid(struct fetch *f, struct fetch_peer *p, time_us until)
{
    if (p->avoid_until < until)
        p->avoid_until = until;
    p->window = FETCH_OF_SEED_MAX;
    give_back_of(f, p);
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
            settle(f, &f->requests[i]);
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
    return finish(f, now);
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
    return finish(f, now);
}

int fetch_on_disconnected(struct fetch *f, const struct node_id *peer, time_us now,
                          struct fetch_outbox *out)
{
    struct fetch_peer *p = fetch_peer_find(f, peer);

    f->out = out;
    if (p) {
        p->is_connected = false;
        avoid(f, p, now + STRIKE_US);
        for (struct fetch_blob *b = f->list; b; b = b->next) {
            struct fetch_holder *h = fetch_holder_find(b, peer);

            if (h)
                fetch_holder_remove(b, h);
        }
    }
    return finish(f, now);
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
    return finish(f, now);
}

/* ---- data ---- */

int fetch_on_unsent(struct fetch *f, uint64_t request, time_us now,
                    struct fetch_outbox *out)
{
    struct fetch_request *r = find_request(f, request);

    f->out = out;
    if (r && !r->is_checked) {
        if (r->peer->avoid_until < now + UNSENT_US)
            r->peer->avoid_until = now + UNSENT_US;
        give_back(f, r);
    }
    return finish(f, now);
}

/* Whether it is what was asked for, as far as its outside tells. */
static bool is_of_shape(const struct fetch_request *r,
                        const struct blob_data_message *m)
{
    const struct fetch_blob *b = r->blob;
    uint64_t leaf = r->part == BLOB_GROUP ? r->at * FETCH_GROUP_LEAVES : r->at;

    if (!digest_equal(&m->id, &b->id) || m->offset != leaf * FETCH_LEAF_BYTES)
        return false;
    if (r->part == BLOB_FIRST && m->part == BLOB_FIRST)
        return m->size <= FETCH_LEAF_BYTES && m->data_len == m->size;
    if (r->part == BLOB_FIRST)
        return m->part == BLOB_TOP && m->size > 0
               && fetch_groups(m->size) <= FETCH_GROUPS_MAX
               && m->data_len == fetch_top_digests(m->size) * DIGEST_SIZE;
    if (m->part != r->part || m->size != b->size)
        return false;
    return m->data_len
           == (r->part == BLOB_LEAF ? fetch_leaf_bytes(b->size, r->at)
                                    : fetch_group_leaves(b->size, r->at) * DIGEST_SIZE);
}

static void forget_leaf(const struct fetch_blob *b, struct fetch_holder *h,
                        uint64_t leaf)
{
    uint64_t bit = leaf / b->stretch;

    if (bit / 8 < h->have_len)
        h->have[bit / 8] &= (uint8_t) ~(1U << bit % 8);
}

/* The peer said that it cannot. */
static void on_refusal(struct fetch *f, struct fetch_request *r, int status,
                       time_us now)
{
    struct fetch_blob *b = r->blob;
    struct fetch_peer *p = r->peer;
    struct fetch_holder *h = fetch_holder_find(b, &p->id);

    if (status == -EBUSY) {
        avoid(f, p, now + BUSY_US + prng_below(&f->prng, 2 * BUSY_US));
        return;
    }
    if (h && h->kind == HOLDER_PART && r->part == BLOB_LEAF)
        forget_leaf(b, h, r->at);
    else if (h && h->kind == HOLDER_PART && r->part == BLOB_GROUP)
        h->dry_until = now + BUSY_US;
    else if (h)
        fetch_holder_remove(b, h);
    give_back(f, r);
}

int fetch_on_data(struct fetch *f, const struct node_id *from,
                  const struct blob_data_message *m, time_us now, bool *ret_check,
                  struct fetch_outbox *out)
{
    struct fetch_request *r = find_request(f, m->request);

    f->out = out;
    *ret_check = false;
    if (!r || r->is_checked || !node_id_equal(&r->peer->id, from)) {
        f->out = NULL;
        return 0;
    }
    r->peer->heard = now;
    if (m->status < 0) {
        on_refusal(f, r, m->status, now);
    } else if (!is_of_shape(r, m)) {
        avoid(f, r->peer, now + FETCH_LIE_US);
    } else {
        *ret_check = true;
        r->is_checked = true;
        r->peer->n_asked--;
    }
    return finish(f, now);
}

/* The top is known, so leaves can be asked for. */
static int open_blob(struct fetch *f, struct fetch_blob *b, uint64_t size)
{
    b->n_leaves = b->n_missing = fetch_leaves(size);
    b->n_groups = fetch_groups(size);
    b->stretch = fetch_stretch(size);
    b->leaves = calloc(b->n_leaves, 1);
    b->groups = calloc(b->n_groups, 1);
    if (!b->leaves || !b->groups)
        return -ENOMEM;
    if (b->n_groups == 1)
        b->groups[0] = LEAF_HERE;
    b->size = size;
    b->has_size = true;
    b->cursor = prng_below(&f->prng, b->n_leaves);
    for (size_t i = 0; i < b->n_holders; i++)
        b->holders[i].cursor = prng_below(&f->prng, b->n_leaves);
    return 0;
}

static void on_good(struct fetch *f, struct fetch_request *r, enum blob_part part,
                    uint64_t size, time_us now)
{
    struct fetch_blob *b = r->blob;
    uint64_t at = r->at;

    b->progress = now;
    r->peer->n_strikes = 0;
    r->peer->window += r->peer->window < FETCH_OF_PEER_MAX;
    settle(f, r);
    if (part == BLOB_FIRST) {
        fetch_end(f, b, 0);
    } else if (part == BLOB_TOP) {
        f->is_out_of_memory |= open_blob(f, b, size) < 0;
        if (!f->is_out_of_memory)
            fetch_look_around(f, b, now);
    } else if (part == BLOB_GROUP) {
        b->n_groups_asked--;
        b->groups[at] = LEAF_HERE;
    } else if (b->leaves[at] != LEAF_HERE) {
        b->leaves[at] = LEAF_HERE;
        if (++b->n_here == b->n_leaves)
            fetch_end(f, b, 0);
        else if (now >= b->refresh_at)
            fetch_look_around(f, b, now);
    }
}

int fetch_on_checked(struct fetch *f, uint64_t request, enum blob_part part,
                     uint64_t size, bool is_good, time_us now, struct fetch_outbox *out)
{
    struct fetch_request *r = find_request(f, request);

    f->out = out;
    if (r && is_good) {
        on_good(f, r, part, size, now);
    } else if (r) {
        avoid(f, r->peer, now + FETCH_LIE_US);
        give_back(f, r);
    }
    return finish(f, now);
}

/* ---- time ---- */

/* A peer of whom something is wanted and nothing is heard. */
static void punish_silence(struct fetch *f, time_us now)
{
    for (struct fetch_peer *p = f->peers; p; p = p->hh.next) {
        if (p->n_asked == 0 || now < p->heard + SILENCE_US)
            continue;
        avoid(f, p, now + (STRIKE_US << p->n_strikes));
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
    return finish(f, now);
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
