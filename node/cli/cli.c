/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "flow/nearest.h"
#include "node/cli/terminal.h"

/* One a line, so that additions merge. */
/* clang-format off */
const struct command *const commands[] = {
    &command_run,
    &command_resume,
    &command_check,
    &command_show,
    &command_graph,
    &command_runs,
    &command_status,
    &command_follow,
    &command_top,
    &command_logs,
    &command_explain,
    &command_diff,
    &command_advise,
    &command_artifact,
    &command_data,
    &command_cancel,
    &command_suspend,
    &command_unsuspend,
    &command_retry,
    &command_exec,
    &command_tag,
    &command_rm,
    &command_verify,
    &command_gc,
    &command_token,
    &command_audit,
    &command_login,
    &command_logout,
    &command_doctor,
    &command_config,
    &command_policy,
    &command_node,
    &command_init,
    &command_invite,
    &command_revoke,
    &command_members,
    &command_drain,
    &command_leave,
    &command_restart,
    &command_submit,
    &command_inputs,
    &command_next,
    &command_completion,
    &command_help,
    &command_version,
    &command_complete,
    &command_manual,
    NULL,
};
/* clang-format on */

const struct command *command_find(const char *name)
{
    for (size_t i = 0; commands[i]; i++)
        if (strcmp(commands[i]->name, name) == 0
            || (commands[i]->alias && strcmp(commands[i]->alias, name) == 0))
            return commands[i];
    return NULL;
}

static void say(const char *front, const char *format, va_list args)
{
    char text[2048];

    vsnprintf(text, sizeof(text), format, args);
    fprintf(stderr, "%s%s\n", front, text);
}

void cli_say(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say("mesh: ", format, args);
    va_end(args);
}

void cli_hint(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say("      ", format, args);
    va_end(args);
}

int cli_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    say("mesh: ", format, args);
    va_end(args);
    return CLI_USAGE;
}

int cli_failed(int code, const struct error *e)
{
    cli_say("%s", e && e->text[0] ? e->text : strerror(-code));
    return CLI_FAILED;
}

static char *join(const char *folder, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", folder, name) < 0 ? NULL : path;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

char *cli_data_dir(const struct options *o)
{
    const char *dir = options_text(o, "data");
    char *path;

    if (!dir)
        dir = variable("MESH_HOME");
    if (dir)
        path = strdup(dir);
    else if (variable("XDG_STATE_HOME"))
        path = join(variable("XDG_STATE_HOME"), "mesh");
    else if (variable("HOME"))
        path = join(variable("HOME"), ".local/state/mesh");
    else
        path = NULL;
    if (!path)
        cli_say("there is no data folder: give --data DIR or set MESH_HOME");
    return path;
}

time_us cli_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (time_us)t.tv_sec * 1000000 + (time_us)t.tv_nsec / 1000;
}

static bool is_flow_file(const char *name)
{
    const char *dot = strrchr(name, '.');
    struct stat st;

    return dot && strcmp(dot, ".mf") == 0 && stat(name, &st) == 0;
}

static int unknown_verb(const char *name)
{
    struct nearest nearest = nearest_to(name);

    if (is_flow_file(name)) {
        cli_say("there is no verb '%s', but there is a file of that name", name);
        cli_hint("to run it: mesh run %s", name);
        return CLI_USAGE;
    }
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->is_hidden)
            nearest_offer(&nearest, commands[i]->name);
    cli_say("there is no verb '%.80s'", name);
    if (nearest.best)
        cli_hint("did you mean 'mesh %s'? All verbs: mesh help", nearest.best);
    else
        cli_hint("all verbs: mesh help");
    return CLI_USAGE;
}

static int check_operands(const struct command *c, const struct options *o)
{
    if (o->n_operands < c->operands_min) {
        cli_say("%s: something is missing", c->name);
    } else if (o->n_operands > c->operands_max) {
        cli_say("%s: '%.80s' is one too many", c->name, o->operands[c->operands_max]);
    } else {
        return 0;
    }
    for (const char *line = c->synopsis ? c->synopsis : ""; line;) {
        cli_hint("mesh %s %.*s", c->name, (int)strcspn(line, "\n"), line);
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    cli_hint("all about it: mesh %s --help", c->name);
    return -EINVAL;
}

static int run_command(const struct command *c, size_t n_args, char *const *args)
{
    CLEANUP(options_release) struct options o = { .specs = NULL };
    struct error error = { .text = "" };
    int r = options_parse(c->options, c->takes_parameters, n_args, args, &o, &error);

    if (r == -ENOMEM)
        return cli_failed(r, NULL);
    if (r < 0) {
        cli_say("%s: %s", c->name, error.text);
        cli_hint("all about it: mesh %s --help", c->name);
        return CLI_USAGE;
    }
    if (options_has(&o, "help")) {
        command_help_print(c, &o);
        return CLI_OK;
    }
    if (check_operands(c, &o) < 0)
        return CLI_USAGE;
    if (!terminal_choose_colour(options_text(&o, "color")))
        return cli_usage("--color must be always, never or auto, not '%.80s'",
                         options_text(&o, "color"));
    return c->run(&o);
}

/* `mesh --help`, `mesh -h`, `mesh --version`. */
static const char *verb_of(const char *arg)
{
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
        return "help";
    return strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0 ? "version" : arg;
}

int cli_main(int argc, char **argv)
{
    const struct command *c;

    if (argc < 2) {
        cli_say("what shall it do?");
        cli_hint("run a flow:  mesh run FLOW.mf");
        cli_hint("all verbs:   mesh help");
        return CLI_USAGE;
    }
    c = command_find(verb_of(argv[1]));
    if (!c)
        return unknown_verb(argv[1]);
    return run_command(c, (size_t)argc - 2, argv + 2);
}
