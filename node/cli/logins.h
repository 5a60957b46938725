/* SPDX-License-Identifier: Apache-2.0 */
/* logins - the token for a node's TCP port, and whom it may be shown to.
 *
 * `mesh login` keeps both in $XDG_CONFIG_HOME/mesh/logins/HOST:PORT, mode 0600;
 * MESH_TOKEN_FILE and MESH_FINGERPRINT take their place. A token is never on a command
 * line, which all can read. */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "node/address.h"
#include "node/cli/tls.h"

enum { LOGIN_TOKEN_MAX = 256 };

struct login {
    char token[LOGIN_TOKEN_MAX];
    char fingerprint[TLS_FINGERPRINT_TEXT]; /* "": not known */
};

/* The token in this file. -EACCES: others can read it; ... with the sentence. */
int login_read_token(const char *path, struct login *ret, struct error *ret_error);
/* What the environment says, else what was kept for the address. -ENOENT: nothing. */
int login_find(const struct address *a, struct login *ret, struct error *ret_error);
int login_keep(const struct address *a, const struct login *l, struct error *ret_error);
/* -ENOENT: there is none. */
int login_forget(const struct address *a);
/* Whether it has the form of one. */
bool login_is_fingerprint(const char *text);
