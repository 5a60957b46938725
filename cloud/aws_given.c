/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and tokens that the environment gives, and the role of the options. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/aws_source.h"

/* Of a source that has at most one role to ask for at once. */
struct given {
    struct aws_context *context;
    struct credentials *base;    /* of aws_role_source() */
    struct aws_assume *assuming; /* NULL: nothing is asked */
    char *arn, *external_id, *session_name, *from;
    char *base_id; /* of the key that assumes the role: not secret */
    uint32_t duration_s;
    bool is_closing;
    credentials_fetched_fn *fetched;
    void *arg;
};

static void given_free(void *self)
{
    struct given *g = self;

    g->is_closing = true;
    aws_assume_drop(g->assuming);
    credentials_free(g->base);
    aws_context_unref(g->context);
    free(g->arn);
    free(g->external_id);
    free(g->session_name);
    free(g->from);
    free(g->base_id);
    free(g);
}

static struct given *given_new(struct aws_context *c)
{
    struct given *g = calloc(1, sizeof(*g));

    if (g)
        g->context = aws_context_ref(c);
    return g;
}

static void on_role(void *arg, int status, const struct credential *key,
                    const struct error *error)
{
    struct given *g = arg;
    struct credential named;

    g->assuming = NULL;
    /* What the key is refused for may be that it was replaced in its file. */
    if (status == -EACCES && g->base_id)
        credentials_refused(g->base, g->base_id);
    if (key) {
        named = *key;
        named.from = g->from;
        key = &named;
    }
    g->fetched(g->arg, status, key, error);
}

static void fetch_role(struct given *g, const struct aws_role *role,
                       const struct credential *key, const char *token)
{
    struct error error = { .text = "" };
    int r = aws_assume_start(g->context, role, key, token, g->from, on_role, g,
                             &g->assuming, &error);

    if (r < 0)
        g->fetched(g->arg, r, NULL, &error);
}

/* ---- environment ---- */

static void environment_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    const char *id = aws_variable("AWS_ACCESS_KEY_ID"),
               *secret = aws_variable("AWS_SECRET_ACCESS_KEY"),
               *token = aws_variable("AWS_SESSION_TOKEN");
    const struct credential key = { .id = (char *)(uintptr_t)id,
                                    .secret = (char *)(uintptr_t)secret,
                                    .token = (char *)(uintptr_t)token,
                                    .from = "environment",
                                    .is_static = !token };
    struct error error;
    int r = 0;

    (void)self;
    if (!id && !secret)
        r = fail(&error, -ENOENT, "no key of AWS: AWS_ACCESS_KEY_ID is not set");
    else if (!id || !secret)
        r = fail(&error, -EINVAL, "%s is set but %s is not: set or unset both",
                 id ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                 id ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    fetched(arg, r, r == 0 ? &key : NULL, r == 0 ? NULL : &error);
}

int aws_environment_source(struct aws_context *c, struct credentials_source *ret)
{
    struct given *g = given_new(c);

    if (!g)
        return -ENOMEM;
    *ret =
        (struct credentials_source){ "environment", g, environment_fetch, given_free };
    return 0;
}

/* ---- web identity ---- */

static void wiped(struct buffer *b)
{
    aws_buffer_wipe(b);
}

/* The token is read again each time: whoever put it there replaces it. */
static void web_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    const char *file = aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE");
    const struct aws_role role = { .arn = aws_variable("AWS_ROLE_ARN"),
                                   .session_name =
                                       aws_variable("AWS_ROLE_SESSION_NAME") };
    CLEANUP(wiped) struct buffer token = BUFFER_INIT;
    struct given *g = self;
    struct error error = { .text = "" };
    int r = 0;

    g->fetched = fetched;
    g->arg = arg;
    if (!file)
        r = fail(&error, -ENOENT, "AWS_WEB_IDENTITY_TOKEN_FILE is not set");
    else if (!role.arn)
        r = fail(&error, -EINVAL,
                 "AWS_WEB_IDENTITY_TOKEN_FILE is set but AWS_ROLE_ARN is not");
    else if (aws_token_read(file, &token, &error) < 0)
        r = -EACCES;
    if (r < 0)
        fetched(arg, r, NULL, &error);
    else
        fetch_role(g, &role, NULL, token.data);
}

int aws_web_identity_source(struct aws_context *c, struct credentials_source *ret)
{
    struct given *g = given_new(c);

    if (!g)
        return -ENOMEM;
    *ret = (struct credentials_source){ "web identity", g, web_fetch, given_free };
    g->from = strdup("web identity");
    if (!g->from) {
        given_free(g);
        return -ENOMEM;
    }
    return 0;
}

/* ---- the role of the options ---- */

static void on_base(void *arg, int status, const struct credential *key,
                    const struct error *error)
{
    struct given *g = arg;
    const struct aws_role role = { .arn = g->arn,
                                   .external_id = g->external_id,
                                   .session_name = g->session_name,
                                   .duration_s = g->duration_s };
    struct error why;

    if (g->is_closing)
        return;
    if (status == 0) {
        free(g->base_id);
        g->base_id = strdup(key->id);
        fetch_role(g, &role, key, NULL);
        return;
    }
    /* Without a key there is no role: -ENOENT would ask for another place. */
    fail(&why, status, "for role %.120s: %.360s", g->arn, error->text);
    g->fetched(g->arg, status, NULL, &why);
}

static void role_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct given *g = self;

    g->fetched = fetched;
    g->arg = arg;
    credentials_get(g->base, on_base, g);
}

static int copy_of(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

int aws_role_source(struct aws_context *c, const struct aws_options *options,
                    struct credentials *base, struct credentials_source *ret)
{
    struct given *g = given_new(c);

    if (!g) {
        credentials_free(base);
        return -ENOMEM;
    }
    g->base = base;
    g->duration_s = options->duration_s;
    if (copy_of(options->role_arn, &g->arn) < 0
        || copy_of(options->external_id, &g->external_id) < 0
        || copy_of(options->session_name, &g->session_name) < 0
        || asprintf(&g->from, "role %s", g->arn) < 0) {
        given_free(g);
        return -ENOMEM;
    }
    *ret = (struct credentials_source){ "role", g, role_fetch, given_free };
    return 0;
}
