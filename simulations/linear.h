/* SPDX-License-Identifier: Apache-2.0 */
/* linear - whether what clients heard of a register could have happened one by one.
 *
 * A history is linearizable when each operation can be given a moment between its
 * begin and its end so that all, in the order of these moments, answer what they
 * answered. One that was never answered may have a moment after its begin, or none.
 *
 * J. Wing, C. Gong: Testing and Verifying Concurrent Objects, 1993: try whatever could
 * be next, go back where it fails. G. Lowe: Testing for Linearizability, 2017: what
 * was tried is remembered by the set of operations and the value they led to. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINEAR_OPS_MAX = 256, LINEAR_STATES_MAX = 1 << 20 };

enum linear_type {
    LINEAR_READ = 1,
    LINEAR_ADD,  /* a register without a value counts as 0 */
    LINEAR_SWAP, /* `value` for `expected` */
};
struct linear_op {
    enum linear_type type;
    uint64_t begin, end; /* an order of moments, all different; end 0: no answer */
    uint64_t value;      /* to add, or to put */
    bool has_expected;   /* false: expects that there is none */
    uint64_t expected;   /* of a SWAP */
    bool is_refused;     /* of a SWAP: answered that there is another value */
    bool has_found;      /* of a READ: there was a value */
    uint64_t found;      /* of a READ, an ADD: the answer */
};

/* Of a register that has no value at first. 0; -EILSEQ: it is not; -E2BIG: more than
 * LINEAR_OPS_MAX operations, or LINEAR_STATES_MAX states were tried; -ENOMEM. */
int linear_check(const struct linear_op *ops, size_t n);
