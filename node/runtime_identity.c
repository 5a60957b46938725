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

int runtime_invite(struct runtime *rt, struct invite *invite, struct join_token *ret,
                   struct error *ret_error)
{
    struct join_contact own;
    int r = require_mesh(rt, ret_error);

    if (r == 0)
        r = runtime_contact(rt, &own);
    if (r < 0)
        return r;
    invite->contacts = &own;
    invite->n_contacts = 1;
    return identity_invite(rt->mesh->identity, invite, runtime_wall(), ret, ret_error);
}

/* ---- shutting out ---- */

enum { PREFIX_MIN = 4 };

static bool is_called(const struct member_note *note, const char *name)
{
    char text[NODE_ID_TEXT_SIZE];
    size_t len = strlen(name);

    node_id_text(&note->id, text);
    return (note->has_card && note->card.name && strcmp(note->card.name, name) == 0)
           || (len >= PREFIX_MIN && strncmp(text, name, len) == 0);
}

int runtime_find_member(const struct runtime *rt, const char *name, struct node_id *ret)
{
    const struct mesh *core = runtime_mesh(rt);
    const struct gossip *g = core ? mesh_members(core) : NULL;
    struct node_id found;
    size_t n = 0;

    if (node_id_parse(name, ret) == 0)
        return 0;
    for (size_t i = 0; g && i < gossip_members(g); i++) {
        struct member_view view;

        if (gossip_at(g, i, &view) && is_called(view.note, name)) {
            found = view.note->id;
            n++;
        }
    }
    if (n == 1)
        *ret = found;
    return n == 1 ? 0 : n ? -ENOTUNIQ : -ENOENT;
}

int runtime_revoke(struct runtime *rt, const struct node_id *node,
                   struct error *ret_error)
{
    int r = require_mesh(rt, ret_error);

    return r < 0 ? r : rt->mesh->peers_module->revoke(rt->mesh->peers, node, ret_error);
}
