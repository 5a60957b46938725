/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/token_list.h"

#include <errno.h>
#include <string.h>

#include <jansson.h>

#include "base/ids.h"
#include "node/api/emit.h"

void token_list_release(struct token_list *l)
{
    free(l->all);
    *l = (struct token_list){ .all = NULL };
}

bool token_name_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789._-@";
    size_t len = strlen(name);

    return len && len <= TOKEN_NAME_MAX && strspn(name, good) == len;
}

bool token_is_expired(const struct token *t, time_us wall)
{
    return t->expires && wall >= t->expires;
}

void token_set_hash(struct token *t, const uint8_t hash[TOKEN_HASH_SIZE])
{
    char text[2 * TOKEN_HASH_SIZE + 1];

    memcpy(t->hash, hash, TOKEN_HASH_SIZE);
    hex_text(t->hash, TOKEN_HASH_SIZE, text);
    memcpy(t->id, text, TOKEN_ID_SIZE - 1);
    t->id[TOKEN_ID_SIZE - 1] = '\0';
}

static bool hash_equal(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;

    for (size_t i = 0; i < TOKEN_HASH_SIZE; i++)
        differs |= (uint8_t)(a[i] ^ b[i]);
    return differs == 0;
}

const struct token *token_list_find(const struct token_list *l,
                                    const uint8_t hash[TOKEN_HASH_SIZE])
{
    const struct token *found = NULL;

    for (size_t i = 0; i < l->n; i++)
        if (hash_equal(l->all[i].hash, hash))
            found = &l->all[i];
    return found;
}

int token_list_add(struct token_list *l, const struct token *t)
{
    struct token *all = reallocarray(l->all, l->n + 1, sizeof(*all));

    if (!all)
        return -ENOMEM;
    l->all = all;
    l->all[l->n++] = *t;
    return 0;
}

bool token_list_take(struct token_list *l, const char *id, struct token *ret)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->all[i].id, id) == 0) {
            *ret = l->all[i];
            l->all[i] = l->all[--l->n];
            return true;
        }
    return false;
}

void token_list_forget_expired(struct token_list *l, time_us wall)
{
    size_t kept = 0;

    for (size_t i = 0; i < l->n; i++)
        if (!token_is_expired(&l->all[i], wall))
            l->all[kept++] = l->all[i];
    l->n = kept;
}

static int read_token(json_t *json, struct token *ret, struct error *ret_error)
{
    const char *name, *role, *hash;
    uint8_t bytes[TOKEN_HASH_SIZE];
    json_int_t created, expires;

    if (json_unpack(json, "{s:s, s:s, s:I, s:I, s:s}", "name", &name, "role", &role,
                    "created_us", &created, "expires_us", &expires, "hash", &hash)
        < 0)
        return fail(ret_error, -EINVAL, "a token lacks a field");
    if (!token_name_is_good(name))
        return fail(ret_error, -EINVAL, "a token has a bad name");
    if (!role_parse(role) || created < 0 || expires < 0
        || hex_parse(hash, TOKEN_HASH_SIZE, bytes) < 0)
        return fail(ret_error, -EINVAL, "a field of token '%s' is bad", name);
    *ret = (struct token){ .role = role_parse(role),
                           .created = (time_us)created,
                           .expires = (time_us)expires };
    strcpy(ret->name, name);
    token_set_hash(ret, bytes);
    return 0;
}

static int read_all(json_t *json, struct token_list *ret, struct error *ret_error)
{
    CLEANUP(token_list_release) struct token_list l = { .n = 0 };
    json_t *list = json_object_get(json, "tokens"), *one;
    size_t i;

    if (!json_is_array(list) || json_array_size(list) > TOKENS_MAX)
        return fail(ret_error, -EINVAL, "it has no list 'tokens' of up to %d",
                    TOKENS_MAX);
    l.all = calloc(json_array_size(list) + 1, sizeof(*l.all));
    if (!l.all)
        return -ENOMEM;
    json_array_foreach(list, i, one)
    {
        int r = read_token(one, &l.all[i], ret_error);

        if (r < 0)
            return r;
        l.n++;
    }
    *ret = l;
    l = (struct token_list){ .all = NULL };
    return 0;
}

int token_list_read(const char *text, size_t len, struct token_list *ret,
                    struct error *ret_error)
{
    json_error_t where;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    int r = json ? read_all(json, ret, ret_error)
                 : fail(ret_error, -EINVAL, "line %d: %s", where.line, where.text);

    json_decref(json);
    return r;
}

int token_list_write(const struct token_list *l, struct buffer *out)
{
    struct emit e = { .out = out };

    emit_open(&e, NULL, '{');
    emit_open(&e, "tokens", '[');
    for (const struct token *t = l->all; t < l->all + l->n; t++) {
        char hash[2 * TOKEN_HASH_SIZE + 1];

        hex_text(t->hash, TOKEN_HASH_SIZE, hash);
        emit_open(&e, NULL, '{');
        emit_text(&e, "id", t->id);
        emit_text(&e, "name", t->name);
        emit_text(&e, "role", role_name(t->role));
        emit_u64(&e, "created_us", t->created);
        emit_u64(&e, "expires_us", t->expires);
        emit_text(&e, "hash", hash);
        emit_close(&e, '}');
    }
    emit_close(&e, ']');
    emit_close(&e, '}');
    return buffer_failed(out);
}
