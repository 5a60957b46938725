/* SPDX-License-Identifier: Apache-2.0 */
/* scripted - a server on loopback, in threads of its own, that treats each request as
 * its script says, in the order in which they arrive; the last step is for all that
 * follow. Nothing in it waits for time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum scripted_act {
    SCRIPTED_ANSWER = 1,
    SCRIPTED_CLOSE,      /* once the request was read */
    SCRIPTED_RESET,      /* so, with RST */
    SCRIPTED_CUT,        /* half of the body, then closed */
    SCRIPTED_STALL,      /* reads the request, says nothing more */
    SCRIPTED_STALL_BODY, /* half of the body, nothing more */
    SCRIPTED_UNREAD,     /* reads no body of the request, says nothing */
    SCRIPTED_EARLY,      /* answers and closes before the body was read */
    SCRIPTED_GARBAGE,    /* not HTTP */
    SCRIPTED_GATE,       /* answers once scripted_open_gate() was called */
};

struct scripted_step {
    enum scripted_act act;
    int code;
    const char *headers; /* each with its line's end; NULL: none */
    size_t body_bytes;   /* of scripted_byte() */
};

struct scripted_request {
    char head[4096];
    uint64_t body_bytes;
    bool is_body_right; /* each byte is scripted_byte() of its place */
};

struct scripted;

/* What bodies consist of, either way. */
static inline char scripted_byte(uint64_t at)
{
    return (char)((at * 2654435761u) >> 13);
}

/* With is_tls: ca_file() is the authority that signed for 127.0.0.1. With is_proxy,
 * CONNECT is granted and what follows is TLS. */
struct scripted *scripted_start(const struct scripted_step *steps, size_t n,
                                bool is_tls, bool is_proxy);
void scripted_stop(struct scripted *server);
int scripted_port(const struct scripted *server);
const char *scripted_ca_file(const struct scripted *server);
void scripted_open_gate(struct scripted *server);

/* So far: requests, connections, and requests at once at most. */
size_t scripted_requests(struct scripted *server);
size_t scripted_connections(struct scripted *server);
size_t scripted_at_once(struct scripted *server);
struct scripted_request scripted_request(struct scripted *server, size_t i);
