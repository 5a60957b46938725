/* SPDX-License-Identifier: Apache-2.0 */
/* digest_set - which blobs were marked: 32 bytes each in a table at most half full. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ids.h"

struct digest_set {
    struct digest *slots; /* open addressing; all zero: free */
    size_t n, n_slots;
    size_t n_max;  /* 0: none */
    bool has_zero; /* the digest of zeros is in */
};

void digest_set_release(struct digest_set *s);
/* 1 if it is new, 0 if it was in, -ENOMEM, -E2BIG at n_max. */
int digest_set_add(struct digest_set *s, const struct digest *id);
bool digest_set_has(const struct digest_set *s, const struct digest *id);
