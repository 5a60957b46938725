/* SPDX-License-Identifier: Apache-2.0 */
/* policy - the least that a mesh must be allowed on a bucket, in each cloud's words.
 * Pure: nothing is asked, all names are the user's. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"

/* NULL: not given. Where a name is needed, $NAME stands for it. */
struct policy_asked {
    const char *bucket;         /* of Azure: the container */
    const char *prefix;         /* "", or ends with '/' */
    const char *kms_key;        /* of AWS: its ARN */
    const char *account;        /* of Azure: the storage account */
    const char *subscription;   /* of Azure */
    const char *resource_group; /* of Azure */
    const char *project;        /* of Google */
    bool is_read_only;
};

/* The document for a machine; NULL: no memory is left. */
json_t *policy_s3(const struct policy_asked *a);
json_t *policy_azure(const struct policy_asked *a);
json_t *policy_gcs(const struct policy_asked *a);

/* For a person: the document as the cloud's own tool reads it, and what to do with it.
 */
int policy_explain_s3(const struct policy_asked *a, struct buffer *out);
int policy_explain_azure(const struct policy_asked *a, struct buffer *out);
int policy_explain_gcs(const struct policy_asked *a, struct buffer *out);

/* A document of several lines, with a line's end. */
int policy_print(const json_t *document, struct buffer *out);
/* NULL-terminated texts as an array. */
json_t *policy_list(const char *const *texts);
/* A text made as by printf. */
json_t *policy_text(const char *format, ...) PRINTF_LIKE(1, 2);
