/* SPDX-License-Identifier: Apache-2.0 */
/* http_headers - the headers of an answer as they come, line by line. Pure. */
#pragma once

#include <stddef.h>

#include "base/buffer.h"

enum { HTTP_HEADERS_BYTES_MAX = 64 << 10 };

struct http_headers {
    struct buffer text; /* name NUL value NUL name ... */
};

#define HTTP_HEADERS_INIT \
    ((struct http_headers){ .text = { .bytes_max = HTTP_HEADERS_BYTES_MAX } })

void http_headers_release(struct http_headers *headers);
void http_headers_clear(struct http_headers *headers);

/* A line as it was received, with or without its end (RFC 9112, 5). A status line
 * begins anew: what came before was of an interim answer. What is neither a status line
 * nor a field is left out. -E2BIG: more than HTTP_HEADERS_BYTES_MAX of them. */
int http_headers_add(struct http_headers *headers, const char *line, size_t len);

/* The first with this name, in any case; NULL: none. Borrowed until the next change. */
const char *http_headers_find(const struct http_headers *headers, const char *name);
