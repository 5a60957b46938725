/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/discover.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>

enum {
    ANSWER_MAX = 16 << 10,
    HEADER_SIZE = 12,
    RECORD_FIXED = 10,
    SRV_FIXED = 6,
    NAME_SIZE = 256,
    FOUND_MAX = 64, /* as many as are remembered */
};

static const char key_prefix[] = "mesh=";

/* ---- an answer: RFC 1035 section 4 ---- */

struct answer {
    const uint8_t *data, *end, *at;
    unsigned n_left; /* records */
};

struct record {
    unsigned type;
    const uint8_t *data;
    size_t len;
};

static uint16_t number_at(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static bool skip(struct answer *a, size_t len)
{
    if ((size_t)(a->end - a->at) < len)
        return false;
    a->at += len;
    return true;
}

static bool skip_name(struct answer *a)
{
    int len = dn_skipname(a->at, a->end);

    return len > 0 && skip(a, (size_t)len);
}

/* Up to the first record of the answer. */
static bool answer_open(struct answer *a, const uint8_t *data, size_t len)
{
    *a = (struct answer){ .data = data, .end = data + len, .at = data };
    if (!skip(a, HEADER_SIZE))
        return false;
    a->n_left = number_at(data + 6);
    for (unsigned n = number_at(data + 4); n > 0; n--)
        if (!skip_name(a) || !skip(a, 4))
            return false;
    return true;
}

static bool answer_next(struct answer *a, struct record *ret)
{
    const uint8_t *head;

    if (a->n_left == 0 || !skip_name(a))
        return false;
    head = a->at;
    if (!skip(a, RECORD_FIXED))
        return false;
    *ret = (struct record){ .type = number_at(head),
                            .data = a->at,
                            .len = number_at(head + RECORD_FIXED - 2) };
    a->n_left--;
    return skip(a, ret->len);
}

/* ---- records ---- */

/* In the order of their priority; few enough to insert each. */
static void insert(struct discovered *all, size_t n, const struct discovered *one)
{
    size_t at = n;

    for (; at > 0 && all[at - 1].priority > one->priority; at--)
        all[at] = all[at - 1];
    all[at] = *one;
}

size_t discover_read_srv(const uint8_t *answer, size_t len, struct discovered *ret,
                         size_t max)
{
    struct answer a;
    struct record r;
    size_t n = 0;

    if (!answer_open(&a, answer, len))
        return 0;
    while (n < max && answer_next(&a, &r)) {
        char name[NAME_SIZE];
        struct discovered one;

        if (r.type != ns_t_srv || r.len <= SRV_FIXED
            || dn_expand(a.data, a.end, r.data + SRV_FIXED, name, sizeof(name)) < 0
            || strlen(name) >= sizeof(one.host))
            continue;
        one.priority = number_at(r.data);
        one.port = number_at(r.data + 4);
        strcpy(one.host, name);
        insert(ret, n++, &one);
    }
    return n;
}

/* A TXT record is texts, each with its length in a byte before it. */
static bool read_texts(const uint8_t *at, size_t len, uint8_t ret[CURVE_KEY_SIZE])
{
    while (len) {
        size_t n = *at++;
        char text[NAME_SIZE + 16] = "0:1/"; /* as a contact */
        struct join_contact c;

        if (n > --len)
            return false;
        if (n > sizeof(key_prefix) - 1
            && memcmp(at, key_prefix, sizeof(key_prefix) - 1) == 0) {
            snprintf(text, sizeof(text), "0:1/%.*s",
                     (int)(n - (sizeof(key_prefix) - 1)),
                     (const char *)at + sizeof(key_prefix) - 1);
            if (join_contact_parse(text, &c, NULL) == 0) {
                memcpy(ret, c.curve_key, CURVE_KEY_SIZE);
                return true;
            }
        }
        at += n;
        len -= n;
    }
    return false;
}

bool discover_read_key(const uint8_t *answer, size_t len, uint8_t ret[CURVE_KEY_SIZE])
{
    struct answer a;
    struct record r;

    if (!answer_open(&a, answer, len))
        return false;
    while (answer_next(&a, &r))
        if (r.type == ns_t_txt && read_texts(r.data, r.len, ret))
            return true;
    return false;
}

/* ---- asking ---- */

/* How many bytes the answer has; 0: there is none. */
static size_t ask(const char *name, ns_type type, uint8_t answer[ANSWER_MAX])
{
    int n = res_query(name, ns_c_in, (int)type, answer, ANSWER_MAX);

    return n < 0 || n > ANSWER_MAX ? 0 : (size_t)n;
}

static bool complete(const struct discovered *d, uint8_t *answer,
                     struct join_contact *ret)
{
    size_t n = ask(d->host, ns_t_txt, answer);

    return snprintf(ret->address, sizeof(ret->address), "%s:%u", d->host, d->port)
               < (int)sizeof(ret->address)
           && contact_address_is_good(ret->address)
           && discover_read_key(answer, n, ret->curve_key);
}

int discover(const char *domain, struct join_contact ret[], size_t *ret_n,
             struct error *ret_error)
{
    CLEANUP(freep) uint8_t *answer = malloc(ANSWER_MAX);
    struct discovered found[FOUND_MAX];
    char name[NAME_SIZE];
    size_t n_found, n = 0;

    if (!answer)
        return -ENOMEM;
    if (snprintf(name, sizeof(name), "_mesh._tcp.%s", domain) >= (int)sizeof(name))
        return fail(ret_error, -EINVAL, "the domain is too long");
    n_found = discover_read_srv(answer, ask(name, ns_t_srv, answer), found, FOUND_MAX);
    for (size_t i = 0; i < n_found; i++)
        n += complete(&found[i], answer, &ret[n]);
    if (n == 0)
        return fail(ret_error, -ENOENT,
                    n_found ? "the nodes in %s have no TXT record with their key"
                            : "there are no nodes in %s",
                    name);
    *ret_n = n;
    return 0;
}
