/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/remove.h"

static const struct option_spec exec_options[] = {
    { "attempt", 0, "N", "of this attempt, from 0; else the last one" },
    { "print", 'p', NULL, "only print what the shell would be given" },
    { "keep", 'k', "DIR", "at the end keep the folder as DIR" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

/* What a terminal's program needs and a node may not know. */
static const char *const of_terminal[] = { "TERM",     "COLORTERM", "DISPLAY",
                                           "NO_COLOR", "LINES",     "COLUMNS" };

struct bench {
    json_t *json;
    int lock; /* the session, as long as somebody is there */
    char *name;
};

static void bench_release(struct bench *b)
{
    const char *dir = json_text(b->json, "dir");

    if (*dir)
        remove_tree(dir);
    if (b->lock >= 0)
        close(b->lock);
    free(b->name);
    json_decref(b->json);
}

/* ---- laying out ---- */

static int make(struct client *c, const struct options *o, const struct task_name *name,
                struct bench *b)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s/exec", name->run);
    CLEANUP(json_decrefp) json_t *body = json_pack("{s:s}", "step", name->step);
    struct error error = { .text = "" };
    uint64_t attempt;
    int r;

    if (options_number(o, "attempt", UINT32_MAX, &attempt, &error) < 0)
        return cli_usage("%s", error.text);
    /* It names a folder to remove, and variables that a shell obeys. */
    if (!client_is_own(c)) {
        cli_say("the node runs as another user: its tasks are not run as you");
        cli_hint("as that user: mesh exec");
        return CLI_FAILED;
    }
    if (name->task)
        json_object_set_new(body, "task", json_string(name->task));
    if (options_has(o, "attempt"))
        json_object_set_new(body, "attempt", json_integer((json_int_t)attempt));
    r = client_json(c, "POST", path, body, -1, &b->json);
    if (r)
        return r;
    if (asprintf(&b->name, "%s/%s/%s", name->run, name->step,
                 json_text(b->json, "task"))
        < 0) {
        b->name = NULL;
        return cli_failed(-ENOMEM, NULL);
    }
    return 0;
}

static bool is_python(const struct bench *b)
{
    return *json_text(json_object_get(b->json, "env"), "MESH_PYTHON") != '\0';
}

/* A node removes folders that nobody has locked. */
static int lock(struct bench *b)
{
    CLEANUP(freep) char *path = NULL;

    if (asprintf(&path, "%s/session", json_text(b->json, "dir")) < 0) {
        path = NULL;
        return cli_failed(-ENOMEM, NULL);
    }
    b->lock = open(path, O_RDONLY | O_CLOEXEC);
    if (b->lock < 0 || flock(b->lock, LOCK_SH) < 0) {
        cli_say("the folder of the task cannot be used: %s", strerror(errno));
        return CLI_FAILED;
    }
    return 0;
}

/* ---- the environment ---- */

static void set_environment(const struct bench *b)
{
    const char *kept[ARRAY_SIZE(of_terminal)], *name;
    json_t *env = json_object_get(b->json, "env"), *value;

    for (size_t i = 0; i < ARRAY_SIZE(of_terminal); i++)
        kept[i] = getenv(of_terminal[i]);
    environ = NULL;
    json_object_foreach(env, name, value) setenv(name, json_string_value(value), 1);
    for (size_t i = 0; i < ARRAY_SIZE(of_terminal); i++)
        if (kept[i])
            setenv(of_terminal[i], kept[i], 1);
    setenv("MESH_EXEC", b->name, 1);
    setenv("MESH_HOME", json_text(env, "MESH_DATA"), 1);
    if (*json_text(b->json, "rerun"))
        setenv("MESH_RERUN", json_text(b->json, "rerun"), 1);
}

static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*text);
    putchar('\'');
}

/* As a script that a shell can read. */
static int print(const struct bench *b, bool is_json)
{
    const char *name;
    const json_t *arg;
    json_t *value;
    size_t i;

    if (is_json)
        return json_print(b->json);
    json_object_foreach(json_object_get(b->json, "env"), name, value)
    {
        printf("export %s=", name);
        print_quoted(json_string_value(value));
        putchar('\n');
    }
    printf("cd ");
    print_quoted(json_text(b->json, "cwd"));
    putchar('\n');
    json_array_foreach(json_object_get(b->json, "argv"), i, arg)
    {
        if (i)
            putchar(' ');
        print_quoted(json_string_value(arg));
    }
    putchar('\n');
    return CLI_OK;
}

/* ---- the shell ---- */

static void say_where(const struct bench *b)
{
    const char *problem = json_text(b->json, "problem");
    const json_t *secret;
    size_t i;

    fprintf(stderr, "%s, attempt %" PRIu64 ", which %s.\n", b->name,
            json_number(b->json, "attempt"),
            json_is(b->json, "verdict", "failed") ? "failed"
            : json_is(b->json, "verdict", "lost") ? "was lost"
                                                  : "was done");
    fprintf(stderr, "  inputs in $MESH_IN; $MESH_OUT is kept nowhere; "
                    "mesh artifact get works\n");
    if (*problem)
        fprintf(stderr, "  its command cannot be run: %s\n", problem);
    else
        fprintf(stderr, "  to run what it ran: \"$MESH_RERUN\"\n");
    json_array_foreach(json_object_get(b->json, "secrets"), i, secret)
        fprintf(stderr, "  the secret '%s' was not kept: set its variable yourself\n",
                json_string_value(secret));
    fprintf(stderr, "  exit leaves, and removes this folder\n");
}

/* Nothing of the user's start-up files is read: they would change what the task had. */
static void exec_shell(const struct bench *b)
{
    CLEANUP(freep) char *rc = NULL;
    CLEANUP(freep) char *prompt = NULL;
    FILE *file;

    if (asprintf(&rc, "%s/rc", json_text(b->json, "dir")) < 0
        || asprintf(&prompt, "[%s] $ ", b->name) < 0)
        return;
    setenv("PS1", prompt, 1);
    file = fopen(rc, "we");
    if (file) {
        fprintf(file, "PS1='[%s] \\w\\$ '\n", b->name);
        fclose(file);
        execl("/bin/bash", "bash", "--noprofile", "--rcfile", rc, "-i", (char *)NULL);
    }
    execl("/bin/sh", "sh", "-i", (char *)NULL);
}

static void be_child(const struct options *o, const struct bench *b)
{
    CLEANUP(freep) char **argv = calloc(o->n_operands + 1, sizeof(*argv));
    const char *what = "/bin/sh";
    int error;

    set_environment(b);
    if (chdir(json_text(b->json, "cwd")) < 0) {
        cli_say("cannot enter %s: %s", json_text(b->json, "cwd"), strerror(errno));
        _exit(CLI_FAILED);
    }
    if (o->n_operands > 1) {
        for (size_t i = 1; argv && i < o->n_operands; i++)
            argv[i - 1] = (char *)o->operands[i];
        what = o->operands[1];
        if (argv)
            execvp(what, argv);
    } else {
        exec_shell(b);
    }
    error = errno;
    cli_say("cannot run %s: %s", what, strerror(error));
    _exit(error == ENOENT ? 127 : 126);
}

static int wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return CLI_FAILED;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The keys that interrupt go to whoever has the terminal: to the shell, not to us. */
static int run_child(const struct options *o, const struct bench *b)
{
    struct sigaction ignore = { .sa_handler = SIG_IGN }, on_int, on_quit;
    pid_t pid;
    int r;

    fflush(stdout);
    sigaction(SIGINT, &ignore, &on_int);
    sigaction(SIGQUIT, &ignore, &on_quit);
    pid = fork();
    if (pid == 0) {
        sigaction(SIGINT, &on_int, NULL);
        sigaction(SIGQUIT, &on_quit, NULL);
        be_child(o, b);
    }
    r = pid < 0 ? cli_failed(-errno, NULL) : wait_for(pid);
    sigaction(SIGINT, &on_int, NULL);
    sigaction(SIGQUIT, &on_quit, NULL);
    return r;
}

/* ---- the end ---- */

static int keep(const struct bench *b, const char *dir)
{
    static const char *const ours[] = { "session", "rc" };
    pid_t pid;

    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        CLEANUP(freep) char *path = NULL;

        if (asprintf(&path, "%s/%s", json_text(b->json, "dir"), ours[i]) >= 0)
            unlink(path);
        else
            path = NULL;
    }
    pid = fork(); /* it may be another file system */
    if (pid == 0) {
        execlp("mv", "mv", "-T", "--", json_text(b->json, "dir"), dir, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || wait_for(pid) != 0) {
        cli_say("the folder cannot be kept as %s", dir);
        return CLI_FAILED;
    }
    fprintf(stderr, "kept in %s\n", dir);
    return 0;
}

static int work(const struct options *o, const struct bench *b)
{
    const char *dir = options_text(o, "keep");
    int r, kept;

    if (options_has(o, "print"))
        return print(b, options_has(o, "json"));
    if (o->n_operands == 1)
        say_where(b);
    r = run_child(o, b);
    kept = dir ? keep(b, dir) : 0;
    return r ? r : kept;
}

static int exec(const struct options *o)
{
    CLEANUP(task_name_release) struct task_name name = { .storage = NULL };
    CLEANUP(bench_release) struct bench b = { .lock = -1 };
    CLEANUP(client_closep) struct client *c = NULL;
    const char *dir = options_text(o, "keep");
    struct error error = { .text = "" };
    int r;

    if (task_name_parse(o->operands[0], &name, &error) < 0)
        return cli_usage("%s", error.text);
    if (!name.step)
        return cli_usage("exec: of which step? mesh exec %.40s/STEP", name.run);
    if (dir && access(dir, F_OK) == 0)
        return cli_usage("exec: there is a %.200s already", dir);
    r = client_open(o, CLIENT_LOOK, &c);
    if (r == 0)
        r = make(c, o, &name, &b);
    if (r == 0)
        r = lock(&b);
    /* A node that only shows the store goes when nobody is connected, and makes room
     * for one that runs things. The verbs start another one when they need it; a
     * function in Python cannot. */
    if (r == 0 && !is_python(&b))
        client_close(TAKE(c));
    return r ? r : work(o, &b);
}

const struct command command_exec = {
    .name = "exec",
    .synopsis = "RUN/STEP[/TASK] [-- COMMAND ...]",
    .summary = "look into a task: a shell in its folder",
    .about =
        "Lays out a task that has ended as it was when it began: the code of the run,\n"
        "its inputs in $MESH_IN, its environment; and starts a shell there, or "
        "COMMAND.\n"
        "mesh artifact get and mesh inputs answer as they did to the task. What is "
        "put\n"
        "into $MESH_OUT is kept nowhere. \"$MESH_RERUN\" does again what the task "
        "did.\n"
        "All is removed at the end, unless --keep says where it shall stay.\n"
        "\n"
        "Without TASK: the first of STEP that failed, else the first. The run may be\n"
        "going on or have ended, and no node has to be there. Secrets were not kept:\n"
        "their variables are not set. The exit code is that of the shell or COMMAND.",
    .options = exec_options,
    .examples = "mesh exec 42/fit                 # the first that failed\n"
                "mesh exec 42/fit/3 -- ls -l\n"
                "mesh exec 42/fit/3 -- sh -c '\"$MESH_RERUN\"'\n"
                "mesh exec 42/fit --print >task.sh",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = SIZE_MAX,
    .run = exec,
};
