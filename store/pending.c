/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pending.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    BLOCK_SIZE = 64 << 10,
    WRITES_MIN = 256,
    /* What a clear keeps; 4,096 writes of 100 bytes. */
    WRITES_KEPT = 4096,
    BLOCKS_KEPT = 8,
};

struct pending_block {
    struct pending_block *next;
    size_t used, size;
    char data[];
};

void file_sync_free(struct file_sync *s)
{
    if (!s)
        return;
    close(s->fd);
    free(s->old_path);
    free(s->new_path);
    free(s);
}

static void free_blocks(struct pending_block *block)
{
    while (block) {
        struct pending_block *next = block->next;

        free(block);
        block = next;
    }
}

static void free_syncs(struct pending *p)
{
    while (p->syncs) {
        struct file_sync *next = p->syncs->next;

        file_sync_free(p->syncs);
        p->syncs = next;
    }
    p->last_sync = NULL;
}

void pending_release(struct pending *p)
{
    free_syncs(p);
    free_blocks(p->blocks);
    free_blocks(p->spares);
    free(p->writes);
    free(p->slots);
    *p = (struct pending){ .n = 0 };
}

/* Only blocks of the common size are worth keeping. */
static void spare_some_blocks(struct pending *p)
{
    struct pending_block *block = p->blocks;
    int n = 0;

    for (struct pending_block *spare = p->spares; spare; spare = spare->next)
        n++;
    while (block) {
        struct pending_block *next = block->next;

        if (block->size == BLOCK_SIZE && n < BLOCKS_KEPT) {
            block->used = 0;
            block->next = p->spares;
            p->spares = block;
            n++;
        } else {
            free(block);
        }
        block = next;
    }
    p->blocks = NULL;
}

void pending_clear(struct pending *p)
{
    free_syncs(p);
    spare_some_blocks(p);
    if (p->cap > WRITES_KEPT) {
        free(p->writes);
        free(p->slots);
        p->writes = NULL;
        p->slots = NULL;
        p->cap = p->n_slots = 0;
    } else if (p->n) {
        memset(p->slots, 0, p->n_slots * sizeof(*p->slots));
    }
    p->n = p->bytes = 0;
    p->last_ticket = 0;
}

static uint32_t hash_key(enum store_table table, struct span key)
{
    return (uint32_t)XXH3_64bits_withSeed(key.data, key.len, (XXH64_hash_t)table);
}

static bool is_key(const struct store_write *w, enum store_table table, struct span key)
{
    return w->table == table && w->key.len == key.len
           && memcmp(w->key.data, key.data, key.len) == 0;
}

/* The slot that holds the key, or the free one where it belongs. */
static struct pending_slot *find_slot(const struct pending *p, uint32_t hash,
                                      enum store_table table, struct span key)
{
    size_t i = hash & (p->n_slots - 1);

    for (;; i = (i + 1) & (p->n_slots - 1)) {
        struct pending_slot *slot = &p->slots[i];

        if (slot->index == 0)
            return slot;
        if (slot->hash == hash && is_key(&p->writes[slot->index - 1], table, key))
            return slot;
    }
}

static int grow_slots(struct pending *p, size_t n_slots)
{
    struct pending_slot *slots = calloc(n_slots, sizeof(*slots));

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < p->n_slots; i++) {
        size_t at = p->slots[i].hash & (n_slots - 1);

        if (p->slots[i].index == 0)
            continue;
        while (slots[at].index)
            at = (at + 1) & (n_slots - 1);
        slots[at] = p->slots[i];
    }
    free(p->slots);
    p->slots = slots;
    p->n_slots = n_slots;
    return 0;
}

static int reserve_writes(struct pending *p, size_t n)
{
    size_t cap = p->cap ? p->cap : WRITES_MIN;
    struct store_write *writes;

    if (n > UINT32_MAX / 4 - p->n)
        return -ENOMEM;
    while (cap < p->n + n)
        cap *= 2;
    if (cap != p->cap) {
        writes = realloc(p->writes, cap * sizeof(*writes));
        if (!writes)
            return -ENOMEM;
        p->writes = writes;
        p->cap = cap;
    }
    return p->n_slots < 2 * cap ? grow_slots(p, 2 * cap) : 0;
}

static struct pending_block *block_new(size_t size)
{
    struct pending_block *block = malloc(sizeof(*block) + size);

    if (block)
        *block = (struct pending_block){ .size = size };
    return block;
}

/* A block with room for len bytes, len <= BLOCK_SIZE. */
static struct pending_block *reserve_block(struct pending *p, size_t len)
{
    struct pending_block *block = p->blocks;

    if (block && block->size - block->used >= len)
        return block;
    block = p->spares;
    if (block)
        p->spares = block->next;
    else
        block = block_new(BLOCK_SIZE);
    if (!block)
        return NULL;
    block->next = p->blocks;
    p->blocks = block;
    return block;
}

/* Behind the first, which may have room left. */
static void insert_block(struct pending *p, struct pending_block *block)
{
    struct pending_block **at = p->blocks ? &p->blocks->next : &p->blocks;

    block->next = *at;
    *at = block;
}

static void copy_span(struct span s, char **at)
{
    if (s.len)
        memcpy(*at, s.data, s.len);
    *at += s.len;
}

static size_t count_bytes(const struct store_write *writes, size_t n)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++)
        len += writes[i].key.len + writes[i].value.len;
    return len;
}

static void copy_writes(const struct store_write *writes, size_t n, char *at)
{
    for (size_t i = 0; i < n; i++) {
        copy_span(writes[i].key, &at);
        copy_span(writes[i].value, &at);
    }
}

int pending_pack(const struct store_write *writes, size_t n,
                 struct pending_block **ret_packed)
{
    size_t len = count_bytes(writes, n);
    struct pending_block *block;

    if (len <= BLOCK_SIZE)
        return 0;
    block = block_new(len);
    if (!block)
        return -ENOMEM;
    copy_writes(writes, n, block->data);
    block->used = len;
    *ret_packed = block;
    return 0;
}

/* The bytes lie at *at already. */
static void enter_write(struct pending *p, struct store_write w, const char **at)
{
    uint32_t hash = hash_key(w.table, w.key);
    struct pending_slot *slot = find_slot(p, hash, w.table, w.key);

    w.key.data = *at;
    w.value.data = *at + w.key.len;
    *at += w.key.len + w.value.len;
    p->bytes += w.key.len + w.value.len + sizeof(w);
    if (slot->index) {
        p->writes[slot->index - 1] = w;
        return;
    }
    p->writes[p->n++] = w;
    *slot = (struct pending_slot){ .hash = hash, .index = (uint32_t)p->n };
}

int pending_add(struct pending *p, const struct store_write *writes, size_t n,
                struct pending_block **packed)
{
    struct pending_block *block;
    const char *at;

    if (reserve_writes(p, n) < 0)
        return -ENOMEM;
    if (*packed) {
        at = (*packed)->data;
        insert_block(p, TAKE(*packed));
    } else {
        size_t len = count_bytes(writes, n);

        block = reserve_block(p, len);
        if (!block)
            return -ENOMEM;
        copy_writes(writes, n, block->data + block->used);
        at = block->data + block->used;
        block->used += len;
    }
    for (size_t i = 0; i < n; i++)
        enter_write(p, writes[i], &at);
    return 0;
}

void pending_add_sync(struct pending *p, struct file_sync *take_sync)
{
    take_sync->next = NULL;
    if (p->last_sync)
        p->last_sync->next = take_sync;
    else
        p->syncs = take_sync;
    p->last_sync = take_sync;
}

const struct store_write *pending_find(const struct pending *p, enum store_table table,
                                       struct span key)
{
    const struct pending_slot *slot;

    if (p->n == 0)
        return NULL;
    slot = find_slot(p, hash_key(table, key), table, key);
    return slot->index ? &p->writes[slot->index - 1] : NULL;
}

bool pending_has_prefix(const struct pending *p, enum store_table table,
                        struct span prefix)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct store_write *w = &p->writes[i];

        if (w->table == table && w->key.len >= prefix.len
            && (prefix.len == 0 || memcmp(w->key.data, prefix.data, prefix.len) == 0))
            return true;
    }
    return false;
}
