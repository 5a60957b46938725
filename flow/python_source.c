/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/python_source.h"

#include <string.h>

#include "base/macros.h"
#include "flow/nearest.h"

/* A piece of the text, between lines or words. */
struct piece {
    const char *at;
    size_t len;
};

static bool is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || c == '_' || (unsigned char)c >= 0x80;
}

static bool next_line(const char **at, const char *end, struct piece *ret)
{
    const char *newline;

    if (*at >= end)
        return false;
    newline = memchr(*at, '\n', (size_t)(end - *at));
    ret->at = *at;
    ret->len = (size_t)((newline ? newline : end) - *at);
    *at = newline ? newline + 1 : end;
    return true;
}

static void skip_spaces(struct piece *p)
{
    while (p->len && (*p->at == ' ' || *p->at == '\t')) {
        p->at++;
        p->len--;
    }
}

/* The word that the piece begins with, taken off it; its length is 0 if there is none.
 */
static struct piece take_word(struct piece *p)
{
    struct piece word = { p->at, 0 };

    while (word.len < p->len && is_word_byte(p->at[word.len]))
        word.len++;
    p->at += word.len;
    p->len -= word.len;
    return word;
}

static bool is(struct piece p, const char *text)
{
    return p.len == strlen(text) && memcmp(p.at, text, p.len) == 0;
}

static bool is_any(struct piece p, const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is(p, texts[i]))
            return true;
    return false;
}

static bool has_word(struct piece p, const char *name)
{
    while (p.len) {
        struct piece word = take_word(&p);

        if (is(word, name))
            return true;
        if (!word.len) {
            p.at++;
            p.len--;
        }
    }
    return false;
}

/* What a `def` or `class` in this line defines; its length is 0 if there is none. */
static struct piece defined_in(struct piece line)
{
    struct piece word;

    skip_spaces(&line);
    word = take_word(&line);
    if (is(word, "async")) {
        skip_spaces(&line);
        word = take_word(&line);
    }
    if (!is(word, "def") && !is(word, "class"))
        return (struct piece){ line.at, 0 };
    skip_spaces(&line);
    return take_word(&line);
}

/* `a = b = f`, `a, b = f`, `a: int = f`: whatever stands before the last '='. */
static bool is_assigned(struct piece line, const char *name)
{
    const char *equals = memrchr(line.at, '=', line.len);

    return equals
           && has_word((struct piece){ line.at, (size_t)(equals - line.at) }, name);
}

/* Names of a block whose first line begins so are the module's. */
static bool opens_block(struct piece word)
{
    static const char *const words[] = { "if",      "elif", "else",  "try", "except",
                                         "finally", "with", "while", "for", "match" };

    return is_any(word, words, ARRAY_SIZE(words));
}

static bool binds(struct piece line, const char *name)
{
    static const char *const imports[] = { "from", "import" };
    struct piece rest = line;
    struct piece word;

    if (is(defined_in(line), name) || is_assigned(line, name))
        return true;
    skip_spaces(&rest);
    word = take_word(&rest);
    return is_any(word, imports, ARRAY_SIZE(imports)) && has_word(rest, name);
}

static bool is_opaque(const char *text, size_t len)
{
    static const char *const marks[] = { "import *", "globals()", "exec(",
                                         "__getattr__", "setattr(" };

    for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
        if (memmem(text, len, marks[i], strlen(marks[i])))
            return true;
    return false;
}

/* A line of the module itself, or of a block or list that goes on from one. */
struct scan {
    const char *at, *end;
    bool in_block, in_import; /* what the last line in the first column began */
};

static bool next_of_module(struct scan *s, struct piece *ret)
{
    static const char *const imports[] = { "from", "import" };

    while (next_line(&s->at, s->end, ret)) {
        struct piece rest = *ret, word;

        if (!ret->len || *ret->at == '#' || *ret->at == '\r')
            continue;
        if (*ret->at == ' ' || *ret->at == '\t') {
            if (s->in_block || s->in_import)
                return true;
            continue;
        }
        word = take_word(&rest);
        s->in_block = opens_block(word);
        s->in_import = is_any(word, imports, ARRAY_SIZE(imports));
        return true;
    }
    return false;
}

bool python_source_may_define(const char *text, size_t len, const char *name)
{
    struct scan s = { .at = text, .end = text + len };
    struct piece line;

    if (is_opaque(text, len))
        return true;
    while (next_of_module(&s, &line))
        if (binds(line, name) || (s.in_import && has_word(line, name)))
            return true;
    return false;
}

bool python_source_nearest(const char *text, size_t len, const char *name,
                           char ret[PYTHON_NAME_SIZE])
{
    struct scan s = { .at = text, .end = text + len };
    struct nearest nearest = nearest_to(name);
    struct piece line;
    bool has_found = false;

    while (next_of_module(&s, &line)) {
        struct piece defined = defined_in(line);
        char offered[PYTHON_NAME_SIZE];

        if (!defined.len || defined.len >= sizeof(offered))
            continue;
        memcpy(offered, defined.at, defined.len);
        offered[defined.len] = '\0';
        nearest_offer(&nearest, offered);
        if (nearest.best != offered)
            continue;
        memcpy(ret, offered, defined.len + 1);
        nearest.best = ret;
        has_found = true;
    }
    return has_found;
}
