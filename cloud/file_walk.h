/* SPDX-License-Identifier: Apache-2.0 */
/* file_walk - the names in a folder in their order, page by page, for threads that may
 * wait. A walk remembers where it is, so that the next page costs no search. */
#pragma once

#include "cloud/file_disk.h"

struct file_walk;

/* From the first name behind `after` (NULL: the first). The delimiter may be '/' alone.
 * A folder that is not there has no names. -EINVAL for another delimiter. */
int file_walk_new(const struct file_disk *d, const struct object_list *list,
                  struct file_walk **ret_walk, struct error *ret_error);
void file_walk_free(struct file_walk *w);
CLEANUP_POINTER(struct file_walk, file_walk_free);

/* 1 with the next entry, whose name is valid until the next call; 0 at the end. What
 * vanishes meanwhile is left out. */
int file_walk_next(struct file_walk *w, const file_stop *stop,
                   struct object_entry *ret_entry, struct error *ret_error);
