/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys may connect (ZeroMQ RFC 27): the library asks here in the middle of each
 * handshake. Keys of members may; so may a few unknown ones a second from each address,
 * to the control port, since a new member is unknown until its HELLO. What is accepted
 * carries its key as User-Id in every message from then on.
 *
 * 300 ends the handshake so that the other tries again later, 400 for good. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node/peers/peers_internal.h"

enum { ZAP_PARTS = 7, ZAP_PARTS_MAX = 8, TOKEN = 1000 };

/* ---- how many from one address ---- */

static uint64_t hash_of(const char *data, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)data[i]) * 0x100000001b3u;
    return h | 1;
}

/* An address that shares its place with another takes it over when that is not in use:
 * who fills the table on purpose slows down those beside him alone. */
static bool take_token(struct peers *p, const char *address, size_t len)
{
    uint64_t hash = hash_of(address, len), now = peers_ms(p), passed;
    struct bucket *b = &p->buckets[hash % ZAP_ADDRESSES];

    passed = now - b->ms;
    if (b->address != hash && passed > 1000)
        *b = (struct bucket){ .address = hash, .ms = now, .tokens = ZAP_BURST * TOKEN };
    else if (passed * ZAP_PER_S >= (ZAP_BURST * TOKEN) - b->tokens)
        b->tokens = ZAP_BURST * TOKEN;
    else
        b->tokens += (uint32_t)(passed * ZAP_PER_S);
    b->ms = now;
    if (b->tokens < TOKEN)
        return false;
    b->tokens -= TOKEN;
    return true;
}

/* ---- answers ---- */

static const char *decide(struct peers *p, zmq_msg_t *parts, const uint8_t *curve_key)
{
    if (keyring_find_curve(identity_keyring(p->identity), curve_key))
        return "200";
    if (zmq_msg_size(&parts[2]) == strlen("bulk"))
        return "300"; /* it says HELLO at the control port first */
    if (p->n_strangers <= PEERS_STRANGERS_MAX
        && take_token(p, zmq_msg_data(&parts[3]), zmq_msg_size(&parts[3])))
        return "200";
    p->counters.refused++;
    return "300";
}

static void answer(struct peers *p, zmq_msg_t *id, const char *status, const char *user)
{
    zmq_send(p->zap, "1.0", 3, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(p->zap, zmq_msg_data(id), zmq_msg_size(id), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(p->zap, status, strlen(status), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(p->zap, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(p->zap, user, strlen(user), ZMQ_SNDMORE | ZMQ_DONTWAIT);
    zmq_send(p->zap, "", 0, ZMQ_DONTWAIT);
    sockets_stir(p);
}

/* version | request | domain | address | routing id | mechanism | key */
void zap_answer(struct peers *p)
{
    char user[2 * CURVE_KEY_SIZE + 1] = "";
    zmq_msg_t parts[ZAP_PARTS_MAX];
    const char *status = "400";
    size_t n;

    if (socket_read(p->zap, parts, ARRAY_SIZE(parts), &n) < 0)
        return;
    if (n == ZAP_PARTS && zmq_msg_size(&parts[6]) == CURVE_KEY_SIZE) {
        const uint8_t *curve_key = zmq_msg_data(&parts[6]);

        status = decide(p, parts, curve_key);
        hex_text(curve_key, CURVE_KEY_SIZE, user);
    }
    if (n > 1)
        answer(p, &parts[1], status, user);
    parts_close(parts, n);
}
