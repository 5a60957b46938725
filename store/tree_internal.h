/* SPDX-License-Identifier: Apache-2.0 */
/* tree_internal - rules of paths and targets, shared by keeping and reading a tree. */
#pragma once

#include "store/tree.h"

bool tree_is_path(const char *path);
/* Whether a link at `path` with this target stays inside the tree. */
bool tree_is_inside(const char *path, const char *target, size_t target_len);
/* Appends; takes the path, also on failure. */
int tree_add(struct tree *t, char *take_path, unsigned mode, uint64_t size,
             const struct digest *id);
void tree_sort(struct tree *t);
/* Sorted, no path twice, none below another. */
bool tree_is_well_formed(const struct tree *t);
