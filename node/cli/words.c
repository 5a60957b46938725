/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/words.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/client.h"

void words_heading(const char *text)
{
    bool has_colour = terminal_has_colour(STDOUT_FILENO);

    printf("\n%s%s%s\n", has_colour ? COLOUR_BOLD : "", text,
           has_colour ? COLOUR_OFF : "");
}

const char *words_state(const json_t *run, const char **ret_colour)
{
    static const struct {
        const char *word, *shown, *colour;
    } words[] = {
        { "ok", "OK", COLOUR_GREEN },
        { "failed", "FAILED", COLOUR_RED },
        { "cancelled", "CANCELLED", COLOUR_YELLOW },
        { "running", "running", COLOUR_BOLD },
        { "suspended", "suspended", COLOUR_YELLOW },
        { "stopping", "stopping", COLOUR_YELLOW },
        { "interrupted", "interrupted", COLOUR_YELLOW },
    };
    const char *word = json_text(run, "outcome");

    if (!*word)
        word = json_text(run, "state");
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(word, words[i].word) == 0) {
            *ret_colour = words[i].colour;
            return words[i].shown;
        }
    *ret_colour = NULL;
    return word;
}

void words_tags(const json_t *run, struct buffer *out)
{
    const json_t *tag;
    size_t i;

    json_array_foreach(json_object_get(run, "tags"), i, tag)
        buffer_printf(out, "%s%s", i ? ", " : "", json_string_value(tag));
}

void words_time(struct table *t, const char *rfc3339)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (*rfc3339)
        terminal_time(rfc3339, &text);
    table_add(t, NULL, buffer_text(&text));
}

void words_span(struct table *t, const char *from, const char *to)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    time_us a = terminal_parse_time(from), b = terminal_parse_time(to);

    if (!b)
        b = cli_now();
    if (a && b >= a)
        terminal_duration(b - a, &text);
    table_add(t, NULL, buffer_text(&text));
}

void words_bytes(struct table *t, uint64_t bytes)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    terminal_bytes(bytes, &text);
    table_add(t, NULL, buffer_text(&text));
}
