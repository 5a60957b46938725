/* SPDX-License-Identifier: Apache-2.0 */
#include "node/conf.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "flow/arena.h"
#include "flow/check.h"
#include "flow/nearest.h"
#include "scheduler/gpus.h"
#include "scheduler/share.h"

/* What messages call the file; a reader of a part puts its own name there. */
static const char whole[] = "the configuration";

enum { DATASTORE_WORKERS_MAX = 1024, DATASTORE_RETRIES_MAX = 100 };
enum { TASKS_MAX = 1000000, NAME_MAX_BYTES = 128, SETTING_MAX_BYTES = 256 };

struct conf *conf_new(void)
{
    struct conf *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->refs = 1;
    c->arena = arena_new();
    if (!c->arena)
        free(TAKE(c));
    if (c)
        policy_init(&c->policy);
    return c;
}

struct conf *conf_ref(struct conf *c)
{
    c->refs++;
    return c;
}

void conf_unref(struct conf *c)
{
    if (!c || --c->refs)
        return;
    free(c->path);
    arena_free(c->arena);
    free(c);
}

/* ---- resources ---- */

/* What is no custom resource but a slip of the pen: a task would ask for the other one,
 * and get all that the machine has. */
static const char *meant_instead(const char *name)
{
    static const struct {
        const char *slip, *meant;
    } slips[] = { { "cpus", "cpu" },   { "cores", "cpu" },  { "gpus", "gpu" },
                  { "mem", "memory" }, { "ram", "memory" }, { "disk", NULL } };
    struct nearest nearest = nearest_to(name);

    for (size_t i = 0; i < ARRAY_SIZE(slips); i++)
        if (strcmp(slips[i].slip, name) == 0)
            return slips[i].meant;
    nearest_offer(&nearest, "memory");
    return nearest.best;
}

static struct conf_custom *find_custom(struct conf *c, const char *name)
{
    for (uint32_t i = 0; i < c->n_custom; i++)
        if (strcmp(c->custom[i].name, name) == 0)
            return &c->custom[i];
    return NULL;
}

static void read_custom(struct check *check, const struct value *v, struct conf *c)
{
    const char *name = v->key->text, *meant = meant_instead(name);
    uint64_t milli = UINT64_MAX;
    struct hint h;

    if (strcmp(name, "disk") == 0) {
        complain(check, v->key, "quota: says how large the store may become",
                 "'disk' is measured: what is free where the store is");
    } else if (meant) {
        complain(check, v->key, hint_near(&h, meant, 0), "unknown resource '%.130s'",
                 name);
    } else if (!is_artifact_name(name)) {
        complain(check, v->key, NULL, "'%.130s' cannot be the name of a resource",
                 name);
    } else if (c->n_custom == RESOURCES_CUSTOM_MAX) {
        complain(check, v->key, NULL, "more than %d custom resources",
                 RESOURCES_CUSTOM_MAX);
    } else {
        read_milli(check, v, &milli);
        if (milli == UINT64_MAX)
            return;
        c->custom[c->n_custom++] =
            (struct conf_custom){ .name = check_copy(check, name, v->key->n),
                                  .milli = milli,
                                  .place = { .line = v->at.line } };
    }
}

static void read_gpu(struct check *check, const struct value *v, struct conf *c)
{
    int64_t n;

    if (!expect_integer(check, v, 0, GPUS_MAX, &n))
        return;
    c->n_gpus = (uint32_t)n;
    c->has_gpus = true;
    c->place.gpu.line = v->at.line;
}

/* A node of nothing would never run anything. */
static void expect_some(struct check *check, const struct value *v, uint64_t value)
{
    if (!value)
        complain(check, v, NULL, "'%s' in %s must be more than 0", v->key->text,
                 check->where);
}

static void read_node_resources(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;

    check->where = "resources";
    if (!expect_mapping(check, v))
        return;
    for (const struct value *child = v->u.first; child && !check->error;
         child = child->next) {
        const char *name = child->key->text;
        size_t errors = diagnostics_errors(check->d);

        if (strcmp(name, "cpu") == 0) {
            read_milli(check, child, &c->cpu_milli);
            c->place.cpu.line = child->at.line;
            if (errors == diagnostics_errors(check->d))
                expect_some(check, child, c->cpu_milli);
        } else if (strcmp(name, "memory") == 0) {
            read_size(check, child, &c->memory_bytes);
            c->place.memory.line = child->at.line;
            if (errors == diagnostics_errors(check->d))
                expect_some(check, child, c->memory_bytes);
        } else if (strcmp(name, "gpu") == 0) {
            read_gpu(check, child, c);
        } else {
            read_custom(check, child, c);
        }
    }
    check->where = whole;
}

/* ---- users ---- */

static void read_weight(struct check *check, const struct value *v, void *field)
{
    int64_t weight;

    if (expect_integer(check, v, 1, SHARE_WEIGHT_MAX, &weight))
        *(uint32_t *)field = (uint32_t)weight;
}

static void read_cap_tasks(struct check *check, const struct value *v, void *field)
{
    int64_t n;

    if (expect_integer(check, v, 1, TASKS_MAX, &n))
        *(uint32_t *)field = (uint32_t)n;
}

static void read_cap_milli(struct check *check, const struct value *v, void *field)
{
    size_t errors = diagnostics_errors(check->d);

    read_milli(check, v, field);
    if (errors == diagnostics_errors(check->d))
        expect_some(check, v, *(uint64_t *)field);
}

static void read_cap_size(struct check *check, const struct value *v, void *field)
{
    size_t errors = diagnostics_errors(check->d);

    read_size(check, v, field);
    if (errors == diagnostics_errors(check->d))
        expect_some(check, v, *(uint64_t *)field);
}

static void read_limits(struct check *check, const struct value *v, void *field)
{
    static const struct key keys[] = {
        { "weight", read_weight, offsetof(struct user_limits, weight), NULL },
        { "max_tasks", read_cap_tasks, offsetof(struct user_limits, max_tasks), NULL },
        { "max_cpu", read_cap_milli, offsetof(struct user_limits, max_cpu_milli),
          NULL },
        { "max_memory", read_cap_size, offsetof(struct user_limits, max_memory_bytes),
          NULL },
        { "max_gpu", read_cap_milli, offsetof(struct user_limits, max_gpu_milli),
          NULL },
    };

    if (expect_mapping(check, v))
        READ_MAPPING(check, v, keys, field);
}

static void read_default_user(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;

    check->where = "default_user";
    c->place.default_user.line = v->at.line;
    read_limits(check, v, &c->sharing.otherwise);
    check->where = whole;
}

static void read_users(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;

    check->where = "users";
    if (!expect_mapping(check, v))
        return;
    c->sharing.n_users = 0; /* the key may be there twice, which is an error */
    c->sharing.users = check_alloc(check, v->n, sizeof(c->sharing.users[0]));
    c->user_places = check_alloc(check, v->n, sizeof(c->user_places[0]));
    for (const struct value *child = v->u.first; child && !check->error;
         child = child->next) {
        struct user_limits *u = &c->sharing.users[c->sharing.n_users];
        struct hint where;

        *u = (struct user_limits){ .name = check_copy(check, child->key->text,
                                                      child->key->n) };
        check->where = hint_format(&where, "user '%.130s'", child->key->text);
        if (!child->key->n || child->key->n > NAME_MAX_BYTES)
            complain(check, child->key, NULL, "a user's name has 1 to %d bytes",
                     NAME_MAX_BYTES);
        read_limits(check, child, u);
        c->user_places[c->sharing.n_users++].line = child->key->at.line;
    }
    check->where = whole;
}

/* ---- the rest ---- */

static void read_quota(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;

    c->place.quota.line = v->at.line;
    read_size(check, v, &c->quota_bytes);
}

static void read_slots(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;
    int64_t n;

    if (!expect_integer(check, v, 1, CONF_SLOTS_MAX, &n))
        return;
    c->slots = (uint32_t)n;
    c->place.slots.line = v->at.line;
}

/* YAML 1.2 takes yes and no for words. */
static void read_shared_uid(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;
    bool is_word = v->type == VALUE_STRING;

    if (v->type == VALUE_BOOL)
        c->is_shared = v->u.boolean;
    else if (is_word && strcmp(v->text, "yes") == 0)
        c->is_shared = true;
    else if (!is_word || strcmp(v->text, "no") != 0)
        complain(check, v, NULL, "'shared_uid' must be yes or no");
    c->place.shared_uid.line = v->at.line;
}

static char *read_account(struct check *check, const struct value *v)
{
    if (!expect_text(check, v))
        return NULL;
    if (!v->n || v->n > NAME_MAX_BYTES)
        complain(check, v, NULL, "an account's name has 1 to %d bytes", NAME_MAX_BYTES);
    return check_copy(check, v->text, v->n);
}

static void read_task_account(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;

    c->task_account = read_account(check, v);
    c->place.task_account.line = v->at.line;
}

static void read_accounts(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;

    check->where = "accounts";
    c->n_accounts = 0;
    if (expect_mapping(check, v))
        c->accounts = check_alloc(check, v->n, sizeof(c->accounts[0]));
    for (const struct value *child = c->accounts ? v->u.first : NULL;
         child && !check->error; child = child->next) {
        struct conf_account *a = &c->accounts[c->n_accounts];

        *a = (struct conf_account){
            .user = check_copy(check, child->key->text, child->key->n),
            .account = read_account(check, child),
            .place = { .line = child->key->at.line },
        };
        c->n_accounts += a->user && a->account;
    }
    check->where = whole;
}

static void read_setting(struct check *check, const struct value *v, void *field)
{
    struct conf_text *t = field;

    if (!expect_text(check, v))
        return;
    if (!v->n || v->n > SETTING_MAX_BYTES)
        complain(check, v, NULL, "this has 1 to %d bytes", SETTING_MAX_BYTES);
    t->text = check_copy(check, v->text, v->n);
    t->place.line = v->at.line;
}

static void read_contacts(struct check *check, const struct value *v, void *field)
{
    struct conf *c = field;

    if (!expect(check, v, VALUE_SEQUENCE))
        return;
    for (const struct value *child = v->u.first; child; child = child->next) {
        if (c->n_contacts == CONF_CONTACTS_MAX) {
            complain(check, child, NULL, "there are at most %d contacts",
                     CONF_CONTACTS_MAX);
            return;
        }
        read_setting(check, child, &c->contacts[c->n_contacts++]);
    }
}

/* ---- the datastore ---- */

static void read_word(struct check *check, const struct value *v, void *field)
{
    if (expect_text(check, v))
        *(const char **)field = check_copy(check, v->text, v->n);
}

static void read_encryption(struct check *check, const struct value *v, void *field)
{
    static const struct key keys[] = {
        { "mode", read_word, offsetof(struct store_settings, encryption), NULL },
        { "key", read_word, offsetof(struct store_settings, kms_key), NULL },
    };

    if (v->type == VALUE_STRING)
        read_word(check, v, &((struct store_settings *)field)->encryption);
    else if (expect_mapping(check, v))
        READ_MAPPING(check, v, keys, field);
}

static void read_workers(struct check *check, const struct value *v, void *field)
{
    int64_t n;

    if (expect_integer(check, v, 1, DATASTORE_WORKERS_MAX, &n))
        ((struct store_settings *)field)->workers = (uint32_t)n;
}

static void read_retries(struct check *check, const struct value *v, void *field)
{
    struct store_settings *s = field;
    int64_t n;

    if (!expect_integer(check, v, 0, DATASTORE_RETRIES_MAX, &n))
        return;
    s->retries = (uint32_t)n;
    s->has_retries = true;
}

static void read_path_style(struct check *check, const struct value *v, void *field)
{
    if (expect(check, v, VALUE_BOOL))
        ((struct store_settings *)field)->is_path_style = v->u.boolean;
}

/* An endpoint or an encryption without the store that they are of would be for none. */
static void read_datastore(struct check *check, const struct value *v, void *field)
{
    static const struct key keys[] = {
        { "root", read_word, offsetof(struct store_settings, root), NULL },
        { "endpoint", read_word, offsetof(struct store_settings, endpoint), NULL },
        { "region", read_word, offsetof(struct store_settings, region), NULL },
        { "account", read_word, offsetof(struct store_settings, account), NULL },
        { "encryption", read_encryption, 0, NULL },
        { "storage_class", read_word, offsetof(struct store_settings, storage_class),
          NULL },
        { "tags", read_word, offsetof(struct store_settings, tags), NULL },
        { "path_style", read_path_style, 0, NULL },
        { "workers", read_workers, 0, NULL },
        { "retries", read_retries, 0, NULL },
    };
    struct store_settings *s = field;
    struct store_address root;
    struct error error;

    check->where = "datastore";
    if (expect_mapping(check, v)) {
        READ_MAPPING(check, v, keys, s);
        if (!s->root)
            complain(check, v, "root: s3://BUCKET/PREFIX", "'datastore' has no root");
        else if (store_address_parse(s->root, &root, &error) < 0)
            complain(check, v, NULL, "root: %s", error.text);
        else
            store_address_release(&root);
    }
    check->where = whole;
}

static void read_top(struct check *check, const struct value *v, struct conf *c)
{
    static const struct key keys[] = {
        { "resources", read_node_resources, 0, NULL },
        { "users", read_users, 0, NULL },
        { "default_user", read_default_user, 0, NULL },
        { "quota", read_quota, 0, NULL },
        { "slots", read_slots, 0, NULL },
        { "shared_uid", read_shared_uid, 0, NULL },
        { "accounts", read_accounts, 0, NULL },
        { "task_account", read_task_account, 0, NULL },
        { "policy", policy_read, offsetof(struct conf, policy), NULL },
        { "name", read_setting, offsetof(struct conf, name), NULL },
        { "zone", read_setting, offsetof(struct conf, zone), NULL },
        { "peer_listen", read_setting, offsetof(struct conf, peer_listen), NULL },
        { "advertise", read_setting, offsetof(struct conf, advertise), NULL },
        { "discover", read_setting, offsetof(struct conf, discover), NULL },
        { "contacts", read_contacts, 0, NULL },
        { "datastore", read_datastore, offsetof(struct conf, datastore), NULL },
    };

    READ_MAPPING(check, v, keys, c);
}

/* Blank lines and comments: a flow of these is a mistake, a configuration is none. */
static bool says_nothing(const char *text, size_t len)
{
    bool is_comment = false;

    for (size_t i = 0; i < len; i++) {
        is_comment = text[i] != '\n' && (is_comment || text[i] == '#');
        if (!is_comment && !strchr(" \t\r\n", text[i]))
            return false;
        if (!text[i])
            return false;
    }
    return true;
}

int conf_read(struct conf *c, const char *text, size_t len, struct diagnostics *d)
{
    CLEANUP(document_release) struct document doc = { .root = NULL };
    struct check check = { .arena = c->arena, .d = d, .where = whole };
    size_t errors = diagnostics_errors(d);
    int r;

    if (len > CONF_BYTES_MAX)
        return -E2BIG;
    if (says_nothing(text, len))
        return 0;
    r = document_read(&doc, text, len, d);
    if (r < 0)
        return r;
    if (doc.root && doc.root->type != VALUE_NULL && expect_mapping(&check, doc.root))
        read_top(&check, doc.root, c);
    diagnostics_excerpts(d, text, len);
    diagnostics_sort(d);
    if (check.error)
        return check.error;
    return diagnostics_errors(d) > errors ? -EINVAL : 0;
}

int conf_add_resource(struct conf *c, const char *text, const char *option,
                      struct error *ret_error)
{
    const char *equals = strchr(text, '='), *meant;
    CLEANUP(freep) char *name = NULL;
    struct conf_custom *custom;
    double number;
    char *end;

    name = strndup(text, equals ? (size_t)(equals - text) : strlen(text));
    if (!name)
        return -ENOMEM;
    meant = meant_instead(name);
    if (!equals || !is_artifact_name(name))
        return fail(ret_error, -EINVAL,
                    "%s must be NAME=N, as in licence=2, not '%.80s'", option, text);
    if (strcmp(name, "disk") == 0)
        return fail(ret_error, -EINVAL,
                    "%s: the disk is measured; --quota says how large the store may "
                    "become",
                    option);
    if (meant || strcmp(name, "cpu") == 0 || strcmp(name, "gpu") == 0)
        return fail(ret_error, -EINVAL,
                    "%s is for what a node has besides cpu, memory and gpu; did you "
                    "mean --%s?",
                    option,
                    strncmp(name, "gpu", 3) == 0 ? "gpus"
                    : meant                      ? meant
                                                 : name);
    number = strtod(equals + 1, &end);
    if (end == equals + 1 || *end || !(number >= 0 && number <= 1e6))
        return fail(ret_error, -EINVAL,
                    "%s must be NAME=N with a number from 0 to 1000000, not '%.80s'",
                    option, text);
    custom = find_custom(c, name);
    if (!custom && c->n_custom == RESOURCES_CUSTOM_MAX)
        return fail(ret_error, -EINVAL, "more than %d custom resources",
                    RESOURCES_CUSTOM_MAX);
    if (!custom) {
        custom = &c->custom[c->n_custom];
        custom->name = arena_text(c->arena, name, strlen(name));
        if (!custom->name)
            return -ENOMEM;
        c->n_custom++;
    }
    custom->milli = (uint64_t)ceil(number * 1000 - 1e-6);
    custom->place.option = option;
    return 0;
}
