/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/aws_profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECTION_MAX = 256, DURATION_MAX_S = 43200, DURATION_MIN_S = 900 };

void aws_files_release(struct aws_files *files)
{
    ini_release(&files->config);
    ini_release(&files->credentials);
}

/* In the config file all but the default profile are called "profile NAME"; that one
 * may be, and then counts alone. */
static const char *section_of(const struct aws_files *files, const char *profile,
                              char ret[SECTION_MAX])
{
    int len = snprintf(ret, SECTION_MAX, "profile %s", profile);

    if (len < 0 || len >= SECTION_MAX)
        return "";
    if (strcmp(profile, "default") == 0 && !ini_has(&files->config, ret))
        return "default";
    return ret;
}

bool aws_profile_has(const struct aws_files *files, const char *profile)
{
    char section[SECTION_MAX];

    return ini_has(&files->credentials, profile)
           || ini_has(&files->config, section_of(files, profile, section));
}

static const char *config_get(const struct aws_files *files, const char *profile,
                              const char *key)
{
    char section[SECTION_MAX];

    return ini_get(&files->config, section_of(files, profile, section), key);
}

const char *aws_profile_get(const struct aws_files *files, const char *profile,
                            const char *key)
{
    const char *value = ini_get(&files->credentials, profile, key);

    return value ? value : config_get(files, profile, key);
}

const char *aws_profile_endpoint(const struct aws_files *files, const char *profile,
                                 const char *service)
{
    const char *services = aws_profile_get(files, profile, "services"), *url = NULL;
    char section[SECTION_MAX], key[64];

    if (services) {
        snprintf(section, sizeof(section), "services %s", services);
        snprintf(key, sizeof(key), "%s.endpoint_url", service);
        url = ini_get(&files->config, section, key);
    }
    return url ? url : aws_profile_get(files, profile, "endpoint_url");
}

/* ---- the way to a key ---- */

struct walk {
    const struct aws_files *files;
    struct aws_plan plan;                /* its roles from the last to the first */
    const char *seen[AWS_ROLES_MAX + 1]; /* profiles whose roles are in the plan */
    const char *profile;
    struct error *error;
};

static const char *get(const struct walk *w, const char *key)
{
    return aws_profile_get(w->files, w->profile, key);
}

static int complain(const struct walk *w, const char *what)
{
    return fail(w->error, -EINVAL, "profile %.100s %s", w->profile, what);
}

/* The three of them from one file: halves of two keys are none. */
static int plan_static(struct walk *w)
{
    const struct ini *credentials = &w->files->credentials;
    bool is_shared = ini_get(credentials, w->profile, "aws_access_key_id")
                     || ini_get(credentials, w->profile, "aws_secret_access_key");
    char section[SECTION_MAX];
    const struct ini *ini = is_shared ? credentials : &w->files->config;
    const char *name =
        is_shared ? w->profile : section_of(w->files, w->profile, section);

    w->plan.id = ini_get(ini, name, "aws_access_key_id");
    w->plan.secret = ini_get(ini, name, "aws_secret_access_key");
    w->plan.token = ini_get(ini, name, "aws_session_token");
    if (!w->plan.id && !w->plan.secret)
        return -ENOENT;
    if (!w->plan.id || !w->plan.secret)
        return complain(w,
                        w->plan.id
                            ? "has an aws_access_key_id without aws_secret_access_key"
                            : "has an aws_secret_access_key without "
                              "aws_access_key_id");
    w->plan.base = AWS_BASE_STATIC;
    return 0;
}

static int plan_without_role(struct walk *w)
{
    int r = plan_static(w);

    if (r != -ENOENT)
        return r;
    w->plan.command = get(w, "credential_process");
    if (w->plan.command) {
        w->plan.base = AWS_BASE_PROCESS;
        return 0;
    }
    if (get(w, "sso_session") || get(w, "sso_start_url") || get(w, "login_session"))
        return complain(w, "signs in by a browser, which a node cannot: name a profile "
                           "with 'credential_process = aws configure "
                           "export-credentials --format process --profile <this one>'");
    return fail(w->error, -ENOENT, "profile %.100s holds no key", w->profile);
}

static int read_duration(const struct walk *w, uint32_t *ret)
{
    const char *text = get(w, "duration_seconds");
    char *end;
    unsigned long s;

    if (!text)
        return 0;
    errno = 0;
    s = strtoul(text, &end, 10);
    if (errno || *end || s < DURATION_MIN_S || s > DURATION_MAX_S)
        return complain(w, "has a duration_seconds that is not 900 to 43200");
    *ret = (uint32_t)s;
    return 0;
}

static int add_role(struct walk *w, const char *arn)
{
    struct aws_role role = { .arn = arn,
                             .external_id = get(w, "external_id"),
                             .session_name = get(w, "role_session_name"),
                             .region = get(w, "region") };
    int r = read_duration(w, &role.duration_s);

    if (r < 0)
        return r;
    if (w->plan.n_roles == AWS_ROLES_MAX)
        return complain(w, "is one of too many that lead to each other by "
                           "source_profile");
    w->seen[w->plan.n_roles] = w->profile;
    w->plan.roles[w->plan.n_roles++] = role;
    return 0;
}

static int plan_credential_source(struct walk *w, const char *source)
{
    static const struct {
        const char *name;
        enum aws_base base;
    } sources[] = { { "Environment", AWS_BASE_ENVIRONMENT },
                    { "EcsContainer", AWS_BASE_CONTAINER },
                    { "Ec2InstanceMetadata", AWS_BASE_INSTANCE } };

    for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
        if (strcmp(source, sources[i].name) == 0) {
            w->plan.base = sources[i].base;
            return 0;
        }
    return complain(w, "has a credential_source that is not Environment, EcsContainer "
                       "or Ec2InstanceMetadata");
}

/* 0: the base is known; 1: w->profile is where it goes on. */
static int follow_source_profile(struct walk *w, const char *source)
{
    const char *from = w->profile;

    if (!aws_profile_has(w->files, source))
        return fail(w->error, -EINVAL,
                    "profile %.100s: there is no source_profile '%.100s'", from,
                    source);
    w->profile = source;
    /* A profile may be its own source, with the key that stands beside the role. */
    if (strcmp(source, from) == 0)
        return plan_without_role(w);
    for (size_t i = 0; i < w->plan.n_roles; i++)
        if (strcmp(w->seen[i], source) == 0)
            return complain(w, "is, by source_profile, its own source");
    return 1;
}

static int plan_role(struct walk *w, const char *arn)
{
    const char *from = get(w, "source_profile"), *source = get(w, "credential_source");
    int r = add_role(w, arn);

    if (r < 0)
        return r;
    if (get(w, "mfa_serial"))
        return complain(w, "asks for a code of an MFA device, which a node cannot: use "
                           "a role without mfa_serial");
    w->plan.token_file = get(w, "web_identity_token_file");
    if (w->plan.token_file) {
        w->plan.base = AWS_BASE_WEB_IDENTITY;
        return 0;
    }
    if (from && source)
        return complain(w, "has both source_profile and credential_source: keep one");
    if (source)
        return plan_credential_source(w, source);
    if (from)
        return follow_source_profile(w, from);
    return complain(w, "has a role_arn: say with what it is assumed, by source_profile "
                       "or credential_source");
}

static int walk_on(struct walk *w)
{
    const char *arn = get(w, "role_arn");

    return arn ? plan_role(w, arn) : plan_without_role(w);
}

int aws_plan_make(const struct aws_files *files, const char *profile,
                  struct aws_plan *ret, struct error *ret_error)
{
    struct walk w = { .files = files, .profile = profile, .error = ret_error };
    int r = 1;

    if (!aws_profile_has(files, profile))
        return fail(ret_error, strcmp(profile, "default") == 0 ? -ENOENT : -EINVAL,
                    "there is no profile '%.100s' in the config and credentials files",
                    profile);
    while (r == 1)
        r = walk_on(&w);
    if (r < 0 && w.plan.n_roles && r == -ENOENT)
        return complain(&w, "is a source_profile and holds no key");
    if (r < 0)
        return r;
    *ret = w.plan;
    for (size_t i = 0; i < w.plan.n_roles; i++)
        ret->roles[i] = w.plan.roles[w.plan.n_roles - 1 - i];
    return 0;
}
