/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/bitmap.h"

#include <errno.h>
#include <stdlib.h>

int bitmap_init(struct bitmap *b, uint32_t n)
{
    uint32_t n_words = (n + 63) / 64, n_summary = (n_words + 63) / 64;
    uint64_t *words = calloc((size_t)n_words + n_summary + 1, sizeof(words[0]));

    if (!words)
        return -ENOMEM;
    *b = (struct bitmap){ .words = words, .n_words = n_words, .n_summary = n_summary };
    return 0;
}

void bitmap_release(struct bitmap *b)
{
    free(b->words);
    *b = (struct bitmap){ .words = NULL };
}
