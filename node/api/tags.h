/* SPDX-License-Identifier: Apache-2.0 */
/* tags - the tags of a run, and what a change makes of them. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum { TAG_BYTES_MAX = 500 };

struct tags {
    char **all; /* in the order in which they were added; each once */
    size_t n;
};

void tags_release(struct tags *t);

/* What `set` says, or the tags of now without those of `remove` and with those of
 * `add`. Lists are NULL-terminated; NULL is as if empty, but for set. Texts of the
 * result are borrowed from the arguments; free it by tags_release(). -EINVAL  a tag is
 * empty, too long, or has a control character -E2BIG   there would be more than
 * RECORD_TAGS_MAX -ENOMEM */
int tags_change(char *const *now, size_t n_now, char *const *add, char *const *remove,
                char *const *set, struct tags *ret, struct error *ret_error);

/* Whether the list has the same tags as `now`, in whatever order. */
bool tags_match(char *const *now, size_t n_now, char *const *list);
