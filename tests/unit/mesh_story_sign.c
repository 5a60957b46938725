/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of a story: a hash of what is said and of who says it. And nodes that lie:
 * what they offer is changed on its way. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/statement.h"
#include "tests/unit/mesh_story_internal.h"

static uint64_t fold(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static struct digest hash_result(const struct attempt_record *r)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct digest d = { { 0 } };
    uint64_t hash;

    assert(attempt_result(r, &bytes) == 0);
    hash = fold(0xcbf29ce484222325u, bytes.data, bytes.len);
    memcpy(d.bytes, &hash, sizeof(hash));
    return d;
}

static uint64_t hash_all(const struct attempt_record *r, const struct digest *said)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;

    assert(attempt_statement(r, &bytes) == 0);
    return fold(fold(0xcbf29ce484222325u, bytes.data, bytes.len), said, sizeof(*said));
}

static int sign(void *arg, struct attempt_record *const *records, size_t n)
{
    const struct story_node *self = arg;

    assert(n > 0 && n <= MESH_BATCH_MAX);
    for (size_t i = 0; i < n; i++) {
        struct attempt_record *r = records[i];
        uint64_t hash;

        assert(node_id_equal(&r->node, &self->id));
        r->said = hash_result(r);
        hash = hash_all(r, &r->said);
        memcpy(r->signature, &hash, sizeof(hash));
        r->signature_len = sizeof(hash);
        r->is_judged = false;
    }
    return 0;
}

static int check(void *arg, struct attempt_record *r)
{
    uint64_t hash, is;

    (void)arg;
    if (!r->signature_len)
        return -ENOKEY;
    if (r->is_judged && r->reason == REASON_OK)
        return -EKEYREJECTED;
    if (!r->is_judged)
        r->said = hash_result(r);
    hash = hash_all(r, &r->said);
    memcpy(&is, r->signature, sizeof(is));
    return r->signature_len == sizeof(is) && is == hash ? 0 : -EKEYREJECTED;
}

struct mesh_signer sign_signer(struct story_node *n)
{
    return (struct mesh_signer){
        .arg = n, .batch_max = MESH_BATCH_MAX, .sign = sign, .check = check
    };
}

void sign_check_kept(const struct mesh_story *s, const struct attempt_record *r)
{
    struct attempt_record copy = *r;

    bool has_old = !s->signs[s->n_nodes - 1];

    if (r->signature_len)
        assert(check(NULL, &copy) == 0);
    else /* an old leader takes the signature off */
        assert(r->reason == REASON_LOST || has_old);
}

/* ---- lies ---- */

static void change(struct offered_attempt *offer, const char *lie)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;

    assert(attempt_record_decode(offer->record, offer->record_len, &r) == 0);
    if (strcmp(lie, "unsigned") == 0)
        r.signature_len = 0;
    else
        r.started_wall++; /* in as many bytes: it lies in the message's arena */
    assert(attempt_record_encode(&r, &bytes) == 0);
    assert(bytes.len <= offer->record_len);
    offer->record = memcpy(offer->record, bytes.data, bytes.len);
    offer->record_len = bytes.len;
}

static void lie(struct mesh_story *s, struct story_node *n,
                struct offered_attempt *offers, size_t n_offers)
{
    for (size_t i = 0; i < n_offers && n->n_lies; i++) {
        n->n_lies--;
        if (strcmp(n->lie, "renamed") == 0)
            offers[i].name.node = s->nodes[0].id;
        else
            change(&offers[i], n->lie);
    }
}

bool sign_lie(struct mesh_story *s, unsigned i, const void *data, size_t len,
              struct buffer *ret)
{
    struct message m = { .type = 0 };

    if (!s->nodes[i].n_lies || message_decode(data, len, &m) < 0)
        return false;
    if (m.type == MESSAGE_COMMIT)
        lie(s, &s->nodes[i], m.u.commit.attempts, m.u.commit.n_attempts);
    assert(message_encode(&m, ret) == 0);
    message_release(&m);
    return true;
}
