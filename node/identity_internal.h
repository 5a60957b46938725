/* SPDX-License-Identifier: Apache-2.0 */
/* identity_internal - shared by identity*.c alone. */
#pragma once

#include "node/identity.h"

/* In locked memory. */
struct identity_secrets {
    uint8_t node[NODE_SECRET_SIZE];
    uint8_t authority[NODE_SECRET_SIZE];
    uint8_t curve[CURVE_KEY_SIZE];
};

struct identity {
    char *dir; /* .../identity */
    struct identity_secrets *secrets;
    uint8_t node_key[NODE_KEY_SIZE], curve_key[CURVE_KEY_SIZE];
    bool has_authority, has_chain;
    struct chain chain;
    struct keyring *keyring; /* NULL: of no mesh */
};

int identity_make_folder(const char *dir, struct error *ret_error);
/* Writes the file `name` under the identity's folder. */
int identity_write(const struct identity *i, const char *name, const struct buffer *b,
                   struct error *ret_error);
int identity_set_root(struct identity *i, const struct mesh_root *root,
                      struct error *ret_error);
int identity_set_chain(struct identity *i, const struct chain *chain,
                       struct error *ret_error);
/* Draws and writes the authority's key; the public half. */
int identity_draw_authority(struct identity *i, uint8_t ret_key[NODE_KEY_SIZE],
                            struct error *ret_error);
