/* SPDX-License-Identifier: Apache-2.0 */
/* arena - memory that is freed all at once, for a flow and for a document.
 *
 * Everything a flow consists of has one life, so its parts are not freed one by one.
 * What it returns is aligned for any object and zeroed. */
#pragma once

#include <stddef.h>

#include "base/macros.h"

struct arena;

struct arena *arena_new(void); /* NULL without memory */
void arena_free(struct arena *a);
CLEANUP_POINTER(struct arena, arena_free);

/* NULL without memory. */
void *arena_alloc(struct arena *a, size_t size);
/* Room for n objects of this size. */
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_text(struct arena *a, const char *text, size_t len);
/* A longer copy of an array, with one more element, zeroed, at its end. */
void *arena_grow(struct arena *a, const void *old, size_t n, size_t size);
