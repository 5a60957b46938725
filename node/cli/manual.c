/* SPDX-License-Identifier: Apache-2.0 */
/* `mesh manual VERB`: what --help says of a verb, as the source of a manual page
 * (scdoc). So the two cannot differ. Without VERB: the list of verbs, for mesh(1). */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/cli.h"

/* Text that scdoc shall not take for markup. */
static void put(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (strchr("\\*_`#~", text[i]) || (i == 0 && strchr("-+|[]", text[i])))
            putchar('\\');
        putchar(text[i]);
    }
}

static void put_text(const char *text)
{
    put(text, strlen(text));
}

static void put_title(const char *title)
{
    printf("\n# %s\n\n", title);
}

/* Lines that begin with a blank are set as they are. */
static void put_about(const char *text)
{
    bool is_literal = false;

    while (*text) {
        size_t len = strcspn(text, "\n");
        bool is_indented = *text == ' ';

        if (is_indented != is_literal)
            printf(is_indented ? "```\n" : "```\n\n");
        is_literal = is_indented;
        if (is_literal)
            printf("%.*s", (int)len, text);
        else
            put(text, len);
        text += len + (text[len] == '\n');
        /* A dot in front of a line is lost. */
        putchar(*text == '.' ? ' ' : '\n');
    }
    if (is_literal)
        printf("```\n");
}

static void put_synopsis(const struct command *c)
{
    const char *line = c->synopsis ? c->synopsis : "";

    put_title("SYNOPSIS");
    do {
        size_t len = strcspn(line, "\n");

        printf("*mesh %s* ", c->name);
        put(line, len);
        printf("\n\n");
        line += len + (line[len] == '\n');
    } while (*line);
}

static void put_options(const struct command *c)
{
    put_title("OPTIONS");
    for (const struct option_spec *s = c->options; s->name; s++) {
        if (s->letter)
            printf("*-%c*, ", s->letter);
        printf("*--%s*", s->name);
        if (s->argument) {
            printf(" _");
            put_text(s->argument);
            printf("_");
        }
        printf("\n\t");
        put_text(s->help);
        printf("\n\n");
    }
}

static void put_exits(const struct command *c)
{
    put_title("EXIT STATUS");
    for (const struct exit_line *line = exit_lines(c->exits); line->code >= 0; line++) {
        printf("*%d*\n\t", line->code);
        put_text(line->text);
        printf("\n\n");
    }
}

static void put_page(const struct command *c)
{
    printf("mesh-%s(1)\n", c->name);
    put_title("NAME");
    printf("mesh-%s - ", c->name);
    put_text(c->summary);
    putchar('\n');
    put_synopsis(c);
    put_title("DESCRIPTION");
    put_about(c->about);
    put_options(c);
    if (c->examples)
        printf("\n# EXAMPLES\n\n```\n%s\n```\n", c->examples);
    put_exits(c);
    put_title("SEE ALSO");
    printf("*mesh*(1), *mesh-flow*(5), *mesh-node*(8)\n");
}

static void put_list(void)
{
    for (size_t i = 0; commands[i]; i++) {
        if (commands[i]->is_hidden)
            continue;
        printf("*mesh-%s*(1)\n\t", commands[i]->name);
        putchar(toupper((unsigned char)commands[i]->summary[0]));
        put_text(commands[i]->summary + 1);
        printf("\n\n");
    }
}

static int manual(const struct options *o)
{
    const struct command *c = o->n_operands ? command_find(o->operands[0]) : NULL;

    if (o->n_operands && !c)
        return cli_usage("there is no verb '%.80s'", o->operands[0]);
    if (c)
        put_page(c);
    else
        put_list();
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

static const struct option_spec manual_options[] = { OPTION_HELP, OPTION_END };

const struct command command_manual = {
    .name = "manual",
    .synopsis = "[VERB]",
    .summary = "print a manual page's source",
    .about = "With VERB: what its help says, for scdoc. Without: the list of verbs.",
    .options = manual_options,
    .operands_max = 1,
    .is_hidden = true,
    .run = manual,
};
