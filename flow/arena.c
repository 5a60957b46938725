/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/arena.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK_SIZE = 64 << 10, ALIGNMENT = 16 };

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(ALIGNMENT) unsigned char data[];
};

struct arena {
    struct block *blocks; /* the first one is being filled */
};

struct arena *arena_new(void)
{
    return calloc(1, sizeof(struct arena));
}

void arena_free(struct arena *a)
{
    if (!a)
        return;
    while (a->blocks) {
        struct block *next = a->blocks->next;

        free(a->blocks);
        a->blocks = next;
    }
    free(a);
}

static struct block *add_block(struct arena *a, size_t size)
{
    size_t want = size > BLOCK_SIZE / 4 ? size : BLOCK_SIZE;
    struct block *b = calloc(1, sizeof(*b) + want);

    if (!b)
        return NULL;
    b->size = want;
    if (a->blocks && want != BLOCK_SIZE) { /* keep filling the one that has room */
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
    }
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    struct block *b = a->blocks;
    void *at;

    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!b || b->size - b->used < size)
        b = add_block(a, size);
    if (!b)
        return NULL;
    at = b->data + b->used;
    b->used += size;
    return at;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    return n > SIZE_MAX / 2 / size ? NULL : arena_alloc(a, n * size);
}

char *arena_text(struct arena *a, const char *text, size_t len)
{
    char *copy = arena_alloc(a, len + 1);

    if (copy && len)
        memcpy(copy, text, len);
    return copy;
}

void *arena_grow(struct arena *a, const void *old, size_t n, size_t size)
{
    void *grown = arena_array(a, n + 1, size);

    if (grown && n)
        memcpy(grown, old, n * size);
    return grown;
}
