/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    enum store_table table;
    uint8_t *key, *value;
    size_t key_len, value_len;
    bool is_torn;
};

/* Sorted by table, then key. */
struct image {
    struct entry *all;
    size_t n, cap;
};

struct pending {
    struct entry entry;
    bool is_delete;
    bool is_last; /* of its group */
};

struct disk {
    struct store store;
    struct disk_config config;
    struct prng prng;
    struct image durable, visible;
    struct pending *pending;
    size_t n_pending, cap_pending;
    bool is_full, is_failing, has_failed;
};

static void entry_release(struct entry *e)
{
    free(e->key);
    free(e->value);
    *e = (struct entry){ .key = NULL };
}

static int entry_init(struct entry *e, enum store_table table, struct span key,
                      struct span value)
{
    *e = (struct entry){ .table = table,
                         .key = malloc(key.len + 1),
                         .value = malloc(value.len + 1),
                         .key_len = key.len,
                         .value_len = value.len };
    if (!e->key || !e->value) {
        entry_release(e);
        return -ENOMEM;
    }
    if (key.len)
        memcpy(e->key, key.data, key.len);
    if (value.len)
        memcpy(e->value, value.data, value.len);
    return 0;
}

static int compare(enum store_table table, struct span key, const struct entry *e)
{
    size_t len = min_size(key.len, e->key_len);
    int order;

    if (table != e->table)
        return table < e->table ? -1 : 1;
    order = len ? memcmp(key.data, e->key, len) : 0;
    if (order)
        return order;
    return key.len < e->key_len ? -1 : key.len > e->key_len;
}

/* The first entry that is not below the key. */
static size_t lower_bound(const struct image *m, enum store_table table,
                          struct span key)
{
    size_t lo = 0, hi = m->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (compare(table, key, &m->all[mid]) > 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct entry *image_find(const struct image *m, enum store_table table,
                                struct span key)
{
    size_t i = lower_bound(m, table, key);

    return i < m->n && compare(table, key, &m->all[i]) == 0 ? &m->all[i] : NULL;
}

static void image_release(struct image *m)
{
    for (size_t i = 0; i < m->n; i++)
        entry_release(&m->all[i]);
    free(m->all);
    *m = (struct image){ .all = NULL };
}

static void image_remove(struct image *m, size_t i)
{
    entry_release(&m->all[i]);
    memmove(&m->all[i], &m->all[i + 1], (m->n - i - 1) * sizeof(m->all[0]));
    m->n--;
}

static int image_put(struct image *m, const struct entry *from)
{
    struct span key = { from->key, from->key_len };
    size_t i = lower_bound(m, from->table, key);
    struct entry copy;
    int r = entry_init(&copy, from->table, key,
                       (struct span){ from->value, from->value_len });

    if (r < 0)
        return r;
    copy.is_torn = from->is_torn;
    if (i < m->n && compare(from->table, key, &m->all[i]) == 0) {
        entry_release(&m->all[i]);
        m->all[i] = copy;
        return 0;
    }
    if (m->n == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 64;
        struct entry *all = realloc(m->all, cap * sizeof(all[0]));

        if (!all) {
            entry_release(&copy);
            return -ENOMEM;
        }
        m->all = all;
        m->cap = cap;
    }
    memmove(&m->all[i + 1], &m->all[i], (m->n - i) * sizeof(m->all[0]));
    m->all[i] = copy;
    m->n++;
    return 0;
}

static int image_apply(struct image *m, const struct pending *p)
{
    struct span key = { p->entry.key, p->entry.key_len };
    struct entry *e;

    if (!p->is_delete)
        return image_put(m, &p->entry);
    e = image_find(m, p->entry.table, key);
    if (e)
        image_remove(m, (size_t)(e - m->all));
    return 0;
}

static int image_copy(const struct image *from, struct image *to)
{
    int r = 0;

    image_release(to);
    for (size_t i = 0; i < from->n && r == 0; i++)
        r = image_put(to, &from->all[i]);
    return r;
}

static void drop_pending(struct disk *d)
{
    for (size_t i = 0; i < d->n_pending; i++)
        entry_release(&d->pending[i].entry);
    d->n_pending = 0;
}

static int add_pending(struct disk *d, const struct store_write *w)
{
    struct pending *p;
    int r;

    if (d->n_pending == d->cap_pending) {
        size_t cap = d->cap_pending ? 2 * d->cap_pending : 64;

        p = realloc(d->pending, cap * sizeof(p[0]));
        if (!p)
            return -ENOMEM;
        d->pending = p;
        d->cap_pending = cap;
    }
    p = &d->pending[d->n_pending];
    r = entry_init(&p->entry, w->table, w->key, w->value);
    if (r < 0)
        return r;
    p->is_delete = w->is_delete;
    p->is_last = false;
    d->n_pending++;
    return image_apply(&d->visible, p);
}

int disk_write(struct disk *d, const struct store_write *writes, size_t n)
{
    int r = 0;

    if (d->has_failed)
        return -EIO;
    if (d->is_full)
        return -ENOSPC;
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_pending(d, &writes[i]);
    if (n && r == 0)
        d->pending[d->n_pending - 1].is_last = true;
    return r;
}

int disk_sync(struct disk *d)
{
    int r = 0;

    if (d->is_failing || d->has_failed) {
        d->has_failed = true;
        return -EIO;
    }
    for (size_t i = 0; i < d->n_pending && r == 0; i++)
        r = image_apply(&d->durable, &d->pending[i]);
    drop_pending(d);
    return r;
}

/* Cut, or with one byte changed; never what it was. */
static void tear(struct disk *d, struct entry *e)
{
    if (!e->value_len)
        return;
    e->is_torn = true;
    if (d->config.lies & DISK_KEEPS_TORN)
        return;
    if (prng_below(&d->prng, 2))
        e->value_len = prng_below(&d->prng, e->value_len);
    else
        e->value[prng_below(&d->prng, e->value_len)] ^=
            (uint8_t)(1 + prng_below(&d->prng, 255));
}

static void lie(struct disk *d)
{
    size_t i;

    if (!d->durable.n)
        return;
    i = prng_below(&d->prng, d->durable.n);
    if (d->config.lies & DISK_FORGETS)
        image_remove(&d->durable, i);
    else if (d->config.lies & DISK_FLIPS_SYNCED && d->durable.all[i].value_len)
        d->durable.all[i].value[0] ^= 1;
}

int disk_crash(struct disk *d)
{
    size_t n = d->n_pending ? prng_below(&d->prng, d->n_pending + 1) : 0;
    int r = 0;

    while (d->config.keeps_groups && n && !d->pending[n - 1].is_last)
        n--;
    for (size_t i = 0; i < n && r == 0; i++)
        r = image_apply(&d->durable, &d->pending[i]);
    if (r == 0 && n < d->n_pending && d->config.may_tear && prng_below(&d->prng, 2)) {
        tear(d, &d->pending[n].entry);
        r = image_apply(&d->durable, &d->pending[n]);
    }
    drop_pending(d);
    lie(d);
    d->is_failing = d->has_failed = false;
    return r < 0 ? r : image_copy(&d->durable, &d->visible);
}

void disk_set_full(struct disk *d, bool is_full)
{
    d->is_full = is_full;
}

void disk_fail_sync(struct disk *d)
{
    d->is_failing = true;
}

static int image_get(const struct image *m, enum store_table table, struct span key,
                     struct buffer *ret)
{
    const struct entry *e = image_find(m, table, key);

    return e ? buffer_append(ret, e->value, e->value_len) : -ENOENT;
}

int disk_durable(struct disk *d, enum store_table table, struct span key,
                 struct buffer *ret)
{
    return image_get(&d->durable, table, key, ret);
}

bool disk_is_torn(const struct disk *d, struct span key)
{
    const struct entry *e = image_find(&d->durable, STORE_RECORDS, key);

    return e && e->is_torn;
}

static int commit(struct store *s, const struct store_write *writes, size_t n)
{
    struct disk *d = (struct disk *)s;
    int r = disk_write(d, writes, n);

    return r < 0 ? r : disk_sync(d);
}

static int get(struct store *s, enum store_table table, struct span key,
               struct buffer *ret)
{
    return image_get(&((struct disk *)s)->visible, table, key, ret);
}

static int scan(struct store *s, enum store_table table, struct span prefix,
                struct span from,
                int (*each)(void *arg, struct span key, struct span value), void *arg)
{
    const struct image *m = &((struct disk *)s)->visible;
    size_t i = lower_bound(m, table, from.len ? from : prefix);

    for (; i < m->n && m->all[i].table == table; i++) {
        const struct entry *e = &m->all[i];
        int r;

        if (e->key_len < prefix.len
            || (prefix.len && memcmp(e->key, prefix.data, prefix.len) != 0))
            break;
        r = each(arg, (struct span){ e->key, e->key_len },
                 (struct span){ e->value, e->value_len });
        if (r)
            return r;
    }
    return 0;
}

static int usage(struct store *s, uint64_t *ret_used, uint64_t *ret_free)
{
    const struct disk *d = (const struct disk *)s;
    uint64_t used = 0;

    for (size_t i = 0; i < d->visible.n; i++)
        used += d->visible.all[i].key_len + d->visible.all[i].value_len;
    *ret_used = used;
    *ret_free = d->is_full ? 0 : UINT64_MAX - used;
    return 0;
}

static void close_store(struct store *s)
{
    disk_free((struct disk *)s);
}

static const struct store_ops disk_ops = {
    .commit = commit, .get = get, .scan = scan, .usage = usage, .close = close_store
};

struct disk *disk_new(const struct disk_config *config)
{
    struct disk *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->store.ops = &disk_ops;
    d->config = *config;
    prng_init(&d->prng, config->seed);
    return d;
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    drop_pending(d);
    free(d->pending);
    image_release(&d->durable);
    image_release(&d->visible);
    free(d);
}

struct store *disk_store(struct disk *d)
{
    return &d->store;
}
