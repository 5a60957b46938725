/* SPDX-License-Identifier: Apache-2.0 */
/* nearest - among names on offer, the one that somebody probably meant.
 *
 * Near is an edit distance (insert, delete, replace, swap neighbours) of at most a
 * third of the length, and at least one: 'inner_jion' is one swap from 'inner_join'. */
#pragma once

#include <stddef.h>

struct nearest {
    const char *wanted;
    size_t distance; /* of the best; at first, one more than is near */
    const char *best;
};

struct nearest nearest_to(const char *wanted);
void nearest_offer(struct nearest *n, const char *name);
