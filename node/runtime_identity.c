/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_identity.h"

#include <errno.h>
#include <string.h>

#include "node/runtime_mesh.h"

const struct identity *runtime_identity(const struct runtime *rt)
{
    return rt->mesh ? rt->mesh->identity : NULL;
}

static int require_mesh(const struct runtime *rt, struct error *ret_error)
{
    if (rt->mesh && rt->mesh->peers)
        return 0;
    return fail(ret_error, -ENOTSUP,
                "this node is of no mesh: see mesh init, and mesh node --help");
}

int runtime_contact(const struct runtime *rt, struct join_contact *ret)
{
    const struct runtime_mesh *m = rt->mesh;
    struct join_contact c = { .address = "" };
    const char *address;

    if (require_mesh(rt, NULL) < 0)
        return -ENOTSUP;
    address = m->peers_module->address(m->peers);
    if (strlen(address) >= sizeof(c.address))
        return -ENAMETOOLONG;
    strcpy(c.address, address);
    memcpy(c.curve_key, identity_curve_key(m->identity), CURVE_KEY_SIZE);
    *ret = c;
    return 0;
}

int runtime_revoke(struct runtime *rt, const struct node_id *node,
                   struct error *ret_error)
{
    int r = require_mesh(rt, ret_error);

    return r < 0 ? r : rt->mesh->peers_module->revoke(rt->mesh->peers, node, ret_error);
}
