/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/bodies.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "node/api/router.h"
#include "scheduler/share.h"
#include "node/api/token_list.h"
#include "proto/message.h"

/* How one field is read into the struct; `at` is the field's place in it. */
struct field {
    const char *name;
    int (*read)(const json_t *value, const char *name, void *at, struct error *error);
    size_t offset;
    bool is_required;
};

static int read_text(const json_t *value, const char *name, void *at,
                     struct error *error)
{
    if (!json_is_string(value))
        return fail(error, -EINVAL, "field '%s' must be a string", name);
    *(const char **)at = json_string_value(value);
    return 0;
}

static int read_bool(const json_t *value, const char *name, void *at,
                     struct error *error)
{
    if (!json_is_boolean(value))
        return fail(error, -EINVAL, "field '%s' must be true or false", name);
    *(bool *)at = json_is_true(value);
    return 0;
}

static int read_u32(const json_t *value, const char *name, void *at,
                    struct error *error)
{
    double n = json_is_number(value) ? json_number_value(value) : -1;

    /* 60.0 is an integer, to JSON's schemas and to some languages. */
    if (n < 0 || n > UINT32_MAX || n != (double)(uint32_t)n)
        return fail(error, -EINVAL, "field '%s' must be a number from 0 to %u", name,
                    UINT32_MAX);
    *(uint32_t *)at = (uint32_t)n;
    return 0;
}

static int read_share(const json_t *value, const char *name, void *at,
                      struct error *error)
{
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;

    if (n < 1 || n > SHARE_WEIGHT_MAX)
        return fail(error, -EINVAL, "field '%s' must be a number from 1 to %d", name,
                    SHARE_WEIGHT_MAX);
    *(uint32_t *)at = (uint32_t)n;
    return 0;
}

static int read_on_failure(const json_t *value, const char *name, void *at,
                           struct error *error)
{
    if (!json_is_string(value)
        || !word_is_among(json_string_value(value), "stop finish kill"))
        return fail(error, -EINVAL, "field '%s' must be 'stop', 'finish' or 'kill'",
                    name);
    *(const char **)at = json_string_value(value);
    return 0;
}

/* ---- JSON ---- */

static int load(const char *data, size_t len, json_t **ret_json, struct error *error)
{
    json_error_t why;
    json_t *json = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);

    if (!json)
        return fail(error, -EINVAL, "the body is not JSON: line %d, column %d: %s",
                    why.line, why.column, why.text);
    *ret_json = json;
    return 0;
}

static const struct field *find_field(const struct field *fields, size_t n,
                                      const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    return NULL;
}

static int read_object(const json_t *json, const struct field *fields, size_t n,
                       void *base, struct error *error)
{
    const char *name;
    json_t *value;

    if (!json_is_object(json))
        return fail(error, -EINVAL, "the body must be a JSON object");
    json_object_foreach((json_t *)json, name, value)
    {
        const struct field *f = find_field(fields, n, name);
        int r;

        if (!f)
            return fail(error, -EINVAL, "there is no field '%.64s'", name);
        r = json_is_null(value) && !f->is_required
                ? 0
                : f->read(value, name, (char *)base + f->offset, error);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < n; i++)
        if (fields[i].is_required && !json_object_get(json, fields[i].name))
            return fail(error, -EINVAL, "field '%s' is missing", fields[i].name);
    return 0;
}

/* ---- POST /v1/runs ---- */

static int read_package(const json_t *value, const char *name, void *at,
                        struct error *error)
{
    struct submission_body *b = at;

    if (!json_is_string(value)
        || digest_parse(json_string_value(value), &b->package) < 0)
        return fail(error, -EINVAL, "field '%s' must be an id of 64 hexadecimal digits",
                    name);
    b->has_package = true;
    return 0;
}

/* The array is ours, the texts are json's. */
static int read_texts(const json_t *value, const char *name, void *at,
                      struct error *error)
{
    size_t n = json_array_size(value);
    char **texts;

    if (!json_is_array(value) || n > RECORD_TAGS_MAX)
        return fail(error, -EINVAL, "field '%s' must be a list of at most %d strings",
                    name, RECORD_TAGS_MAX);
    texts = calloc(n + 1, sizeof(*texts));
    if (!texts)
        return -ENOMEM;
    *(char ***)at = texts;
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_array_get(value, i);

        if (!json_is_string(text))
            return fail(error, -EINVAL, "field '%s' must be a list of strings", name);
        texts[i] = (char *)json_string_value(text);
    }
    return 0;
}

static int read_parameter(const json_t *value, struct record_parameter *p,
                          struct error *error)
{
    static const struct field fields[] = {
        { "name", read_text, offsetof(struct record_parameter, name), true },
        { "value", read_text, offsetof(struct record_parameter, value), true },
    };
    struct error why = { .text = "" };

    if (!json_is_object(value))
        return fail(error, -EINVAL,
                    "field 'parameters' must be a list of "
                    "{\"name\": ..., \"value\": ...}");
    if (read_object(value, fields, sizeof(fields) / sizeof(fields[0]), p, &why) < 0)
        return fail(error, -EINVAL, "field 'parameters': %s", why.text);
    return 0;
}

static int read_parameters(const json_t *value, const char *name, void *at,
                           struct error *error)
{
    struct submission_body *b = at;
    size_t n = json_array_size(value);
    int r = 0;

    if (!json_is_array(value) || n > RECORD_PARAMETERS_MAX)
        return fail(error, -EINVAL, "field '%s' must be a list of at most %d objects",
                    name, RECORD_PARAMETERS_MAX);
    b->parameters = calloc(n + 1, sizeof(*b->parameters));
    if (!b->parameters)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = read_parameter(json_array_get(value, i), &b->parameters[i], error);
    b->n_parameters = n;
    return r;
}

#define AT(field) offsetof(struct submission_body, field)
static const struct field submission_fields[] = {
    { "flow", read_text, AT(flow), true },
    { "path", read_text, AT(path), false },
    { "package", read_package, 0, false },
    { "parameters", read_parameters, 0, false },
    { "tags", read_texts, AT(tags), false },
    { "max_workers", read_u32, AT(max_workers), false },
    { "share", read_share, AT(share), false },
    { "user", read_text, AT(user), false },
    { "on_failure", read_on_failure, AT(on_failure), false },
    { "clamp", read_bool, AT(clamp), false },
    { "origin", read_text, AT(origin), false },
    { "step", read_text, AT(step), false },
};
#undef AT

void submission_body_release(struct submission_body *b)
{
    free(b->parameters);
    free(b->tags);
    json_decref(b->json);
    *b = (struct submission_body){ .json = NULL };
}

int submission_body_read(const char *data, size_t len, struct submission_body *ret,
                         struct error *ret_error)
{
    CLEANUP(submission_body_release) struct submission_body b = { .json = NULL };
    int r = load(data, len, &b.json, ret_error);

    if (r == 0)
        r = read_object(b.json, submission_fields,
                        sizeof(submission_fields) / sizeof(submission_fields[0]), &b,
                        ret_error);
    if (r == 0 && b.step && !b.origin)
        r = fail(ret_error, -EINVAL,
                 "field 'step' needs field 'origin': the run to "
                 "resume");
    if (r < 0)
        return r;
    *ret = b;
    b = (struct submission_body){ .json = NULL };
    return 0;
}

/* ---- PATCH /v1/runs/RUN/tags ---- */

void tags_body_release(struct tags_body *b)
{
    free(b->add);
    free(b->remove);
    free(b->set);
    free(b->if_match);
    json_decref(b->json);
    *b = (struct tags_body){ .json = NULL };
}

int tags_body_read(const char *data, size_t len, struct tags_body *ret,
                   struct error *ret_error)
{
    static const struct field fields[] = {
        { "add", read_texts, offsetof(struct tags_body, add), false },
        { "remove", read_texts, offsetof(struct tags_body, remove), false },
        { "set", read_texts, offsetof(struct tags_body, set), false },
        { "if_match", read_texts, offsetof(struct tags_body, if_match), false },
    };
    CLEANUP(tags_body_release) struct tags_body b = { .json = NULL };
    int r = load(data, len, &b.json, ret_error);

    if (r == 0)
        r = read_object(b.json, fields, sizeof(fields) / sizeof(fields[0]), &b,
                        ret_error);
    if (r == 0 && !b.add && !b.remove && !b.set)
        r = fail(ret_error, -EINVAL, "one of 'add', 'remove' and 'set' is needed");
    if (r == 0 && b.set && (b.add || b.remove))
        r = fail(ret_error, -EINVAL, "'set' says all: there is nothing to add to it");
    if (r < 0)
        return r;
    *ret = b;
    b = (struct tags_body){ .json = NULL };
    return 0;
}

/* ---- POST /v1/runs/RUN/exec ---- */

void exec_body_release(struct exec_body *b)
{
    json_decref(b->json);
    *b = (struct exec_body){ .json = NULL };
}

static int read_attempt(const json_t *value, const char *name, void *at,
                        struct error *error)
{
    struct exec_body *b = at;

    b->has_attempt = true;
    return read_u32(value, name, &b->attempt, error);
}

int exec_body_read(const char *data, size_t len, struct exec_body *ret,
                   struct error *ret_error)
{
    static const struct field fields[] = {
        { "step", read_text, offsetof(struct exec_body, step), true },
        { "task", read_text, offsetof(struct exec_body, task), false },
        { "attempt", read_attempt, 0, false },
    };
    CLEANUP(exec_body_release) struct exec_body b = { .json = NULL };
    int r = load(data, len, &b.json, ret_error);

    if (r == 0)
        r = read_object(b.json, fields, sizeof(fields) / sizeof(fields[0]), &b,
                        ret_error);
    if (r < 0)
        return r;
    *ret = b;
    b.json = NULL;
    return 0;
}

/* ---- POST /v1/check ---- */

void check_body_release(struct check_body *b)
{
    json_decref(b->json);
    *b = (struct check_body){ .json = NULL };
}

int check_body_read(const char *data, size_t len, struct check_body *ret,
                    struct error *ret_error)
{
    static const struct field fields[] = {
        { "flow", read_text, offsetof(struct check_body, flow), true },
        { "path", read_text, offsetof(struct check_body, path), false },
    };
    CLEANUP(check_body_release) struct check_body b = { .json = NULL };
    int r = load(data, len, &b.json, ret_error);

    if (r == 0)
        r = read_object(b.json, fields, sizeof(fields) / sizeof(fields[0]), &b,
                        ret_error);
    if (r < 0)
        return r;
    *ret = b;
    b.json = NULL;
    return 0;
}

/* ---- POST /v1/blobs/missing ---- */

static int read_ids(const json_t *value, const char *name, void *at,
                    struct error *error)
{
    struct missing_body *b = at;
    size_t n = json_array_size(value);

    if (!json_is_array(value) || n > BODY_IDS_MAX)
        return fail(error, -EINVAL, "field '%s' must be a list of at most %d ids", name,
                    BODY_IDS_MAX);
    b->ids = calloc(n + 1, sizeof(*b->ids));
    if (!b->ids)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(value, i));

        if (!text || digest_parse(text, &b->ids[i]) < 0)
            return fail(error, -EINVAL,
                        "field '%s': entry %zu is no id of 64 hexadecimal digits", name,
                        i);
    }
    b->n = n;
    return 0;
}

void missing_body_release(struct missing_body *b)
{
    free(b->ids);
    *b = (struct missing_body){ .ids = NULL };
}

static void json_release(json_t **json)
{
    json_decref(*json);
}

int missing_body_read(const char *data, size_t len, struct missing_body *ret,
                      struct error *ret_error)
{
    static const struct field fields[] = { { "ids", read_ids, 0, true } };
    CLEANUP(json_release) json_t *json = NULL;
    CLEANUP(missing_body_release) struct missing_body b = { .ids = NULL };
    int r = load(data, len, &json, ret_error);

    if (r == 0)
        r = read_object(json, fields, 1, &b, ret_error);
    if (r < 0)
        return r;
    *ret = b;
    b.ids = NULL;
    return 0;
}

/* ---- POST /v1/tokens ---- */

static int read_role(const json_t *value, const char *name, void *at,
                     struct error *error)
{
    const char *text = json_string_value(value);

    *(enum role *)at = text ? role_parse(text) : (enum role)0;
    if (*(enum role *)at)
        return 0;
    return fail(error, -EINVAL,
                "field '%s' must be 'viewer', 'submitter' or 'operator'", name);
}

static int read_token_name(const json_t *value, const char *name, void *at,
                           struct error *error)
{
    const char *text = json_string_value(value);

    if (!text || !token_name_is_good(text))
        return fail(error, -EINVAL,
                    "field '%s' must be up to %d letters, digits and . _ - @", name,
                    TOKEN_NAME_MAX);
    *(const char **)at = text;
    return 0;
}

int token_body_read(const char *data, size_t len, struct token_body *ret,
                    struct error *ret_error)
{
    static const struct field fields[] = {
        { "name", read_token_name, offsetof(struct token_body, name), true },
        { "role", read_role, offsetof(struct token_body, role), true },
        { "expires_in_s", read_u32, offsetof(struct token_body, expires_in_s), true },
    };
    struct token_body b = { .json = NULL };
    int r = load(data, len, &b.json, ret_error);

    if (r == 0)
        r = read_object(b.json, fields, ARRAY_SIZE(fields), &b, ret_error);
    if (r < 0) {
        token_body_release(&b);
        return r;
    }
    *ret = b;
    return 0;
}

void token_body_release(struct token_body *b)
{
    json_decref(b->json);
    b->json = NULL;
}

/* ---- POST /v1/mesh/invitations ---- */

const struct member_role_name member_roles[] = {
    { "worker", ROLE_WORKER },
    { "home", ROLE_HOME },
    { "issuer", ROLE_ISSUER },
    { NULL, 0 },
};

static uint32_t member_role(const char *name)
{
    const struct member_role_name *role = member_roles;

    while (name && role->name && strcmp(role->name, name) != 0)
        role++;
    return name ? role->bit : 0;
}

static int read_member_roles(const json_t *value, const char *name, void *at,
                             struct error *error)
{
    uint32_t roles = 0;
    size_t i;
    json_t *one;

    json_array_foreach((json_t *)value, i, one)
    {
        uint32_t bit = member_role(json_string_value(one));

        if (!bit || (roles & bit))
            roles = UINT32_MAX;
        roles |= bit;
    }
    if (!roles || roles == UINT32_MAX)
        return fail(error, -EINVAL,
                    "field '%s' must be a list of 'worker', 'home' and 'issuer', each "
                    "once at most",
                    name);
    *(uint32_t *)at = roles;
    return 0;
}

int invitation_body_read(const char *data, size_t len, struct invitation_body *ret,
                         struct error *ret_error)
{
    static const struct field fields[] = {
        { "roles", read_member_roles, offsetof(struct invitation_body, roles), true },
        { "uses", read_u32, offsetof(struct invitation_body, uses), true },
        { "expires_in_s", read_u32, offsetof(struct invitation_body, expires_in_s),
          true },
    };
    CLEANUP(json_release) json_t *json = NULL;
    struct invitation_body b = { .roles = 0 };
    int r = load(data, len, &json, ret_error);

    if (r == 0)
        r = read_object(json, fields, ARRAY_SIZE(fields), &b, ret_error);
    if (r == 0)
        *ret = b;
    return r;
}

/* ---- POST /v1/mesh/revocations ---- */

int revocation_body_read(const char *data, size_t len, struct revocation_body *ret,
                         struct error *ret_error)
{
    static const struct field fields[] = {
        { "node", read_text, offsetof(struct revocation_body, node), true },
    };
    struct revocation_body b = { .json = NULL };
    int r = load(data, len, &b.json, ret_error);

    if (r == 0)
        r = read_object(b.json, fields, ARRAY_SIZE(fields), &b, ret_error);
    if (r < 0) {
        revocation_body_release(&b);
        return r;
    }
    *ret = b;
    return 0;
}

void revocation_body_release(struct revocation_body *b)
{
    json_decref(b->json);
    b->json = NULL;
}

/* ---- bodies that may be absent ---- */

int gc_body_read(const char *data, size_t len, struct gc_body *ret,
                 struct error *ret_error)
{
    static const struct field fields[] = {
        { "dry_run", read_bool, offsetof(struct gc_body, dry_run), false },
    };
    CLEANUP(json_release) json_t *json = NULL;
    struct gc_body b = { .dry_run = false };
    int r = len ? load(data, len, &json, ret_error) : 0;

    if (r == 0 && json)
        r = read_object(json, fields, 1, &b, ret_error);
    if (r < 0)
        return r;
    *ret = b;
    return 0;
}

int empty_body_read(const char *data, size_t len, struct error *ret_error)
{
    CLEANUP(json_release) json_t *json = NULL;
    int r = len ? load(data, len, &json, ret_error) : 0;

    return r == 0 && json ? read_object(json, NULL, 0, NULL, ret_error) : r;
}
