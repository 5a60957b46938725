/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of attempts, and whose key is whose.
 *
 * The certificate of every member that was heard of is kept in the store, row `i`, and
 * stays when the member has left: what it signed is checked with it, by whoever has
 * the store, years later. */
#include <errno.h>
#include <string.h>

#include "node/runtime_mesh.h"
#include "proto/rows.h"

static const time_us SAY_EVERY = TIME_S(1);

/* ---- certificates ---- */

static int read_kept(struct runtime *rt, const struct node_id *node, struct buffer *ret)
{
    struct record_key key = certificate_key(node);

    return writer_get(rt->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                      ret);
}

static bool is_newer(const struct chain *c, const struct buffer *kept)
{
    struct chain before;

    return chain_decode(kept->data, kept->len, &before) < 0
           || c->leaf.not_before > before.leaf.not_before;
}

/* What somebody tells of a member is not believed. */
static bool is_of_member(const struct runtime *rt, const struct chain *c,
                         const struct node_id *node)
{
    struct node_id id = node_id_of_key(c->leaf.node_key);

    return node_id_equal(&id, node)
           && chain_verify(c, identity_root(rt->mesh->identity), runtime_wall(), NULL)
                  == 0;
}

static void keep(struct runtime *rt, const struct node_id *node, const void *data,
                 size_t len)
{
    CLEANUP(buffer_release) struct buffer kept = BUFFER_INIT;
    struct record_key key = certificate_key(node);
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len },
                                 .value = { data, len } };
    struct chain c;
    int r = read_kept(rt, node, &kept);

    if (r == 0 && kept.len == len && memcmp(kept.data, data, len) == 0)
        return;
    if (chain_decode(data, len, &c) < 0 || (r == 0 && !is_newer(&c, &kept))
        || !is_of_member(rt, &c, node))
        return;
    if (!writer_put(rt->writer, &write, 1, false))
        runtime_give_up(rt, -ENOMEM, "out of memory");
}

void runtime_mesh_keep_certificate(struct runtime *rt, const struct node_id *node)
{
    const struct runtime_mesh *m = rt->mesh;
    const struct member_card *card = &m->card;
    struct member_view view;

    if (!node_id_equal(node, &m->self)) {
        if (!gossip_find(mesh_members(m->core), node, &view) || !view.note->has_card)
            return;
        card = &view.note->card;
    }
    if (card->certificate_len)
        keep(rt, node, card->certificate, card->certificate_len);
}

/* Of a peer that is connected the keyring has it. */
static int find_key(struct runtime *rt, const struct node_id *node,
                    uint8_t ret_key[NODE_KEY_SIZE])
{
    CLEANUP(buffer_release) struct buffer kept = BUFFER_INIT;
    const struct chain *c = keyring_find(identity_keyring(rt->mesh->identity), node);
    struct chain stored;

    if (!c) {
        if (read_kept(rt, node, &kept) < 0
            || chain_decode(kept.data, kept.len, &stored) < 0)
            return -ENOENT;
        c = &stored;
    }
    memcpy(ret_key, c->leaf.node_key, NODE_KEY_SIZE);
    return 0;
}

/* ---- signatures ---- */

static int sign(void *arg, struct attempt_record *const *records, size_t n)
{
    const struct runtime *rt = arg;

    return attestation_sign(rt->mesh->identity, records, n);
}

static int check(void *arg, struct attempt_record *record)
{
    struct runtime *rt = arg;
    uint8_t key[NODE_KEY_SIZE];
    int r = find_key(rt, &record->node, key);

    return r < 0 ? r : attestation_check(key, record, &rt->mesh->signatures);
}

struct mesh_signer runtime_mesh_signer(struct runtime *rt)
{
    return (struct mesh_signer){
        .arg = rt, .batch_max = ATTESTED_MAX, .sign = sign, .check = check
    };
}

static const char *fault_of(int status)
{
    switch (status) {
    case -ENOKEY:
        return "it is not signed, and its node signs";
    case -ENOENT:
        return "nobody knows whose it is";
    case -EXDEV:
        return "it is in another node's name";
    default:
        return "it is not what was signed";
    }
}

/* A peer could fill the log with this. */
void runtime_mesh_refused(struct runtime *rt, const struct action *a)
{
    struct runtime_mesh *m = rt->mesh;
    char peer[NODE_ID_TEXT_SIZE], run[RUN_ID_TEXT_SIZE], task[TASK_TEXT_SIZE];

    m->n_refused++;
    if (m->refused_at && runtime_now(rt) < m->refused_at + SAY_EVERY)
        return;
    node_id_text(&a->u.mesh.peer, peer);
    run_id_text(&a->run, run);
    task_id_text(&a->task, task);
    runtime_log(rt, "attempt.refused", "peer=%s run=%s step=%u task=%s n=%llu why=%s",
                peer, run, a->task.step, task, (unsigned long long)m->n_refused,
                fault_of(a->u.mesh.status));
    m->refused_at = runtime_now(rt);
    m->n_refused = 0;
}
