/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/ini.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Values and sections are cut out of one copy of the text. Keys of nested settings are
 * written anew behind it, "s3." before each: they are never longer than twice a line.
 */
struct reader {
    struct ini ini;
    size_t cap; /* of entries */
    const char *name;
    uint32_t line;
    const char *section; /* NULL: none has begun */
    char *joined;        /* where the next nested key is written */
    char *joined_end;
    struct ini_entry *open; /* whose lines may go on: what stands further in than it */
    size_t indent;          /* of that */
    struct error *error;
};

static int complain(const struct reader *r, const char *what)
{
    return fail(r->error, -EINVAL, "%s:%u: %s", r->name, (unsigned)r->line, what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static char *skip_blanks(char *at)
{
    while (is_blank(*at))
        at++;
    return at;
}

static void cut_end(char *text)
{
    size_t len = strlen(text);

    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    text[len] = '\0';
}

/* Behind a value: a mark with a blank before it. */
static void cut_comment(char *text)
{
    for (char *at = text; *at; at++)
        if ((*at == '#' || *at == ';') && (at == text || is_blank(at[-1]))) {
            *at = '\0';
            break;
        }
    cut_end(text);
}

static struct ini_entry *add_entry(struct reader *r, const char *key, const char *value)
{
    struct ini *ini = &r->ini;

    if (ini->n_entries == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 16;
        struct ini_entry *grown = reallocarray(ini->entries, cap, sizeof(*grown));

        if (!grown)
            return NULL;
        ini->entries = grown;
        r->cap = cap;
    }
    ini->entries[ini->n_entries] =
        (struct ini_entry){ r->section, key, value, r->line };
    return &ini->entries[ini->n_entries++];
}

/* "my profile" as one word, and blanks between words as one. */
static void take_off_quotes(char *name)
{
    char *to = name, quote = 0;

    for (const char *from = name; *from; from++) {
        if (quote ? *from == quote : *from == '"' || *from == '\'')
            quote = quote ? 0 : *from;
        else if (quote || !is_blank(*from))
            *to++ = *from;
        else if (to > name && to[-1] != ' ')
            *to++ = ' ';
    }
    *to = '\0';
}

static int read_section(struct reader *r, char *line)
{
    char *end = strchr(line, ']');

    if (!end)
        return complain(r, "a section ends with ]");
    *end++ = '\0';
    cut_comment(end);
    if (*skip_blanks(end))
        return complain(r, "something stands behind the section's ]");
    line = skip_blanks(line + 1);
    cut_end(line);
    take_off_quotes(line);
    if (!*line)
        return complain(r, "a section without a name");
    r->section = line;
    r->open = NULL;
    return add_entry(r, NULL, NULL) ? 0 : -ENOMEM;
}

/* Cuts `line` in two; NULL: it is not one of KEY = VALUE. */
static char *cut_pair(char *line)
{
    char *equals = strchr(line, '='), *value;

    if (!equals || equals == line)
        return NULL;
    *equals = '\0';
    cut_end(line);
    if (!*line)
        return NULL;
    for (char *at = line; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    value = skip_blanks(equals + 1);
    cut_comment(value);
    return value;
}

static int read_pair(struct reader *r, char *line)
{
    char *value;

    if (!r->section)
        return complain(r, "a setting stands before the first [section]");
    value = cut_pair(line);
    if (!value)
        return complain(r, "neither [section] nor KEY = VALUE");
    r->open = add_entry(r, line, value);
    return r->open ? 0 : -ENOMEM;
}

static int read_nested(struct reader *r, char *line)
{
    size_t parent = (size_t)(r->open - r->ini.entries), need;
    const char *front = r->open->key;
    char *key = r->joined, *value = cut_pair(line);

    if (!value)
        return complain(r, "under a setting without a value: KEY = VALUE");
    need = strlen(front) + strlen(line) + 2;
    if (need > (size_t)(r->joined_end - r->joined))
        return complain(r, "too many nested settings of long names");
    r->joined = stpcpy(stpcpy(stpcpy(key, front), "."), line) + 1;
    if (!add_entry(r, key, value))
        return -ENOMEM;
    r->open = &r->ini.entries[parent];
    return 0;
}

/* The value goes on: it is moved to the line's begin, behind its own end. */
static void read_more(struct reader *r, char *line)
{
    char *end = (char *)r->open->value + strlen(r->open->value);
    size_t len;

    cut_end(line);
    len = strlen(line);
    *end = '\n';
    memmove(end + 1, line, len + 1);
}

static int read_line(struct reader *r, char *line)
{
    char *at = skip_blanks(line);
    size_t indent = (size_t)(at - line);

    r->line++;
    cut_end(at);
    if (!*at || *at == '#' || *at == ';')
        return 0;
    if (r->open && indent > r->indent) {
        if (!*r->open->value)
            return read_nested(r, at);
        read_more(r, at);
        return 0;
    }
    r->indent = indent;
    return *at == '[' ? read_section(r, at) : read_pair(r, at);
}

/* Room for nested keys: each is its parent's, and that may be as long as half the text
 * and stand before as many lines; a bound that nobody meets who writes settings. */
static int open_reader(struct reader *r, const char *text, size_t len)
{
    size_t room = 2 * len + 4096;

    r->ini.text = malloc(len + 1 + room);
    if (!r->ini.text)
        return -ENOMEM;
    memcpy(r->ini.text, text, len);
    r->ini.text[len] = '\0';
    r->joined = r->ini.text + len + 1;
    r->joined_end = r->joined + room;
    r->ini.text_size = len + 1 + room;
    return 0;
}

static int read_lines(struct reader *r)
{
    int result = 0;

    for (char *line = r->ini.text, *next; line && result == 0; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        result = read_line(r, line);
    }
    return result;
}

int ini_read(const char *text, size_t len, const char *name, struct ini *ret,
             struct error *ret_error)
{
    struct reader r = { .name = name, .error = ret_error };
    int result;

    if (len > INI_BYTES_MAX)
        return fail(ret_error, -EFBIG, "%s is larger than %d bytes", name,
                    INI_BYTES_MAX);
    if (memchr(text, '\0', len))
        return fail(ret_error, -EINVAL, "%s is not a text: it has a zero byte", name);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    result = open_reader(&r, text, len);
    if (result == 0)
        result = read_lines(&r);
    if (result < 0) {
        ini_release(&r.ini);
        return result;
    }
    *ret = r.ini;
    return 0;
}

void ini_release(struct ini *ini)
{
    if (ini->text)
        sodium_memzero(ini->text, ini->text_size);
    free(ini->text);
    free(ini->entries);
    *ini = (struct ini){ .text = NULL };
}

bool ini_has(const struct ini *ini, const char *section)
{
    for (size_t i = 0; i < ini->n_entries; i++)
        if (strcmp(ini->entries[i].section, section) == 0)
            return true;
    return false;
}

const char *ini_get(const struct ini *ini, const char *section, const char *key)
{
    for (size_t i = ini->n_entries; i > 0; i--) {
        const struct ini_entry *e = &ini->entries[i - 1];

        if (e->key && strcmp(e->key, key) == 0 && strcmp(e->section, section) == 0)
            return *e->value ? e->value : NULL;
    }
    return NULL;
}
