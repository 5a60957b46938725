/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/aws.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/aws_source.h"

struct aws_context *aws_context_ref(struct aws_context *c)
{
    c->refs++;
    return c;
}

void aws_context_unref(struct aws_context *c)
{
    if (!c || --c->refs)
        return;
    free(c->profile);
    free(c->region);
    free(c);
}

CLEANUP_POINTER(struct aws_context, aws_context_unref);

static struct aws_context *context_new(struct http *http, uv_loop_t *loop,
                                       const struct aws_options *o)
{
    CLEANUP(aws_context_unrefp) struct aws_context *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    *c = (struct aws_context){ .refs = 1, .http = http, .loop = loop };
    c->profile = o->profile ? strdup(o->profile) : NULL;
    c->region = o->region ? strdup(o->region) : NULL;
    if ((o->profile && !c->profile) || (o->region && !c->region))
        return NULL;
    return TAKE(c);
}

/* A profile that is named by the options is meant: what the environment says of another
 * key does not count. One that $AWS_PROFILE names does not go before it. */
static int open_chain(struct aws_context *c, struct credentials **ret)
{
    static aws_source_fn *const all[] = { aws_environment_source,
                                          aws_web_identity_source, aws_profile_source,
                                          aws_container_source, aws_instance_source };
    struct credentials_source sources[ARRAY_SIZE(all)];
    size_t n = 0;

    for (size_t i = c->profile ? 2 : 0; i < ARRAY_SIZE(all); i++) {
        if (all[i](c, &sources[n]) < 0) {
            while (n--)
                sources[n].free(sources[n].self);
            return -ENOMEM;
        }
        n++;
    }
    return credentials_new(c->loop, sources, n, ret);
}

static int open_role(struct aws_context *c, const struct aws_options *options,
                     struct credentials **ret)
{
    struct credentials_source source;
    struct credentials *base;

    if (open_chain(c, &base) < 0 || aws_role_source(c, options, base, &source) < 0)
        return -ENOMEM;
    return credentials_new(c->loop, &source, 1, ret);
}

int aws_credentials_open(struct http *http, uv_loop_t *loop,
                         const struct aws_options *options,
                         struct credentials **ret_credentials, struct error *ret_error)
{
    CLEANUP(aws_context_unrefp) struct aws_context *c = NULL;

    if (options->region && !aws_region_is_good(options->region))
        return fail(ret_error, -EINVAL, "'%.80s' is no region of AWS", options->region);
    c = context_new(http, loop, options);
    if (!c)
        return -ENOMEM;
    return options->role_arn ? open_role(c, options, ret_credentials)
                             : open_chain(c, ret_credentials);
}
