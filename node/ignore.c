/* SPDX-License-Identifier: Apache-2.0 */
#include "node/ignore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

void ignore_cut(struct ignore *g, size_t n)
{
    while (g->n > n) {
        struct ignore_rule *r = &g->rules[--g->n];

        free(r->pattern);
        free(r->base);
    }
}

void ignore_release(struct ignore *g)
{
    ignore_cut(g, 0);
    free(g->rules);
    *g = (struct ignore){ .n = 0 };
}

/* ---- one pattern ---- */

/* Reads `[...]` at the pattern; its length, or 0 if it is not closed. */
static size_t match_class(const char *p, char c, bool *ret_matches)
{
    bool is_not = p[1] == '!' || p[1] == '^', found = false;
    size_t i = is_not ? 2 : 1, first = i;

    for (; p[i] && (p[i] != ']' || i == first); i++) {
        unsigned char lo = (unsigned char)p[i], hi = lo;

        if (p[i] == '\\' && p[i + 1])
            lo = hi = (unsigned char)p[++i];
        if (p[i + 1] == '-' && p[i + 2] && p[i + 2] != ']') {
            hi = (unsigned char)p[i + 2];
            i += 2;
        }
        found = found || ((unsigned char)c >= lo && (unsigned char)c <= hi);
    }
    if (!p[i])
        return 0;
    *ret_matches = found != is_not && c != '/';
    return i + 1;
}

/* One character of the path against one element of the pattern, which is not `*`.
 * Returns the element's length, 0 if it does not match. */
static size_t match_one(const char *p, char c)
{
    bool matches = false;
    size_t len;

    if (*p == '[' && (len = match_class(p, c, &matches)) > 0)
        return matches ? len : 0;
    if (*p == '?')
        return c != '/';
    if (*p == '\\' && p[1])
        return p[1] == c ? 2 : 0;
    return *p == c;
}

/* `**` as a whole part of the path: at the front, in the middle or at the end. */
static bool is_deep(const char *pattern, const char *p)
{
    return p[0] == '*' && p[1] == '*' && (p == pattern || p[-1] == '/')
           && (p[2] == '/' || p[2] == '\0');
}

/* A star that fails is tried again one character further; one star and one deep star
 * are remembered, which is enough because a later one makes the earlier final. */
bool ignore_glob(const char *pattern, const char *path)
{
    const char *p = pattern, *s = path;
    const char *star = NULL, *star_at = NULL, *deep = NULL, *deep_at = NULL;

    for (;;) {
        size_t len;

        if (is_deep(pattern, p)) {
            if (!p[2])
                return *s != '\0';
            deep = p += 3;
            deep_at = s;
            star = NULL;
            continue;
        }
        if (*p == '*') {
            while (*p == '*')
                p++;
            star = p;
            star_at = s;
            continue;
        }
        if (!*p && !*s)
            return true;
        len = *p && *s ? match_one(p, *s) : 0;
        if (len) {
            p += len;
            s++;
        } else if (star && *star_at && *star_at != '/') {
            s = ++star_at;
            p = star;
        } else if (deep && (deep_at = strchr(deep_at, '/'))) {
            s = ++deep_at;
            p = deep;
            star = NULL;
        } else {
            return false;
        }
    }
}

/* ---- rules ---- */

static int add(struct ignore *g, const struct ignore_rule *rule)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 16;
        struct ignore_rule *rules = realloc(g->rules, cap * sizeof(*rules));

        if (!rules)
            return -ENOMEM;
        g->rules = rules;
        g->cap = cap;
    }
    g->rules[g->n++] = *rule;
    return 0;
}

/* Blanks at the end do not count unless the last one is escaped. */
static size_t trim(const char *line, size_t len)
{
    if (len && line[len - 1] == '\r')
        len--;
    while (len && line[len - 1] == ' ' && !(len > 1 && line[len - 2] == '\\'))
        len--;
    return len;
}

static int read_rule(struct ignore *g, const char *base, const char *line, size_t len)
{
    struct ignore_rule r = { .base_len = strlen(base) };

    len = trim(line, len);
    if (len == 0 || line[0] == '#')
        return 0;
    if (line[0] == '!') {
        r.is_taken_back = true;
        line++;
        len--;
    }
    if (len && line[len - 1] == '/') {
        r.is_folder_only = true;
        len--;
    }
    r.is_anchored = len && memchr(line, '/', len) != NULL;
    if (len && line[0] == '/') {
        line++;
        len--;
    }
    if (len == 0)
        return 0;
    r.pattern = strndup(line, len);
    r.base = strdup(base);
    if (r.pattern && r.base && add(g, &r) == 0)
        return 0;
    free(r.pattern);
    free(r.base);
    return -ENOMEM;
}

int ignore_read(struct ignore *g, const char *base, const char *text, size_t len)
{
    size_t before = g->n;

    for (size_t at = 0; at < len;) {
        const char *newline = memchr(text + at, '\n', len - at);
        size_t n = newline ? (size_t)(newline - text) - at : len - at;

        if (read_rule(g, base, text + at, n) < 0) {
            ignore_cut(g, before);
            return -ENOMEM;
        }
        at += n + 1;
    }
    return 0;
}

static bool rule_matches(const struct ignore_rule *r, const char *path, bool is_folder)
{
    const char *name = strrchr(path, '/');

    if (r->is_folder_only && !is_folder)
        return false;
    if (strncmp(path, r->base, r->base_len) != 0)
        return false;
    if (r->is_anchored)
        return ignore_glob(r->pattern, path + r->base_len);
    return ignore_glob(r->pattern, name ? name + 1 : path);
}

bool ignore_matches(const struct ignore *g, const char *path, bool is_folder)
{
    for (size_t i = g->n; i-- > 0;)
        if (rule_matches(&g->rules[i], path, is_folder))
            return !g->rules[i].is_taken_back;
    return false;
}
