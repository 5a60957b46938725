/* SPDX-License-Identifier: Apache-2.0 */
/* mesh config - what a node would be started with, and where each value comes from. */
#include <inttypes.h>
#include <stdio.h>

#include "node/account.h"
#include "node/cli/client.h"
#include "node/cli/conf_file.h"
#include "node/cli/order.h"
#include "node/cli/terminal.h"
#include "node/machine.h"

static const struct option_spec config_options[] = {
    OPTION_CONFIG, OPTION_SLOTS,    OPTION_CPU,   OPTION_MEMORY,
    OPTION_GPUS,   OPTION_RESOURCE, OPTION_QUOTA, OPTION_JSON,
    OPTION_DATA,   OPTION_HELP,     OPTION_END,
};

/* The same list becomes JSON and a table. */
struct listing {
    const struct conf *conf;
    json_t *settings;
    struct table table;
};

static void listing_release(struct listing *l)
{
    json_decref(l->settings);
    table_release(&l->table);
}

/* Takes the value. `otherwise` is where it comes from when nobody said it. */
static void add(struct listing *l, const char *name, json_t *take_value,
                const char *text, const struct conf_place *place, const char *otherwise)
{
    CLEANUP(buffer_release) struct buffer from = BUFFER_INIT;
    json_t *setting;

    if (place->option)
        buffer_puts(&from, place->option);
    else if (place->line)
        buffer_printf(&from, "%s:%" PRIu32, l->conf->path, place->line);
    else
        buffer_puts(&from, otherwise);
    setting = json_pack("{s:s, s:o, s:s}", "name", name, "value", take_value, "from",
                        buffer_text(&from));
    json_array_append_new(l->settings, setting);
    table_add(&l->table, COLOUR_BOLD, name);
    table_add(&l->table, NULL, text);
    table_add(&l->table, COLOUR_DIM, buffer_text(&from));
}

static void add_milli(struct listing *l, const char *name, uint64_t milli,
                      const struct conf_place *place, const char *otherwise)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%g", (double)milli / 1000);
    add(l, name, json_real((double)milli / 1000), text, place, otherwise);
}

static void add_bytes(struct listing *l, const char *name, uint64_t bytes,
                      const struct conf_place *place, const char *otherwise)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (bytes)
        terminal_bytes(bytes, &text);
    else
        buffer_puts(&text, "none");
    add(l, name, bytes ? json_integer((json_int_t)bytes) : json_null(),
        buffer_text(&text), place, otherwise);
}

static void add_count(struct listing *l, const char *name, uint64_t n,
                      const struct conf_place *place, const char *otherwise)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%" PRIu64, n);
    add(l, name, json_integer((json_int_t)n), text, place, otherwise);
}

static void add_limit(struct buffer *text, json_t *json, const char *name,
                      json_t *take_value, const char *format, double value)
{
    if (value <= 0) {
        json_decref(take_value);
        return;
    }
    json_object_set_new(json, name, take_value);
    buffer_printf(text, "%s%s ", text->len ? ", " : "", name);
    if (format)
        buffer_printf(text, "%g", value);
    else
        terminal_bytes((uint64_t)value, text);
}

static void add_user(struct listing *l, const char *name, const struct user_limits *u,
                     const struct conf_place *place)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint32_t weight = u->weight ? u->weight : 1;
    double cpu = (double)u->max_cpu_milli / 1000, gpu = (double)u->max_gpu_milli / 1000;
    json_t *json = json_object();

    add_limit(&text, json, "weight", json_integer(weight), "%g", weight);
    add_limit(&text, json, "max_tasks", json_integer(u->max_tasks), "%g", u->max_tasks);
    add_limit(&text, json, "max_cpu", json_real(cpu), "%g", cpu);
    add_limit(&text, json, "max_memory", json_integer((json_int_t)u->max_memory_bytes),
              NULL, (double)u->max_memory_bytes);
    add_limit(&text, json, "max_gpu", json_real(gpu), "%g", gpu);
    add(l, name, json, buffer_text(&text), place, "default");
}

static void add_resources(struct listing *l, const struct conf *c)
{
    static const char machine[] = "the machine";

    add_milli(l, "cpu", c->cpu_milli ? c->cpu_milli : machine_cpu_milli(),
              &c->place.cpu, machine);
    add_bytes(l, "memory", c->memory_bytes ? c->memory_bytes : machine_memory_bytes(),
              &c->place.memory, machine);
    add_count(l, "gpu", c->has_gpus ? c->n_gpus : machine_gpus(), &c->place.gpu,
              machine);
    for (uint32_t i = 0; i < c->n_custom; i++)
        add_milli(l, c->custom[i].name, c->custom[i].milli, &c->custom[i].place, "");
}

static void add_accounts(struct listing *l, const struct conf *c)
{
    const char *otherwise = !accounts_are_used(c) ? ""
                            : c->task_account     ? c->task_account
                                                  : ACCOUNT_DEFAULT;

    add(l, "task_account", json_string(otherwise),
        *otherwise ? otherwise : "the node's own", &c->place.task_account, "default");
    for (uint32_t i = 0; i < c->n_accounts; i++) {
        CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;

        buffer_printf(&name, "accounts.%s", c->accounts[i].user);
        add(l, buffer_text(&name), json_string(c->accounts[i].account),
            c->accounts[i].account, &c->accounts[i].place, "default");
    }
}

static void add_names(struct listing *l, const char *name,
                      const struct policy_texts *texts)
{
    const struct conf_place place = { .line = texts->line };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    json_t *json = json_array();

    if (!texts->line) {
        json_decref(json);
        return;
    }
    for (size_t i = 0; i < texts->n; i++) {
        json_array_append_new(json, json_string(texts->all[i]));
        buffer_printf(&text, "%s%s", i ? ", " : "", texts->all[i]);
    }
    add(l, name, json, texts->n ? buffer_text(&text) : "none", &place, "");
}

static void add_most(struct buffer *text, json_t *json, const char *name,
                     uint64_t amount, double unit)
{
    double most = (double)amount / unit;

    if (amount == UINT64_MAX)
        return;
    json_object_set_new(json, name, json_real(most));
    buffer_printf(text, "%s%s %g", text->len ? ", " : "", name, most);
}

/* Memory and disk in MiB, as flows write them. */
static void add_policy(struct listing *l, const struct policy *p)
{
    const struct conf_place remote = { .line = p->remote_line };
    const struct conf_place most = { .line = p->max_line };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    json_t *json = json_object();

    add_names(l, "policy.users", &p->users);
    if (p->remote_line)
        add(l, "policy.remote", json_boolean(!p->refuses_remote),
            p->refuses_remote ? "no" : "yes", &remote, "");
    add_names(l, "policy.environment", &p->environment);
    add_names(l, "policy.paths", &p->paths);
    add_most(&text, json, "cpu", p->max_cpu_milli, 1e3);
    add_most(&text, json, "memory", p->max_memory_bytes, 1 << 20);
    add_most(&text, json, "disk", p->max_disk_bytes, 1 << 20);
    add_most(&text, json, "gpu", p->max_gpu_milli, 1e3);
    for (size_t i = 0; i < p->n_max_custom; i++)
        add_most(&text, json, p->max_custom[i].name, p->max_custom[i].milli, 1e3);
    if (p->max_line)
        add(l, "policy.max_resources", json_incref(json), buffer_text(&text), &most,
            "");
    json_decref(json);
}

static void add_setting(struct listing *l, const char *name, const char *variable,
                        const struct conf_text *t)
{
    const char *value = getenv(variable);
    struct conf_place place = { .option = variable };

    if (value && *value)
        add(l, name, json_string(value), value, &place, "");
    else if (t->text)
        add(l, name, json_string(t->text), t->text, &t->place, "");
}

/* Which node of a mesh it is, as far as somebody said. */
static void add_membership(struct listing *l, const struct conf *c)
{
    add_setting(l, "name", "MESH_NAME", &c->name);
    add_setting(l, "zone", "MESH_ZONE", &c->zone);
    add_setting(l, "peer_listen", "MESH_PEER_LISTEN", &c->peer_listen);
    add_setting(l, "advertise", "MESH_ADVERTISE", &c->advertise);
    add_setting(l, "discover", "MESH_DISCOVER", &c->discover);
    for (uint32_t i = 0; i < c->n_contacts; i++)
        add(l, "contacts", json_string(c->contacts[i].text), c->contacts[i].text,
            &c->contacts[i].place, "");
}

static void add_all(struct listing *l, const struct conf *c)
{
    add_resources(l, c);
    add_bytes(l, "quota", c->quota_bytes, &c->place.quota, "default");
    add_count(l, "slots", c->slots ? c->slots : CONF_SLOTS_MAX, &c->place.slots,
              "default");
    add(l, "shared_uid", json_boolean(c->is_shared), c->is_shared ? "yes" : "no",
        &c->place.shared_uid, "default");
    add_accounts(l, c);
    add_policy(l, &c->policy);
    add_membership(l, c);
    add_user(l, "default_user", &c->sharing.otherwise, &c->place.default_user);
    for (size_t i = 0; i < c->sharing.n_users; i++) {
        CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;

        buffer_printf(&name, "users.%s", c->sharing.users[i].name);
        add_user(l, buffer_text(&name), &c->sharing.users[i], &c->user_places[i]);
    }
}

static int print(struct listing *l, bool is_json)
{
    CLEANUP(json_decrefp) json_t *json = NULL;

    if (!is_json)
        return table_print(&l->table) < 0 ? CLI_FAILED : CLI_OK;
    json = json_pack("{s:s?, s:O}", "path", l->conf->path, "settings", l->settings);
    return json_print(json);
}

static int config(const struct options *o)
{
    CLEANUP(freep) char *dir = cli_data_dir(o);
    CLEANUP(conf_unrefp) struct conf *conf = NULL;
    CLEANUP(listing_release)
    struct listing l = { .settings = json_array() };
    int r = dir ? conf_file_open(o, dir, &conf) : CLI_NO_NODE;

    if (r)
        return r;
    l.conf = conf;
    table_head(&l.table, "SETTING|~VALUE|FROM");
    add_all(&l, conf);
    return print(&l, options_has(o, "json"));
}

const struct command command_config = {
    .name = "config",
    .summary = "show what a node here would be started with",
    .about =
        "Reads mesh.conf as mesh node and mesh run do, and says for each value where\n"
        "it comes from: an option, a line of the file, the machine, or the default.\n"
        "All that is wrong in the file is told at once.\n"
        "\n"
        "The file is the one of --config, else of $MESH_CONFIG, else DIR/mesh.conf,\n"
        "else /etc/mesh/mesh.conf:\n"
        "\n"
        "  resources: {cpu: 8, memory: 32G, gpu: 2, licence: 3}\n"
        "  quota: 200G              # how large the store may become\n"
        "  slots: 64                # tasks at once, whatever they ask for\n"
        "  shared_uid: yes          # other users of this machine may submit\n"
        "  default_user: {max_tasks: 100}\n"
        "  users:\n"
        "    ann: {weight: 2, max_tasks: 8, max_cpu: 4, max_memory: 8G, max_gpu: 1}",
    .options = config_options,
    .examples = "mesh config\n"
                "mesh config --config /etc/mesh/mesh.conf --json\n"
                "mesh config --cpu 4 --resource licence=2",
    .run = config,
};
