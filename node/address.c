/* SPDX-License-Identifier: Apache-2.0 */
#include "node/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOPBACK_NET = 127 };

static bool parse_port(const char *text, uint16_t *ret)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || (*end && strcmp(end, "/") != 0)
        || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool is_loopback(const struct sockaddr_storage *s)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)s;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)s;

    return s->ss_family == AF_INET
               ? ntohl(v4->sin_addr.s_addr) >> 24 == LOOPBACK_NET
               : memcmp(&v6->sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback))
                     == 0;
}

/* A number, else a name; [HOST] for what has colons. */
static int look_up(char *host, uint16_t port, struct address *ret)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
    struct addrinfo *found = NULL;
    size_t len = strlen(host);
    char service[8];

    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        host++;
        hints.ai_flags = AI_NUMERICHOST;
        hints.ai_family = AF_INET6;
    } else if (strcmp(host, "localhost") == 0) {
        strcpy(host, "127.0.0.1"); /* whatever a file of the machine says */
    }
    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return -ENOENT;
    memcpy(&ret->socket, found->ai_addr, found->ai_addrlen);
    ret->len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static bool skip(const char **text, const char *scheme)
{
    size_t len = strlen(scheme);

    if (strncmp(*text, scheme, len) != 0)
        return false;
    *text += len;
    return true;
}

int address_split(const char *text, struct address_parts *ret, struct error *ret_error)
{
    struct address_parts p = { .is_plain = false };
    const char *at = text, *colon;

    p.is_plain = skip(&at, "http://");
    p.is_secure = !p.is_plain && skip(&at, "https://");
    colon = strrchr(at, ':');
    if (!colon || colon == at || (size_t)(colon - at) >= sizeof(p.host)
        || !parse_port(colon + 1, &p.port))
        return fail(ret_error, -EINVAL,
                    "'%.80s' is no address: write HOST:PORT, 127.0.0.1:8372 for "
                    "instance",
                    text);
    snprintf(p.host, sizeof(p.host), "%.*s", (int)(colon - at), at);
    *ret = p;
    return 0;
}

int address_parse(const char *text, struct address *ret, struct error *ret_error)
{
    struct address_parts p;
    struct address a = { .len = 0 };
    int r = address_split(text, &p, ret_error);

    if (r < 0)
        return r;
    if (look_up(p.host, p.port, &a) < 0)
        return fail(ret_error, -ENOENT, "there is no host '%.80s'", p.host);
    if (p.is_plain && !is_loopback(&a.socket))
        return fail(ret_error, -EINVAL,
                    "%.80s would send a token as it is over the network: write "
                    "https://",
                    text);
    a.is_secure = p.is_secure || !is_loopback(&a.socket);
    *ret = a;
    return 0;
}

void address_text(const struct address *a, char ret_text[ADDRESS_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (a->socket.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&a->socket;

        inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
        snprintf(ret_text, ADDRESS_TEXT_SIZE, "[%s]:%u", host, ntohs(in->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&a->socket;

        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(ret_text, ADDRESS_TEXT_SIZE, "%s:%u", host, ntohs(in->sin_port));
    }
}
