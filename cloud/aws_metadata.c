/* SPDX-License-Identifier: Apache-2.0 */
/* Services that only this machine may ask for its key: of a container (ECS, EKS) and of
 * an instance (EC2). No proxy stands between.
 *
 *     container:  GET $AWS_CONTAINER_CREDENTIALS_FULL_URI, with a token of the
 * environment instance:   PUT token -> GET the role's name -> GET the role's key
 *
 * Of an instance's service only version 2 is spoken, whose token does not come through
 * to those who can make a program of this machine ask for an address. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/aws_source.h"
#include "cloud/encode.h"

#define CONTAINER_HOST "http://169.254.170.2"
#define ROLES_PATH "/latest/meta-data/iam/security-credentials/"
#define TOKEN_S "21600"

enum {
    CONTAINER_TRIES = 4,
    CONTAINER_MS = 10000,
    INSTANCE_TRIES = 3,
    INSTANCE_MS = 3000
};

struct metadata {
    struct aws_context *context;
    struct aws_ask *ask; /* NULL: nothing is asked */
    const char *from;
    struct buffer token; /* wiped */
    char root[AWS_URL_MAX];
    credentials_fetched_fn *fetched;
    void *arg;
};

static void metadata_free(void *self)
{
    struct metadata *m = self;

    aws_ask_drop(m->ask);
    aws_buffer_wipe(&m->token);
    aws_context_unref(m->context);
    free(m);
}

static int source_of(struct aws_context *c, const char *name,
                     void (*fetch)(void *, credentials_fetched_fn *, void *),
                     struct credentials_source *ret)
{
    struct metadata *m = calloc(1, sizeof(*m));

    if (!m)
        return -ENOMEM;
    m->context = aws_context_ref(c);
    m->from = name;
    *ret = (struct credentials_source){ name, m, fetch, metadata_free };
    return 0;
}

static void give_error(struct metadata *m, int status, const struct error *error)
{
    m->fetched(m->arg, status, NULL, error);
}

static void ask(struct metadata *m, const struct aws_asked *asked,
                aws_answered_fn *answered)
{
    struct error error;
    int r = aws_ask_start(m->context->http, asked, answered, m, &m->ask);

    if (r < 0) {
        fail(&error, r, "the metadata service cannot be asked: %s", strerror(-r));
        give_error(m, r, &error);
    }
}

/* The last answer of both: a key in JSON, or why there is none. */
static void on_key(void *arg, int status, const struct http_answer *answer,
                   const struct error *error)
{
    CLEANUP(aws_key_release) struct aws_key key = { .text = BUFFER_INIT };
    struct metadata *m = arg;
    struct aws_fault fault;
    struct error why = { .text = "" };

    m->ask = NULL;
    if (status < 0) {
        fail(&why, status, "%s: %.400s", m->from, error ? error->text : "");
    } else if (answer->code / 100 != 2) {
        aws_fault_read_json(buffer_text(&answer->body), answer->body.len, &fault);
        status =
            fail(&why, -EACCES, "%s: it answers %d %s%s%.200s", m->from, answer->code,
                 fault.code, *fault.message ? ": " : "", fault.message);
    } else {
        status = aws_key_read_metadata(buffer_text(&answer->body), answer->body.len,
                                       &key, &why);
    }
    key.key.from = m->from;
    m->fetched(m->arg, status, status == 0 ? &key.key : NULL, &why);
}

/* ---- container ---- */

static int container_token(struct metadata *m, struct error *error)
{
    const char *file = aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
               *token = aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");

    aws_buffer_wipe(&m->token);
    m->token = BUFFER_INIT;
    if (file)
        return aws_file_read(file, AWS_TOKEN_MAX, &m->token, error);
    return token ? buffer_puts(&m->token, token) : 0;
}

/* "Basic abc" has a blank: what it may not have is a further header. */
static int check_token(struct metadata *m, struct error *error)
{
    struct buffer *t = &m->token;

    while (t->len && isspace((unsigned char)t->data[t->len - 1]))
        t->data[--t->len] = '\0';
    for (size_t i = 0; i < t->len; i++)
        if ((unsigned char)t->data[i] < ' ' || t->data[i] == 0x7f)
            return fail(error, -EINVAL,
                        "the container's authorization token is not one line");
    return 0;
}

static int container_url(char ret[AWS_URL_MAX], struct error *error)
{
    const char *relative = aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
               *full = aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    int len;

    if (!relative && !full)
        return fail(error, -ENOENT,
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI and _RELATIVE_URI are not set");
    if (relative && *relative != '/')
        return fail(error, -EINVAL,
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with /");
    len = snprintf(ret, AWS_URL_MAX, "%s%s", relative ? CONTAINER_HOST : "",
                   relative ? relative : full);
    if (len >= AWS_URL_MAX)
        return fail(error, -EINVAL, "the container's address is too long");
    return aws_container_url_check(ret, error);
}

static void container_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct metadata *m = self;
    struct error error = { .text = "" };
    struct aws_asked asked = { .method = "GET",
                               .url = m->root,
                               .headers = { { "Accept", "application/json" } },
                               .tries_max = CONTAINER_TRIES,
                               .deadline_ms = CONTAINER_MS,
                               .is_direct = true };
    int r = container_url(m->root, &error);

    m->fetched = fetched;
    m->arg = arg;
    if (r == 0) {
        r = container_token(m, &error);
        /* A file that is not there is no other place's turn. */
        r = r == -ENOENT ? -EACCES : r;
    }
    if (r == 0)
        r = check_token(m, &error);
    if (r < 0) {
        give_error(m, r, &error);
        return;
    }
    if (m->token.len)
        asked.headers[1] = (struct http_header){ "Authorization", m->token.data };
    ask(m, &asked, on_key);
}

int aws_container_source(struct aws_context *c, struct credentials_source *ret)
{
    return source_of(c, "container", container_fetch, ret);
}

/* ---- instance ---- */

/* Nobody is there: it is no instance, and another place may be asked. */
static bool is_absent(int status)
{
    return status == -ETIMEDOUT || status == -ECONNREFUSED || status == -EHOSTUNREACH
           || status == -ENETUNREACH || status == -EPROTO || status == -EPIPE;
}

static int instance_setting(const struct metadata *m, const char *variable,
                            const char *key, char **ret, struct error *error)
{
    const struct aws_options o = { .profile = m->context->profile };

    return aws_setting(&o, variable, key, ret, error);
}

static int instance_root(struct metadata *m, struct error *error)
{
    CLEANUP(freep) char *endpoint = NULL;
    CLEANUP(freep) char *mode = NULL;
    const char *disabled = aws_variable("AWS_EC2_METADATA_DISABLED");
    size_t len;

    if (disabled && strcasecmp(disabled, "true") == 0)
        return fail(error, -ENOENT, "AWS_EC2_METADATA_DISABLED is set");
    if (instance_setting(m, "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                         "ec2_metadata_service_endpoint", &endpoint, error)
            < 0
        || instance_setting(m, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
                            "ec2_metadata_service_endpoint_mode", &mode, error)
               < 0)
        return -EINVAL;
    snprintf(m->root, sizeof(m->root), "%s",
             endpoint                                ? endpoint
             : mode && strcasecmp(mode, "ipv6") == 0 ? "http://[fd00:ec2::254]"
                                                     : "http://169.254.169.254");
    len = strlen(m->root);
    while (len && m->root[len - 1] == '/')
        m->root[--len] = '\0';
    if (strncmp(m->root, "http://", 7) != 0 && strncmp(m->root, "https://", 8) != 0)
        return fail(error, -EINVAL,
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT is not http://HOST[:PORT]");
    return 0;
}

/* The names of its roles, or the key of one. */
static void instance_get(struct metadata *m, const char *role,
                         aws_answered_fn *answered)
{
    CLEANUP(buffer_release) struct buffer url = BUFFER_INIT;
    struct aws_asked asked = { .method = "GET",
                               .headers = { { "X-aws-ec2-metadata-token",
                                              buffer_text(&m->token) } },
                               .tries_max = INSTANCE_TRIES,
                               .deadline_ms = INSTANCE_MS,
                               .is_direct = true };

    buffer_printf(&url, "%s" ROLES_PATH, m->root);
    encode_path(&url, role, strlen(role));
    asked.url = buffer_text(&url);
    ask(m, &asked, answered);
}

static int take_line(const struct http_answer *answer, struct buffer *ret)
{
    size_t len = strcspn(buffer_text(&answer->body), "\r\n");

    for (size_t i = 0; i < len; i++)
        if ((unsigned char)answer->body.data[i] <= ' '
            || (unsigned char)answer->body.data[i] >= 0x7f)
            return -EPROTO;
    return len && len <= AWS_TOKEN_MAX ? buffer_append(ret, answer->body.data, len)
                                       : -EPROTO;
}

static void on_roles(void *arg, int status, const struct http_answer *answer,
                     const struct error *error)
{
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
    struct metadata *m = arg;
    struct error why = { .text = "" };

    m->ask = NULL;
    if (status < 0)
        fail(&why, status, "instance: %.400s", error ? error->text : "");
    else if (answer->code == 404 || (answer->code == 200 && !answer->body.len))
        status = fail(&why, -ENOENT, "this instance has no role: attach one to it");
    else if (answer->code != 200 || take_line(answer, &name) < 0)
        status = fail(&why, -EACCES, "instance: it answers %d for its role's name",
                      answer->code);
    if (status < 0)
        give_error(m, status, &why);
    else
        instance_get(m, buffer_text(&name), on_key);
}

static void on_token(void *arg, int status, const struct http_answer *answer,
                     const struct error *error)
{
    struct metadata *m = arg;
    struct error why = { .text = "" };

    m->ask = NULL;
    aws_buffer_wipe(&m->token);
    m->token = BUFFER_INIT;
    if (is_absent(status))
        status = fail(&why, -ENOENT,
                      "no instance's metadata answers (in a container its hop limit "
                      "must be 2)");
    else if (status == 0 && (answer->code == 404 || answer->code == 405))
        status = fail(&why, -ENOENT, "there is no IMDSv2 here");
    else if (status == 0 && (answer->code != 200 || take_line(answer, &m->token) < 0))
        status =
            fail(&why, -EACCES, "instance: it answers %d when a token is asked for",
                 answer->code);
    else if (status < 0)
        fail(&why, status, "instance: %.400s", error ? error->text : "");
    if (status < 0)
        give_error(m, status, &why);
    else
        instance_get(m, "", on_roles);
}

static void instance_fetch(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct metadata *m = self;
    struct error error = { .text = "" };
    char url[AWS_URL_MAX + 32];
    const struct aws_asked asked = {
        .method = "PUT",
        .url = url,
        .headers = { { "X-aws-ec2-metadata-token-ttl-seconds", TOKEN_S } },
        .tries_max = INSTANCE_TRIES,
        .deadline_ms = INSTANCE_MS,
        .is_direct = true
    };
    int r = instance_root(m, &error);

    m->fetched = fetched;
    m->arg = arg;
    if (r < 0) {
        give_error(m, r, &error);
        return;
    }
    snprintf(url, sizeof(url), "%s/latest/api/token", m->root);
    ask(m, &asked, on_token);
}

int aws_instance_source(struct aws_context *c, struct credentials_source *ret)
{
    return source_of(c, "instance", instance_fetch, ret);
}
