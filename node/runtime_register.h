/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_register - what a whole mesh shares, in the registers of the mesh group.
 *
 * A register is read, changed here, and exchanged for what was made of it if it still
 * has the value that was read; else all of that again. So of those who change it at
 * once one comes after the other, and a part of the mesh that has no majority changes
 * and reads nothing. On the loop's thread. */
#pragma once

#include "node/runtime.h"

/* What register_change returns when the value may stay as it is. */
enum { REGISTER_AS_IS = 1 };

struct register_exchange {
    const char *name; /* copied */
    /* What is to become of the value; NULL: there is none. Append the new one: 0; or
     * REGISTER_AS_IS; or why not, negative. May be called again for a later value.
     * NULL: it is read only. */
    int (*change)(void *arg, const void *value, size_t len, struct buffer *ret_value);
    /* Called once, unless it is cancelled, and maybe before runtime_register_exchange()
     * returns: 0, with the value as it is now (NULL: none), or what `change` returned,
     * or
     * -ETIMEDOUT  no majority could be asked: when something was to be changed, it is
     *             not known whether it was
     * -EBUSY      too much is asked at once
     * -EINVAL     the value is too large */
    void (*done)(void *arg, int status, const void *value, size_t len);
    void *arg;
};

/* Whether there are registers: the node is one of a mesh. */
bool runtime_has_registers(const struct runtime *rt);
/* -ENOTSUP: see above; -ENOMEM. *ret_id is set before `done` can be called. */
int runtime_register_exchange(struct runtime *rt, const struct register_exchange *x,
                              uint64_t *ret_id);
/* `done` is not called; what was asked may be carried out all the same. */
void runtime_register_cancel(struct runtime *rt, uint64_t id);
