/* SPDX-License-Identifier: Apache-2.0 */
/* `mesh complete -- WORD ...`: what may stand in place of the last word, for the
 * shells' completion. A line each: the word, a tab and what it is; or `:files`, `:files
 * mf` or
 * `:dirs` where the shell knows best.
 *
 * Nobody waits for it and nobody reads its errors: it says nothing when there is no
 * node, or one that does not answer at once. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/flow_file.h"
#include "node/cli/synopsis.h"

enum { NODE_TIMEOUT_MS = 500, OPERANDS_MAX = 16 };

struct completion {
    const struct command *command;
    const char *word;                   /* what is there of the one to complete */
    const char *operands[OPERANDS_MAX]; /* before it */
    size_t n_operands;
    struct options options; /* before it, as far as they can be read */
    struct client *client;  /* NULL: not asked for yet, or there is none */
    bool has_looked;
};

/* ---- candidates ---- */

static void offer(const struct completion *c, const char *text, const char *about)
{
    if (strncmp(text, c->word, strlen(c->word)) == 0)
        printf("%s\t%.*s\n", text, (int)strcspn(about, "\n"), about);
}

static void offer_words(const struct completion *c, const char *words)
{
    while (*words) {
        size_t len = strcspn(words, " |");
        char text[64];

        snprintf(text, sizeof(text), "%.*s", (int)len, words);
        offer(c, text, "");
        words += len + (words[len] != '\0');
    }
}

static void offer_verbs(const struct completion *c)
{
    for (size_t i = 0; commands[i]; i++)
        if (!commands[i]->is_hidden)
            offer(c, commands[i]->name, commands[i]->summary);
}

/* ---- what the node knows ---- */

static bool ask(struct completion *c, const char *path, json_t **ret)
{
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    struct request q = { .method = "GET", .path = path, .timeout_ms = NODE_TIMEOUT_MS };

    if (!c->has_looked)
        client_open(&c->options, CLIENT_NODE, &c->client);
    c->has_looked = true;
    if (!c->client || !path || client_request(c->client, &q, &a, &error) < 0
        || a.status != 200)
        return false;
    *ret = json_loadb(buffer_text(&a.body), a.body.len, 0, NULL);
    return *ret != NULL;
}

static void offer_runs(struct completion *c)
{
    CLEANUP(json_decrefp) json_t *json = NULL;
    const json_t *run;
    size_t i;

    if (!ask(c, "/v1/runs?limit=200", &json))
        return;
    json_array_foreach(json_object_get(json, "runs"), i, run)
    {
        const char *outcome = json_text(run, "outcome");
        char number[24], about[128];

        snprintf(number, sizeof(number), "%llu",
                 (unsigned long long)json_number(run, "number"));
        snprintf(about, sizeof(about), "%s, %s", json_text(run, "flow"),
                 *outcome ? outcome : json_text(run, "state"));
        offer(c, number, about);
    }
}

/* `front` stands before each of the names. */
static void offer_steps(struct completion *c, const char *run, const char *front)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", run);
    CLEANUP(json_decrefp) json_t *json = NULL;
    const json_t *step;
    size_t i;

    if (!ask(c, path, &json))
        return;
    json_array_foreach(json_object_get(json, "steps"), i, step)
    {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

        buffer_printf(&text, "%s%s", front, json_text(step, "name"));
        offer(c, buffer_text(&text), "");
    }
}

static bool ask_tasks(struct completion *c, const struct task_name *n, json_t **ret)
{
    CLEANUP(freep)
    char *path = client_path("/v1/runs/%s/tasks?step=%s&limit=500", n->run,
                             n->step ? n->step : "");
    CLEANUP(freep)
    char *one = n->task && *n->task ? client_path("/v1/runs/%s/tasks?step=%s&task=%s",
                                                  n->run, n->step, n->task)
                                    : NULL;

    return ask(c, one ? one : path, ret);
}

static void offer_tasks(struct completion *c, const char *run, const char *step)
{
    struct task_name n = { .run = run, .step = step };
    CLEANUP(json_decrefp) json_t *json = NULL;
    const json_t *attempt;
    size_t i;

    if (!ask_tasks(c, &n, &json))
        return;
    json_array_foreach(json_object_get(json, "attempts"), i, attempt)
    {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

        if (json_number(attempt, "attempt"))
            continue; /* the task stands there already */
        buffer_printf(&text, "%s/%s/%s", run, step, json_text(attempt, "task"));
        offer(c, buffer_text(&text), json_text(attempt, "verdict"));
    }
}

/* RUN, RUN/STEP and RUN/STEP/TASK, as deep as the verb goes. */
static void offer_path(struct completion *c, const char *kind)
{
    CLEANUP(freep) char *word = strdup(c->word);
    char *step = word ? strchr(word, '/') : NULL, *task;
    CLEANUP(buffer_release) struct buffer front = BUFFER_INIT;

    if (!step) {
        offer_runs(c);
        return;
    }
    *step++ = '\0';
    task = strchr(step, '/');
    if (task && strstr(kind, "/TASK")) {
        *task = '\0';
        offer_tasks(c, word, step);
    } else if (!task && strstr(kind, "/STEP")) {
        buffer_printf(&front, "%s/", word);
        offer_steps(c, word, buffer_text(&front));
    }
}

/* Tags of runs; of a list with commas the last is completed. */
static void offer_tags(struct completion *c)
{
    const char *comma = strrchr(c->word, ',');
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(json_decrefp) json_t *seen = json_object();
    const json_t *run, *tag;
    size_t i, k;

    if (!ask(c, "/v1/runs?limit=200", &json))
        return;
    json_array_foreach(json_object_get(json, "runs"), i, run)
        json_array_foreach(json_object_get(run, "tags"), k, tag)
    {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

        if (json_object_get(seen, json_string_value(tag)))
            continue;
        json_object_set_new(seen, json_string_value(tag), json_true());
        buffer_append(&text, c->word, comma ? (size_t)(comma + 1 - c->word) : 0);
        buffer_puts(&text, json_string_value(tag));
        offer(c, buffer_text(&text), "");
    }
}

static void offer_artifacts(struct completion *c)
{
    CLEANUP(task_name_release) struct task_name n = { .storage = NULL };
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(json_decrefp) json_t *seen = json_object();
    const json_t *attempt, *artifact;
    struct error error;
    size_t i, k;

    if (!c->n_operands
        || task_name_parse(c->operands[c->n_operands - 1], &n, &error) < 0 || !n.step
        || !ask_tasks(c, &n, &json))
        return;
    json_array_foreach(json_object_get(json, "attempts"), i, attempt)
        json_array_foreach(json_object_get(attempt, "artifacts"), k, artifact)
    {
        const char *name = json_text(artifact, "name");

        if (json_object_get(seen, name))
            continue;
        json_object_set_new(seen, name, json_true());
        offer(c, name, json_text(artifact, "type"));
    }
}

/* ---- what a word of the help stands for ---- */

static void offer_step_of_run(struct completion *c)
{
    for (size_t i = 0; i < c->n_operands; i++)
        if (c->operands[i][0] >= '0' && c->operands[i][0] <= '9') {
            CLEANUP(freep) char *run = strdup(c->operands[i]);

            if (run)
                run[strcspn(run, "/")] = '\0';
            offer_steps(c, run ? run : "", "");
            return;
        }
}

static bool begins(const char *text, const char *front)
{
    return strncmp(text, front, strlen(front)) == 0;
}

/* One of the alternatives of a kind: FLOW|RUN, FILE|-, dot|json. */
static void offer_kind(struct completion *c, const char *kind)
{
    static const struct {
        const char *kind, *words;
    } choices[] = { { "ROLE", "viewer submitter operator" },
                    { "HOW", "stop finish kill" },
                    { "SHELL", "bash zsh fish" },
                    { "TYPE", "json text bytes" },
                    { "WHEN", "auto always never" },
                    { "STATE",
                      "running suspended interrupted ended ok failed cancelled" },
                    { "WHICH", "dot json" } };

    if (begins(kind, "RUN") || strcmp(kind, "OTHER") == 0)
        offer_path(c, kind);
    else if (strcmp(kind, "FLOW") == 0)
        printf(":files mf\n");
    else if (strcmp(kind, "FILE") == 0 || strcmp(kind, "PATH") == 0
             || strcmp(kind, "ADDRESS") == 0 || strcmp(kind, "FROM") == 0
             || strcmp(kind, "TO") == 0)
        printf(":files\n");
    else if (strcmp(kind, "DIR") == 0)
        printf(":dirs\n");
    else if (strcmp(kind, "VERB") == 0)
        offer_verbs(c);
    else if (strcmp(kind, "STEP") == 0)
        offer_step_of_run(c);
    else if (strcmp(kind, "TAG") == 0 || strcmp(kind, "A,B") == 0)
        offer_tags(c);
    else if (strcmp(kind, "NAME") == 0 && strcmp(c->command->name, "artifact") == 0)
        offer_artifacts(c);
    for (size_t i = 0; i < ARRAY_SIZE(choices); i++)
        if (strcmp(kind, choices[i].kind) == 0)
            offer_words(c, choices[i].words);
}

static void offer_alternatives(struct completion *c, const char *kinds)
{
    while (*kinds) {
        size_t len = strcspn(kinds, "|");
        char kind[SYNOPSIS_WORD_MAX];

        snprintf(kind, sizeof(kind), "%.*s", (int)len, kinds);
        offer_kind(c, kind);
        kinds += len + (kinds[len] == '|');
    }
}

static void offer_operand(struct completion *c)
{
    const char *line = c->command->synopsis;
    char told[256] = " "; /* kinds that were offered for another line */
    struct synopsis_word word;

    for (; line; line = synopsis_next(line)) {
        char mark[SYNOPSIS_WORD_MAX + 2];

        if (!synopsis_at(line, c->operands, c->n_operands, &word))
            continue;
        snprintf(mark, sizeof(mark), " %s ", word.text);
        if (strstr(told, mark) || strlen(told) + strlen(mark) >= sizeof(told))
            continue;
        strcat(told, mark + 1);
        if (word.is_literal)
            offer_words(c, word.text);
        else
            offer_alternatives(c, word.text);
    }
}

/* ---- options ---- */

/* Those that the flow names, once its file stands there. */
static void offer_parameters(const struct completion *c)
{
    CLEANUP(flow_file_release) struct flow_file s = { .path = NULL };

    if (!c->command->takes_parameters || !c->n_operands
        || flow_file_read(c->operands[0], &s) != 0)
        return;
    for (size_t i = 0; i < s.flow->n_parameters; i++) {
        const struct parameter *p = &s.flow->parameters[i];
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

        buffer_printf(&text, "--%s", p->name);
        offer(c, buffer_text(&text), p->help ? p->help : "");
    }
}

static void offer_options(const struct completion *c)
{
    offer_parameters(c);
    for (const struct option_spec *s = c->command->options; s->name; s++) {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

        buffer_printf(&text, "--%s", s->name);
        offer(c, buffer_text(&text), s->help);
    }
}

static const struct option_spec *spec_of(const struct command *command,
                                         const char *word)
{
    const struct option_spec *s = command->options;

    for (; s->name; s++)
        if ((begins(word, "--") && strcmp(word + 2, s->name) == 0)
            || (word[0] == '-' && word[1] && word[1] == s->letter && !word[2]))
            return s;
    return NULL;
}

/* ---- reading what is there ---- */

/* The option whose value the next word is; NULL: none. *ret_value is set by those that
 * are wanted here. */
static const struct option_spec *read_words(struct completion *c, char **words,
                                            size_t n)
{
    const struct option_spec *pending = NULL;

    for (size_t i = 0; i < n; i++) {
        const char *word = words[i];

        if (strcmp(word, "=") == 0) /* bash takes --name=value apart */
            continue;
        if (pending) {
            c->options.values[pending - c->command->options] = word;
            pending = NULL;
        } else if (word[0] == '-' && word[1]) {
            pending = spec_of(c->command, word);
            pending = pending && pending->argument ? pending : NULL;
        } else if (c->n_operands < OPERANDS_MAX) {
            c->operands[c->n_operands++] = word;
        }
    }
    return pending;
}

static void offer_all(struct completion *c, char **words, size_t n)
{
    const struct option_spec *pending;

    c->options.specs = c->command->options;
    pending = read_words(c, words, n);
    if (strcmp(c->word, "=") == 0)
        c->word = "";
    if (pending)
        offer_alternatives(c, pending->argument);
    else if (c->word[0] == '-')
        offer_options(c);
    else
        offer_operand(c);
}

static int complete(const struct options *o)
{
    struct completion c = { .word = "" };
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, STDERR_FILENO) < 0)
        return CLI_FAILED;
    if (o->n_operands)
        c.word = o->operands[o->n_operands - 1];
    if (o->n_operands > 1)
        c.command = command_find(o->operands[0]);
    if (o->n_operands < 2)
        offer_verbs(&c);
    else if (c.command)
        offer_all(&c, (char **)o->operands + 1, o->n_operands - 2);
    client_close(c.client);
    return CLI_OK;
}

static const struct option_spec complete_options[] = { OPTION_HELP, OPTION_END };

const struct command command_complete = {
    .name = "complete",
    .synopsis = "-- WORD ...",
    .summary = "say what may stand in place of a command line's last word",
    .about =
        "Asked by what mesh completion prints. A line for each word that fits: the\n"
        "word, a tab, what it is; or :files, :files mf, :dirs.",
    .options = complete_options,
    .operands_max = SIZE_MAX,
    .is_hidden = true,
    .run = complete,
};
