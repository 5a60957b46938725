/* SPDX-License-Identifier: Apache-2.0 */
/* cli - the command line: one verb, one file, one struct command.
 *
 * main() comes here at once; a verb opens what it needs and nothing else, because the
 * time to the first task is counted from exec. */
#pragma once

#include "base/error.h"
#include "base/time.h"
#include "node/cli/options.h"

/* docs/interface.md */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_NO_NODE = 4,
    CLI_CANCELLED = 130,
};

/* Which exit codes the help of a verb lists. */
enum {
    EXITS_RUN = 1 << 0,     /* 1 says that the run failed */
    EXITS_REFUSED = 1 << 1, /* 1 says that the request was refused */
    EXITS_FLOW = 1 << 2,    /* 2: a bad flow or parameter too */
    EXITS_NAMES = 1 << 3,   /* 3 */
    EXITS_NODE = 1 << 4,    /* 4 */
    EXITS_DIFFER = 1 << 5,  /* 1 says that two things differ */
    EXITS_CHECK = 1 << 6,   /* 1 says that a check failed */
    EXITS_OBJECTS = 1 << 7, /* 3: no such object */
};

struct command {
    const char *name;
    const char *alias;    /* another name; NULL: none */
    const char *synopsis; /* behind `mesh <name>`; NULL: nothing; lines by \n */
    const char *summary;  /* a line in `mesh help` */
    const char *about;    /* what it does, in paragraphs of lines up to 80 columns */
    const char *examples; /* lines, each a command, maybe with # what for */
    const struct option_spec *options;
    unsigned exits;
    size_t operands_min, operands_max;
    bool takes_parameters;               /* options that the flow names */
    bool is_hidden;                      /* asked by programs: no help lists it */
    int (*run)(const struct options *o); /* the process's exit code */
    /* More for --help when operands are there, as the flow's parameters; or NULL. */
    void (*help_more)(const struct options *o);
};

extern const struct command command_run, command_node, command_submit, command_check,
    command_show, command_graph, command_runs, command_status, command_logs,
    command_artifact, command_inputs, command_next, command_resume, command_cancel,
    command_explain, command_diff, command_advise, command_doctor, command_exec,
    command_suspend, command_unsuspend, command_retry, command_rm, command_tag,
    command_verify, command_gc, command_follow, command_top, command_token,
    command_login, command_logout, command_config, command_help, command_version,
    command_completion, command_complete, command_manual, command_init, command_invite,
    command_revoke;
extern const struct command command_audit;
extern const struct command command_data;
extern const struct command command_members, command_drain, command_leave;
extern const struct command command_restart;
extern const struct command command_policy;

/* What the codes of a verb mean; a code of -1 ends them. Valid until the next call. */
struct exit_line {
    int code;
    const char *text;
};
const struct exit_line *exit_lines(unsigned exits);

/* NULL-terminated, in the order that help shows. */
extern const struct command *const commands[];

const struct command *command_find(const char *name);
void command_help_print(const struct command *c, const struct options *o);

/* `mesh: sentence` on standard error. */
void cli_say(const char *format, ...) PRINTF_LIKE(1, 2);
/* A line beside it that says what to do. */
void cli_hint(const char *format, ...) PRINTF_LIKE(1, 2);
/* Says it and returns CLI_USAGE. */
int cli_usage(const char *format, ...) PRINTF_LIKE(1, 2);
/* Says what an errno or *e tells and returns CLI_FAILED. */
int cli_failed(int code, const struct error *e);

/* The data folder: --data, else $MESH_HOME, else the user's state folder. NULL: there
 * is none, which was said. The caller frees. */
char *cli_data_dir(const struct options *o);

/* Microseconds since 1970. */
time_us cli_now(void);

int cli_main(int argc, char **argv);

#define OPTION_HELP                            \
    {                                          \
        "help", 'h', NULL, "explain this verb" \
    }
#define OPTION_DATA                                                                \
    {                                                                              \
        "data", 0, "DIR", "the data folder (else $MESH_HOME, ~/.local/state/mesh)" \
    }
/* Where the node is: two options. */
#define OPTION_SOCKET                                                                 \
    { "socket", 0, "PATH", "the node's socket (else $MESH_SOCKET, DIR/mesh.sock)" },  \
    {                                                                                 \
        "address", 0, "URL", "its TCP port, http(s)://HOST:PORT (else $MESH_ADDRESS)" \
    }
#define OPTION_JSON                   \
    {                                 \
        "json", 0, NULL, "print JSON" \
    }
#define OPTION_COLOUR                                                       \
    {                                                                       \
        "color", 0, "WHEN", "always, never or auto: as the terminal can do" \
    }
#define OPTION_END          \
    {                       \
        NULL, 0, NULL, NULL \
    }
