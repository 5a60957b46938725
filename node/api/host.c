/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/host.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

/* Of HOST:PORT, [HOST]:PORT or HOST; what is behind it must be a port. 0: malformed. */
static size_t name_length(const char *host)
{
    size_t len = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");

    if (host[0] == '[' && host[len - 1] != ']')
        return 0;
    if (host[len] == '\0')
        return len;
    return host[len] == ':'
                   && strspn(host + len + 1, "0123456789") == strlen(host + len + 1)
               ? len
               : 0;
}

static bool is_name(const char *host, size_t len, const char *name)
{
    return strlen(name) == len && strncasecmp(host, name, len) == 0;
}

bool host_is_ours(const char *host, const char *listened)
{
    size_t len = host ? name_length(host) : 0;

    if (!len)
        return false;
    return is_name(host, len, "localhost") || is_name(host, len, "127.0.0.1")
           || is_name(host, len, "[::1]")
           || (len == name_length(listened) && strncasecmp(host, listened, len) == 0);
}

bool origin_is_ours(const char *origin, const char *host, bool is_secure)
{
    const char *scheme = is_secure ? "https://" : "http://";
    size_t len = strlen(scheme);

    return !origin
           || (host && strncasecmp(origin, scheme, len) == 0
               && strcasecmp(origin + len, host) == 0);
}
