/* SPDX-License-Identifier: Apache-2.0 */
/* address - a place on this machine where a node listens: HOST:PORT.
 *
 * HOST is 127.0.0.1 or another of 127.0.0.0/8, [::1], or localhost. Nothing that leaves
 * the machine: a token and what it opens would go over the network as they are. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

enum { ADDRESS_TEXT_SIZE = 64 };

struct address {
    struct sockaddr_storage socket;
    socklen_t len;
};

/* -EINVAL with the sentence, which names the way out for another machine. */
int address_parse(const char *text, struct address *ret, struct error *ret_error);
/* As it was bound: port 0 has become a port. */
void address_text(const struct address *a, char ret_text[ADDRESS_TEXT_SIZE]);
