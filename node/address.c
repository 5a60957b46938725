/* SPDX-License-Identifier: Apache-2.0 */
#include "node/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOPBACK_NET = 127 };

static int refuse(const char *text, struct error *ret_error)
{
    return fail(ret_error, -EINVAL,
                "'%.80s' is no address on this machine: write 127.0.0.1:PORT or "
                "[::1]:PORT; from another machine go through ssh -L "
                "PORT:127.0.0.1:PORT",
                text);
}

static bool parse_port(const char *text, uint16_t *ret)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end || port > UINT16_MAX)
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool set_v4(struct address *a, const char *host, uint16_t port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

    if (inet_pton(AF_INET, host, &in.sin_addr) != 1
        || ntohl(in.sin_addr.s_addr) >> 24 != LOOPBACK_NET)
        return false;
    memcpy(&a->socket, &in, sizeof(in));
    a->len = sizeof(in);
    return true;
}

static void set_v6(struct address *a, uint16_t port)
{
    struct sockaddr_in6 in = { .sin6_family = AF_INET6,
                               .sin6_port = htons(port),
                               .sin6_addr = in6addr_loopback };

    memcpy(&a->socket, &in, sizeof(in));
    a->len = sizeof(in);
}

int address_parse(const char *text, struct address *ret, struct error *ret_error)
{
    struct address a = { .len = 0 };
    const char *colon = strrchr(text, ':');
    char host[ADDRESS_TEXT_SIZE];
    uint16_t port;

    if (!colon || (size_t)(colon - text) >= sizeof(host)
        || !parse_port(colon + 1, &port))
        return refuse(text, ret_error);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    if (strcmp(host, "[::1]") == 0)
        set_v6(&a, port);
    else if (!set_v4(&a, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, port))
        return refuse(text, ret_error);
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
