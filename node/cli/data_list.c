/* SPDX-License-Identifier: Apache-2.0 */
/* mesh data ls, rm, and lists for the others. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/cli/client.h"
#include "node/cli/data.h"
#include "node/cli/terminal.h"

/* ---- cursors ---- */

static void drop_page(struct data_cursor *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->entries[i].name);
    free(TAKE(c->entries));
    c->n = c->at = 0;
}

void data_cursor_release(struct data_cursor *c)
{
    drop_page(c);
    free(TAKE(c->after));
}

static void on_listed(void *arg, int status, const struct object_entry *entries,
                      size_t n, const char *next, const struct error *error)
{
    struct data_cursor *c = arg;

    c->is_over = true;
    c->status = status;
    if (error)
        c->error = *error;
    if (status < 0)
        return;
    free(TAKE(c->after));
    c->is_last = !next;
    c->after = next ? strdup(next) : NULL;
    c->entries = calloc(n ? n : 1, sizeof(*c->entries));
    for (size_t i = 0; c->entries && i < n; i++) {
        c->entries[i] = (struct data_entry){ .name = strdup(entries[i].name),
                                             .about = entries[i].about,
                                             .is_prefix = entries[i].is_prefix };
        if (!c->entries[i].name)
            break;
        c->n++;
    }
    if (c->n != n || (next && !c->after))
        c->status = -ENOMEM;
}

static void fetch_page(struct data_cursor *c)
{
    CLEANUP(freep) char *after = TAKE(c->after);
    const struct object_list list = { .prefix = c->prefix,
                                      .delimiter = c->delimiter,
                                      .after = after };
    struct object_call *call;

    drop_page(c);
    c->is_over = false;
    c->status = c->store->class->list(c->store, &list, on_listed, c, &call);
    while (c->status == 0 && !c->is_over) {
        data_turn(c->d);
        if (c->d->is_interrupted && !c->is_over) {
            c->store->class->cancel(call);
            while (!c->is_over)
                data_turn(c->d);
        }
    }
}

const struct data_entry *data_cursor_next(struct data_cursor *c)
{
    while (c->at == c->n) {
        if (c->status < 0 || c->is_last)
            return NULL;
        fetch_page(c);
        if (c->status < 0)
            return NULL;
    }
    return &c->entries[c->at++];
}

/* ---- ls ---- */

static void print_json(const struct data_entry *e, const char *address)
{
    CLEANUP(json_decrefp) json_t *json = json_pack("{s:s}", "address", address);
    CLEANUP(freep) char *text = NULL;

    if (!json)
        return; /* no UTF-8 */
    if (!e->is_prefix) {
        json_object_set_new(json, "bytes", json_integer((json_int_t)e->about.size));
        json_object_set_new(json, "modified", json_integer(e->about.modified_s));
        json_object_set_new(json, "etag", json_string(e->about.etag));
        if (e->about.tier[0])
            json_object_set_new(json, "tier", json_string(e->about.tier));
    } else {
        json_object_set_new(json, "is_folder", json_true());
    }
    text = json_dumps(json, JSON_COMPACT);
    puts(text ? text : "{}");
}

static void print_entry(const struct data *d, const struct data_place *p,
                        const struct data_entry *e)
{
    CLEANUP(buffer_release) struct buffer address = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer shown = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer size = BUFFER_INIT;
    char when[32] = "";
    time_t at = (time_t)e->about.modified_s;
    struct tm tm;

    if (d->m->address_text(&p->address, e->name, &address) < 0)
        return;
    if (d->is_json) {
        print_json(e, address.data);
        return;
    }
    if (e->about.modified_s && localtime_r(&at, &tm))
        strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", &tm);
    if (!e->is_prefix)
        terminal_bytes(e->about.size, &size);
    terminal_name(address.data, &shown);
    printf("%12s  %-19s  %s\n", buffer_text(&size), when, buffer_text(&shown));
}

/* `a/b` is the object, or the folder of that name. */
static bool is_asked(const struct data_entry *e, const char *key)
{
    size_t len = strlen(key);

    return strcmp(e->name, key) == 0
           || (e->is_prefix && strncmp(e->name, key, len) == 0
               && strcmp(e->name + len, "/") == 0);
}

static int list_folder(struct data *d, struct data_place *p, const char *prefix)
{
    CLEANUP(data_cursor_release)
    struct data_cursor c = { .d = d,
                             .store = p->store,
                             .prefix = prefix,
                             .delimiter =
                                 options_has(d->options, "recursive") ? '\0' : '/' };
    const struct data_entry *e;
    size_t n = 0;

    for (; (e = data_cursor_next(&c)); n++)
        print_entry(d, p, e);
    if (d->is_interrupted)
        return CLI_CANCELLED;
    if (c.status < 0)
        return data_failed(c.status, "data ls", &c.error);
    if (n)
        return CLI_OK;
    cli_say("nothing is there");
    return CLI_NOT_FOUND;
}

static int list_name(struct data *d, struct data_place *p)
{
    CLEANUP(data_cursor_release)
    struct data_cursor c = {
        .d = d, .store = p->store, .prefix = p->address.key, .delimiter = '/'
    };
    CLEANUP(freep) char *folder = NULL;
    const struct data_entry *e;
    size_t n = 0;

    while ((e = data_cursor_next(&c))) {
        if (!is_asked(e, p->address.key))
            continue;
        n++;
        if (!e->is_prefix)
            print_entry(d, p, e);
        else if (asprintf(&folder, "%s", e->name) < 0)
            folder = NULL;
    }
    if (c.status < 0)
        return data_failed(c.status, "data ls", &c.error);
    if (n)
        return folder ? list_folder(d, p, folder) : CLI_OK;
    cli_say("there is no '%s', and no folder of that name", p->address.key);
    return CLI_NOT_FOUND;
}

int data_list(struct data *d)
{
    const struct options *o = d->options;
    struct data_place p;
    int r;

    if (o->n_operands > 2)
        return cli_usage("data ls: '%.80s' is one too many", o->operands[2]);
    r = data_place_open(d, o->n_operands > 1 ? o->operands[1] : "datastore:", &p);
    if (r)
        return r;
    r = p.is_folder ? list_folder(d, &p, p.address.key) : list_name(d, &p);
    data_place_release(d, &p);
    return r;
}

/* ---- rm ---- */

static bool remove_one(struct data_copy *c, const struct data_place *p,
                       const char *name)
{
    CLEANUP(buffer_release) struct buffer address = BUFFER_INIT;

    if (!options_has(c->d->options, "dry-run"))
        return data_remove_add(c, p, name);
    if (c->d->m->address_text(&p->address, name, &address) == 0)
        printf("would remove %s\n", address.data);
    return true;
}

static int remove_below(struct data_copy *copy, const struct data_place *p)
{
    CLEANUP(freep) char *prefix = NULL;
    CLEANUP(data_cursor_release)
    struct data_cursor c = { .d = copy->d, .store = p->store };
    const struct data_entry *e;

    if (asprintf(&prefix, "%s%s", p->address.key, p->is_folder ? "" : "/") < 0)
        return CLI_FAILED;
    c.prefix = prefix;
    while ((e = data_cursor_next(&c)) && remove_one(copy, p, e->name))
        continue;
    return c.status < 0 ? data_failed(c.status, "data rm", &c.error) : 0;
}

static int remove_operand(struct data_copy *copy, const char *operand)
{
    bool is_recursive = options_has(copy->d->options, "recursive");
    struct data_place p;
    int r = data_place_open(copy->d, operand, &p);

    if (r)
        return r;
    if (is_recursive)
        r = remove_below(copy, &p);
    else if (p.is_folder)
        r = cli_usage("data rm: %.200s is a folder; all of it: -r", operand);
    if (r == 0 && !p.is_folder && p.address.key[0])
        remove_one(copy, &p, p.address.key);
    data_copy_wait(copy);
    data_place_release(copy->d, &p);
    return r;
}

int data_remove(struct data *d)
{
    struct data_copy copy;
    int r = 0, code;

    data_copy_begin(&copy, d);
    for (size_t i = 1; i < d->options->n_operands && r == 0 && !copy.is_over; i++)
        r = remove_operand(&copy, d->options->operands[i]);
    code = data_copy_end(&copy, "Removed");
    return r ? r : code;
}
