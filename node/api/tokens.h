/* SPDX-License-Identifier: Apache-2.0 */
/* tokens - who may ask this node over TCP: 256 random bits each, of which DIR/tokens
 * (mode 0600) keeps the hash. A node of a mesh makes shared_tokens instead, and takes
 * those that it made alone too.
 *
 * A change is in the file before it counts. All functions may be called by any thread;
 * those that change something wait for the disk. */
#pragma once

#include "node/api/token_list.h"

enum { TOKEN_TEXT_SIZE = 64 }; /* of `mesh_` and 43 characters, with the NUL */

struct tokens;

/* -EACCES: others can read the file, or it is not ours; -EINVAL: it is damaged. */
int tokens_open(const char *dir, struct tokens **ret, struct error *ret_error);
void tokens_free(struct tokens *t);

/* *token has the name and the role, and gets the rest; expires_in_s 0: never. */
void token_draw(struct token *token, uint64_t expires_in_s,
                char ret_text[TOKEN_TEXT_SIZE]);
/* What of a token's text is kept. */
void token_hash(const char *text, uint8_t ret[TOKEN_HASH_SIZE]);
void tokens_forget_expired(struct token_list *l);

/* *token has the name and the role, and gets the rest; expires_in_s 0: never. ret_text
 * is shown to its holder and kept nowhere. -ENOSPC beyond TOKENS_MAX. */
int tokens_create(struct tokens *t, struct token *token, uint64_t expires_in_s,
                  char ret_text[TOKEN_TEXT_SIZE]);
/* -ENOENT: no token has this id; *ret_token is the one that was. */
int tokens_revoke(struct tokens *t, const char *id, struct token *ret_token);
/* Copies; the caller releases. */
int tokens_list(struct tokens *t, struct token_list *ret);
bool tokens_is_expired(const struct token *token);
/* The one that this is the text of. -ENOENT; -EKEYEXPIRED. */
int tokens_check(struct tokens *t, const char *text, struct token *ret);
