/* SPDX-License-Identifier: Apache-2.0 */
/* forward_text - the texts of a request that is passed on, and of its answer.
 *
 * Pure. */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"

/* Append `text` with all escaped that is not plain in a path or query (RFC 3986, 2.3).
 */
int target_escape(const char *text, struct buffer *out);
/* Append the path that `pattern` (router.h) makes with these parameters. */
int target_path(const char *pattern, char *const *params, struct buffer *out);

/* Whether a header of a request, or of an answer, goes along to the other node. */
bool header_is_asked(const char *name);
bool header_is_told(const char *name);
/* Append a line NAME: VALUE; what would break the line is left out. */
int header_add(struct buffer *out, const char *name, const char *value);
/* The next line of `*at`, which is written to: false at the end. What is no NAME: VALUE
 * is skipped. */
bool header_next(char **at, char **ret_name, char **ret_value);

/* The first line and headers of an answer to an HTTP/1.0 request, as far as `data` has
 * them. */
struct answer_head {
    unsigned status;
    char type[128];
    struct buffer headers; /* those that go along */
    size_t len;            /* of the head: the body is behind it */
};
/* 1: whole; 0: there is more to come; -EBADMSG; -ENOMEM. The text is written to. */
int answer_head_read(struct buffer *data, struct answer_head *ret);
void answer_head_release(struct answer_head *h);
