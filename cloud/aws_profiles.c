/* SPDX-License-Identifier: Apache-2.0 */
/* The profile source: first a key, by what the plan says, then role after role. The
 * files are read again for each fetch, so that keys may be replaced in them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/aws_source.h"

struct profiles {
    struct aws_context *context;
    char *from; /* "profile work" */
    credentials_fetched_fn *fetched;
    void *arg;
    /* Of the fetch that is under way. */
    struct aws_files files;
    struct aws_plan plan;
    size_t n_assumed;
    struct credentials_source source; /* of credential_source; fetch NULL: none */
    struct aws_process *process;
    struct aws_assume *assuming;
};

static void end_fetch(struct profiles *p)
{
    aws_process_drop(p->process);
    aws_assume_drop(p->assuming);
    p->process = NULL;
    p->assuming = NULL;
    aws_files_release(&p->files);
}

static void drop_source(struct profiles *p)
{
    if (p->source.free)
        p->source.free(p->source.self);
    p->source = (struct credentials_source){ .name = NULL };
}

static void profiles_free(void *self)
{
    struct profiles *p = self;

    end_fetch(p);
    drop_source(p);
    aws_context_unref(p->context);
    free(p->from);
    free(p);
}

/* What the key points to may be the files': they are let go behind the answer. */
static void give(struct profiles *p, int status, const struct credential *key,
                 const struct error *error)
{
    struct credential named;

    if (key) {
        named = *key;
        named.from = p->from;
        key = &named;
    }
    p->fetched(p->arg, status, key, error);
    if (!p->process && !p->assuming)
        aws_files_release(&p->files);
}

static void on_key(void *arg, int status, const struct credential *key,
                   const struct error *error);

static int assume_next(struct profiles *p, const struct credential *key,
                       const char *token, struct error *error)
{
    return aws_assume_start(p->context, &p->plan.roles[p->n_assumed++], key, token,
                            p->from, on_key, p, &p->assuming, error);
}

/* The first key, or that of one more role. */
static void on_key(void *arg, int status, const struct credential *key,
                   const struct error *error)
{
    struct profiles *p = arg;
    struct error why = { .text = "" };

    p->process = NULL;
    p->assuming = NULL;
    if (status == -ENOENT) {
        /* The profile names where its key is: no other place's turn. */
        fail(&why, -EACCES, "%s: %.400s", p->from, error ? error->text : "");
        give(p, -EACCES, NULL, &why);
        return;
    }
    if (status < 0 || p->n_assumed == p->plan.n_roles) {
        give(p, status, key, error);
        return;
    }
    status = assume_next(p, key, NULL, &why);
    if (status < 0)
        give(p, status, NULL, &why);
}

static void give_static(struct profiles *p)
{
    const struct aws_plan *plan = &p->plan;
    const struct credential key = { .id = (char *)(uintptr_t)plan->id,
                                    .secret = (char *)(uintptr_t)plan->secret,
                                    .token = (char *)(uintptr_t)plan->token,
                                    .from = p->from,
                                    .is_static = !plan->token };

    on_key(p, 0, &key, NULL);
}

static void wiped(struct buffer *b)
{
    aws_buffer_wipe(b);
}

static int start_web_identity(struct profiles *p, struct error *error)
{
    CLEANUP(wiped) struct buffer token = BUFFER_INIT;

    if (aws_token_read(p->plan.token_file, &token, error) < 0)
        return -EACCES;
    return assume_next(p, NULL, token.data, error);
}

static int start_source(struct profiles *p, aws_source_fn *open)
{
    int r;

    drop_source(p);
    r = open(p->context, &p->source);
    if (r == 0)
        p->source.fetch(p->source.self, on_key, p);
    return r;
}

static int start_base(struct profiles *p, struct error *error)
{
    switch (p->plan.base) {
    case AWS_BASE_STATIC:
        give_static(p);
        return 0;
    case AWS_BASE_PROCESS:
        return aws_process_start(p->context, p->plan.command, on_key, p, p->from,
                                 &p->process, error);
    case AWS_BASE_WEB_IDENTITY:
        return start_web_identity(p, error);
    case AWS_BASE_ENVIRONMENT:
        return start_source(p, aws_environment_source);
    case AWS_BASE_CONTAINER:
        return start_source(p, aws_container_source);
    case AWS_BASE_INSTANCE:
        return start_source(p, aws_instance_source);
    }
    return -EINVAL;
}

static void profiles_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct profiles *p = self;
    struct error error = { .text = "" };
    int r;

    p->fetched = fetched;
    p->arg = arg;
    p->n_assumed = 0;
    aws_files_release(&p->files);
    r = aws_files_load(&p->files, &error);
    if (r == 0)
        r = aws_plan_make(&p->files, aws_profile_name(p->context->profile), &p->plan,
                          &error);
    if (r == 0) {
        r = start_base(p, &error);
        /* Who is not there was told; a program that is not there is an error. */
        r = r == -ENOENT ? -EACCES : r;
    }
    if (r < 0)
        give(p, r, NULL, &error);
}

int aws_profile_source(struct aws_context *c, struct credentials_source *ret)
{
    struct profiles *p = calloc(1, sizeof(*p));

    if (!p)
        return -ENOMEM;
    p->context = aws_context_ref(c);
    if (asprintf(&p->from, "profile %s", aws_profile_name(c->profile)) < 0) {
        p->from = NULL;
        profiles_free(p);
        return -ENOMEM;
    }
    *ret = (struct credentials_source){ p->from, p, profiles_fetch, profiles_free };
    return 0;
}
