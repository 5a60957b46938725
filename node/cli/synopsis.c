/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/synopsis.h"

#include <string.h>

#include "base/macros.h"

static const char blanks[] = " ";

/* Behind `[-o PATH]` or `--case NAME`: options are not operands. */
static const char *skip_option(const char *at, const char *end)
{
    if (*at == '[') {
        while (at < end && *at != ']')
            at++;
        return at < end ? at + 1 : end;
    }
    at += strcspn(at, " \n");
    while (at < end && *at == ' ')
        at++;
    /* Its value, unless another option or nothing follows. */
    return at < end && *at >= 'A' && *at <= 'Z' ? at + strcspn(at, " \n") : at;
}

static bool is_option(const char *at)
{
    return at[0] == '-' || (at[0] == '[' && at[1] == '-');
}

/* The next word at or behind *at, which is moved behind it. */
static bool next_word(const char **at, const char *end, struct synopsis_word *ret)
{
    size_t n = 0;

    for (;;) {
        *at += strspn(*at, blanks);
        if (*at >= end)
            return false;
        if (!is_option(*at))
            break;
        *at = skip_option(*at, end);
    }
    for (; *at < end && **at != ' '; ++*at)
        if (!strchr("[]", **at) && n < SYNOPSIS_WORD_MAX - 1)
            ret->text[n++] = **at;
    ret->text[n] = '\0';
    ret->is_literal = ret->text[0] >= 'a' && ret->text[0] <= 'z';
    return true;
}

bool synopsis_at(const char *line, const char *const *before, size_t n,
                 struct synopsis_word *ret)
{
    const char *end = line + strcspn(line, "\n");
    struct synopsis_word word, last = { .text = "" };

    for (size_t i = 0; i <= n; i++) {
        if (!next_word(&line, end, &word))
            return false;
        if (strcmp(word.text, "...") == 0) { /* the last one again, to the end */
            word = last;
            line = end - strlen("...");
        }
        if (i < n && word.is_literal && strcmp(word.text, before[i]) != 0)
            return false;
        last = word;
    }
    *ret = word;
    return word.text[0] != '\0';
}

const char *synopsis_next(const char *line)
{
    line += strcspn(line, "\n");
    return *line ? line + 1 : NULL;
}
