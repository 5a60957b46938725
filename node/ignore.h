/* SPDX-License-Identifier: Apache-2.0 */
/* ignore - the rules of .gitignore files, which .meshignore shares.
 *
 *     # comment   !again   folder/   /anchored   a/b   *.o   ?   [a-z]   **
 *
 * Rules are kept in the order read; the last one that matches decides. A rule with a
 * slash before its end is anchored at the folder of its file, else it matches at any
 * depth below. What lies in an ignored folder cannot be taken back by `!`, because
 * nobody looks in there.
 *
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct ignore_rule {
    char *pattern;
    size_t base_len; /* of the folder the rule is about, with its slash; 0: the top */
    char *base;
    bool is_taken_back, is_folder_only, is_anchored;
};

struct ignore {
    struct ignore_rule *rules;
    size_t n, cap;
};

void ignore_release(struct ignore *g);
/* Read the rules of a file in the folder `base` ("" or "a/b/"). 0 or -ENOMEM. */
int ignore_read(struct ignore *g, const char *base, const char *text, size_t len);
/* Forget the rules behind the first n: the walk leaves a folder. */
void ignore_cut(struct ignore *g, size_t n);
bool ignore_matches(const struct ignore *g, const char *path, bool is_folder);

/* One pattern against one path: `*` and `?` stop at slashes, `**` does not. */
bool ignore_glob(const char *pattern, const char *path);
