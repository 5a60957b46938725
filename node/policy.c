/* SPDX-License-Identifier: Apache-2.0 */
#include "node/policy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "flow/check.h"

static const char where_all[] = "policy";

enum { CPU_DEFAULT_MILLI = 1000 };

void policy_init(struct policy *p)
{
    *p = (struct policy){ .max_cpu_milli = UINT64_MAX,
                          .max_memory_bytes = UINT64_MAX,
                          .max_disk_bytes = UINT64_MAX,
                          .max_gpu_milli = UINT64_MAX };
}

bool policy_is_said(const struct policy *p)
{
    return p->users.line || p->environment.line || p->paths.line || p->max_line
           || p->refuses_remote;
}

/* ---- reading ---- */

static void read_list(struct check *check, const struct value *v, void *field)
{
    struct policy_texts *texts = field;

    *texts = (struct policy_texts){ .line = v->at.line };
    if (!expect(check, v, VALUE_SEQUENCE))
        return;
    texts->all = check_alloc(check, v->n + 1, sizeof(texts->all[0]));
    for (const struct value *child = v->u.first; child && !check->error;
         child = child->next) {
        if (!expect_text(check, child))
            continue;
        texts->all[texts->n] = check_copy(check, child->text, child->n);
        texts->n += texts->all[texts->n] != NULL;
    }
}

/* A `*` stands for the rest of a name and for nothing else. */
static void read_names(struct check *check, const struct value *v, void *field)
{
    struct policy_texts *texts = field;

    read_list(check, v, field);
    for (const struct value *child = texts->n ? v->u.first : NULL; child;
         child = child->next) {
        const char *star = child->text ? strchr(child->text, '*') : NULL;

        if (child->type == VALUE_STRING && star && star[1])
            complain(check, child, "write NAME or FRONT_*",
                     "'%.130s': a '*' is the last of a name", child->text);
    }
}

static bool has_dots(const char *path)
{
    for (const char *at = path; (at = strstr(at, "..")); at += 2)
        if ((at == path || at[-1] == '/') && (!at[2] || at[2] == '/'))
            return true;
    return false;
}

static void read_paths(struct check *check, const struct value *v, void *field)
{
    const struct policy_texts *texts = field;

    read_list(check, v, field);
    for (const struct value *child = texts->n ? v->u.first : NULL; child;
         child = child->next)
        if (child->type == VALUE_STRING
            && (child->text[0] != '/' || has_dots(child->text)))
            complain(check, child, NULL, "'%.130s' is no absolute path", child->text);
}

/* YAML 1.2 takes yes and no for words. */
static void read_remote(struct check *check, const struct value *v, void *field)
{
    struct policy *p = field;
    bool is_word = v->type == VALUE_STRING;

    p->remote_line = v->at.line;
    if (v->type == VALUE_BOOL)
        p->refuses_remote = !v->u.boolean;
    else if (is_word && strcmp(v->text, "no") == 0)
        p->refuses_remote = true;
    else if (!is_word || strcmp(v->text, "yes") != 0)
        complain(check, v, NULL, "'remote' must be yes or no");
}

static void read_custom(struct check *check, const struct value *v, struct policy *p)
{
    struct policy_custom *c = &p->max_custom[p->n_max_custom];

    if (!is_artifact_name(v->key->text)) {
        complain(check, v->key, NULL, "'%.130s' cannot be the name of a resource",
                 v->key->text);
        return;
    }
    c->name = check_copy(check, v->key->text, v->key->n);
    read_milli(check, v, &c->milli);
    p->n_max_custom += c->name != NULL;
}

static void read_max(struct check *check, const struct value *v, void *field)
{
    struct policy *p = field;

    check->where = "max_resources";
    p->max_line = v->at.line;
    p->n_max_custom = 0;
    if (expect_mapping(check, v))
        p->max_custom = check_alloc(check, v->n + 1, sizeof(p->max_custom[0]));
    for (const struct value *child = p->max_custom ? v->u.first : NULL;
         child && !check->error; child = child->next) {
        const char *name = child->key->text;

        if (strcmp(name, "cpu") == 0)
            read_milli(check, child, &p->max_cpu_milli);
        else if (strcmp(name, "memory") == 0)
            read_size(check, child, &p->max_memory_bytes);
        else if (strcmp(name, "disk") == 0)
            read_size(check, child, &p->max_disk_bytes);
        else if (strcmp(name, "gpu") == 0)
            read_milli(check, child, &p->max_gpu_milli);
        else
            read_custom(check, child, p);
    }
    check->where = where_all;
}

/* What flows cannot name yet cannot be allowed or forbidden: a line without effect
 * would be believed. */
void policy_read(struct check *check, const struct value *v, void *field)
{
    static const struct key keys[] = {
        { "users", read_list, offsetof(struct policy, users), NULL },
        { "remote", read_remote, 0, NULL },
        { "environment", read_names, offsetof(struct policy, environment), NULL },
        { "paths", read_paths, offsetof(struct policy, paths), NULL },
        { "max_resources", read_max, 0, NULL },
        { "images", NULL, 0, "containers" },
        { "privileged", NULL, 0, "containers" },
        { "mounts", NULL, 0, "containers" },
        { "network", NULL, 0, "containers" },
        { "endpoints", NULL, 0, "object stores" },
        { "secrets", NULL, 0, "secrets from a manager" },
        { "webhooks", NULL, 0, "hooks that call others" },
    };
    const char *where = check->where;

    check->where = where_all;
    if (expect_mapping(check, v))
        READ_MAPPING(check, v, keys, field);
    check->where = where;
}

/* ---- checking ---- */

struct checking {
    const struct policy *policy;
    const char *path;
    const struct policy_question *q;
    struct diagnostics *d;
    enum refusal first;
};

static void say_allowed(const struct policy_texts *texts, struct buffer *out)
{
    enum { SHOWN_MAX = 6 };

    buffer_puts(out, texts->n ? "allows " : "allows none");
    for (size_t i = 0; i < texts->n && i < SHOWN_MAX; i++)
        buffer_printf(out, "%s%.40s", i ? ", " : "", texts->all[i]);
    if (texts->n > SHOWN_MAX)
        buffer_printf(out, " and %zu more", texts->n - SHOWN_MAX);
}

/* `hint`: what the line says. */
static void forbid(struct checking *c, enum refusal why, uint32_t line,
                   const struct step *s, const char *says, const char *format, ...)
    PRINTF_LIKE(6, 7);
static void forbid(struct checking *c, enum refusal why, uint32_t line,
                   const struct step *s, const char *says, const char *format, ...)
{
    CLEANUP(buffer_release) struct buffer hint = BUFFER_INIT;
    char text[400];
    va_list args;

    c->first = c->first ? c->first : why;
    if (!c->d)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buffer_printf(&hint, "policy.%s in %s:%" PRIu32 " %s", refusal_name(why),
                  c->path ? c->path : "mesh.conf", line, says);
    diagnostics_add(c->d, SEVERITY_ERROR, s ? s->line : 0, s ? s->column : 0, 0,
                    buffer_text(&hint), "%s", text);
}

static void forbid_by_list(struct checking *c, enum refusal why,
                           const struct policy_texts *texts, const struct step *s,
                           const char *sentence)
{
    CLEANUP(buffer_release) struct buffer says = BUFFER_INIT;

    say_allowed(texts, &says);
    forbid(c, why, texts->line, s, buffer_text(&says), "%s", sentence);
}

static bool is_listed(const struct policy_texts *texts, const char *name)
{
    for (size_t i = 0; i < texts->n; i++)
        if (strcmp(texts->all[i], name) == 0)
            return true;
    return false;
}

static bool matches(const struct policy_texts *texts, const char *name)
{
    for (size_t i = 0; i < texts->n; i++) {
        size_t n = strlen(texts->all[i]);

        if (n && texts->all[i][n - 1] == '*' ? strncmp(texts->all[i], name, n - 1) == 0
                                             : strcmp(texts->all[i], name) == 0)
            return true;
    }
    return false;
}

static bool is_below(const struct policy_texts *texts, const char *path)
{
    if (has_dots(path))
        return false;
    for (size_t i = 0; i < texts->n; i++) {
        const char *folder = texts->all[i];
        size_t n = strlen(folder);

        while (n > 1 && folder[n - 1] == '/')
            n--;
        if (strncmp(path, folder, n) == 0
            && (n == 1 || path[n] == '/' || path[n] == '\0'))
            return true;
    }
    return false;
}

static void check_user(struct checking *c)
{
    const struct policy_texts *users = &c->policy->users;
    const char *user = c->q->user ? c->q->user : "";
    char text[200];

    if (!users->line || is_listed(users, user))
        return;
    (void)snprintf(text, sizeof(text), "runs of '%.100s' are not taken here", user);
    forbid_by_list(c, REFUSAL_USERS, users, NULL, text);
}

static void check_environment(struct checking *c, const struct step *s,
                              const struct pair *pairs, size_t n)
{
    const struct policy_texts *allowed = &c->policy->environment;
    char text[300];

    for (size_t i = 0; allowed->line && i < n; i++) {
        if (matches(allowed, pairs[i].name))
            continue;
        (void)snprintf(text, sizeof(text),
                       "%s%.100s%s may not set the variable '%.100s'",
                       s ? "step '" : "a flow", s ? s->name : "", s ? "'" : "",
                       pairs[i].name);
        forbid_by_list(c, REFUSAL_ENVIRONMENT, allowed, s, text);
    }
}

static void check_path(struct checking *c, const struct step *s, const char *path)
{
    const struct policy_texts *allowed = &c->policy->paths;
    char text[400];

    if (!allowed->line || path[0] != '/' || is_below(allowed, path))
        return;
    (void)snprintf(text, sizeof(text), "step '%.100s' may not name '%.200s'", s->name,
                   path);
    forbid_by_list(c, REFUSAL_PATHS, allowed, s, text);
}

static void check_paths(struct checking *c, const struct step *s)
{
    static const char scheme[] = "file://";

    for (size_t i = 0; i < s->n_inputs; i++)
        if (s->inputs[i].url && strncmp(s->inputs[i].url, scheme, 7) == 0)
            check_path(c, s, s->inputs[i].url + sizeof(scheme) - 1);
    for (size_t i = 0; i < s->n_outputs; i++)
        check_path(c, s, s->outputs[i].value);
}

static void check_amount(struct checking *c, const struct step *s, const char *name,
                         uint64_t asks, uint64_t most, double unit)
{
    char says[80];

    if (asks <= most)
        return;
    (void)snprintf(says, sizeof(says), "allows %g of it", (double)most / unit);
    forbid(c, REFUSAL_RESOURCES, c->policy->max_line, s, says,
           "step '%s' asks for %g %s", s->name, (double)asks / unit, name);
}

static void check_resources(struct checking *c, const struct step *s)
{
    const struct resources *r = &s->resources;
    const struct policy *p = c->policy;
    uint64_t cpu = r->cpu_milli ? r->cpu_milli : CPU_DEFAULT_MILLI;

    check_amount(c, s, "cpu", cpu, p->max_cpu_milli, 1e3);
    check_amount(c, s, "MiB of memory", r->memory_bytes, p->max_memory_bytes, 1 << 20);
    check_amount(c, s, "MiB of disk", r->disk_bytes, p->max_disk_bytes, 1 << 20);
    check_amount(c, s, "gpu", r->gpu_milli, p->max_gpu_milli, 1e3);
    for (uint32_t i = 0; i < r->n_custom; i++) {
        const char *name = c->q->flow->custom_names[r->custom[i].name];

        for (size_t k = 0; k < p->n_max_custom; k++)
            if (strcmp(p->max_custom[k].name, name) == 0)
                check_amount(c, s, name, r->custom[i].milli, p->max_custom[k].milli,
                             1e3);
    }
}

enum refusal policy_check(const struct policy *p, const char *path,
                          const struct policy_question *q, struct diagnostics *d)
{
    struct checking c = { .policy = p, .path = path, .q = q, .d = d };

    check_user(&c);
    if (p->refuses_remote && q->is_remote)
        forbid(&c, REFUSAL_REMOTE, p->remote_line, NULL, "says no",
               "runs that come by a token are not taken here");
    check_environment(&c, NULL, q->flow->environment, q->flow->n_environment);
    for (uint32_t i = 0; i < q->flow->n_all_steps; i++) {
        const struct step *s = &q->flow->steps[i];

        check_environment(&c, s, s->environment, s->n_environment);
        check_paths(&c, s);
        check_resources(&c, s);
    }
    return c.first;
}
