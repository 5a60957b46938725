/* SPDX-License-Identifier: Apache-2.0 */
/* AssumeRole and AssumeRoleWithWebIdentity of STS
 * (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/aws_source.h"

enum { STS_TRIES = 4, STS_DEADLINE_MS = 60000, SESSION_MAX = 65 };

struct aws_assume {
    struct aws_ask *ask;
    credentials_fetched_fn *fetched;
    void *arg;
    char *role, *from;
    bool is_web;
};

static void assume_free(struct aws_assume *a)
{
    if (!a)
        return;
    free(a->role);
    free(a->from);
    free(a);
}

CLEANUP_POINTER(struct aws_assume, assume_free);

/* ---- what STS is asked, and where ---- */

/* The service takes letters, digits and some signs, 2 to 64 of them. */
static void session_of_host(char ret[SESSION_MAX])
{
    char host[UV_MAXHOSTNAMESIZE];
    size_t size = sizeof(host);

    if (uv_os_gethostname(host, &size) < 0)
        host[0] = '\0';
    snprintf(ret, SESSION_MAX, "mesh%s%.50s", host[0] ? "-" : "", host);
    for (char *c = ret; *c; c++)
        if (!strchr("+=,.@-_", *c) && (*c < '0' || *c > '9') && (*c < 'a' || *c > 'z')
            && (*c < 'A' || *c > 'Z'))
            *c = '-';
}

struct place {
    char url[AWS_URL_MAX], region[AWS_REGION_MAX];
};

static int is_legacy(const struct aws_options *o, bool *ret, struct error *error)
{
    CLEANUP(freep) char *mode = NULL;
    int r = aws_setting(o, "AWS_STS_REGIONAL_ENDPOINTS", "sts_regional_endpoints",
                        &mode, error);

    *ret = r == 0 && mode && strcasecmp(mode, "legacy") == 0;
    return r;
}

static int own_endpoint(const struct aws_options *o, struct place *p,
                        struct error *error)
{
    CLEANUP(freep) char *url = NULL;
    int r = aws_endpoint(o, "sts", &url, error), len;

    if (r < 0 || !url)
        return r;
    if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        || strpbrk(url, " \t?#@"))
        return fail(error, -EINVAL,
                    "the endpoint of STS is not https://HOST[:PORT]: see "
                    "AWS_ENDPOINT_URL_STS and endpoint_url");
    len = snprintf(p->url, sizeof(p->url), "%s%s", url,
                   strchr(strstr(url, "//") + 2, '/') ? "" : "/");
    return len < (int)sizeof(p->url)
               ? 0
               : fail(error, -EINVAL, "%.60s... is too long", url);
}

static int find_place(const struct aws_context *c, const struct aws_role *role,
                      struct place *ret, struct error *error)
{
    const struct aws_options o = { .profile = c->profile, .region = c->region };
    char known[AWS_REGION_MAX], usual[AWS_URL_MAX];
    const char *region = known;
    bool legacy;
    int r = aws_region(&o, known, error);

    if (r == -ENOENT)
        region = role->region;
    else if (r < 0)
        return r;
    r = is_legacy(&o, &legacy, error);
    if (r < 0)
        return r;
    if (aws_sts_endpoint(region, legacy, usual, ret->region) < 0)
        return fail(error, -EINVAL, "'%.80s' is no region of AWS", region);
    snprintf(ret->url, sizeof(ret->url), "%.*s/", AWS_URL_MAX - 2, usual);
    return own_endpoint(&o, ret, error);
}

/* ---- what it answers ---- */

static const char *advice(const struct aws_fault *fault, bool is_web)
{
    static const struct {
        const char *code, *text;
    } known[] = {
        { "SignatureDoesNotMatch", "the secret key is not that of the key id" },
        { "InvalidClientTokenId", "the key id, or its session token, is not known" },
        { "UnrecognizedClientException", "the key id is not known" },
        { "ExpiredToken", "the key that assumes it has expired" },
        { "ExpiredTokenException", "the token in the file has expired" },
        { "RequestExpired", "set this machine's clock" },
        { "InvalidIdentityToken",
          "the role's identity provider does not know the token" },
        { "RegionDisabledException", "switch STS on in this region, or take another" },
        { "ValidationError", "check the role's ARN, external_id and duration_seconds" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (strcmp(fault->code, known[i].code) == 0)
            return known[i].text;
    if (strncmp(fault->code, "AccessDenied", 12) != 0)
        return "see the message";
    return is_web ? "the role's trust policy must let the token's subject in"
                  : "the role's trust policy and the user's own must allow "
                    "sts:AssumeRole, with the external_id";
}

static int refused(const struct aws_assume *a, const struct http_answer *answer,
                   struct error *ret_error)
{
    const char *id = http_answer_header(answer, "x-amzn-RequestId");
    struct aws_fault fault;

    aws_fault_read_xml(buffer_text(&answer->body), answer->body.len, &fault);
    if (*fault.request_id || !id)
        id = fault.request_id;
    if (!*fault.code)
        return fail(ret_error, -EPROTO,
                    "role %.160s: STS answers %d, but not as STS does: check "
                    "AWS_ENDPOINT_URL_STS and proxies",
                    a->role, answer->code);
    return fail(ret_error, -EACCES,
                "role %.120s: STS says %s: %.120s (%s; request id %.80s)", a->role,
                fault.code, fault.message, advice(&fault, a->is_web),
                *id ? id : "none");
}

static void on_answer(void *arg, int status, const struct http_answer *answer,
                      const struct error *error)
{
    CLEANUP(assume_freep) struct aws_assume *a = arg;
    CLEANUP(aws_key_release) struct aws_key key = { .text = BUFFER_INIT };
    struct error why = { .text = "" };

    if (status == 0 && answer->code / 100 != 2)
        status = refused(a, answer, &why);
    else if (status == 0)
        status =
            aws_key_read_sts(buffer_text(&answer->body), answer->body.len, &key, &why);
    else
        fail(&why, status, "role %.120s: STS: %.300s", a->role,
             error ? error->text : "");
    key.key.from = a->from;
    a->fetched(a->arg, status, status == 0 ? &key.key : NULL, &why);
}

static void wiped(struct buffer *b)
{
    aws_buffer_wipe(b);
}

static int ask(struct aws_context *c, const struct place *place, const char *form,
               const struct credential *key, struct aws_assume *a)
{
    const struct aws_asked asked = {
        .method = "POST",
        .url = place->url,
        .headers = { { "Content-Type", "application/x-www-form-urlencoded" } },
        .body = form,
        .key = key,
        .region = place->region,
        .service = "sts",
        .tries_max = STS_TRIES,
        .deadline_ms = STS_DEADLINE_MS,
    };

    return aws_ask_start(c->http, &asked, on_answer, a, &a->ask);
}

int aws_assume_start(struct aws_context *c, const struct aws_role *role,
                     const struct credential *key, const char *web_token,
                     const char *from, credentials_fetched_fn *fetched, void *arg,
                     struct aws_assume **ret, struct error *ret_error)
{
    CLEANUP(assume_freep) struct aws_assume *a = calloc(1, sizeof(*a));
    CLEANUP(wiped) struct buffer form = BUFFER_INIT;
    char session[SESSION_MAX];
    struct place place;
    int r;

    if (!a || !buffer_reserve(&form, 4096 + (web_token ? 3 * strlen(web_token) : 0)))
        return -ENOMEM;
    *a = (struct aws_assume){ .fetched = fetched,
                              .arg = arg,
                              .role = strdup(role->arn),
                              .from = strdup(from),
                              .is_web = web_token != NULL };
    session_of_host(session);
    if (!a->role || !a->from || aws_sts_form(role, session, web_token, &form) < 0)
        return -ENOMEM;
    r = find_place(c, role, &place, ret_error);
    if (r < 0)
        return r;
    r = ask(c, &place, form.data, key, a);
    if (r < 0)
        return fail(ret_error, r, "STS cannot be asked: %s", strerror(-r));
    *ret = TAKE(a);
    return 0;
}

void aws_assume_drop(struct aws_assume *a)
{
    if (!a)
        return;
    aws_ask_drop(a->ask);
    assume_free(a);
}
