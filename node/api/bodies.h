/* SPDX-License-Identifier: Apache-2.0 */
/* bodies - what the JSON of a request says, checked to the last field.
 *
 * Each reads one kind of body: -EINVAL and a sentence for JSON that is none, a field of
 * a wrong type, an unknown or a missing one; -ENOMEM. Texts point into `json`, which
 * the struct holds. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ids.h"
#include "node/api/role.h"
#include "proto/record.h"

enum { BODY_IDS_MAX = 200000 };

struct json_t;

struct submission_body {
    struct json_t *json;
    const char *flow, *path, *on_failure, *origin, *step, *user;
    bool has_package;
    struct digest package;
    struct record_parameter *parameters; /* the array is ours, the texts are json's */
    size_t n_parameters;
    char **tags; /* likewise; NULL-terminated */
    uint32_t max_workers, share;
    bool clamp;
};
int submission_body_read(const char *data, size_t len, struct submission_body *ret,
                         struct error *ret_error);
void submission_body_release(struct submission_body *b);

/* Of at least one of add and remove, or of set. Lists are NULL when they are not given,
 * else NULL-terminated. */
struct tags_body {
    struct json_t *json;
    char **add, **remove, **set, **if_match;
};
int tags_body_read(const char *data, size_t len, struct tags_body *ret,
                   struct error *ret_error);
void tags_body_release(struct tags_body *b);

struct exec_body {
    struct json_t *json;
    const char *step, *task; /* task NULL: the first that failed, or the first */
    uint32_t attempt;
    bool has_attempt; /* else the last one */
};
int exec_body_read(const char *data, size_t len, struct exec_body *ret,
                   struct error *ret_error);
void exec_body_release(struct exec_body *b);

struct check_body {
    struct json_t *json;
    const char *flow, *path;
};
int check_body_read(const char *data, size_t len, struct check_body *ret,
                    struct error *ret_error);
void check_body_release(struct check_body *b);

struct missing_body {
    struct digest *ids;
    size_t n;
};
int missing_body_read(const char *data, size_t len, struct missing_body *ret,
                      struct error *ret_error);
void missing_body_release(struct missing_body *b);

/* No bytes at all mean what `{}` means. */
struct gc_body {
    bool dry_run;
};
int gc_body_read(const char *data, size_t len, struct gc_body *ret,
                 struct error *ret_error);
struct token_body {
    struct json_t *json;
    const char *name;
    enum role role;
    uint32_t expires_in_s; /* 0: never */
};
int token_body_read(const char *data, size_t len, struct token_body *ret,
                    struct error *ret_error);
void token_body_release(struct token_body *b);
/* The names of enum member_role, up to one without a name. */
extern const struct member_role_name {
    const char *name;
    uint32_t bit;
} member_roles[];

struct invitation_body {
    uint32_t roles; /* enum member_role, or-ed */
    uint32_t uses, expires_in_s;
};
int invitation_body_read(const char *data, size_t len, struct invitation_body *ret,
                         struct error *ret_error);

struct revocation_body {
    struct json_t *json;
    const char *node;
};
int revocation_body_read(const char *data, size_t len, struct revocation_body *ret,
                         struct error *ret_error);
void revocation_body_release(struct revocation_body *b);

/* For requests that need no body: nothing, or an object without a field. */
int empty_body_read(const char *data, size_t len, struct error *ret_error);
