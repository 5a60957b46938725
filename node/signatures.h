/* SPDX-License-Identifier: Apache-2.0 */
/* signatures - who signed the attempts of a run, and whether they did.
 *
 * Checked with the certificates that the store has of members, also of those that have
 * left: see certificate_key(). A certificate is renewed while its key stays, so what
 * counts is that it was good in its own time. */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "node/attestation.h"
#include "store/writer.h"

struct signer {
    struct node_id node;
    bool has_certificate;
    struct certificate certificate;
    const char *problem; /* of the certificate; NULL: none */
    uint64_t n_signed, n_bad;
    UT_hash_handle hh;
};

struct signatures {
    struct writer *writer;
    const struct mesh_root *root; /* NULL: it is not asked who vouches for a key */
    struct signer *signers;       /* in the order in which they were met */
    struct attestation_memory memory;
    uint64_t n_signed;
    uint64_t n_bad;
    uint64_t n_unsigned;
    uint64_t n_lost;    /* of those of nodes that died with them: no one could sign */
    uint64_t n_adopted; /* taken over from another run, where they are signed */
};

void signatures_init(struct signatures *s, struct writer *w,
                     const struct mesh_root *root);
void signatures_release(struct signatures *s);

/* Of an attempt as it was read. What is wrong, as a sentence, or NULL, is in
 * *ret_problem; -ENOKEY: it has no signature and should. -ENOMEM, or what the store
 * said. */
int signatures_check(struct signatures *s, const struct attempt_record *a,
                     const char **ret_problem);
