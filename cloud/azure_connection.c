/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buffer.h"
#include "cloud/azure_place.h"

/* What every emulator of Azure Storage has; it opens nothing else. */
#define EMULATOR_ACCOUNT "devstoreaccount1"
#define EMULATOR_KEY                                           \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErC" \
    "z4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define EMULATOR_ENDPOINT "http://127.0.0.1:10000/" EMULATOR_ACCOUNT

struct fields {
    char *protocol, *account, *key, *suffix, *endpoint, *sas, *development;
};

static void fields_release(struct fields *f)
{
    free(f->protocol);
    free(f->account);
    free(f->key);
    free(f->suffix);
    free(f->endpoint);
    free(f->sas);
    free(f->development);
}

void azure_connection_release(struct azure_connection *c)
{
    if (c->key)
        explicit_bzero(c->key, strlen(c->key));
    if (c->sas)
        explicit_bzero(c->sas, strlen(c->sas));
    free(c->account);
    free(c->key);
    free(c->sas);
    free(c->endpoint);
    *c = (struct azure_connection){ .account = NULL };
}

/* NULL: a field that has nothing to do with blobs, such as QueueEndpoint. */
static char **find_field(struct fields *f, const char *name, size_t len)
{
    const struct {
        const char *name;
        char **value;
    } all[] = {
        { "DefaultEndpointsProtocol", &f->protocol },
        { "AccountName", &f->account },
        { "AccountKey", &f->key },
        { "EndpointSuffix", &f->suffix },
        { "BlobEndpoint", &f->endpoint },
        { "SharedAccessSignature", &f->sas },
        { "UseDevelopmentStorage", &f->development },
    };

    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (strlen(all[i].name) == len && strncasecmp(all[i].name, name, len) == 0)
            return all[i].value;
    return NULL;
}

static const char *trim(const char *text, size_t *len)
{
    for (; *len > 0 && strchr(" \t\r\n", *text); text++)
        (*len)--;
    while (*len > 0 && strchr(" \t\r\n", text[*len - 1]))
        (*len)--;
    return text;
}

static int read_field(struct fields *f, const char *text, size_t len,
                      struct error *ret_error)
{
    const char *equals;
    char **value;
    size_t name_len, value_len;

    text = trim(text, &len);
    if (len == 0)
        return 0;
    equals = memchr(text, '=', len);
    if (!equals)
        return fail(ret_error, -EINVAL,
                    "the connection string of Azure has a field without '=': it is "
                    "NAME=VALUE;NAME=VALUE, in quotes where a shell reads it");
    name_len = (size_t)(equals - text);
    value_len = len - name_len - 1;
    value = find_field(f, text, name_len);
    if (!value)
        return 0;
    if (*value)
        return fail(ret_error, -EINVAL, "the connection string of Azure has %.*s twice",
                    (int)name_len, text);
    *value = strndup(equals + 1, value_len);
    return *value ? 0 : -ENOMEM;
}

static int read_fields(struct fields *f, const char *text, struct error *ret_error)
{
    int r = 0;

    while (*text && r == 0) {
        size_t len = strcspn(text, ";");

        r = read_field(f, text, len, ret_error);
        text += len + (text[len] == ';');
    }
    return r;
}

static int develop(struct azure_connection *c)
{
    c->account = strdup(EMULATOR_ACCOUNT);
    c->key = strdup(EMULATOR_KEY);
    c->endpoint = strdup(EMULATOR_ENDPOINT);
    return c->account && c->key && c->endpoint ? 0 : -ENOMEM;
}

static int make_endpoint(const struct fields *f, char **ret_endpoint)
{
    int len =
        asprintf(ret_endpoint, "%s://%s.blob.%s", f->protocol ? f->protocol : "https",
                 f->account, f->suffix ? f->suffix : "core.windows.net");

    if (len < 0)
        *ret_endpoint = NULL;
    return len < 0 ? -ENOMEM : 0;
}

static int check_fields(const struct fields *f, struct error *ret_error)
{
    if (f->protocol && strcmp(f->protocol, "https") != 0
        && strcmp(f->protocol, "http") != 0)
        return fail(ret_error, -EINVAL,
                    "the connection string's DefaultEndpointsProtocol is neither https "
                    "nor http");
    if (!f->account && !f->endpoint)
        return fail(ret_error, -EINVAL,
                    "the connection string of Azure has neither AccountName nor "
                    "BlobEndpoint");
    if (!f->key && !f->sas)
        return fail(ret_error, -EINVAL,
                    "the connection string of Azure has neither AccountKey nor "
                    "SharedAccessSignature");
    if (f->key && !f->account)
        return fail(ret_error, -EINVAL,
                    "the connection string of Azure has an AccountKey and no "
                    "AccountName");
    return 0;
}

int azure_connection_read(const char *text, struct azure_connection *ret_connection,
                          struct error *ret_error)
{
    CLEANUP(azure_connection_release) struct azure_connection c = { .account = NULL };
    CLEANUP(fields_release) struct fields f = { .protocol = NULL };
    int r;

    if (strlen(text) > AZURE_CONNECTION_MAX)
        return fail(ret_error, -EINVAL, "the connection string of Azure is too long");
    r = read_fields(&f, text, ret_error);
    if (r < 0)
        return r;
    if (f.development && strcasecmp(f.development, "true") == 0) {
        r = develop(&c);
    } else {
        r = check_fields(&f, ret_error);
        if (r == 0 && !f.endpoint)
            r = make_endpoint(&f, &f.endpoint);
        c.account = TAKE(f.account);
        c.key = TAKE(f.key);
        c.sas = TAKE(f.sas);
        c.endpoint = TAKE(f.endpoint);
    }
    if (r < 0)
        return r;
    *ret_connection = c;
    c = (struct azure_connection){ .account = NULL };
    return 0;
}
