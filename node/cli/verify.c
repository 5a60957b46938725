/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "node/cli/client.h"
#include "node/cli/words.h"

static const struct option_spec verify_options[] = {
    OPTION_JSON, OPTION_SOCKET, OPTION_DATA, OPTION_HELP, OPTION_END,
};

static int print_damaged(const json_t *list)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    const json_t *d;
    size_t i;

    table_head(&t, "WHAT|WHERE|NAME|~PROBLEM");
    json_array_foreach(list, i, d)
    {
        table_add(&t, NULL, json_text(d, "what"));
        table_printf(&t, NULL, "%s%s%s", json_text(d, "step"),
                     *json_text(d, "task") ? "/" : "", json_text(d, "task"));
        table_add(&t, NULL, json_text(d, "name"));
        table_add(&t, COLOUR_RED, json_text(d, "problem"));
    }
    table_print(&t);
    return CLI_FAILED;
}

/* ---- signatures ---- */

static void add_count(struct buffer *out, uint64_t n, const char *text)
{
    if (n)
        buffer_printf(out, ", %" PRIu64 " %s", n, text);
}

static void print_signers(const json_t *signers)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    const json_t *s;
    size_t i;

    json_array_foreach(signers, i, s)
    {
        const char *name = json_text(s, "name");

        buffer_printf(&out, "%s%s %" PRIu64, i ? ", " : "",
                      *name ? name : json_text(s, "node"), json_number(s, "n_signed"));
    }
    if (out.len)
        printf("Signed by %s.\n", buffer_text(&out));
}

/* Where nothing is signed it was a node alone: that is no news. */
static void print_unsigned(const json_t *list)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    const json_t *a;
    size_t i;

    table_head(&t, "UNSIGNED|~ATTEMPT");
    json_array_foreach(list, i, a)
    {
        table_printf(&t, NULL, "%s/%s", json_text(a, "step"), json_text(a, "task"));
        table_printf(&t, NULL, "%" PRIu64, json_number(a, "attempt"));
    }
    table_print(&t);
}

static void print_signatures(const json_t *s)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    uint64_t n_signed = json_number(s, "n_signed"), n_bad = json_number(s, "n_bad"),
             n_unsigned = json_number(s, "n_unsigned"),
             n_lost = json_number(s, "n_lost"), n_adopted = json_number(s, "n_adopted");

    add_count(&out, n_bad, "badly signed");
    add_count(&out, n_unsigned, "unsigned");
    add_count(&out, n_lost, "lost with their node");
    add_count(&out, n_adopted, "taken over from another run");
    printf("%" PRIu64 " attempts: %" PRIu64 " signed%s.\n",
           n_signed + n_bad + n_unsigned + n_lost + n_adopted, n_signed,
           buffer_text(&out));
    print_signers(json_object_get(s, "signers"));
    if (n_unsigned && n_signed + n_bad)
        print_unsigned(json_object_get(s, "unsigned"));
}

static int verify(const struct options *o)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s/verify", o->operands[0]);
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    size_t n_damaged;
    int r = client_open(o, CLIENT_LOOK, &c);

    if (r == 0)
        r = client_json(c, "POST", path, NULL, -1, &json);
    if (r)
        return r;
    n_damaged = json_array_size(json_object_get(json, "damaged"));
    if (options_has(o, "json"))
        return json_print(json) || n_damaged ? CLI_FAILED : CLI_OK;
    terminal_bytes(json_number(json, "bytes"), &bytes);
    printf("Run %s: %" PRIu64 " blobs, %s checked, %zu damaged.\n", o->operands[0],
           json_number(json, "n_checked"), buffer_text(&bytes), n_damaged);
    print_signatures(json_object_get(json, "signatures"));
    return n_damaged ? print_damaged(json_object_get(json, "damaged")) : CLI_OK;
}

const struct command command_verify = {
    .name = "verify",
    .synopsis = "RUN",
    .summary = "check that what a run kept is whole",
    .about =
        "Reads every byte that RUN kept (artifacts, logs, code) and compares it with\n"
        "its name, which is the hash of the content. Whatever is damaged is listed;\n"
        "the exit code is 1 then.\n"
        "\n"
        "The nodes of a mesh sign the attempts that they carry out. It is said how "
        "many\n"
        "are signed, and by whom; one that is not what its node signed is damaged. A\n"
        "node that is of no mesh signs nothing.",
    .options = verify_options,
    .examples = "mesh verify 42",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = verify,
};
