/* SPDX-License-Identifier: Apache-2.0 */
/* https://cloud.google.com/storage/docs/access-control/iam-permissions, and
 * .../iam/docs/conditions-attribute-reference for what a list is asked with. */
#include <errno.h>

#include "node/cli/policy.h"

static const char *project_of(const struct policy_asked *a)
{
    return a->project ? a->project : "$PROJECT";
}

static const char *role_name(const struct policy_asked *a)
{
    return a->is_read_only ? "meshReader" : "meshData";
}

static json_t *role(const struct policy_asked *a)
{
    static const char *const all[] = { "storage.objects.get",
                                       "storage.objects.list",
                                       "storage.objects.create",
                                       "storage.objects.delete",
                                       "storage.multipartUploads.create",
                                       "storage.multipartUploads.abort",
                                       "storage.multipartUploads.listParts",
                                       NULL },
                             *const reading[] = { "storage.objects.get",
                                                  "storage.objects.list", NULL };

    return json_pack("{s:s, s:s, s:s, s:o}", "title",
                     a->is_read_only ? "Mesh reader" : "Mesh data", "description",
                     "What nodes of a mesh do with their objects.", "stage", "GA",
                     "includedPermissions",
                     policy_list(a->is_read_only ? reading : all));
}

/* A list is asked of the bucket, with the prefix as an attribute. */
static json_t *condition(const struct policy_asked *a)
{
    return json_pack(
        "{s:o, s:o}", "title", policy_text("mesh below %s", a->prefix), "expression",
        policy_text("resource.name.startsWith('projects/_/buckets/%s/objects/%s') || "
                    "api.getAttribute('storage.googleapis.com/objectListPrefix', '')"
                    ".startsWith('%s')",
                    a->bucket, a->prefix, a->prefix));
}

json_t *policy_gcs(const struct policy_asked *a)
{
    json_t *document =
        json_pack("{s:o, s:{s:o, s:[s]}}", "role", role(a), "binding", "role",
                  policy_text("projects/%s/roles/%s", project_of(a), role_name(a)),
                  "members", "$MEMBER");
    json_t *binding = json_object_get(document, "binding");

    if (binding && *a->prefix)
        json_object_set_new(binding, "condition", condition(a));
    return document;
}

int policy_explain_gcs(const struct policy_asked *a, struct buffer *out)
{
    CLEANUP(json_decrefp) json_t *document = policy_gcs(a);
    const json_t *made = json_object_get(document, "role"), *binding, *when;

    if (!made)
        return -ENOMEM;
    binding = json_object_get(document, "binding");
    when = json_object_get(binding, "condition");
    buffer_puts(out, "# mesh-role.json\n");
    policy_print(made, out);
    if (when) {
        buffer_puts(out, "\n# mesh-condition.json\n");
        policy_print(when, out);
    }
    buffer_printf(out,
                  "\n# The role, given to the service account of the nodes\n"
                  "# (MEMBER=serviceAccount:NAME@%s.iam.gserviceaccount.com):\n"
                  "gcloud iam roles create %s --project \"%s\" --file mesh-role.json\n"
                  "gcloud storage buckets add-iam-policy-binding gs://%s \\\n"
                  "    --member \"$MEMBER\" --role \"%s\" \\\n    --condition%s\n",
                  project_of(a), role_name(a), project_of(a), a->bucket,
                  json_string_value(json_object_get(binding, "role")),
                  when ? "-from-file mesh-condition.json" : " None");
    if (when)
        buffer_puts(out, "\n# A condition counts only on a bucket with uniform "
                         "bucket-level access.\n");
    return buffer_failed(out);
}
