/* SPDX-License-Identifier: Apache-2.0 */
/* aws_profile - what a profile of the shared files says: its settings, and the way to
 * its key: a first key, and the roles that are assumed with it, one by the other.
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html
 * Pure. */
#pragma once

#include "cloud/ini.h"

enum { AWS_ROLES_MAX = 8 };

/* Either is empty when its file is not there. */
struct aws_files {
    struct ini config, credentials;
};

void aws_files_release(struct aws_files *files);

bool aws_profile_has(const struct aws_files *files, const char *profile);
/* Of the credentials file, else of the config file. NULL: neither has it. Borrowed. */
const char *aws_profile_get(const struct aws_files *files, const char *profile,
                            const char *key);
/* endpoint_url of one service: of the profile's `services` section, else its own. */
const char *aws_profile_endpoint(const struct aws_files *files, const char *profile,
                                 const char *service);

enum aws_base {
    AWS_BASE_STATIC = 1,   /* aws_access_key_id and its companions */
    AWS_BASE_PROCESS,      /* credential_process */
    AWS_BASE_WEB_IDENTITY, /* web_identity_token_file; roles[0] is had by it */
    AWS_BASE_ENVIRONMENT,  /* credential_source: these three */
    AWS_BASE_CONTAINER,
    AWS_BASE_INSTANCE,
};

struct aws_role {
    const char *arn;
    const char *external_id, *session_name; /* NULL: none */
    const char *region;                     /* NULL: as the rest */
    uint32_t duration_s;                    /* 0: as the service has it */
};

/* All texts are borrowed of the files. */
struct aws_plan {
    enum aws_base base;
    const char *id, *secret, *token;      /* of AWS_BASE_STATIC */
    const char *command;                  /* of AWS_BASE_PROCESS */
    const char *token_file;               /* of AWS_BASE_WEB_IDENTITY */
    struct aws_role roles[AWS_ROLES_MAX]; /* in the order they are assumed */
    size_t n_roles;
};

/* -ENOENT: the profile has no key, or (when it is "default") is not there. -EINVAL:
 * what it says cannot be followed; the sentence says what to change. */
int aws_plan_make(const struct aws_files *files, const char *profile,
                  struct aws_plan *ret, struct error *ret_error);
