/* SPDX-License-Identifier: Apache-2.0 */
/* mesh data put, get, sync: what is copied where. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "node/cli/client.h"
#include "node/cli/data.h"

static char *join(const char *a, const char *b, const char *c)
{
    char *text;

    return asprintf(&text, "%s%s%s", a, b, c) < 0 ? NULL : text;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* What some tools leave where they made a folder. */
static bool is_marker(const struct data_entry *e)
{
    size_t len = strlen(e->name);

    return len && e->name[len - 1] == '/' && !e->about.size;
}

/* ---- put, get ---- */

/* The folder's own name, unless only what is in it was asked for. */
static char *front_of(const struct data_place *from, const struct data_place *to)
{
    CLEANUP(freep) char *name = NULL;
    const char *whole =
        from->address.kind == STORE_FILE ? from->address.bucket : from->address.key;
    size_t len = strlen(whole);
    const char *base;

    len -= len && whole[len - 1] == '/';
    name = strndup(whole, len);
    if (!name)
        return NULL;
    base = base_name(name);
    if (from->is_mirror || !*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        return strdup(to->address.key);
    return join(to->address.key, base, "/");
}

static int copy_folder(struct data_copy *copy, const struct data_place *from,
                       const struct data_place *to)
{
    CLEANUP(freep) char *front = front_of(from, to);
    CLEANUP(freep)
    char *prefix = join(from->address.key, from->is_folder ? "" : "/", "");
    CLEANUP(data_cursor_release)
    struct data_cursor c = { .d = copy->d, .store = from->store, .prefix = prefix };
    const struct data_entry *e;
    bool goes_on = true;
    size_t n = 0;

    if (!front || !prefix)
        return cli_failed(-ENOMEM, NULL);
    while (goes_on && (e = data_cursor_next(&c))) {
        CLEANUP(freep) char *name = join(front, e->name + strlen(prefix), "");

        n++;
        if (!is_marker(e))
            goes_on = name
                      && data_copy_add(copy, &(struct data_pair){ .from = from,
                                                                  .to = to,
                                                                  .from_name = e->name,
                                                                  .to_name = name,
                                                                  .about = &e->about });
    }
    if (c.status < 0 && !copy->d->is_interrupted)
        return data_failed(c.status, "the list", &c.error);
    if (n || copy->is_over)
        return 0;
    cli_say("there is nothing below %s", prefix[0] ? prefix : from->address.bucket);
    return CLI_NOT_FOUND;
}

static int copy_operand(struct data_copy *copy, const char *operand,
                        const struct data_place *to, bool is_one)
{
    struct data *d = copy->d;
    struct data_place from;
    int r = data_place_open(d, operand, &from);

    if (r)
        return r;
    if (options_has(d->options, "recursive") && (from.is_folder || !is_one)
        && from.is_folder) {
        r = copy_folder(copy, &from, to);
    } else if (from.is_folder) {
        r = cli_usage("%.200s is a folder; with all that is below: -r", operand);
    } else {
        CLEANUP(freep)
        char *name =
            join(to->address.key, to->is_folder ? base_name(from.address.key) : "", "");

        if (name)
            data_copy_add(copy, &(struct data_pair){ .from = &from,
                                                     .to = to,
                                                     .from_name = from.address.key,
                                                     .to_name = name });
    }
    data_place_release(d, &from);
    return r;
}

static int copy_all(struct data *d, size_t n, const char *const *sources,
                    const char *target)
{
    struct data_copy copy;
    struct data_place to;
    int r = data_place_open(d, target, &to), code;

    if (r)
        return r;
    if (!to.is_folder && (n > 1 || options_has(d->options, "recursive"))) {
        data_place_release(d, &to);
        return cli_usage("%.200s is to be a folder: end it with '/'", target);
    }
    data_copy_begin(&copy, d);
    for (size_t i = 0; i < n && r == 0 && !copy.is_over; i++)
        r = copy_operand(&copy, sources[i], &to, n == 1);
    code = data_copy_end(&copy, "Copied");
    data_place_release(d, &to);
    return r ? r : code;
}

int data_put(struct data *d)
{
    const struct options *o = d->options;

    return copy_all(d, o->n_operands - 2, o->operands + 1,
                    o->operands[o->n_operands - 1]);
}

int data_get(struct data *d)
{
    const struct options *o = d->options;

    return o->n_operands == 2 ? copy_all(d, 1, o->operands + 1, "./")
                              : copy_all(d, o->n_operands - 2, o->operands + 1,
                                         o->operands[o->n_operands - 1]);
}

/* ---- sync ---- */

struct sync {
    struct data_copy copy;
    struct data_place from, to;
    struct data_cursor here, there;
    char *from_prefix, *to_prefix;
    bool is_dry;
    uint64_t n_same;
};

static void sync_release(struct sync *s)
{
    data_cursor_release(&s->here);
    data_cursor_release(&s->there);
    free(s->from_prefix);
    free(s->to_prefix);
}

/* A copy is younger than what it was copied from; one of the same second may be from
 * before the last change. */
static bool is_same(const struct sync *s, const struct data_entry *a,
                    const struct data_entry *b)
{
    if (a->about.size != b->about.size)
        return false;
    if (a->about.sha256[0] && b->about.sha256[0])
        return strcmp(a->about.sha256, b->about.sha256) == 0;
    if (a->about.etag[0] && s->from.address.kind == s->to.address.kind
        && strcmp(a->about.etag, b->about.etag) == 0)
        return true;
    return a->about.modified_s && b->about.modified_s > a->about.modified_s;
}

static void tell(const struct sync *s, const char *what, const struct data_place *p,
                 const char *name)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (s->copy.d->m->address_text(&p->address, name, &text) == 0)
        printf("would %s %s\n", what, text.data);
}

static bool copy_entry(struct sync *s, const struct data_entry *e)
{
    CLEANUP(freep)
    char *name = join(s->to_prefix, e->name + strlen(s->from_prefix), "");

    if (!name)
        return false;
    if (s->is_dry) {
        tell(s, "copy to", &s->to, name);
        return true;
    }
    return data_copy_add(&s->copy, &(struct data_pair){ .from = &s->from,
                                                        .to = &s->to,
                                                        .from_name = e->name,
                                                        .to_name = name,
                                                        .about = &e->about });
}

/* Both lists are in order: one step of each at a time. `extra` gets what only TO has,
 * a name and a NUL each. */
static bool compare(struct sync *s, struct buffer *extra)
{
    const struct data_entry *a = data_cursor_next(&s->here),
                            *b = data_cursor_next(&s->there);
    size_t n_from = strlen(s->from_prefix), n_to = strlen(s->to_prefix);

    while (a || b) {
        int order = !a ? 1 : !b ? -1 : strcmp(a->name + n_from, b->name + n_to);

        if (s->here.status < 0 || s->there.status < 0)
            return false;
        if (order == 0 && is_same(s, a, b))
            s->n_same++;
        else if (order <= 0 && !is_marker(a) && !copy_entry(s, a))
            return false;
        if (order > 0 && buffer_append(extra, b->name, strlen(b->name) + 1) < 0)
            return false;
        if (order <= 0)
            a = data_cursor_next(&s->here);
        if (order >= 0)
            b = data_cursor_next(&s->there);
    }
    return s->here.status == 0 && s->there.status == 0;
}

static int remove_extra(struct sync *s, const struct buffer *extra, bool is_empty)
{
    if (!options_has(s->copy.d->options, "delete") || !extra->len)
        return 0;
    if (is_empty)
        return cli_usage(
            "FROM is empty: --delete would empty TO; mesh data rm -r does");
    for (const char *name = extra->data; name < extra->data + extra->len;
         name += strlen(name) + 1) {
        if (s->is_dry)
            tell(s, "remove", &s->to, name);
        else if (!data_remove_add(&s->copy, &s->to, name))
            return s->copy.code;
    }
    return 0;
}

static int sync_both(struct sync *s)
{
    CLEANUP(buffer_release) struct buffer extra = BUFFER_INIT;
    bool is_whole = compare(s, &extra);
    int r = data_copy_wait(&s->copy);

    if (r)
        return r;
    if (s->here.status < 0)
        return data_failed(s->here.status, "FROM", &s->here.error);
    if (s->there.status < 0)
        return data_failed(s->there.status, "TO", &s->there.error);
    if (!is_whole)
        return cli_failed(-ENOMEM, NULL);
    r = remove_extra(s, &extra, !s->copy.n_files && !s->n_same && !s->is_dry);
    data_copy_wait(&s->copy);
    return r;
}

static char *folder_prefix(const struct data_place *p)
{
    return join(p->address.key, p->is_folder ? "" : "/", "");
}

static int check_sides(const struct sync *s)
{
    const struct store_address *from = &s->from.address;
    struct stat st;

    if (from->kind == STORE_FILE && (!s->from.is_folder || stat(from->bucket, &st) < 0))
        return cli_say("there is no folder %s%s%s", from->bucket, *from->key ? "/" : "",
                       from->key),
               CLI_NOT_FOUND;
    return 0;
}

int data_sync(struct data *d)
{
    CLEANUP(sync_release)
    struct sync s = { .is_dry = options_has(d->options, "dry-run") };
    int r =
        d->options->n_operands > 3
            ? cli_usage("data sync: '%.80s' is one too many", d->options->operands[3])
            : data_place_open(d, d->options->operands[1], &s.from);
    int code;

    if (r)
        return r;
    r = data_place_open(d, d->options->operands[2], &s.to);
    if (r == 0)
        r = check_sides(&s);
    if (r == 0) {
        s.from_prefix = folder_prefix(&s.from);
        s.to_prefix = folder_prefix(&s.to);
        if (!s.from_prefix || !s.to_prefix)
            return cli_failed(-ENOMEM, NULL);
        s.here = (struct data_cursor){ .d = d,
                                       .store = s.from.store,
                                       .prefix = s.from_prefix };
        s.there =
            (struct data_cursor){ .d = d, .store = s.to.store, .prefix = s.to_prefix };
        data_copy_begin(&s.copy, d);
        r = sync_both(&s);
        code = data_copy_end(&s.copy, s.is_dry ? "Would change:" : "Changed");
        r = r ? r : code;
    }
    data_place_release(d, &s.from);
    data_place_release(d, &s.to);
    return r;
}
