/* SPDX-License-Identifier: Apache-2.0 */
/* `mesh policy s3|azure|gcs`: what an administrator has to allow. */
#include "node/cli/policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/cli.h"

enum { PREFIX_MAX = 512 };

/* ---- what the documents are made with ---- */

int policy_print(const json_t *document, struct buffer *out)
{
    CLEANUP(freep) char *text = json_dumps(document, JSON_INDENT(2));

    return text ? buffer_printf(out, "%s\n", text) : -ENOMEM;
}

json_t *policy_list(const char *const *texts)
{
    json_t *list = json_array();

    for (; list && *texts; texts++)
        json_array_append_new(list, json_string(*texts));
    return list;
}

json_t *policy_text(const char *format, ...)
{
    CLEANUP(freep) char *text = NULL;
    va_list args;
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) {
        text = NULL;
        return NULL;
    }
    return json_string(text);
}

/* ---- what may be asked for ---- */

/* Names go into patterns, conditions and command lines: of each, what its service
 * takes; nothing in it means something there. */
static bool is_of(const char *text, const char *signs, size_t min, size_t max)
{
    size_t len = strlen(text);

    for (const char *c = text; *c; c++)
        if ((*c < 'a' || *c > 'z') && (*c < 'A' || *c > 'Z') && (*c < '0' || *c > '9')
            && !strchr(signs, *c))
            return false;
    return len >= min && len <= max;
}

static bool is_lower(const char *text)
{
    return strpbrk(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL;
}

struct cloud {
    const char *name;
    const char *signs; /* of a bucket's name, beside letters and digits */
    size_t bucket_max;
    const char *options; /* that are its own */
    json_t *(*document)(const struct policy_asked *a);
    int (*explain)(const struct policy_asked *a, struct buffer *out);
};

static const struct cloud clouds[] = {
    { "s3", ".-", 63, " kms-key ", policy_s3, policy_explain_s3 },
    { "azure", "-", 63, " account subscription resource-group ", policy_azure,
      policy_explain_azure },
    { "gcs", "._-", 222, " project ", policy_gcs, policy_explain_gcs },
};

static const struct cloud *cloud_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(clouds); i++)
        if (strcmp(clouds[i].name, name) == 0)
            return &clouds[i];
    return NULL;
}

static int check_names(const struct cloud *cloud, const struct options *o)
{
    static const struct {
        const char *option, *signs;
        size_t max;
    } names[] = { { "kms-key", ":/_-", 2048 },
                  { "account", "", 24 },
                  { "subscription", "-", 64 },
                  { "resource-group", "._()-", 90 },
                  { "project", ":.-", 128 } };
    const char *bucket = options_text(o, "bucket");

    if (!bucket)
        return cli_usage("policy: say which: --bucket NAME");
    if (!is_of(bucket, cloud->signs, 3, cloud->bucket_max) || !is_lower(bucket))
        return cli_usage("policy: '%.80s' is no name of a bucket of %s", bucket,
                         cloud->name);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *text = options_text(o, names[i].option);
        char word[64];

        snprintf(word, sizeof(word), " %s ", names[i].option);
        if (text && !strstr(cloud->options, word))
            return cli_usage("policy: --%s is not of %s", names[i].option, cloud->name);
        if (text && !is_of(text, names[i].signs, 1, names[i].max))
            return cli_usage("policy: --%s cannot be '%.80s'", names[i].option, text);
    }
    return 0;
}

/* As the stores have it: without a slash in front, with one behind. */
static int read_prefix(const struct options *o, char ret[PREFIX_MAX])
{
    const char *prefix = options_text(o, "prefix");
    size_t len;

    ret[0] = '\0';
    if (!prefix || !*prefix)
        return 0;
    len = strlen(prefix);
    if (*prefix == '/' || len + 2 > PREFIX_MAX || !is_of(prefix, "._/=@+-", 1, len))
        return cli_usage(
            "policy: --prefix takes letters, digits and . _ / = @ + -, not "
            "'%.80s'",
            prefix);
    snprintf(ret, PREFIX_MAX, "%s%s", prefix, prefix[len - 1] == '/' ? "" : "/");
    return 0;
}

static int print_json(const struct cloud *cloud, const struct policy_asked *a,
                      struct buffer *out)
{
    CLEANUP(json_decrefp) json_t *document = cloud->document(a);

    return document ? policy_print(document, out) : -ENOMEM;
}

static int policy(const struct options *o)
{
    const struct cloud *cloud = cloud_find(o->operands[0]);
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    char prefix[PREFIX_MAX];
    const struct policy_asked asked = { .bucket = options_text(o, "bucket"),
                                        .prefix = prefix,
                                        .kms_key = options_text(o, "kms-key"),
                                        .account = options_text(o, "account"),
                                        .subscription = options_text(o, "subscription"),
                                        .resource_group =
                                            options_text(o, "resource-group"),
                                        .project = options_text(o, "project"),
                                        .is_read_only = options_has(o, "read-only") };
    int r;

    if (!cloud)
        return cli_usage("policy: s3, azure or gcs, not '%.80s'", o->operands[0]);
    r = check_names(cloud, o);
    if (r == 0)
        r = read_prefix(o, prefix);
    if (r != 0)
        return r;
    r = options_has(o, "json") ? print_json(cloud, &asked, &out)
                               : cloud->explain(&asked, &out);
    if (r < 0)
        return cli_failed(r, NULL);
    fputs(buffer_text(&out), stdout);
    return fflush(stdout) == 0 ? CLI_OK : CLI_FAILED;
}

static const struct option_spec policy_options[] = {
    { "bucket", 0, "BUCKET", "the bucket; of Azure the container" },
    { "prefix", 0, "PREFIX", "only what begins with it, as a folder" },
    { "read-only", 0, NULL, "for who looks and resumes, but keeps nothing there" },
    { "kms-key", 0, "ARN", "s3: the key that encrypts, if it is one of your own" },
    { "account", 0, "ACCOUNT", "azure: the storage account" },
    { "subscription", 0, "ID", "azure: where the account is" },
    { "resource-group", 0, "GROUP", "azure: where the account is" },
    { "project", 0, "PROJECT", "gcs: where the role is kept" },
    OPTION_JSON,
    OPTION_HELP,
    OPTION_END,
};

const struct command command_policy = {
    .name = "policy",
    .synopsis =
        "s3 --bucket BUCKET [--prefix PREFIX] [--kms-key ARN] [--read-only]\n"
        "azure --bucket BUCKET --account ACCOUNT [--prefix PREFIX] [--read-only]\n"
        "gcs --bucket BUCKET [--project PROJECT] [--prefix PREFIX] [--read-only]",
    .summary = "print what a mesh must be allowed on a bucket",
    .about = "Prints the least that nodes must be allowed to keep runs in a bucket, "
             "and how\n"
             "to give it to them: an IAM policy of AWS, a role and its assignment of "
             "Azure, a\n"
             "role and its binding of Google. Nobody is asked and nothing is changed. "
             "Names\n"
             "that were not given stand as variables of a shell, for whoever runs it.\n"
             "With --json: the document alone.",
    .options = policy_options,
    .examples = "mesh policy s3 --bucket lab --prefix mesh/ --json >policy.json\n"
                "mesh policy azure --account labstore --bucket runs",
    .operands_min = 1,
    .operands_max = 1,
    .run = policy,
};
