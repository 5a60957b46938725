/* SPDX-License-Identifier: Apache-2.0 */
/* https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
 */
#include <errno.h>
#include <string.h>

#include "node/cli/policy.h"

/* China and the US government have partitions of their own, which a key's ARN tells. */
static const char *partition(const struct policy_asked *a)
{
    if (a->kms_key && strncmp(a->kms_key, "arn:aws-cn:", 11) == 0)
        return "aws-cn";
    if (a->kms_key && strncmp(a->kms_key, "arn:aws-us-gov:", 15) == 0)
        return "aws-us-gov";
    return "aws";
}

/* Without the right to list, a missing object is answered as a forbidden one.
 * "IfExists" is for that: who asks for one object has named no prefix. */
static json_t *list_statement(const struct policy_asked *a)
{
    static const char *const actions[] = { "s3:ListBucket",
                                           "s3:ListBucketMultipartUploads", NULL },
                             *const reading[] = { "s3:ListBucket", NULL };
    json_t *s =
        json_pack("{s:s, s:s, s:o, s:o}", "Sid", "MeshLists", "Effect", "Allow",
                  "Action", policy_list(a->is_read_only ? reading : actions),
                  "Resource", policy_text("arn:%s:s3:::%s", partition(a), a->bucket));

    if (s && *a->prefix)
        json_object_set_new(s, "Condition",
                            json_pack("{s:{s:[o]}}", "StringLikeIfExists", "s3:prefix",
                                      policy_text("%s*", a->prefix)));
    return s;
}

static json_t *region_statement(const struct policy_asked *a)
{
    return json_pack("{s:s, s:s, s:s, s:o}", "Sid", "MeshFindsTheRegion", "Effect",
                     "Allow", "Action", "s3:GetBucketLocation", "Resource",
                     policy_text("arn:%s:s3:::%s", partition(a), a->bucket));
}

static json_t *objects_statement(const struct policy_asked *a)
{
    static const char *const actions[] = { "s3:GetObject",
                                           "s3:PutObject",
                                           "s3:PutObjectTagging",
                                           "s3:DeleteObject",
                                           "s3:AbortMultipartUpload",
                                           "s3:ListMultipartUploadParts",
                                           NULL },
                             *const reading[] = { "s3:GetObject", NULL };

    return json_pack("{s:s, s:s, s:o, s:o}", "Sid",
                     a->is_read_only ? "MeshReads" : "MeshKeeps", "Effect", "Allow",
                     "Action", policy_list(a->is_read_only ? reading : actions),
                     "Resource",
                     policy_text("arn:%s:s3:::%s/%s*", partition(a), a->bucket,
                                 a->prefix));
}

/* To join parts needs both: they are read again by the service. */
static json_t *key_statement(const struct policy_asked *a)
{
    static const char *const actions[] = { "kms:GenerateDataKey", "kms:Decrypt", NULL },
                             *const reading[] = { "kms:Decrypt", NULL };

    return json_pack("{s:s, s:s, s:o, s:s}", "Sid", "MeshEncrypts", "Effect", "Allow",
                     "Action", policy_list(a->is_read_only ? reading : actions),
                     "Resource", a->kms_key);
}

json_t *policy_s3(const struct policy_asked *a)
{
    json_t *statements = json_array();

    json_array_append_new(statements, region_statement(a));
    json_array_append_new(statements, list_statement(a));
    json_array_append_new(statements, objects_statement(a));
    if (a->kms_key)
        json_array_append_new(statements, key_statement(a));
    return json_pack("{s:s, s:o}", "Version", "2012-10-17", "Statement", statements);
}

int policy_explain_s3(const struct policy_asked *a, struct buffer *out)
{
    CLEANUP(json_decrefp) json_t *document = policy_s3(a);

    if (!document)
        return -ENOMEM;
    buffer_puts(out, "# mesh-policy.json\n");
    policy_print(document, out);
    buffer_puts(out,
                "\n# Given to the role of the nodes:\n"
                "aws iam put-role-policy --role-name \"$ROLE\" --policy-name mesh \\\n"
                "    --policy-document file://mesh-policy.json\n");
    if (*a->prefix)
        buffer_puts(
            out, "\n# Who names no prefix may list the names of the whole bucket: S3\n"
                 "# tells a missing object from a forbidden one only then.\n");
    return buffer_failed(out);
}
