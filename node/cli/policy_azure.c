/* SPDX-License-Identifier: Apache-2.0 */
/* https://learn.microsoft.com/azure/role-based-access-control/permissions/storage, and
 * .../storage/blobs/storage-auth-abac-attributes for conditions. */
#include <errno.h>

#include "node/cli/policy.h"

#define CONTAINERS "Microsoft.Storage/storageAccounts/blobServices/containers"
#define BLOBS CONTAINERS "/blobs"

static const char *or_variable(const char *name, const char *variable)
{
    return name ? name : variable;
}

static int put_group(const struct policy_asked *a, struct buffer *out)
{
    return buffer_printf(out, "/subscriptions/%s/resourceGroups/%s",
                         or_variable(a->subscription, "$SUBSCRIPTION"),
                         or_variable(a->resource_group, "$RESOURCE_GROUP"));
}

static int put_scope(const struct policy_asked *a, struct buffer *out)
{
    put_group(a, out);
    return buffer_printf(out,
                         "/providers/Microsoft.Storage/storageAccounts/%s/blobServices"
                         "/default/containers/%s",
                         or_variable(a->account, "$ACCOUNT"), a->bucket);
}

static json_t *role(const struct policy_asked *a)
{
    static const char
        *const all[] = { BLOBS "/read",   BLOBS "/write",      BLOBS "/add/action",
                         BLOBS "/delete", BLOBS "/tags/write", NULL },
               *const reading[] = { BLOBS "/read", NULL }, *const none[] = { NULL },
               *const actions[] = { CONTAINERS "/read", NULL };
    CLEANUP(buffer_release) struct buffer group = BUFFER_INIT;

    put_group(a, &group);
    return json_pack("{s:o, s:b, s:s, s:o, s:o, s:o, s:o, s:[s]}", "Name",
                     policy_text("Mesh %s %s",
                                 a->is_read_only ? "reader of" : "data in", a->bucket),
                     "IsCustom", 1, "Description",
                     "What nodes of a mesh do with their blobs.", "Actions",
                     policy_list(actions), "NotActions", policy_list(none),
                     "DataActions", policy_list(a->is_read_only ? reading : all),
                     "NotDataActions", policy_list(none), "AssignableScopes",
                     buffer_text(&group));
}

/* Each clause: another action, or a blob below the prefix. */
static void put_clause(struct buffer *out, const char *action, const char *attribute,
                       const char *test, const struct policy_asked *a, const char *end)
{
    buffer_printf(out, "((!(%s)) OR (%s %s '%s%s'))", action, attribute, test,
                  a->prefix, end);
}

static void put_condition(const struct policy_asked *a, struct buffer *out)
{
    static const char *const writing[] = { "write", "add/action", "delete",
                                           "tags/write" };

    put_clause(out,
               "ActionMatches{'" BLOBS "/read'} AND NOT "
               "SubOperationMatches{'Blob.List'}",
               "@Resource[" BLOBS ":path]", "StringLike", a, "*");
    buffer_puts(out, " AND ");
    put_clause(out,
               "ActionMatches{'" BLOBS "/read'} AND SubOperationMatches{'Blob.List'}",
               "@Request[" BLOBS ":prefix]", "StringLike", a, "*");
    for (size_t i = 0; !a->is_read_only && i < ARRAY_SIZE(writing); i++) {
        CLEANUP(buffer_release) struct buffer action = BUFFER_INIT;

        buffer_printf(&action, "ActionMatches{'" BLOBS "/%s'}", writing[i]);
        buffer_puts(out, " AND ");
        put_clause(out, buffer_text(&action), "@Resource[" BLOBS ":path]", "StringLike",
                   a, "*");
    }
}

json_t *policy_azure(const struct policy_asked *a)
{
    CLEANUP(buffer_release) struct buffer scope = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer condition = BUFFER_INIT;
    json_t *document, *assignment;

    put_scope(a, &scope);
    if (*a->prefix)
        put_condition(a, &condition);
    if (buffer_failed(&scope) || buffer_failed(&condition))
        return NULL;
    document = json_pack("{s:o, s:{s:s}}", "role", role(a), "assignment", "scope",
                         buffer_text(&scope));
    assignment = json_object_get(document, "assignment");
    if (assignment && *a->prefix) {
        json_object_set_new(assignment, "condition",
                            json_string(buffer_text(&condition)));
        json_object_set_new(assignment, "conditionVersion", json_string("2.0"));
    }
    return document;
}

int policy_explain_azure(const struct policy_asked *a, struct buffer *out)
{
    CLEANUP(json_decrefp) json_t *document = policy_azure(a);
    const json_t *made = json_object_get(document, "role"), *assignment;

    if (!made)
        return -ENOMEM;
    assignment = json_object_get(document, "assignment");
    buffer_puts(out, "# mesh-role.json\n");
    policy_print(made, out);
    buffer_printf(out,
                  "\n# The role, given to the identity of the nodes:\n"
                  "az role definition create --role-definition mesh-role.json\n"
                  "az role assignment create --assignee \"$ASSIGNEE\" \\\n"
                  "    --role \"%s\" \\\n    --scope \"%s\"",
                  json_string_value(json_object_get(made, "Name")),
                  json_string_value(json_object_get(assignment, "scope")));
    if (*a->prefix)
        buffer_printf(out,
                      " \\\n    --condition-version 2.0 \\\n    --condition \"%s\"",
                      json_string_value(json_object_get(assignment, "condition")));
    buffer_puts(out,
                "\n\n# Account keys and SAS go past roles: these are for Entra.\n");
    return buffer_failed(out);
}
