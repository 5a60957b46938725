/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/azure_token.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/macros.h"

/* A token that says it lives longer is renewed as if it did not. */
enum { LIFETIME_MAX_S = 30 * 24 * 3600 };

static void json_freep(json_t **json)
{
    json_decref(*json);
}

void azure_token_release(struct azure_token *token)
{
    if (token->text)
        explicit_bzero(token->text, strlen(token->text));
    free(token->text);
    token->text = NULL;
}

/* A number, or a text of digits as the metadata service writes it. */
static bool read_seconds(const json_t *value, int64_t *ret)
{
    const char *text = json_string_value(value);
    size_t len = text ? strlen(text) : 0;

    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    if (len == 0 || len > 15 || strspn(text, "0123456789") != len)
        return false;
    *ret = strtoll(text, NULL, 10);
    return true;
}

static bool read_expiry(const json_t *root, int64_t now_s, int64_t *ret)
{
    int64_t seconds;

    if (read_seconds(json_object_get(root, "expires_in"), &seconds)) {
        if (seconds <= 0)
            return false;
        *ret = now_s + (seconds < LIFETIME_MAX_S ? seconds : LIFETIME_MAX_S);
        return true;
    }
    if (!read_seconds(json_object_get(root, "expires_on"), &seconds)
        || seconds <= now_s)
        return false;
    *ret = seconds < now_s + LIFETIME_MAX_S ? seconds : now_s + LIFETIME_MAX_S;
    return true;
}

/* What may stand in a header (RFC 6750, 2.1). */
static bool is_bearer(const char *text)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                              "0123456789-._~+/=");

    return len > 0 && len < AZURE_TOKEN_MAX && text[len] == '\0';
}

int azure_token_read(const char *json, size_t len, int64_t now_s,
                     struct azure_token *ret_token, struct error *ret_error)
{
    CLEANUP(json_freep) json_t *root = json_loadb(json, len, 0, NULL);
    const char *text = json_string_value(json_object_get(root, "access_token"));
    int64_t expires_s;

    if (!text || !is_bearer(text) || !read_expiry(root, now_s, &expires_s))
        return fail(ret_error, -EPROTO,
                    "azure: what was answered is no token with a time to live: is this "
                    "the right authority, and no proxy in the way?");
    ret_token->text = strdup(text);
    if (!ret_token->text)
        return -ENOMEM;
    ret_token->expires_s = expires_s;
    return 0;
}

/* ---- refusals ---- */

struct hint {
    const char *code, *advice;
};

/* https://learn.microsoft.com/entra/identity-platform/reference-error-codes */
static const struct hint HINTS[] = {
    { "AADSTS7000215",
      "the client secret is wrong: AZURE_CLIENT_SECRET is the secret's "
      "value, not its id" },
    { "AADSTS7000222", "the client secret has expired: make a new one" },
    { "AADSTS700016", "there is no such application in the tenant: see AZURE_CLIENT_ID "
                      "and AZURE_TENANT_ID" },
    { "AADSTS90002", "there is no such tenant: see AZURE_TENANT_ID and "
                     "AZURE_AUTHORITY_HOST" },
    { "AADSTS700024", "the federated token is expired or of the future: see the clock "
                      "and AZURE_FEDERATED_TOKEN_FILE" },
    { "AADSTS70021", "no federated credential of the application is for this issuer, "
                     "subject and audience" },
    { "AADSTS700213",
      "no federated credential of the application is for this subject" },
    { "AADSTS700211", "no federated credential of the application is for this issuer" },
    { "AADSTS700212", "no federated credential of the application is for this "
                      "audience" },
    { "AADSTS500011", "the tenant does not know the service that the token is for" },
    { "AADSTS53003", "a conditional access policy of the tenant forbids it" },
    { "invalid_client", "the client's secret or assertion is wrong or has expired: see "
                        "AZURE_CLIENT_ID and what proves it" },
    { "unauthorized_client", "there is no such application in the tenant: see "
                             "AZURE_CLIENT_ID and AZURE_TENANT_ID" },
};

struct said {
    char code[40];    /* AADSTS1234, invalid_client, ... */
    char text[161];   /* the first line of what it says */
    char request[64]; /* its trace or correlation id */
};

static void copy_line(char *to, size_t size, const char *text)
{
    size_t n = 0;

    for (; text && *text && *text != '\r' && *text != '\n' && n + 1 < size; text++)
        to[n++] = (unsigned char)*text < ' ' || *text == 127 ? ' ' : *text;
    to[n] = '\0';
}

static const char *text_of(const json_t *root, const char *name)
{
    return json_string_value(json_object_get(root, name));
}

/* Entra: error, error_description ("AADSTSn: ... Trace ID: ..."), trace_id. App
 * Service: message or Message. */
static void read_said(const json_t *root, struct said *said)
{
    const char *text = text_of(root, "error_description");
    const char *error = text_of(root, "error");

    if (!text)
        text = text_of(root, "message");
    if (!text)
        text = text_of(root, "Message");
    copy_line(said->text, sizeof(said->text), text);
    copy_line(said->request, sizeof(said->request), text_of(root, "trace_id"));
    if (!said->request[0])
        copy_line(said->request, sizeof(said->request),
                  text_of(root, "correlation_id"));
    if (text && strncmp(text, "AADSTS", 6) == 0)
        snprintf(said->code, sizeof(said->code), "%.*s",
                 (int)min_size(6 + strspn(text + 6, "0123456789"), 39), text);
    else
        copy_line(said->code, sizeof(said->code), error);
}

static const char *find_hint(const char *code)
{
    for (size_t i = 0; i < ARRAY_SIZE(HINTS); i++)
        if (strcmp(HINTS[i].code, code) == 0)
            return HINTS[i].advice;
    return NULL;
}

int azure_token_refused(int status, const char *json, size_t len,
                        const struct azure_token_asked *asked, struct error *ret_error)
{
    CLEANUP(json_freep) json_t *root = json_loadb(json, len, 0, NULL);
    struct said said = { .code = "" };
    const char *hint;
    int error = status >= 500 || status == 429 ? -EIO : -EACCES;

    read_said(root, &said);
    hint = find_hint(said.code);
    if (!said.code[0] && !said.text[0])
        return fail(ret_error, error == -EIO ? -EIO : -EPROTO,
                    "azure, %s: HTTP %d instead of a token: what answers is no token "
                    "service, perhaps a proxy",
                    asked->from, status);
    return fail(
        ret_error, error,
        "azure, %s of client %.64s in tenant %.64s: %s (HTTP %d, request id %s): "
        "%s",
        asked->from, asked->client ? asked->client : "(the machine's own)",
        asked->tenant ? asked->tenant : "(the machine's own)",
        said.code[0] ? said.code : "no code", status,
        said.request[0] ? said.request : "none", hint ? hint : said.text);
}
