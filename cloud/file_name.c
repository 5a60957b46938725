/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/file_name.h"

#include <errno.h>
#include <string.h>

#include "cloud/object_store.h"

static const char rest_mark[] = "%~", begun_mark[] = "%+";

enum { MARK_LEN = 2 };

static bool has_mark(const char *part, size_t len, const char *mark)
{
    return len >= MARK_LEN && memcmp(part, mark, MARK_LEN) == 0;
}

static bool is_text(const char *part, size_t len, const char *text)
{
    return len == strlen(text) && memcmp(part, text, len) == 0;
}

static bool is_odd(const char *part, size_t len)
{
    return len == 0 || len > FILE_NAME_PART_MAX || is_text(part, len, ".")
           || is_text(part, len, "..") || is_text(part, len, FILE_NAME_HIDDEN)
           || has_mark(part, len, rest_mark) || has_mark(part, len, begun_mark);
}

static void append_part(const char *part, size_t len, struct buffer *out)
{
    if (!is_odd(part, len)) {
        buffer_append(out, part, len);
        return;
    }
    for (; len > FILE_NAME_CHUNK; part += FILE_NAME_CHUNK, len -= FILE_NAME_CHUNK) {
        buffer_puts(out, begun_mark);
        buffer_append(out, part, FILE_NAME_CHUNK);
        buffer_putc(out, '/');
    }
    buffer_puts(out, rest_mark);
    buffer_append(out, part, len);
}

int file_name_path(const char *name, struct buffer *out)
{
    size_t len = strlen(name);

    if (!len || len > OBJECT_NAME_MAX)
        return -EINVAL;
    for (;;) {
        size_t part = strcspn(name, "/");

        append_part(name, part, out);
        if (!name[part])
            return buffer_failed(out);
        buffer_putc(out, '/');
        name += part + 1;
    }
}

enum file_name_part file_name_part(const char *entry, const char **ret_text)
{
    size_t len = strlen(entry);

    *ret_text = entry;
    if (strcmp(entry, FILE_NAME_HIDDEN) == 0)
        return FILE_NAME_OURS;
    if (!has_mark(entry, len, rest_mark) && !has_mark(entry, len, begun_mark))
        return FILE_NAME_WHOLE;
    *ret_text = entry + MARK_LEN;
    return has_mark(entry, len, rest_mark) ? FILE_NAME_REST : FILE_NAME_BEGUN;
}
