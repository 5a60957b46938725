/* SPDX-License-Identifier: Apache-2.0 */
/* aws - keys and settings of AWS, from where its SDKs have them:
 *
 *     environment     AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
 *     web identity    AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN
 *     profile         AWS_PROFILE in ~/.aws/config and ~/.aws/credentials
 *     container       AWS_CONTAINER_CREDENTIALS_FULL_URI, _RELATIVE_URI
 *     instance        IMDSv2
 *
 * in this order (https://docs.aws.amazon.com/sdkref/latest/guide/
 * standardized-credentials.html). One that is there but broken ends the search: nobody
 * wants to go on as somebody else. docs/credentials.md tells users. */
#pragma once

#include "cloud/aws_text.h"
#include "cloud/credentials.h"
#include "cloud/http.h"

/* Texts are copied; NULL is the usual. */
struct aws_options {
    const char *profile; /* given, the environment's keys do not count */
    const char *region;
    const char *role_arn; /* assumed with the key that is found */
    const char *external_id, *session_name;
    uint32_t duration_s; /* of the role's keys; 0: an hour */
};

/* Asks nobody yet. The engine is borrowed and must outlive the credentials: free these,
 * then http_free(). -EINVAL: a region that is none. */
int aws_credentials_open(struct http *http, uv_loop_t *loop,
                         const struct aws_options *options,
                         struct credentials **ret_credentials, struct error *ret_error);

/* The options', $AWS_REGION, $AWS_DEFAULT_REGION, the profile's. -ENOENT: none of them
 * says it. -EINVAL: that is none. */
int aws_region(const struct aws_options *options, char ret_region[AWS_REGION_MAX],
               struct error *ret_error);

/* Where else a service ("s3", "sts") is: $AWS_ENDPOINT_URL_<SERVICE>,
 * $AWS_ENDPOINT_URL, the profile's. *ret is NULL where nobody says it; the caller
 * frees. */
int aws_endpoint(const struct aws_options *options, const char *service, char **ret,
                 struct error *ret_error);

/* Any setting of the profile, "s3.addressing_style" also; `variable`, if not NULL, of
 * the environment goes before it. *ret as above. */
int aws_setting(const struct aws_options *options, const char *variable,
                const char *key, char **ret, struct error *ret_error);
