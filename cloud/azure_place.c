/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/azure_place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SERVICE "blob.core.windows.net"

/* What was asked for, or what the environment says in its place. */
struct wish {
    const char *account, *endpoint;
};

static bool is_account(const char *text)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return len > 0 && len < AZURE_ACCOUNT_MAX && text[len] == '\0';
}

/* An IPv4 or IPv6 address in a URL has no letter behind its last dot, or brackets. */
static bool is_address(const char *host)
{
    return *host == '[' || strspn(host, "0123456789.") == strlen(host);
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0
           || (is_address(host) && strncmp(host, "127.", 4) == 0);
}

/* ---- the parts of an endpoint ---- */

struct parts {
    const char *host, *path;
    size_t host_len, authority_len; /* authority: with the port */
    bool is_tls;
};

static int split_endpoint(const char *url, struct parts *ret, struct error *ret_error)
{
    struct parts p = { .is_tls = strncmp(url, "https://", 8) == 0 };

    if (!p.is_tls && strncmp(url, "http://", 7) != 0)
        return fail(ret_error, -EINVAL,
                    "the endpoint of Azure must begin with https:// (http:// for an "
                    "emulator on this machine)");
    p.host = url + (p.is_tls ? 8 : 7);
    p.authority_len = strcspn(p.host, "/");
    p.path = p.host + p.authority_len;
    p.host_len = *p.host == '[' ? strcspn(p.host, "]/") + 1 : strcspn(p.host, ":/");
    if (p.host_len == 0 || p.host_len > p.authority_len
        || strlen(url) >= AZURE_URL_MAX - AZURE_ACCOUNT_MAX - 1)
        return fail(ret_error, -EINVAL, "the endpoint of Azure has no host");
    for (const char *at = url; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 127
            || strchr("\"#<>?@\\^`{|}", *at))
            return fail(ret_error, -EINVAL,
                        "the endpoint of Azure is a URL without user, query or "
                        "fragment: https://HOST[:PORT][/ACCOUNT]");
    *ret = p;
    return 0;
}

/* The first label of ACCOUNT.blob.anything, also ACCOUNT-secondary, or what a path
 * begins with. */
static void account_of(const struct parts *p, char ret[AZURE_ACCOUNT_MAX])
{
    const char *begin = p->path + (*p->path == '/');
    size_t len = strcspn(begin, "/");

    if (len == 0) {
        begin = p->host;
        len = strcspn(begin, ".");
        if (strncmp(begin + len, ".blob.", 6) != 0
            && strncmp(begin + len, ".privatelink.", 13) != 0)
            return;
    }
    if (len > 10 && strncmp(begin + len - 10, "-secondary", 10) == 0)
        len -= 10;
    if (len < AZURE_ACCOUNT_MAX)
        snprintf(ret, AZURE_ACCOUNT_MAX, "%.*s", (int)len, begin);
}

static void trim_slashes(char *url)
{
    size_t len = strlen(url);

    while (len > 0 && url[len - 1] == '/')
        url[--len] = '\0';
}

static void write_url(const struct azure_place_options *o, const struct parts *p,
                      struct azure_place *to)
{
    const char *scheme = p->is_tls ? "https" : "http";
    bool has_path = *p->path && strcmp(p->path, "/") != 0;
    bool is_bare =
        p->host_len == strlen(SERVICE) && strncmp(p->host, SERVICE, p->host_len) == 0;

    if (has_path)
        snprintf(to->url, sizeof(to->url), "%s://%s", scheme, p->host);
    else if (o->is_virtual_host || is_bare)
        snprintf(to->url, sizeof(to->url), "%s://%s.%.*s", scheme, to->account,
                 (int)p->authority_len, p->host);
    else if (o->is_path_style || is_address(to->host) || is_loopback(to->host))
        snprintf(to->url, sizeof(to->url), "%s://%.*s/%s", scheme,
                 (int)p->authority_len, p->host, to->account);
    else
        snprintf(to->url, sizeof(to->url), "%s://%.*s", scheme, (int)p->authority_len,
                 p->host);
    trim_slashes(to->url);
}

/* The account that is part of an endpoint is asked first: the environment may speak of
 * another one. */
static int place_at(const struct azure_place_options *o, const struct wish *wish,
                    struct azure_place *to, struct error *ret_error)
{
    struct parts p = { .host = NULL };
    int r = split_endpoint(wish->endpoint, &p, ret_error);

    if (r < 0)
        return r;
    if (o->account)
        snprintf(to->account, sizeof(to->account), "%s", o->account);
    else
        account_of(&p, to->account);
    if (!*to->account && wish->account)
        snprintf(to->account, sizeof(to->account), "%s", wish->account);
    if (!is_account(to->account))
        return fail(ret_error, -EINVAL,
                    "the endpoint does not say which Azure account it is of: set "
                    "`account` or AZURE_STORAGE_ACCOUNT");
    to->is_tls = p.is_tls;
    snprintf(to->host, sizeof(to->host), "%.*s", (int)p.host_len, p.host);
    write_url(o, &p, to);
    return 0;
}

static void find_path(struct azure_place *to)
{
    const char *host = strstr(to->url, "://") + 3;

    to->path = (size_t)(host - to->url) + strcspn(host, "/");
    snprintf(to->host, sizeof(to->host), "%.*s",
             *host == '[' ? (int)strcspn(host, "]") + 1 : (int)strcspn(host, ":/"),
             host);
    to->is_loopback = is_loopback(to->host);
}

static int place_usual(const char *account, struct azure_place *to,
                       struct error *ret_error)
{
    if (!account)
        return fail(
            ret_error, -EINVAL,
            "no Azure account is named: set `account`, AZURE_STORAGE_ACCOUNT or "
            "AZURE_STORAGE_CONNECTION_STRING");
    if (!is_account(account))
        return fail(ret_error, -EINVAL,
                    "'%.64s' cannot be an Azure account: its name has 3 to 24 lower "
                    "case letters and digits",
                    account);
    snprintf(to->account, sizeof(to->account), "%s", account);
    snprintf(to->url, sizeof(to->url), "https://%s." SERVICE, account);
    to->is_tls = true;
    return 0;
}

/* A connection string is of its own account and no other. */
static void wish_connection(const struct azure_connection *c, struct wish *wish)
{
    if (!wish->account || (c->account && strcmp(c->account, wish->account) == 0)) {
        wish->account = c->account;
        if (!wish->endpoint)
            wish->endpoint = c->endpoint;
    }
}

int azure_place_find(const struct azure_place_options *o, azure_env_fn *env,
                     struct azure_place *ret_place, struct error *ret_error)
{
    CLEANUP(azure_connection_release) struct azure_connection c = { .account = NULL };
    const char *connection = env("AZURE_STORAGE_CONNECTION_STRING");
    struct azure_place place = { .url = "" };
    struct wish wish = { .account = o->account, .endpoint = o->endpoint };
    int r;

    if (o->account && !is_account(o->account))
        return place_usual(o->account, &place, ret_error);
    if (!wish.endpoint && !wish.account)
        wish.endpoint = env("METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT");
    if (!wish.account)
        wish.account = env("AZURE_STORAGE_ACCOUNT");
    if (connection && !wish.endpoint) {
        r = azure_connection_read(connection, &c, ret_error);
        if (r < 0)
            return r;
        wish_connection(&c, &wish);
    }
    r = wish.endpoint ? place_at(o, &wish, &place, ret_error)
                      : place_usual(wish.account, &place, ret_error);
    if (r < 0)
        return r;
    find_path(&place);
    *ret_place = place;
    return 0;
}
