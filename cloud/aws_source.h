/* SPDX-License-Identifier: Apache-2.0 */
/* aws_source - the places where aws.c looks for keys, and what they share. */
#pragma once

#include "cloud/aws.h"
#include "cloud/sigv4.h"

enum {
    AWS_FILE_MAX = 1 << 20,
    AWS_TOKEN_MAX = 64 << 10,   /* of a token in a file */
    AWS_ANSWER_MAX = 256 << 10, /* of a service that gives keys */
};

/* What the sources of one chain share. */
struct aws_context {
    unsigned refs;
    struct http *http;
    uv_loop_t *loop;
    char *profile, *region; /* as the options have them; NULL: not given */
};

struct aws_context *aws_context_ref(struct aws_context *c);
void aws_context_unref(struct aws_context *c);

/* ---- files and settings ---- */

/* Not set and empty are the same. NULL. */
const char *aws_variable(const char *name);
/* `profile` of the options, else the environment's, else "default". */
const char *aws_profile_name(const char *profile);
/* The config and credentials files; those that are not there are empty. */
int aws_files_load(struct aws_files *ret, struct error *ret_error);
/* The whole file. -ENOENT, -EACCES, -EFBIG beyond `max`, with its name. */
int aws_file_read(const char *path, size_t max, struct buffer *ret,
                  struct error *ret_error);
/* The first line of a file that holds a token, without blanks around it. */
int aws_token_read(const char *path, struct buffer *ret, struct error *ret_error);
void aws_buffer_wipe(struct buffer *b);

/* ---- one request ---- */

struct aws_ask;

struct aws_asked {
    const char *method, *url;
    struct http_header headers[4];
    const char *body;             /* NULL: none */
    const struct credential *key; /* signs it; NULL: nothing does */
    const char *region, *service; /* of the signature */
    uint32_t tries_max, deadline_ms;
    bool is_direct; /* as http.h has it */
};

typedef void aws_answered_fn(void *arg, int status, const struct http_answer *answer,
                             const struct error *error);

/* All is copied. -ENOMEM and what http_start() says; no answer comes then. */
int aws_ask_start(struct http *http, const struct aws_asked *asked,
                  aws_answered_fn *answered, void *arg, struct aws_ask **ret);
/* Its answer no longer comes. */
void aws_ask_drop(struct aws_ask *ask);

/* ---- roles ---- */

struct aws_assume;

/* The key of a role, by `key` or by a token of a web identity: one is NULL. `fetched`
 * comes later, once. Texts are copied. */
int aws_assume_start(struct aws_context *c, const struct aws_role *role,
                     const struct credential *key, const char *web_token,
                     const char *from, credentials_fetched_fn *fetched, void *arg,
                     struct aws_assume **ret, struct error *ret_error);
void aws_assume_drop(struct aws_assume *a);

/* ---- sources ---- */

typedef int aws_source_fn(struct aws_context *c, struct credentials_source *ret);
aws_source_fn aws_environment_source, aws_web_identity_source, aws_profile_source,
    aws_container_source, aws_instance_source;

/* The role of the options, by what `base` has, which it owns from here on, also on
 * failure. */
int aws_role_source(struct aws_context *c, const struct aws_options *options,
                    struct credentials *base, struct credentials_source *ret);

/* What a command prints. The answer comes later. */
struct aws_process;
int aws_process_start(struct aws_context *c, const char *command,
                      credentials_fetched_fn *fetched, void *arg, const char *from,
                      struct aws_process **ret, struct error *ret_error);
void aws_process_drop(struct aws_process *p);
