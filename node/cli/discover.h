/* SPDX-License-Identifier: Apache-2.0 */
/* discover - contacts from the DNS: who is in SRV records, and the keys beside them.
 *
 *     _mesh._tcp.example.org.  SRV  0 0 8370 node1.example.org.
 *     node1.example.org.       TXT  "mesh=<the key, as mesh node says it>"
 *
 * The DNS may lie: a wrong key or address reaches nobody, and a certificate decides. */
#pragma once

#include "node/join_token.h"

/* Blocks as the resolver does. -ENOENT: there are none; with the sentence. */
int discover(const char *domain, struct join_contact ret[], size_t *ret_n,
             struct error *ret_error);

/* ---- the answers, as bytes ---- */

struct discovered {
    char host[MEMBER_ADDRESS_MAX + 1];
    uint16_t port, priority;
};
/* Up to `max` of an answer, in the order of their priority; how many. */
size_t discover_read_srv(const uint8_t *answer, size_t len, struct discovered *ret,
                         size_t max);
/* The key in an answer. */
bool discover_read_key(const uint8_t *answer, size_t len, uint8_t ret[CURVE_KEY_SIZE]);
