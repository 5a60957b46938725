/* SPDX-License-Identifier: Apache-2.0 */
/* address - where a node listens for people and programs over TCP.
 *
 *     HOST:PORT, http://HOST:PORT    on this machine: 127.0.0.1 or another of
 *                                    127.0.0.0/8, [::1], or localhost
 *     https://HOST:PORT              anywhere, by TLS; without a scheme too, when HOST
 * is not of this machine
 *
 * Nothing leaves the machine as it is: a token and what it opens would be read. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

enum { ADDRESS_TEXT_SIZE = 64 };

struct address {
    struct sockaddr_storage socket;
    socklen_t len;
    bool is_secure; /* by TLS */
};

struct address_parts {
    char host[256]; /* as it is written */
    uint16_t port;
    bool is_plain, is_secure; /* by its scheme */
};
/* Without looking anything up. -EINVAL with the sentence. */
int address_split(const char *text, struct address_parts *ret, struct error *ret_error);
/* -EINVAL with the sentence; -ENOENT: there is no such host. A name may be looked up.
 */
int address_parse(const char *text, struct address *ret, struct error *ret_error);
/* As it was bound: port 0 has become a port. */
void address_text(const struct address *a, char ret_text[ADDRESS_TEXT_SIZE]);
