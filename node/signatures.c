/* SPDX-License-Identifier: Apache-2.0 */
#include "node/signatures.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/rows.h"

void signatures_init(struct signatures *s, struct writer *w,
                     const struct mesh_root *root)
{
    *s = (struct signatures){ .writer = w, .root = root };
}

void signatures_release(struct signatures *s)
{
    struct signer *signer, *next;

    HASH_ITER (hh, s->signers, signer, next) {
        HASH_DEL(s->signers, signer);
        free(signer);
    }
}

/* ---- who ---- */

static const char *judge_chain(const struct chain *c, const struct signatures *s)
{
    if (s->root && chain_verify(c, s->root, c->leaf.not_before, NULL) < 0)
        return "the certificate of its node is not of this mesh";
    if (!(c->leaf.roles & ROLE_WORKER))
        return "its node may not carry out tasks";
    return NULL;
}

static int read_certificate(struct signatures *s, struct signer *signer)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = certificate_key(&signer->node);
    struct chain chain;
    int r = writer_get(s->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                       &value);

    if (r < 0 && r != -ENOENT)
        return r;
    signer->has_certificate =
        r == 0 && chain_decode(value.data, value.len, &chain) == 0;
    if (!signer->has_certificate)
        return 0;
    signer->certificate = chain.leaf;
    signer->problem = judge_chain(&chain, s);
    return 0;
}

static int find_signer(struct signatures *s, const struct node_id *node,
                       struct signer **ret)
{
    struct signer *signer;
    int r;

    HASH_FIND(hh, s->signers, node, sizeof(*node), signer);
    *ret = signer;
    if (signer)
        return 0;
    signer = calloc(1, sizeof(*signer));
    if (!signer)
        return -ENOMEM;
    signer->node = *node;
    r = read_certificate(s, signer);
    if (r == 0) {
        HASH_ADD(hh, s->signers, node, sizeof(signer->node), signer);
        r = signer->hh.tbl ? 0 : -ENOMEM;
    }
    if (r < 0)
        free(signer);
    else
        *ret = signer;
    return r;
}

/* ---- what ---- */

static int check(struct signatures *s, const struct signer *signer,
                 const struct attempt_record *a, const char **ret_problem)
{
    struct attempt_record copy = *a;
    int r;

    *ret_problem = signer->problem;
    if (!signer->has_certificate)
        *ret_problem = "no certificate of its node is in the store";
    if (*ret_problem)
        return 0;
    r = attestation_check(signer->certificate.node_key, &copy, &s->memory);
    if (r == -EKEYREJECTED)
        *ret_problem = "it is not what its node signed";
    else if (r == 0 && (a->verdict == VERDICT_DONE) != (a->reason == REASON_OK))
        *ret_problem = "it does not count as its node says that it ended";
    return r == -EKEYREJECTED ? 0 : r;
}

int signatures_check(struct signatures *s, const struct attempt_record *a,
                     const char **ret_problem)
{
    struct signer *signer;
    int r;

    *ret_problem = NULL;
    if (a->verdict == VERDICT_ADOPTED) {
        s->n_adopted++;
        return 0;
    }
    if (!a->signature_len && a->reason == REASON_LOST) {
        s->n_lost++;
        return 0;
    }
    if (!a->signature_len) {
        s->n_unsigned++;
        return -ENOKEY;
    }
    r = find_signer(s, &a->node, &signer);
    if (r == 0)
        r = check(s, signer, a, ret_problem);
    if (r < 0)
        return r;
    s->n_bad += *ret_problem != NULL;
    signer->n_bad += *ret_problem != NULL;
    s->n_signed += *ret_problem == NULL;
    signer->n_signed += *ret_problem == NULL;
    return 0;
}
