/* SPDX-License-Identifier: Apache-2.0 */
/* reply - reads the answer to an HTTP/1.1 request as its bytes arrive (RFC 9112).
 *
 *     status line -> headers -> body by length | in chunks | until the end -> done
 *                                              '-> trailer -'
 *
 * Also event_lines, which reads server-sent events from a body.
 *
 * Pure: bytes in, the body's bytes and events out. What breaks a rule is refused. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

enum { REPLY_HEAD_MAX = 64 << 10, EVENT_BYTES_MAX = 4 << 20 };

enum reply_state {
    REPLY_HEAD = 1, /* the status line and headers */
    REPLY_BODY,     /* `left` bytes */
    REPLY_BODY_TO_END,
    REPLY_CHUNK_SIZE,
    REPLY_CHUNK,
    REPLY_CHUNK_END,
    REPLY_TRAILER,
    REPLY_DONE,
};

struct reply {
    enum reply_state state;
    int status;
    bool is_closing; /* the connection is of no use afterwards */
    bool has_length;
    bool has_no_body;   /* the request was HEAD */
    uint64_t left;      /* of the body or the chunk */
    struct buffer line; /* the head, or a line of the chunks */
    /* Headers that somebody here asks for; "" when there are none. */
    char type[128], artifact_type[64], artifact_encoding[16], artifact_id[72];
};

void reply_init(struct reply *r, bool has_no_body);
void reply_release(struct reply *r);

/* Reads some of the bytes; calls `body` for those of the body, and returns what it
 * returns if that is not 0. *ret_used tells how many were read: all, unless the reply
 * is done. -EBADMSG: it is no reply, with the reason. */
int reply_feed(struct reply *r, const char *data, size_t len,
               int (*body)(void *arg, const char *data, size_t len), void *arg,
               size_t *ret_used, struct error *ret_error);
/* The other side closed: 0 if that is a good end, else -ECONNRESET. */
int reply_end(struct reply *r);

/* ---- server-sent events ---- */

struct event_lines {
    struct buffer line, data, name;
    uint64_t id;
    bool has_id;
};

/* One event: its name ("message" if it has none) and data; id 0: it has none. */
typedef int event_lines_fn(void *arg, uint64_t id, const char *name, const char *data,
                           size_t len);

void event_lines_release(struct event_lines *e);
/* 0, what `each` returned if not 0, -ENOMEM, or -E2BIG beyond EVENT_BYTES_MAX. */
int event_lines_feed(struct event_lines *e, const char *data, size_t len,
                     event_lines_fn *each, void *arg);
