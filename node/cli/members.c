/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/paint.h"
#include "node/cli/words.h"

enum { EVERY_S = 1, EVERY_MAX_S = 3600 };

static const struct option_spec members_options[] = {
    { "all", 'a', NULL, "those too that left or died long ago" },
    { "watch", 'w', NULL, "show them again each second; Ctrl-C ends it" },
    { "every", 'n', "SECONDS", "with --watch: each SECONDS" },
    OPTION_COLOUR,
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

enum { FORGOTTEN_S = 3600 }; /* dead for longer: only with --all */

static volatile sig_atomic_t is_ended;

static void on_signal(int signal)
{
    (void)signal;
    is_ended = 1;
}

/* ---- a row ---- */

static void add_state(struct table *t, const json_t *m)
{
    const char *state = json_text(m, "state");
    const char *colour = strcmp(state, "alive") == 0     ? COLOUR_GREEN
                         : strcmp(state, "suspect") == 0 ? COLOUR_YELLOW
                         : strcmp(state, "dead") == 0    ? COLOUR_RED
                                                         : COLOUR_DIM;

    const json_t *mesh = json_object_get(json_object_get(m, "node"), "mesh");

    if (json_is_true(json_object_get(mesh, "disk_full")))
        table_printf(t, COLOUR_RED, "%s, disk full", state);
    else if (json_is_true(json_object_get(m, "draining")))
        table_printf(t, COLOUR_YELLOW, "%s, draining", state);
    else
        table_add(t, colour, state);
}

static void add_roles(struct table *t, const json_t *roles)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    const json_t *role;
    size_t i;

    json_array_foreach(roles, i, role)
        buffer_printf(&text, "%s%s", i ? "," : "", json_string_value(role));
    table_add(t, NULL, buffer_text(&text));
}

static void add_span(struct table *t, uint64_t seconds)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (seconds)
        terminal_duration(TIME_S(seconds), &text);
    else
        buffer_puts(&text, "now");
    table_add(t, NULL, buffer_text(&text));
}

/* What it says of itself; one that was not heard says nothing. */
static void add_node(struct table *t, const json_t *m)
{
    const json_t *node = json_object_get(m, "node");
    const json_t *guests = json_object_get(json_object_get(node, "mesh"), "guests");
    uint64_t running = json_number(node, "n_running") + json_number(guests, "running");

    if (!json_is_object(node)) {
        table_printf(t, COLOUR_DIM, "-");
        table_printf(t, COLOUR_DIM, "-");
        table_printf(t, COLOUR_DIM, "-");
        return;
    }
    table_printf(t, running ? COLOUR_BOLD : COLOUR_DIM, "%" PRIu64 "/%" PRIu64, running,
                 json_number(m, "slots"));
    table_printf(t, NULL, "%.2f", (double)json_number(node, "load_milli") / 1000);
    words_bytes(t, json_number(json_object_get(node, "store"), "bytes"));
}

static void add_id(struct table *t, const json_t *m)
{
    table_printf(t, COLOUR_DIM, "%.8s", json_text(m, "id"));
}

static bool is_shown(const json_t *m, bool is_all)
{
    const char *state = json_text(m, "state");
    bool is_gone = strcmp(state, "dead") == 0 || strcmp(state, "left") == 0;

    return is_all || !is_gone || json_number(m, "since_s") < FORGOTTEN_S;
}

static int write_members(const json_t *members, bool is_all, struct buffer *out)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    const json_t *m;
    size_t i;

    table_head(&t,
               "~NAME|ID|STATE|>FOR|VERSION|ROLES|>RUNNING|>LOAD|>STORE|ZONE|ADDRESS");
    json_array_foreach(members, i, m)
    {
        if (!is_shown(m, is_all))
            continue;
        table_printf(&t, COLOUR_BOLD, "%s%s", json_text(m, "name"),
                     json_is_true(json_object_get(m, "self")) ? " *" : "");
        add_id(&t, m);
        add_state(&t, m);
        add_span(&t, json_number(m, "since_s"));
        table_add(&t, NULL, json_text(m, "version"));
        add_roles(&t, json_object_get(m, "roles"));
        add_node(&t, m);
        table_add(&t, NULL, json_text(m, "zone"));
        table_add(&t, NULL, json_text(m, "address"));
    }
    return table_write(&t, terminal_width(STDOUT_FILENO),
                       terminal_has_colour(STDOUT_FILENO), out);
}

/* ---- all of them ---- */

static int show(struct client *c, const struct options *o, struct buffer *out)
{
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_get_json(c, "/v1/members?detail=true", &json);

    if (r)
        return r;
    if (options_has(o, "json")) {
        CLEANUP(freep)
        char *text =
            json_dumps(json, options_has(o, "watch") ? JSON_COMPACT : JSON_INDENT(2));

        buffer_printf(out, "%s\n", text ? text : "");
        return CLI_OK;
    }
    return write_members(json_object_get(json, "members"), options_has(o, "all"), out)
                   < 0
               ? CLI_FAILED
               : CLI_OK;
}

static int print(struct client *c, const struct options *o, bool has_screen)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;
    int r = show(c, o, &text);

    if (r)
        return r;
    if (has_screen)
        paint_screen(false, buffer_text(&text), &frame);
    else
        buffer_puts(&frame, buffer_text(&text));
    fwrite(buffer_text(&frame), 1, frame.len, stdout);
    return fflush(stdout) == EOF ? CLI_FAILED : CLI_OK;
}

static int watch(struct client *c, const struct options *o, uint64_t every_s)
{
    bool has_screen =
        isatty(STDOUT_FILENO) && terminal_is_smart() && !options_has(o, "json");
    CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;
    struct timespec pause = { .tv_sec = (time_t)every_s };
    int r = CLI_OK;

    sigaction(SIGINT, &(struct sigaction){ .sa_handler = on_signal }, NULL);
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_signal }, NULL);
    if (has_screen) {
        paint_screen(true, "", &frame);
        fwrite(buffer_text(&frame), 1, frame.len, stdout);
    }
    while (r == CLI_OK && !is_ended) {
        r = print(c, o, has_screen);
        if (r == CLI_OK && !is_ended)
            nanosleep(&pause, NULL);
    }
    buffer_clear(&frame);
    if (has_screen)
        paint_screen_leave(&frame);
    fwrite(buffer_text(&frame), 1, frame.len, stdout);
    return r;
}

static int members(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    struct error error = { .text = "" };
    uint64_t every_s;
    int r;

    if (options_number(o, "every", EVERY_MAX_S, &every_s, &error) < 0)
        return cli_usage("%s", error.text);
    r = client_open(o, CLIENT_NODE, &c);
    if (r)
        return r;
    return options_has(o, "watch") ? watch(c, o, every_s ? every_s : EVERY_S)
                                   : print(c, o, false);
}

const struct command command_members = {
    .name = "members",
    .summary = "list the nodes of the mesh",
    .about =
        "Lists the nodes that the one you ask knows: for how long each is in its "
        "state,\n"
        "what it runs (of its slots), its load, the bytes in its store. The one that "
        "was\n"
        "asked has a *. What a node says of itself is asked now, for 2 seconds at "
        "most;\n"
        "one that does not answer has -.\n"
        "\n"
        "  alive    it answers those that watch it\n"
        "  suspect  some miss it; it is dead unless it says something soon\n"
        "  dead     its work was given to others; it may come back\n"
        "  left     it said that it goes",
    .options = members_options,
    .examples = "mesh members\n"
                "mesh members --watch\n"
                "mesh members --json | jq -r '.members[] | select(.state == "
                "\"dead\").name'",
    .exits = EXITS_NODE,
    .run = members,
};
