/* SPDX-License-Identifier: Apache-2.0 */
/* mesh audit - who did what, and whether that is still what was written down. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/client.h"
#include "node/cli/duration.h"
#include "node/cli/words.h"

static const struct option_spec audit_options[] = {
    { "since", 0, "TIME", "of the last 30d, 12h, 15m or 90s" },
    { "user", 0, "NAME", "of this user" },
    { "verb", 0, "VERB", "of this kind: submit, cancel, token.create, ..." },
    { "verdict", 0, "VERDICT", "done, refused or failed" },
    { "limit", 0, "N", "the newest N (else 100; 10,000 at most)" },
    { "node", 0, "NODE", "of this member" },
    { "all-nodes", 0, NULL, "of all members, by time" },
    { "verify", 0, NULL, "whether all is there, as it was written" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

/* ---- what is asked ---- */

struct query {
    struct buffer text;
    bool has_any;
};

static int put(struct query *q, const char *name, const char *value)
{
    CLEANUP(freep) char *escaped = value ? client_path("%s", value) : NULL;

    if (!value)
        return 0;
    if (!escaped)
        return cli_failed(-ENOMEM, NULL);
    buffer_printf(&q->text, "%c%s=%s", q->has_any ? '&' : '?', name, escaped);
    q->has_any = true;
    return 0;
}

static int put_since(struct query *q, const struct options *o)
{
    const char *text = options_text(o, "since");
    char seconds[16];
    uint32_t s;

    if (!text)
        return 0;
    if (!duration_parse(text, &s) || !s)
        return cli_usage("--since must be a time such as 30d, 12h or 15m, not '%.80s'",
                         text);
    (void)snprintf(seconds, sizeof(seconds), "%" PRIu32, s);
    return put(q, "since_s", seconds);
}

static int make_path(const struct options *o, char **ret)
{
    static const char *const filters[] = { "user", "verb", "verdict", "limit" };
    struct query q = { .text = BUFFER_INIT };
    bool is_verify = options_has(o, "verify");
    int r;

    buffer_puts(&q.text, is_verify ? "/v1/audit/verify" : "/v1/audit");
    r = is_verify ? 0 : put_since(&q, o);
    for (size_t i = 0; r == 0 && !is_verify && i < ARRAY_SIZE(filters); i++)
        r = put(&q, filters[i], options_text(o, filters[i]));
    if (r == 0)
        r = put(&q, "node", options_text(o, "node"));
    if (r == 0 && options_has(o, "all-nodes"))
        r = put(&q, "all", "true");
    *ret = buffer_take(&q.text);
    return r ? r : *ret ? 0 : cli_failed(-ENOMEM, NULL);
}

/* ---- what is shown ---- */

static void say_silent(const json_t *json)
{
    const json_t *name;
    size_t i;

    json_array_foreach(json_object_get(json, "silent"), i, name)
        cli_say("%s did not answer", json_string_value(name));
}

static const char *colour_of(const char *verdict)
{
    return strcmp(verdict, "done") == 0 ? NULL : COLOUR_RED;
}

static void add_entry(struct table *t, const json_t *e, bool has_nodes)
{
    CLEANUP(buffer_release) struct buffer what = BUFFER_INIT;
    const char *verdict = json_text(e, "verdict"), *why = json_text(e, "why");
    const char *from = json_text(e, "from");

    words_time(t, json_text(e, "time"));
    if (has_nodes)
        table_add(t, NULL, json_text(e, "node"));
    table_add(t, COLOUR_BOLD, json_text(e, "user"));
    table_printf(t, COLOUR_DIM, "%s%s%s", json_text(e, "way"), *from ? " " : "", from);
    table_add(t, NULL, json_text(e, "verb"));
    table_add(t, colour_of(verdict), verdict);
    buffer_printf(&what, "%s%s%s", json_text(e, "about"),
                  *why && *json_text(e, "about") ? ": " : "", why);
    if (json_number(e, "unsaid"))
        buffer_printf(&what, " (and %" PRIu64 " before it)", json_number(e, "unsaid"));
    table_add(t, NULL, buffer_text(&what));
}

static int show_entries(const struct options *o, const json_t *json)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    bool has_nodes = options_has(o, "all-nodes");
    const json_t *e;
    size_t i;

    table_head(&t, has_nodes ? "TIME|NODE|USER|BY|VERB|VERDICT|~ABOUT"
                             : "TIME|USER|BY|VERB|VERDICT|~ABOUT");
    json_array_foreach(json_object_get(json, "entries"), i, e)
        add_entry(&t, e, has_nodes);
    if (table_print(&t) < 0)
        return CLI_FAILED;
    if (json_is_true(json_object_get(json, "older")))
        cli_hint("there are older ones: --limit says how many are shown");
    say_silent(json);
    return CLI_OK;
}

static void show_report(const json_t *node, bool has_nodes)
{
    const json_t *fault;
    size_t i;

    if (has_nodes)
        printf("%s: ", json_text(node, "node"));
    if (json_is_true(json_object_get(node, "intact")))
        printf("%" PRIu64 " entries, all as they were written; the last is %" PRIu64
               " %s\n",
               json_number(node, "entries"), json_number(node, "last"),
               json_text(node, "digest"));
    else
        printf("not what was written: %" PRIu64 " faults\n",
               json_number(node, "n_faults"));
    json_array_foreach(json_object_get(node, "faults"), i, fault)
    {
        uint64_t number = json_number(fault, "number");

        printf("  %s%s", json_text(fault, "file"),
               *json_text(fault, "file") ? ": " : "");
        if (number)
            printf("entry %" PRIu64 ": ", number);
        printf("%s\n", json_text(fault, "fault"));
    }
}

static bool is_intact(const json_t *json)
{
    const json_t *node;
    size_t i;

    json_array_foreach(json_object_get(json, "nodes"), i,
                       node) if (!json_is_true(json_object_get(node,
                                                               "intact"))) return false;
    return true;
}

static void show_reports(const struct options *o, const json_t *json)
{
    const json_t *node;
    size_t i;

    json_array_foreach(json_object_get(json, "nodes"), i, node)
        show_report(node, options_has(o, "all-nodes"));
    say_silent(json);
}

static int audit(const struct options *o)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep) char *path = NULL;
    bool is_verify = options_has(o, "verify");
    int r;

    if (options_has(o, "node") && options_has(o, "all-nodes"))
        return cli_usage("--node and --all-nodes do not go together");
    r = make_path(o, &path);
    if (r == 0)
        r = client_open(o, CLIENT_LOOK, &c);
    if (r == 0)
        r = client_get_json(c, path, &json);
    if (r)
        return r;
    if (options_has(o, "json"))
        r = json_print(json);
    else if (is_verify)
        show_reports(o, json);
    else
        r = show_entries(o, json);
    return r || !is_verify || is_intact(json) ? r : CLI_FAILED;
}

const struct command command_audit = {
    .name = "audit",
    .synopsis = "[--since TIME] [--user NAME] [--verb VERB]\n"
                "--verify",
    .summary = "show who did what",
    .about =
        "Each node writes down who changed something there, and who was refused: "
        "when,\n"
        "by which way (the socket and the user's number, a token's id, the node that\n"
        "passed it on), what, and what became of it. Operators may read it.\n"
        "\n"
        "Entries are chained: --verify finds one that was changed or taken out, and\n"
        "prints the last one's number and digest. Keep these elsewhere to know later\n"
        "that nothing before them was written anew.",
    .options = audit_options,
    .examples = "mesh audit --since 1d\n"
                "mesh audit --verdict refused --all-nodes\n"
                "mesh audit --verb token.create --json\n"
                "mesh audit --verify --all-nodes",
    .exits = EXITS_REFUSED | EXITS_CHECK | EXITS_NAMES | EXITS_NODE,
    .run = audit,
};
