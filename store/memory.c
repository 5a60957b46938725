/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct entry {
    size_t key_len, value_len;
    char bytes[]; /* key, then value */
};

struct table {
    struct entry **entries; /* by key */
    size_t n, cap;
};

struct memory {
    struct store store;
    pthread_mutex_t lock; /* recursive: a scan's callback may get */
    struct table tables[STORE_TABLES_END];
    uint64_t bytes;
};

static int compare(struct span a, struct span b)
{
    size_t len = min_size(a.len, b.len);
    int order = len ? memcmp(a.data, b.data, len) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static struct span key_of(const struct entry *e)
{
    return (struct span){ .data = e->bytes, .len = e->key_len };
}

static struct span value_of(const struct entry *e)
{
    return (struct span){ .data = e->bytes + e->key_len, .len = e->value_len };
}

/* The first entry whose key is >= key. */
static size_t lower_bound(const struct table *t, struct span key)
{
    size_t lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (compare(key_of(t->entries[mid]), key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool is_at(const struct table *t, size_t i, struct span key)
{
    return i < t->n && compare(key_of(t->entries[i]), key) == 0;
}

static struct entry *entry_new(const struct store_write *w)
{
    struct entry *e = malloc(sizeof(*e) + w->key.len + w->value.len);

    if (!e)
        return NULL;
    e->key_len = w->key.len;
    e->value_len = w->value.len;
    if (w->key.len)
        memcpy(e->bytes, w->key.data, w->key.len);
    if (w->value.len)
        memcpy(e->bytes + w->key.len, w->value.data, w->value.len);
    return e;
}

static int reserve(struct table *t, size_t n)
{
    size_t cap = t->cap ? t->cap : 16;
    struct entry **entries;

    while (cap < t->n + n)
        cap *= 2;
    if (cap == t->cap)
        return 0;
    entries = realloc(t->entries, cap * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    t->entries = entries;
    t->cap = cap;
    return 0;
}

static void erase(struct memory *s, struct table *t, size_t i)
{
    s->bytes -= t->entries[i]->key_len + t->entries[i]->value_len;
    free(t->entries[i]);
    memmove(&t->entries[i], &t->entries[i + 1], (t->n - i - 1) * sizeof(t->entries[0]));
    t->n--;
}

/* Cannot fail: the entry is made and there is room for it. */
static void apply(struct memory *s, const struct store_write *w, struct entry *e)
{
    struct table *t = &s->tables[w->table];
    size_t i = lower_bound(t, w->key);

    if (is_at(t, i, w->key))
        erase(s, t, i);
    if (!e)
        return;
    memmove(&t->entries[i + 1], &t->entries[i], (t->n - i) * sizeof(t->entries[0]));
    t->entries[i] = e;
    t->n++;
    s->bytes += e->key_len + e->value_len;
}

/* All that may fail comes first, so that a commit is whole or nothing. */
static int prepare(struct memory *s, const struct store_write *writes, size_t n,
                   struct entry **entries)
{
    for (size_t i = 0; i < n; i++) {
        if (writes[i].table <= 0 || writes[i].table >= STORE_TABLES_END
            || writes[i].key.len == 0)
            return -EINVAL;
        if (reserve(&s->tables[writes[i].table], n) < 0)
            return -ENOMEM;
        if (writes[i].is_delete)
            continue;
        entries[i] = entry_new(&writes[i]);
        if (!entries[i])
            return -ENOMEM;
    }
    return 0;
}

static int memory_commit(struct store *base, const struct store_write *writes, size_t n)
{
    struct memory *s = (struct memory *)base;
    CLEANUP(freep) struct entry **entries = calloc(n ? n : 1, sizeof(struct entry *));
    int r;

    if (!entries)
        return -ENOMEM;
    pthread_mutex_lock(&s->lock);
    r = prepare(s, writes, n, entries);
    for (size_t i = 0; i < n; i++) {
        if (r == 0)
            apply(s, &writes[i], entries[i]);
        else
            free(entries[i]);
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

static int memory_get(struct store *base, enum store_table table, struct span key,
                      struct buffer *ret)
{
    struct memory *s = (struct memory *)base;
    const struct table *t = &s->tables[table];
    int r = -ENOENT;
    size_t i;

    pthread_mutex_lock(&s->lock);
    i = lower_bound(t, key);
    if (is_at(t, i, key)) {
        struct span value = value_of(t->entries[i]);

        r = buffer_append(ret, value.data, value.len);
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

static int memory_scan(struct store *base, enum store_table table, struct span prefix,
                       struct span from,
                       int (*each)(void *arg, struct span key, struct span value),
                       void *arg)
{
    struct memory *s = (struct memory *)base;
    const struct table *t = &s->tables[table];
    struct span first = compare(from, prefix) > 0 ? from : prefix;
    int r = 0;

    pthread_mutex_lock(&s->lock);
    for (size_t i = lower_bound(t, first); r == 0 && i < t->n; i++) {
        struct span key = key_of(t->entries[i]);

        if (key.len < prefix.len
            || (prefix.len && memcmp(key.data, prefix.data, prefix.len) != 0))
            break;
        r = each(arg, key, value_of(t->entries[i]));
    }
    pthread_mutex_unlock(&s->lock);
    return r;
}

static int memory_usage(struct store *base, uint64_t *ret_used, uint64_t *ret_free)
{
    struct memory *s = (struct memory *)base;

    pthread_mutex_lock(&s->lock);
    *ret_used = s->bytes;
    *ret_free = UINT64_MAX;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static void memory_close(struct store *base)
{
    struct memory *s = (struct memory *)base;

    for (int i = 1; i < STORE_TABLES_END; i++) {
        for (size_t j = 0; j < s->tables[i].n; j++)
            free(s->tables[i].entries[j]);
        free(s->tables[i].entries);
    }
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static const struct store_ops memory_ops = {
    .commit = memory_commit,
    .get = memory_get,
    .scan = memory_scan,
    .usage = memory_usage,
    .close = memory_close,
};

int store_open_memory(struct store **ret_store)
{
    struct memory *s = calloc(1, sizeof(*s));
    pthread_mutexattr_t attributes;

    if (!s)
        return -ENOMEM;
    s->store.ops = &memory_ops;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    *ret_store = &s->store;
    return 0;
}
