/* SPDX-License-Identifier: Apache-2.0 */
/* token_list - the tokens that a node knows, and the file that keeps them.
 *
 *     {"tokens": [{"id": "5d0e92c1", "name": "ci", "role": "viewer",
 *                  "created_us": 1795253705123456, "expires_us": 0,
 *                  "hash": "5d0e92c1..."}]}
 *
 * Of a token only its hash is kept, by which it is found; its first eight digits are
 * the id that people name it by. Pure. */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/time.h"
#include "node/api/role.h"

enum {
    TOKENS_MAX = 1000,
    TOKEN_FILE_MAX = 1 << 20,
    TOKEN_HASH_SIZE = 32,
    TOKEN_ID_SIZE = 9,
    TOKEN_NAME_MAX = 64,
};

struct token {
    char id[TOKEN_ID_SIZE];
    char name[TOKEN_NAME_MAX + 1];
    enum role role;
    time_us created, expires; /* expires 0: never */
    uint8_t hash[TOKEN_HASH_SIZE];
    bool is_shared; /* it holds at every node of the mesh; in no file */
};

struct token_list {
    struct token *all;
    size_t n;
};

void token_list_release(struct token_list *l);
/* -EINVAL with the reason; -ENOMEM. */
int token_list_read(const char *text, size_t len, struct token_list *ret,
                    struct error *ret_error);
/* -ENOMEM. */
int token_list_write(const struct token_list *l, struct buffer *out);

/* -ENOMEM. */
int token_list_add(struct token_list *l, const struct token *t);
/* Takes the one with this id out; false: there is none. */
bool token_list_take(struct token_list *l, const char *id, struct token *ret);
void token_list_forget_expired(struct token_list *l, time_us wall);

/* 1 to 64 of a-z, A-Z, 0-9 and . _ - @ : it becomes the user of runs. */
bool token_name_is_good(const char *name);
/* Fills in the id from the hash. */
void token_set_hash(struct token *t, const uint8_t hash[TOKEN_HASH_SIZE]);
bool token_is_expired(const struct token *t, time_us wall);
/* NULL: none. Its time does not depend on how much of a hash was right. */
const struct token *token_list_find(const struct token_list *l,
                                    const uint8_t hash[TOKEN_HASH_SIZE]);
