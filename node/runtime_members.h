/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_members - what the interface asks of the mesh that this node is one of.
 *
 * A node alone has no members, knows of no run elsewhere, and refuses to drain or
 * leave. All on the loop thread. */
#pragma once

#include "node/mesh.h"
#include "node/runtime.h"

/* NULL: a node alone. */
const struct mesh *runtime_mesh(const struct runtime *rt);

/* All that are known, tombstones too; 0: alone. */
size_t runtime_members(const struct runtime *rt);
bool runtime_member_at(const struct runtime *rt, size_t i, struct member_view *ret);
bool runtime_member(const struct runtime *rt, const struct node_id *id,
                    struct member_view *ret);
/* By name, by id, or by the front of an id that is no other's. -ENOENT, -ENOTUNIQ. */
int runtime_find_member(const struct runtime *rt, const char *name,
                        struct member_view *ret);
/* For how long a member is not alive, as far as is known here. */
time_us runtime_silence(const struct runtime *rt, const struct member_view *m);
/* For how long it is in the state it is in, likewise. */
time_us runtime_state_age(const struct runtime *rt, const struct member_view *m);
/* False: alone. */
bool runtime_where(const struct runtime *rt, const struct run_id *run,
                   struct run_where *ret);
/* A run that is not in this store and of which was told: by number, id or front of it.
 * -ENOENT, -ENOTUNIQ. */
int runtime_find_told(const struct runtime *rt, const char *name, struct run_id *ret);
struct guest_counts runtime_guests(const struct runtime *rt);

/* What passes between this node and the others; nothing at a node alone. */
struct traffic {
    uint64_t got_bytes, given_bytes; /* of blobs, since the program began */
    bool is_full; /* the disk: it asks for no work until something can be written */
};
struct traffic runtime_traffic(const struct runtime *rt);

/* Take no more work, or do again. -ENOTSUP: alone. */
int runtime_drain_node(struct runtime *rt, bool is_on);
/* Hand over what is here, then go; the process ends when that is done. Drains first.
 * -ENOTSUP: alone. */
int runtime_leave_mesh(struct runtime *rt);
