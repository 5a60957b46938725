/* SPDX-License-Identifier: Apache-2.0 */
/* table - rows of one size, found by 16 bytes: the id of a node or of a run.
 *
 * A row begins with its id; the rest of a new one is zero. Adding and removing rows
 * moves others, so a pointer to a row lives until the next of these. Open addressing
 * with linear probing: the order of a walk follows from what was added and removed, and
 * from nothing else. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TABLE_ID_SIZE = 16 };

struct table {
    uint8_t *rows;
    size_t row_size; /* set by the owner */
    size_t n, cap;
};

void node_table_release(struct table *t);

/* NULL if there is none. */
void *node_table_find(const struct table *t, const void *id);
/* Made when there is none; NULL without memory. The id is not all zero. */
void *node_table_add(struct table *t, const void *id);
void node_table_remove(struct table *t, const void *id);

/* The row behind `row`, or the first with NULL; NULL at the end. */
void *node_table_next(const struct table *t, const void *row);
