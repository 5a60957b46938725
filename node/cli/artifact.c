/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli/folder.h"
#include "node/cli/words.h"
#include "store/digest.h"

enum { PUT_BYTES_MAX = 1 << 30 };

static const struct option_spec artifact_options[] = {
    { "output", 'o', "PATH", "get: write to this file, or folder" },
    { "from", 0, "STEP", "get, in a step: as that step made it" },
    { "index", 0, "N", "get, in a step: of this index of a foreach" },
    { "type", 0, "TYPE", "put: json, text or bytes" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

/* ---- get ---- */

/* Where the bytes go: a file of a name nobody sees until it is whole, or standard
 * output; those of a folder, which are its manifest, into memory. */
struct sink {
    struct answer answer;
    const char *path;
    char *temporary;
    FILE *file;
    struct buffer manifest;
    struct digest_stream *digest; /* of what went to the file */
    bool is_withheld;             /* from a terminal, which it would only disturb */
};

static bool is_folder(const struct sink *s)
{
    return strcmp(s->answer.artifact_encoding, "tree") == 0;
}

/* Bytes that only a program can read. */
static bool is_for_programs(const struct sink *s)
{
    static const char *const encodings[] = { "pickle", "npy", "arrow" };

    for (size_t i = 0; i < ARRAY_SIZE(encodings); i++)
        if (strcmp(s->answer.artifact_encoding, encodings[i]) == 0)
            return true;
    return false;
}

static int sink_open(struct sink *s)
{
    if (!s->path) {
        s->is_withheld = is_for_programs(s) && isatty(STDOUT_FILENO);
        s->file = stdout;
        return 0;
    }
    if (asprintf(&s->temporary, "%s.%d.part", s->path, (int)getpid()) < 0) {
        s->temporary = NULL;
        return -ENOMEM;
    }
    s->file = fopen(s->temporary, "we");
    return s->file ? 0 : -errno;
}

static int sink_write(void *arg, const char *data, size_t len)
{
    struct sink *s = arg;
    int r = 0;

    if (is_folder(s))
        return buffer_append(&s->manifest, data, len);
    if (!s->file)
        r = sink_open(s);
    if (r == 0 && !s->digest && !(s->digest = digest_stream_new()))
        r = -ENOMEM;
    if (r == 0)
        r = digest_stream_add(s->digest, data, len);
    if (r < 0 || s->is_withheld)
        return r;
    return fwrite(data, 1, len, s->file) == len ? 0 : -EIO;
}

/* 0, or the errno of what did not go well. */
static int sink_end(struct sink *s, bool is_good)
{
    int r = 0;

    if (is_good && !s->file)
        r = sink_open(s);
    if (s->file == stdout && fflush(stdout) != 0)
        r = -errno;
    if (s->file && s->file != stdout && fclose(s->file) != 0)
        r = -errno;
    if (s->temporary && (!is_good || r < 0))
        unlink(s->temporary);
    else if (s->temporary && rename(s->temporary, s->path) < 0)
        r = -errno;
    free(s->temporary);
    return r;
}

/* The node hands bytes out as they lie there; whoever wants them sees that they are
 * what their name says. */
static bool is_intact(struct sink *s)
{
    char text[DIGEST_TEXT_SIZE];
    struct digest id;

    if (is_folder(s) || !s->digest || !s->answer.artifact_id[0])
        return true;
    id = digest_stream_end(s->digest);
    digest_text(&id, text);
    return strcmp(text, s->answer.artifact_id) == 0;
}

static int get_folder(struct client *c, struct sink *s, bool is_task, const char *name)
{
    if (is_task) {
        cli_say("'%s' is a folder: name it in the step's `inputs`, which lays it out",
                name);
        return CLI_FAILED;
    }
    if (s->path)
        return folder_lay_out(c, &s->manifest, s->path);
    fwrite(buffer_text(&s->manifest), 1, s->manifest.len, stdout);
    fflush(stdout);
    cli_say("'%s' is a folder: this is what is in it; to have it here: -o FOLDER",
            name);
    return CLI_OK;
}

static int tell_withheld(const struct sink *s, const char *name)
{
    const char *encoding = s->answer.artifact_encoding;
    bool is_pickle = strcmp(encoding, "pickle") == 0;

    cli_say("'%s' is %s (%s), which is not for a terminal", name,
            is_pickle ? "a Python pickle" : encoding, s->answer.artifact_type);
    cli_hint("keep its bytes: -o FILE%s",
             is_pickle ? "; reading a pickle runs code of whoever wrote it" : "");
    return CLI_FAILED;
}

/* The exit code; what is not there is left to the caller to say. */
static int get(struct client *c, const char *path, const char *output, bool is_task,
               const char *name)
{
    struct sink s = { .path = output };
    struct error error = { .text = "" };
    int asked, r;

    if (!path)
        return cli_failed(-ENOMEM, NULL);
    asked = client_request(c,
                           &(struct request){ .method = "GET",
                                              .path = path,
                                              .on_body = sink_write,
                                              .arg = &s },
                           &s.answer, &error);
    if (asked < 0)
        r = client_lost(asked, &error);
    else if (s.answer.status == 404)
        r = CLI_NOT_FOUND;
    else if (s.answer.status >= 300)
        r = client_refused(&s.answer);
    else if (!is_intact(&s))
        r = (cli_say("the artifact is damaged: its bytes are not what its id says; see "
                     "mesh verify"),
             CLI_FAILED);
    else
        r = is_folder(&s) ? get_folder(c, &s, is_task, name) : CLI_OK;
    asked = is_folder(&s) ? 0 : sink_end(&s, r == CLI_OK);
    if (r == CLI_OK && s.is_withheld)
        r = tell_withheld(&s, name);
    if (r == CLI_OK && asked < 0) {
        cli_say("cannot write %s: %s", output ? output : "standard output",
                strerror(-asked));
        r = CLI_FAILED;
    }
    digest_stream_free(s.digest);
    answer_release(&s.answer);
    buffer_release(&s.manifest);
    return r;
}

static char *path_in_task(const struct options *o)
{
    const char *name = o->operands[1], *from = options_text(o, "from");
    const char *index = options_text(o, "index");

    if (from && index)
        return client_path("/v1/task/artifacts/%s?from=%s&index=%s", name, from, index);
    if (from)
        return client_path("/v1/task/artifacts/%s?from=%s", name, from);
    if (index)
        return client_path("/v1/task/artifacts/%s?index=%s", name, index);
    return client_path("/v1/task/artifacts/%s", name);
}

/* A parameter's value: a text as it is, all else as JSON. */
static int get_parameter(struct client *c, const char *name, const char *output)
{
    CLEANUP(freep) char *path = client_path("/v1/task/parameters/%s", name);
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    CLEANUP(json_decrefp) json_t *json = NULL;
    struct sink s = { .path = output };
    struct error error = { .text = "" };
    const char *text;
    int r = client_request(c, &(struct request){ .method = "GET", .path = path }, &a,
                           &error);

    if (r < 0)
        return client_lost(r, &error);
    if (a.status == 404)
        return CLI_NOT_FOUND;
    if (a.status >= 300)
        return client_refused(&a);
    json = json_loadb(buffer_text(&a.body), a.body.len, JSON_DECODE_ANY, NULL);
    text = json_string_value(json);
    r = sink_write(&s, text ? text : buffer_text(&a.body),
                   text ? json_string_length(json) : a.body.len);
    if (r == 0)
        r = sink_end(&s, true);
    digest_stream_free(s.digest);
    if (r == 0)
        return CLI_OK;
    cli_say("cannot write %s: %s", output ? output : "standard output", strerror(-r));
    return CLI_FAILED;
}

static int get_in_task(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(freep) char *path = path_in_task(o);
    const char *name = o->operands[1], *output = options_text(o, "output");
    int r;

    if (!getenv("MESH_CHANNEL")) {
        cli_say("say of which step, and which artifact: mesh artifact get "
                "RUN/STEP[/TASK] NAME");
        cli_hint("what there is: mesh artifact list RUN");
        return CLI_USAGE;
    }
    r = client_open_channel(&c);
    if (r)
        return r;
    r = get(c, path, output, true, name);
    /* The item of a foreach has this name, unless a step made one of it. */
    if (r == CLI_NOT_FOUND && strcmp(name, "input") == 0)
        r = get(c, "/v1/task/input", output, true, name);
    if (r == CLI_NOT_FOUND && !options_has(o, "from"))
        r = get_parameter(c, name, output);
    if (r == CLI_NOT_FOUND)
        cli_say("there is no artifact '%s' here%s%s", name,
                options_has(o, "from") ? " from step " : "",
                options_has(o, "from") ? options_text(o, "from") : "");
    return r;
}

static int get_of_run(const struct options *o)
{
    CLEANUP(task_name_release) struct task_name n = { .storage = NULL };
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(freep) char *path = NULL;
    struct error error = { .text = "" };
    int r;

    if (task_name_parse(o->operands[1], &n, &error) < 0)
        return cli_usage("%s", error.text);
    if (!n.step)
        return cli_usage("say of which step: mesh artifact get %s/STEP %s", n.run,
                         o->operands[2]);
    path = client_path("/v1/runs/%s/artifacts/%s/%s/%s", n.run, n.step,
                       n.task ? n.task : "0", o->operands[2]);
    r = client_open(o, CLIENT_LOOK, &c);
    if (r)
        return r;
    r = get(c, path, options_text(o, "output"), false, o->operands[2]);
    if (r == CLI_NOT_FOUND) {
        cli_say("there is no artifact '%s' of %s/%s/%s", o->operands[2], n.run, n.step,
                n.task ? n.task : "0");
        cli_hint("what there is: mesh artifact list %s", n.run);
    }
    return r;
}

/* ---- put ---- */

static int read_input(struct buffer *ret)
{
    ret->bytes_max = PUT_BYTES_MAX;
    for (;;) {
        char *at = buffer_reserve(ret, 65536);
        ssize_t n = at ? read(STDIN_FILENO, at, 65536) : -1;

        if (!at)
            return ret->error;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        ret->len += n > 0 ? (size_t)n : 0;
    }
}

/* A file is sent as it is read; standard input, of which nobody knows the length, is
 * read first. */
static int open_content(const char *name, struct buffer *content, struct request *q)
{
    struct stat st;

    if (strcmp(name, "-") == 0) {
        int r = read_input(content);

        q->body = buffer_text(content);
        q->body_len = content->len;
        return r;
    }
    q->body_fd = open(name, O_RDONLY | O_CLOEXEC);
    if (q->body_fd < 0)
        return -errno;
    q->has_body_fd = true;
    if (fstat(q->body_fd, &st) < 0)
        return -errno;
    q->body_len = (size_t)st.st_size;
    return S_ISREG(st.st_mode) ? 0 : S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
}

static int put(const struct options *o)
{
    const char *name = o->operands[1], *type = options_text(o, "type");
    const char *from = o->n_operands > 2 ? o->operands[2] : "-";
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(buffer_release) struct buffer content = BUFFER_INIT;
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    CLEANUP(freep)
    char *path = type ? client_path("/v1/task/artifacts/%s?type=%s", name, type)
                      : client_path("/v1/task/artifacts/%s", name);
    struct request q = { .method = "PUT", .path = path };
    struct error error = { .text = "" };
    int r;

    if (strchr(name, '/') || *name == '.')
        return cli_usage(
            "'%.80s' cannot be the name of an artifact: no slash, no dot in "
            "front",
            name);
    r = client_open_channel(&c);
    if (r)
        return r;
    r = open_content(from, &content, &q);
    if (r < 0) {
        cli_say("cannot read %s: %s", from, strerror(-r));
        if (r == -EISDIR)
            cli_hint("a folder: make it at $MESH_OUT/%s", name);
        r = CLI_FAILED;
    } else {
        r = client_request(c, &q, &a, &error);
        if (r < 0)
            r = client_lost(r, &error);
        else if (a.status >= 300)
            r = client_refused(&a);
    }
    if (q.has_body_fd)
        close(q.body_fd);
    return r;
}

/* ---- list ---- */

static void add_attempt(struct table *t, const json_t *attempt)
{
    const char *verdict = json_text(attempt, "verdict");
    const json_t *artifact;
    size_t i;

    if (strcmp(verdict, "failed") == 0 || strcmp(verdict, "lost") == 0)
        return;
    json_array_foreach(json_object_get(attempt, "artifacts"), i, artifact)
    {
        table_add(t, NULL, json_text(attempt, "step"));
        table_add(t, NULL, json_text(attempt, "task"));
        table_add(t, COLOUR_BOLD, json_text(artifact, "name"));
        table_add(t, NULL, json_text(artifact, "type"));
        words_bytes(t, json_number(artifact, "size"));
        table_printf(t, COLOUR_DIM, "%.12s", json_text(artifact, "id"));
    }
}

static char *list_path(const struct task_name *n, const char *after)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(freep) char *front = client_path("/v1/runs/%s/tasks?limit=1000", n->run);
    CLEANUP(freep) char *step = client_path("&step=%s", n->step ? n->step : "");
    CLEANUP(freep) char *task = client_path("&task=%s", n->task ? n->task : "");
    CLEANUP(freep) char *behind = client_path("&after=%s", after ? after : "");

    if (!front || !step || !task || !behind)
        return NULL;
    buffer_printf(&out, "%s%s%s%s", front, n->step ? step : "", n->task ? task : "",
                  after ? behind : "");
    return buffer_take(&out);
}

/* All pages; as JSON, one list. */
static int list_all(struct client *c, const struct task_name *n, struct table *t,
                    json_t *attempts)
{
    CLEANUP(freep) char *after = NULL;

    for (;;) {
        CLEANUP(freep) char *path = list_path(n, after);
        CLEANUP(json_decrefp) json_t *json = NULL;
        const json_t *page;
        json_t *attempt;
        size_t i;
        int r = client_get_json(c, path, &json);

        if (r)
            return r;
        page = json_object_get(json, "attempts");
        json_array_foreach(page, i, attempt)
        {
            add_attempt(t, attempt);
            json_array_append(attempts, attempt);
        }
        free(TAKE(after));
        if (!*json_text(json, "after") || json_array_size(page) == 0)
            return 0;
        after = strdup(json_text(json, "after"));
        if (!after)
            return cli_failed(-ENOMEM, NULL);
    }
}

static int list(const struct options *o)
{
    CLEANUP(task_name_release) struct task_name n = { .storage = NULL };
    CLEANUP(table_release) struct table t = { .n = 0 };
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = json_pack("{s:[]}", "attempts");
    struct error error = { .text = "" };
    int r;

    if (task_name_parse(o->operands[1], &n, &error) < 0)
        return cli_usage("%s", error.text);
    table_head(&t, "STEP|TASK|~NAME|TYPE|>SIZE|ID");
    r = client_open(o, CLIENT_LOOK, &c);
    if (r == 0)
        r = list_all(c, &n, &t, json_object_get(json, "attempts"));
    if (r)
        return r;
    if (options_has(o, "json"))
        return json_print(json);
    return table_print(&t) < 0 ? CLI_FAILED : CLI_OK;
}

static int artifact(const struct options *o)
{
    const char *what = o->operands[0];

    if (strcmp(what, "list") == 0 && o->n_operands == 2)
        return list(o);
    if (strcmp(what, "get") == 0 && o->n_operands > 1)
        return o->n_operands == 2 ? get_in_task(o) : get_of_run(o);
    if (strcmp(what, "put") == 0 && o->n_operands > 1)
        return put(o);
    cli_say("artifact: say what: get NAME, get RUN/STEP[/TASK] NAME, list RUN, or put "
            "NAME FILE");
    cli_hint("all about it: mesh artifact --help");
    return CLI_USAGE;
}

const struct command command_artifact = {
    .name = "artifact",
    .synopsis = "get RUN/STEP[/TASK] NAME [-o PATH]\n"
                "list RUN[/STEP[/TASK]]\n"
                "get NAME [--from STEP] [--index N]\n"
                "put NAME [FILE|-] [--type TYPE]",
    .summary = "get and list what tasks made; in a step, get and put",
    .about = "get RUN/STEP[/TASK] NAME prints an artifact, or writes it to PATH; a "
             "folder is\n"
             "laid out there. list shows what there is. No node has to be there.\n"
             "\n"
             "In the script of a step, get NAME prints an artifact that came along, "
             "that a\n"
             "step before made, or a parameter; and put NAME keeps FILE, or standard "
             "input,\n"
             "when the task exits 0. What is written to $MESH_OUT/NAME is kept without "
             "it.",
    .options = artifact_options,
    .examples = "mesh artifact list 42\n"
                "mesh artifact get 42/fit/3 model -o model.bin\n"
                "seq 9 | mesh artifact put numbers --type text    # in a step\n"
                "mesh artifact get numbers --from start           # in a later one",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 3,
    .run = artifact,
};
