/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/terminal.h"

static const struct option_spec doctor_options[] = {
    OPTION_JSON,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

struct counts {
    size_t of[HEALTH_FAIL + 1];
};

static void print_finding(const char *name, const struct finding *f)
{
    static const struct {
        const char *word, *colour;
    } words[] = {
        [HEALTH_OK] = { "OK", COLOUR_GREEN },
        [HEALTH_WARN] = { "WARN", COLOUR_YELLOW },
        [HEALTH_FAIL] = { "FAIL", COLOUR_RED },
    };
    bool has_colour = terminal_has_colour(STDOUT_FILENO);

    printf("%s%-4s%s  %-11s  ", has_colour ? words[f->health].colour : "",
           words[f->health].word, has_colour ? COLOUR_OFF : "", name);
    terminal_print(buffer_text(&f->text));
    putchar('\n');
    if (f->todo.len) {
        printf("                   -> ");
        terminal_print(buffer_text(&f->todo));
        putchar('\n');
    }
}

static int add_finding(json_t *list, const char *name, const struct finding *f)
{
    json_t *one = json_pack("{s:s, s:s, s:s, s:s?}", "name", name, "health",
                            health_name(f->health), "text", buffer_text(&f->text),
                            "todo", f->todo.len ? buffer_text(&f->todo) : NULL);

    return one ? json_array_append_new(list, one) : -1;
}

/* list NULL: for people. */
static int examine(const struct facts *facts, json_t *list, struct counts *counts)
{
    int r = 0;

    for (const struct doctor_check *c = doctor_checks; r == 0 && c->name; c++) {
        CLEANUP(finding_release) struct finding f = { .health = HEALTH_OK };

        c->judge(facts, &f);
        counts->of[f.health]++;
        if (list)
            r = add_finding(list, c->name, &f);
        else
            print_finding(c->name, &f);
    }
    return r;
}

static int print_json(const struct facts *facts, struct counts *counts)
{
    CLEANUP(json_decrefp) json_t *list = json_array();
    CLEANUP(json_decrefp) json_t *all = NULL;

    if (!list || examine(facts, list, counts) != 0)
        return -ENOMEM;
    all = json_pack("{s:s, s:s?, s:O, s:i, s:i, s:i}", "version", facts->version, "dir",
                    facts->dir, "checks", list, "n_ok", (int)counts->of[HEALTH_OK],
                    "n_warn", (int)counts->of[HEALTH_WARN], "n_fail",
                    (int)counts->of[HEALTH_FAIL]);
    if (!all)
        return -ENOMEM;
    json_print(all);
    return 0;
}

static int print_text(const struct facts *facts, struct counts *counts)
{
    examine(facts, NULL, counts);
    printf("\n%zu OK, %zu to look at, %zu to mend\n", counts->of[HEALTH_OK],
           counts->of[HEALTH_WARN], counts->of[HEALTH_FAIL]);
    return 0;
}

static int doctor(const struct options *o)
{
    CLEANUP(facts_release) struct facts facts = { .dir = NULL };
    struct counts counts = { .of = { 0 } };
    int r = facts_gather(o, &facts);

    if (r == 0)
        r = options_has(o, "json") ? print_json(&facts, &counts)
                                   : print_text(&facts, &counts);
    if (r < 0)
        return cli_failed(r, NULL);
    return counts.of[HEALTH_FAIL] ? CLI_FAILED : CLI_OK;
}

const struct command command_doctor = {
    .name = "doctor",
    .summary = "check this machine, the data folder and the store",
    .about =
        "Looks at what a node needs: the kernel, cgroups, limits, the clock, the data\n"
        "folder and its disk, the store, processes that were left behind, programs, "
        "and\n"
        "who is trusted. Each check is OK, WARN (it works, but) or FAIL (it will not\n"
        "work), with what to do. Nothing is changed; the disk is tried with a small "
        "file.",
    .options = doctor_options,
    .examples = "mesh doctor\nmesh doctor --data /var/tmp/mesh\nmesh doctor --json",
    .exits = EXITS_CHECK,
    .run = doctor,
};
