/* SPDX-License-Identifier: Apache-2.0 */
#include "node/peers/peers.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/peers/peers_internal.h"

/* ---- the table ---- */

struct peer *peer_find(const struct peers *p, const struct node_id *id)
{
    struct peer *peer;

    HASH_FIND(by_id, p->ids, id->bytes, sizeof(id->bytes), peer);
    return peer;
}

struct peer *peer_find_curve(const struct peers *p, const uint8_t *curve_key)
{
    struct peer *peer;

    HASH_FIND(by_curve, p->curves, curve_key, CURVE_KEY_SIZE, peer);
    return peer;
}

struct peer *peer_add(struct peers *p, const uint8_t *curve_key)
{
    struct peer *peer =
        HASH_CNT(by_curve, p->curves) < PEERS_MAX ? calloc(1, sizeof(*peer)) : NULL;

    if (!peer)
        return NULL;
    memcpy(peer->curve_key, curve_key, CURVE_KEY_SIZE);
    peer->redial_ms = REDIAL_MIN_MS;
    HASH_ADD(by_curve, p->curves, curve_key, CURVE_KEY_SIZE, peer);
    return peer;
}

void peer_set_id(struct peers *p, struct peer *peer, const struct node_id *id)
{
    if (peer->has_id)
        return;
    peer->id = *id;
    peer->has_id = true;
    HASH_ADD(by_id, p->ids, id.bytes, sizeof(peer->id.bytes), peer);
}

static void peer_free(struct peers *p, struct peer *peer)
{
    HASH_DELETE(by_curve, p->curves, peer);
    if (peer->has_id)
        HASH_DELETE(by_id, p->ids, peer);
    message_release(&peer->hello);
    free(peer);
}

void peer_forget(struct peers *p, struct peer *peer)
{
    if (peer->is_wanted || peer->is_up || peer->is_kept || peer->guest)
        return;
    guests_drop_of(p, peer);
    link_close(p, peer, CONTROL);
    link_close(p, peer, BULK);
    peer_free(p, peer);
}

/* ---- up and down ---- */

void peer_check_up(struct peers *p, struct peer *peer)
{
    struct node_id id = peer->id;

    if (peer->is_up || !peer->guest || peer->links[CONTROL].state != LINK_UP)
        return;
    peer->is_up = true;
    peer->half_ms = 0;
    p->callbacks.on_connected(p->callbacks.arg, &peer->id, &peer->hello.u.hello);
    peer = peer_find(p, &id); /* the callback may have dropped it */
    if (peer && peer->is_up)
        talk_tell_revocations(p, peer);
}

void peer_told_down(struct peers *p, struct peer *peer, bool is_refused)
{
    struct node_id id = peer->id;

    peer->is_probed = false;
    if (peer->is_up) {
        peer->is_up = false;
        p->callbacks.on_disconnected(p->callbacks.arg, &id, is_refused);
    }
    peer = peer_find(p, &id); /* the callback may have dropped it */
    if (peer)
        peer_forget(p, peer);
}

void peer_down(struct peers *p, struct peer *peer)
{
    link_close(p, peer, CONTROL);
    link_close(p, peer, BULK);
    if (!peer->is_up) {
        peer_forget(p, peer);
        return;
    }
    guests_drop_of(p, peer);
    peer->due_ms = peers_ms(p) + peer->redial_ms;
    if (peer->is_probed)
        return;
    peer->is_probed = probe_start(p, peer) == 0;
    if (!peer->is_probed)
        peer_told_down(p, peer, false);
}

void peer_drop(struct peers *p, struct peer *peer)
{
    peer->is_wanted = false;
    link_close(p, peer, CONTROL);
    link_close(p, peer, BULK);
    guests_drop_of(p, peer);
    peer_told_down(p, peer, false);
}

/* One at a time: the callback may change the table. */
void peers_drop_revoked(struct peers *p)
{
    struct peer *peer, *next, *bad;

    do {
        bad = NULL;
        HASH_ITER (by_curve, p->curves, peer, next) {
            if (peer->has_id && !keyring_find(identity_keyring(p->identity), &peer->id))
                bad = peer;
        }
        if (bad)
            peer_drop(p, bad);
    } while (bad);
}

/* ---- room ---- */

/* One at a time: the callback may change the table. */
static struct peer *next_with_room(struct peers *p, int line)
{
    struct peer *peer, *next;

    HASH_ITER (by_curve, p->curves, peer, next) {
        struct queue *q = peer->links[line].queue;

        if (peer->is_up && q && queue_take_room(q))
            return peer;
    }
    return NULL;
}

static void tell_room(struct peers *p, struct peer *peer, int line)
{
    struct node_id id = peer->id;

    if (p->callbacks.on_room)
        p->callbacks.on_room(p->callbacks.arg, &id, line == BULK);
}

void peer_tell_owed(struct peers *p, struct peer *peer)
{
    struct link *l = &peer->links[BULK];

    if (!peer->is_up || !l->is_owed)
        return;
    l->is_owed = false;
    tell_room(p, peer, BULK);
}

static void on_room(uv_async_t *async)
{
    struct peers *p = async->data;
    struct peer *peer;

    for (int line = 0; line < LINES; line++)
        while ((peer = next_with_room(p, line)))
            tell_room(p, peer, line);
}

/* ---- what time does ---- */

static void drop_expired(struct peers *p)
{
    struct peer *peer, *next, *bad = NULL;
    time_us wall = peers_wall(p);

    HASH_ITER (by_curve, p->curves, peer, next) {
        const struct chain *c =
            peer->is_up ? keyring_find(identity_keyring(p->identity), &peer->id) : NULL;

        if (c && wall > c->leaf.not_after + CERTIFICATE_SKEW)
            bad = peer;
    }
    if (!bad)
        return;
    peers_tell(p, "peer.expired", "address=%s", bad->address);
    peer_drop(p, bad);
}

/* Whether it needs to be looked after; what follows may free it. */
static bool is_due(const struct peers *p, const struct peer *peer, uint64_t now)
{
    if (peer->is_up)
        return !peer->guest && !peer->is_probed && now - peer->half_ms >= HALF_MS;
    return peer->links[CONTROL].state == LINK_DOWN && now >= peer->due_ms
           && (peer->is_wanted || peer->guest) && p->lines[CONTROL].out;
}

/* Who was told to wait for a bulk connection that did not come about may try again. */
static void tell_owed(struct peers *p)
{
    struct peer *peer, *next;

    HASH_ITER (by_curve, p->curves, peer, next) {
        struct link *l = &peer->links[BULK];

        if (peer->is_up && l->state == LINK_DOWN && l->is_owed) {
            peer_tell_owed(p, peer);
            return; /* the others at the next look: the table may be another one */
        }
    }
}

static void on_sweep(uv_timer_t *timer)
{
    struct peers *p = timer->data;
    uint64_t now = peers_ms(p);
    struct peer *peer, *next;

    guests_sweep(p);
    HASH_ITER (by_curve, p->curves, peer, next) {
        if (!is_due(p, peer, now))
            continue;
        if (peer->is_up) {
            peer_down(p, peer);
            break; /* the callback may have changed the table */
        }
        peer_dial(p, peer);
    }
    tell_owed(p);
    drop_expired(p);
    talk_renew(p);
}

/* ---- starting and stopping ---- */

void peers_ref(struct peers *p)
{
    p->n_handles++;
}

void peers_unref(struct peers *p)
{
    if (--p->n_handles || !p->is_stopping)
        return;
    free(p->buckets);
    free(p);
}

static void on_closed(uv_handle_t *handle)
{
    peers_unref(handle->data);
}

static time_us wall_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (time_us)t.tv_sec * 1000000 + (time_us)t.tv_nsec / 1000;
}

static int make_handles(struct peers *p)
{
    int r = uv_async_init(p->loop, &p->room, on_room);

    if (r < 0)
        return r;
    uv_prepare_init(p->loop, &p->prepare);
    uv_idle_init(p->loop, &p->idle);
    uv_timer_init(p->loop, &p->sweep);
    p->room.data = p->prepare.data = p->idle.data = p->sweep.data = p;
    p->n_handles += 4;
    return uv_timer_start(&p->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

int peers_start(const struct peers_config *config, struct peers **ret,
                struct error *ret_error)
{
    struct peers *p;
    int r;

    if (!identity_chain(config->identity))
        return fail(ret_error, -ENOKEY, "this node is of no mesh yet");
    p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->callbacks = config->callbacks;
    p->identity = config->identity;
    p->self = identity_node(config->identity);
    p->wall = config->wall ? config->wall : wall_now;
    p->loop = config->loop;
    p->buckets = calloc(ZAP_ADDRESSES, sizeof(*p->buckets));
    r = p->buckets ? make_handles(p) : -ENOMEM;
    if (r < 0) {
        free(p->buckets);
        free(p);
        return r;
    }
    r = sockets_open(p, config, ret_error);
    if (r < 0) {
        peers_stop(p);
        return r;
    }
    *ret = p;
    return 0;
}

static void free_all(struct peers *p)
{
    struct peer *peer, *next;
    struct guest *g, *next_guest;

    HASH_ITER (hh, p->guests, g, next_guest) {
        HASH_DEL(p->guests, g);
        free(g);
    }
    HASH_ITER (by_curve, p->curves, peer, next) {
        for (int line = 0; line < LINES; line++)
            queue_unref(peer->links[line].queue);
        peer_free(p, peer);
    }
}

void peers_stop(struct peers *p)
{
    uv_handle_t *handles[] = { (uv_handle_t *)&p->room, (uv_handle_t *)&p->prepare,
                               (uv_handle_t *)&p->idle, (uv_handle_t *)&p->sweep };

    p->is_stopping = true;
    for (size_t i = 0; i < p->n_polls; i++) {
        uv_poll_stop(&p->polls[i]); /* before its descriptor is closed */
        uv_close((uv_handle_t *)&p->polls[i], on_closed);
    }
    probes_stop(p);
    sockets_close(p); /* after it no other thread knows of p->room */
    for (size_t i = 0; i < ARRAY_SIZE(handles); i++)
        uv_close(handles[i], on_closed);
    free_all(p);
}

/* ---- what others ask for ---- */

static int wanted(struct peers *p, const uint8_t *curve_key, const char *address,
                  struct peer **ret)
{
    struct peer *peer = peer_find_curve(p, curve_key);

    if (!contact_address_is_good(address))
        return -EINVAL;
    if (memcmp(curve_key, identity_curve_key(p->identity), CURVE_KEY_SIZE) == 0)
        return -EPERM;
    if (!peer)
        peer = peer_add(p, curve_key);
    if (!peer)
        return -ENOSPC;
    peer->is_wanted = true;
    *ret = peer;
    return 0;
}

/* Where it says itself that it is counts, once it said so. */
static void dial(struct peers *p, struct peer *peer, const char *address,
                 uint32_t bulk_port)
{
    if (!peer->guest && strcmp(peer->address, address) != 0 && !peer->is_up) {
        link_close(p, peer, CONTROL);
        strcpy(peer->address, address);
        peer->bulk_port = bulk_port;
        peer->redial_ms = REDIAL_MIN_MS;
    }
    if (!peer->is_up && peer->links[CONTROL].state == LINK_DOWN)
        peer_dial(p, peer);
}

int peers_connect(struct peers *p, const struct node_id *id, const char *address,
                  uint32_t bulk_port, const uint8_t curve_key[CURVE_KEY_SIZE])
{
    struct keyring *ring = identity_keyring(p->identity);
    const struct chain *known = keyring_find(ring, id);
    struct peer *peer;
    int r;

    if (node_id_equal(id, &p->self))
        return -EPERM;
    if (revocations_has(keyring_revocations(ring), id))
        return -EKEYREVOKED;
    if (known && memcmp(known->leaf.curve_key, curve_key, CURVE_KEY_SIZE) != 0)
        return -EKEYREJECTED;
    r = wanted(p, curve_key, address, &peer);
    if (r < 0)
        return r;
    dial(p, peer, address, bulk_port);
    return 0;
}

int peers_dial(struct peers *p, const struct join_contact *contact)
{
    struct peer *peer;
    int r = wanted(p, contact->curve_key, contact->address, &peer);

    if (r < 0)
        return r;
    dial(p, peer, contact->address, 0);
    return 0;
}

void peers_disconnect(struct peers *p, const struct node_id *id)
{
    struct peer *peer = peer_find(p, id);

    if (!peer)
        return;
    peer->is_wanted = peer->is_up = peer->is_probed = false;
    link_close(p, peer, CONTROL);
    link_close(p, peer, BULK);
    guests_drop_of(p, peer);
    peer_forget(p, peer);
}

static int send_bulk(struct peers *p, struct peer *peer, const void *data, size_t len)
{
    struct link *l = &peer->links[BULK];

    if (l->state == LINK_DOWN) {
        if (!peer->bulk_port)
            return -ENOTCONN;
        link_dial(p, peer, BULK);
    }
    l->is_owed = l->state != LINK_UP;
    return l->is_owed ? -EAGAIN : link_send(p, l, BULK, data, len);
}

int peers_send(struct peers *p, const struct node_id *id, const void *data, size_t len,
               bool is_bulk)
{
    struct peer *peer = peer_find(p, id);
    int r;

    if (len > (is_bulk ? (size_t)PEERS_BULK_BYTES_MAX : MESSAGE_BYTES_MAX))
        return -EMSGSIZE;
    if (!peer || !peer->is_up || peer->links[CONTROL].state != LINK_UP)
        return -ENOTCONN;
    r = is_bulk ? send_bulk(p, peer, data, len)
                : link_send(p, &peer->links[CONTROL], CONTROL, data, len);
    p->counters.sent += r == 0;
    p->counters.sent_bytes += r == 0 ? len : 0;
    p->counters.full += r == -EAGAIN;
    return r;
}

bool peers_is_connected(const struct peers *p, const struct node_id *id)
{
    const struct peer *peer = peer_find(p, id);

    return peer && peer->is_up;
}

int peers_learn(struct peers *p, const struct chain *chain)
{
    return keyring_add(identity_keyring(p->identity), chain, peers_wall(p), NULL);
}

int peers_revoke(struct peers *p, const struct node_id *node, struct error *ret_error)
{
    struct peer *peer, *next;
    int r = identity_revoke(p->identity, node, peers_wall(p), ret_error);

    if (r < 0)
        return r;
    HASH_ITER (by_curve, p->curves, peer, next) {
        if (peer->is_up)
            talk_tell_revocations(p, peer);
    }
    peers_drop_revoked(p);
    return 0;
}

size_t peers_contacts(const struct peers *p, struct join_contact *ret, size_t max)
{
    struct peer *peer, *next;
    size_t n = 0;

    HASH_ITER (by_curve, p->curves, peer, next) {
        if (!peer->is_up || n == max)
            continue;
        strcpy(ret[n].address, peer->address);
        memcpy(ret[n++].curve_key, peer->curve_key, CURVE_KEY_SIZE);
    }
    return n;
}

const char *peers_address(const struct peers *p)
{
    return p->address;
}

uint32_t peers_bulk_port(const struct peers *p)
{
    return p->lines[BULK].port;
}

const struct peers_counters *peers_count(const struct peers *p)
{
    return &p->counters;
}

/* ---- small things ---- */

time_us peers_wall(const struct peers *p)
{
    return p->wall();
}

uint64_t peers_ms(const struct peers *p)
{
    return uv_now(p->loop);
}

void peers_tell(struct peers *p, const char *event, const char *format, ...)
{
    char text[512];
    va_list args;

    if (!p->callbacks.on_event)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    p->callbacks.on_event(p->callbacks.arg, event, text);
}
