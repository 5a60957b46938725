/* SPDX-License-Identifier: Apache-2.0 */
/* aws_text - what the places that give keys of AWS are asked with and answer. Pure. */
#pragma once

#include "base/buffer.h"
#include "base/error.h"
#include "cloud/aws_profile.h"
#include "cloud/credentials.h"

enum { AWS_WORDS_MAX = 64, AWS_REGION_MAX = 64, AWS_URL_MAX = 1024 };

/* A key as it was read: its texts point into `text`, which is wiped. */
struct aws_key {
    struct credential key;
    struct buffer text;
};

void aws_key_release(struct aws_key *k);

/* What credential_process prints, or a metadata service answers, which calls the token
 * by another name:
 *     {"Version": 1, "AccessKeyId": "", "SecretAccessKey": "",
 *      "SessionToken" or "Token": "", "Expiration": "2026-01-31T12:00:00Z"}
 * -EPROTO: it is no such thing; the sentence says why and holds nothing of it but what
 * a service says of an error: {"Code": "", "Message": ""}, in any case. */
int aws_key_read_process(const char *json, size_t len, struct aws_key *ret,
                         struct error *ret_error);
int aws_key_read_metadata(const char *json, size_t len, struct aws_key *ret,
                          struct error *ret_error);
/* What STS answers AssumeRole and AssumeRoleWithWebIdentity. */
int aws_key_read_sts(const char *xml, size_t len, struct aws_key *ret,
                     struct error *ret_error);

/* How a service said no; "" where it did not say. */
struct aws_fault {
    char code[64], message[256], request_id[80];
};

void aws_fault_read_xml(const char *xml, size_t len, struct aws_fault *ret);
void aws_fault_read_json(const char *json, size_t len, struct aws_fault *ret);

/* RFC 3339 with or without a fraction, in UTC or with an offset. -EINVAL. */
int aws_time_read(const char *text, int64_t *ret_s);

/* The body of a request of STS, as of a form. `token`: of AssumeRoleWithWebIdentity;
 * NULL: AssumeRole. `session` is used where the role names none. */
int aws_sts_form(const struct aws_role *role, const char *session, const char *token,
                 struct buffer *out);
/* Where STS is: `region` NULL, or `is_legacy` and a region of before 2019: the global
 * endpoint, which is signed for as us-east-1. */
int aws_sts_endpoint(const char *region, bool is_legacy, char ret_url[AWS_URL_MAX],
                     char ret_region[AWS_REGION_MAX]);

/* Letters, digits and '-', so that it may stand in a host's name. */
bool aws_region_is_good(const char *region);

/* Whether an address that the environment names may be asked for a key: https, or this
 * machine, or one of the container services' own addresses. -EINVAL. */
int aws_container_url_check(const char *url, struct error *ret_error);

/* A command line cut in words by blanks, with '...', "..." and \ as a shell has them;
 * no shell runs and nothing is replaced. `room` is as large as the line and takes the
 * words, `ret_words` ends with NULL. -EINVAL: a quote that does not end. -E2BIG. */
int aws_command_split(const char *line, char *room, char *ret_words[AWS_WORDS_MAX + 1]);
