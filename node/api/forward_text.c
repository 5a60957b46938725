/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/forward_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/macros.h"

int target_escape(const char *text, struct buffer *out)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (isalnum(c) || strchr("-._~", c))
            buffer_append(out, text, 1);
        else
            buffer_printf(out, "%%%02X", c);
    }
    return buffer_failed(out);
}

int target_path(const char *pattern, char *const *params, struct buffer *out)
{
    while (*pattern == '/') {
        size_t len = strcspn(pattern + 1, "/");

        buffer_puts(out, "/");
        if (pattern[1] >= 'A' && pattern[1] <= 'Z')
            target_escape(*params++, out);
        else
            buffer_append(out, pattern + 1, len);
        pattern += 1 + len;
    }
    return buffer_failed(out);
}

static bool is_among(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

bool header_is_asked(const char *name)
{
    static const char *const names[] = { "Range", "If-Range", "If-None-Match",
                                         "Last-Event-ID" };

    return is_among(name, names, ARRAY_SIZE(names));
}

/* What belongs to the connection or is told otherwise does not go along. */
bool header_is_told(const char *name)
{
    static const char *const names[] = { "Connection", "Content-Type", "Date",
                                         "Keep-Alive", "Transfer-Encoding" };

    return !is_among(name, names, ARRAY_SIZE(names));
}

static bool is_line(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            return false;
    return true;
}

int header_add(struct buffer *out, const char *name, const char *value)
{
    if (!is_line(value) || !is_line(name))
        return 0;
    return buffer_printf(out, "%s: %s\n", name, value);
}

bool header_next(char **at, char **ret_name, char **ret_value)
{
    while (*at && **at) {
        char *line = strsep(at, "\n"), *colon = strchr(line, ':');

        line[strcspn(line, "\r")] = '\0';
        if (!colon || colon == line)
            continue;
        *colon = '\0';
        *ret_name = line;
        *ret_value = colon + 1 + strspn(colon + 1, " \t");
        return true;
    }
    return false;
}

void answer_head_release(struct answer_head *h)
{
    buffer_release(&h->headers);
}

int answer_head_read(struct buffer *data, struct answer_head *ret)
{
    char *text = data->data;
    char *end = data->len ? memmem(text, data->len, "\r\n\r\n", 4) : NULL;
    char *at, *name, *value;

    if (!end)
        return 0;
    *end = '\0';
    if (sscanf(text, "HTTP/1.%*1[01] %3u", &ret->status) != 1 || ret->status < 100)
        return -EBADMSG;
    ret->len = (size_t)(end - text) + 4;
    ret->type[0] = '\0';
    at = strchr(text, '\n');
    at = at ? at + 1 : end;
    while (header_next(&at, &name, &value)) {
        if (strcasecmp(name, "Content-Type") == 0)
            snprintf(ret->type, sizeof(ret->type), "%s", value);
        else if (header_is_told(name))
            header_add(&ret->headers, name, value);
    }
    return buffer_failed(&ret->headers) ? -ENOMEM : 1;
}
