/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/http_headers.h"

#include <string.h>
#include <strings.h>

void http_headers_release(struct http_headers *headers)
{
    buffer_release(&headers->text);
}

void http_headers_clear(struct http_headers *headers)
{
    buffer_clear(&headers->text);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int add_field(struct http_headers *headers, const char *name, size_t name_len,
                     const char *value, size_t value_len)
{
    buffer_append(&headers->text, name, name_len);
    buffer_putc(&headers->text, '\0');
    buffer_append(&headers->text, value, value_len);
    buffer_putc(&headers->text, '\0');
    return buffer_failed(&headers->text);
}

int http_headers_add(struct http_headers *headers, const char *line, size_t len)
{
    const char *colon, *value, *end = line + len;

    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        http_headers_clear(headers);
        return 0;
    }
    colon = memchr(line, ':', len);
    if (!colon || colon == line || is_space(line[0]) || memchr(line, '\0', len))
        return 0;
    for (value = colon + 1; value < end && is_space(*value); value++)
        ;
    for (; end > value && is_space(end[-1]); end--)
        ;
    return add_field(headers, line, (size_t)(colon - line), value,
                     (size_t)(end - value));
}

const char *http_headers_find(const struct http_headers *headers, const char *name)
{
    const char *at = headers->text.data, *end = at ? at + headers->text.len : NULL;

    while (at < end) {
        const char *value = at + strlen(at) + 1;

        if (strcasecmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}
