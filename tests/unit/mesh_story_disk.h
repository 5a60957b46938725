/* SPDX-License-Identifier: Apache-2.0 */
/* mesh_story_disk - keys and values in order, in memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_row {
    uint8_t *key, *value;
    size_t key_len, value_len;
};
struct disk_map {
    struct disk_row *rows;
    size_t n, cap;
};
struct disk_write {
    uint64_t ticket;
    struct disk_row row;
    bool is_delete, is_range;
};

void disk_map_release(struct disk_map *d);
void disk_map_copy(const struct disk_map *from, struct disk_map *to);
void disk_map_apply(struct disk_map *d, const struct disk_write *w);
/* The first row at or behind the key. */
size_t disk_map_find(const struct disk_map *d, const void *key, size_t len);
const struct disk_row *disk_map_get(const struct disk_map *d, const void *key,
                                    size_t len);
bool disk_row_begins(const struct disk_row *r, const void *prefix, size_t len);
