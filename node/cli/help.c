/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "node/cli/cli.h"

enum { OPTION_COLUMN = 26 };

static void print_lines(const char *text, const char *indent)
{
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");

        printf("%s%.*s\n", len ? indent : "", (int)len, line);
        line += len + (line[len] == '\n');
    }
}

static void print_synopsis(const struct command *c)
{
    const char *rest = c->synopsis;

    printf("Usage: mesh %s%s%.*s\n", c->name, rest ? " " : "",
           rest ? (int)strcspn(rest, "\n") : 0, rest ? rest : "");
    while (rest && (rest = strchr(rest, '\n'))) {
        rest++;
        printf("       mesh %s %.*s\n", c->name, (int)strcspn(rest, "\n"), rest);
    }
}

static void print_option(const struct option_spec *s)
{
    char front[128];
    int n = snprintf(front, sizeof(front), "%s%c%s--%s%s%s", s->letter ? "-" : "  ",
                     s->letter ? s->letter : ' ', s->letter ? ", " : " ", s->name,
                     s->argument ? " " : "", s->argument ? s->argument : "");

    if (n > OPTION_COLUMN - 2)
        printf("  %s\n  %*s%s\n", front, OPTION_COLUMN, "", s->help);
    else
        printf("  %-*s%s\n", OPTION_COLUMN, front, s->help);
}

const struct exit_line *exit_lines(unsigned exits)
{
    static struct exit_line lines[8];
    size_t n = 0;

    lines[n++] =
        (struct exit_line){ CLI_OK,
                            exits & EXITS_RUN ? "done, and the run is OK" : "done" };
    if (exits & EXITS_RUN)
        lines[n++] = (struct exit_line){ CLI_FAILED, "the run failed, or the request "
                                                     "was refused" };
    else if (exits & EXITS_REFUSED)
        lines[n++] = (struct exit_line){ CLI_FAILED, "the request was refused" };
    if (exits & EXITS_DIFFER)
        lines[n++] = (struct exit_line){ CLI_FAILED, "they differ" };
    if (exits & EXITS_CHECK)
        lines[n++] = (struct exit_line){ CLI_FAILED, "a check failed" };
    lines[n++] =
        (struct exit_line){ CLI_USAGE,
                            exits & EXITS_FLOW
                                ? "bad usage, a bad flow file or a bad parameter: "
                                  "nothing was started"
                                : "bad usage" };
    if (exits & EXITS_NAMES)
        lines[n++] =
            (struct exit_line){ CLI_NOT_FOUND, "no such run, step, task or artifact" };
    if (exits & EXITS_OBJECTS)
        lines[n++] =
            (struct exit_line){ CLI_NOT_FOUND, "no such object, folder or run" };
    if (exits & EXITS_NODE)
        lines[n++] = (struct exit_line){ CLI_NO_NODE, "no node answers, or the store "
                                                      "cannot be opened" };
    if (exits & EXITS_RUN)
        lines[n++] = (struct exit_line){ CLI_CANCELLED, "cancelled" };
    lines[n] = (struct exit_line){ -1, NULL };
    return lines;
}

static void print_exits(unsigned exits)
{
    printf("\nExit codes:\n");
    for (const struct exit_line *line = exit_lines(exits); line->code >= 0; line++)
        printf("  %-3d  %s\n", line->code, line->text);
}

void command_help_print(const struct command *c, const struct options *o)
{
    print_synopsis(c);
    if (c->alias)
        printf("   or: mesh %s\n", c->alias);
    printf("\n%s\n", c->about);
    if (c->options[0].name) {
        printf("\nOptions:\n");
        for (const struct option_spec *s = c->options; s->name; s++)
            print_option(s);
    }
    if (c->help_more)
        c->help_more(o);
    if (c->examples) {
        printf("\nExamples:\n");
        print_lines(c->examples, "  ");
    }
    print_exits(c->exits);
}

static void print_overview(void)
{
    printf("mesh runs graphs of tasks from one small file.\n\n"
           "Usage: mesh VERB [OPTIONS] ...\n\nVerbs:\n");
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->is_hidden)
            printf("  %-12s%s\n", commands[i]->name, commands[i]->summary);
    printf("\nThe first steps:\n"
           "  mesh run flow.mf        run it; no node has to be there\n"
           "  mesh runs               what ran\n"
           "  mesh logs 42/fit/3      what a task printed\n"
           "  mesh resume 42          go on where run 42 failed\n"
           "\nAll about a verb: mesh VERB --help\n");
}

static int help(const struct options *o)
{
    const struct command *c;

    if (o->n_operands == 0) {
        print_overview();
        return CLI_OK;
    }
    c = command_find(o->operands[0]);
    if (!c)
        return cli_usage("there is no verb '%.80s'; all verbs: mesh help",
                         o->operands[0]);
    command_help_print(c, &(struct options){ .specs = c->options });
    return CLI_OK;
}

static const struct option_spec help_options[] = { OPTION_HELP, OPTION_END };

const struct command command_help = {
    .name = "help",
    .synopsis = "[VERB]",
    .summary = "list the verbs, or explain one",
    .about = "Without VERB: all verbs, a line for each. With VERB: what\n"
             "mesh VERB --help says.",
    .options = help_options,
    .operands_max = 1,
    .run = help,
};

static int version(const struct options *o)
{
    if (options_has(o, "json"))
        printf("{\"version\": \"%s\"}\n", mesh_version());
    else
        printf("mesh %s\n", mesh_version());
    return CLI_OK;
}

static const struct option_spec version_options[] = { OPTION_JSON, OPTION_HELP,
                                                      OPTION_END };

const struct command command_version = {
    .name = "version",
    .summary = "say which mesh this is",
    .about = "Prints the version of this program.",
    .options = version_options,
    .run = version,
};
