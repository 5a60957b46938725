/* SPDX-License-Identifier: Apache-2.0 */
/* tree - a folder as content: the code package, and artifacts that are folders.
 *
 * A manifest is a blob of lines, sorted by path in byte order:
 *
 *     mesh-tree 1\n
 *     <mode: 644, 755 or link> SP <size> SP <hex id> SP <path>\n
 *
 * Paths are relative, have no empty, `.` or `..` part and no NUL; a newline or a
 * backslash in a path is written \n or \\. No path lies below another entry. A link's
 * id names a blob with its target, which must be relative and stay inside: it may have
 * `..` only in front, and no more of them than folders above the link, because behind a
 * link `..` leads elsewhere than it seems. Empty folders are not kept. A manifest that
 * breaks a rule is refused: it may come from outside. */
#pragma once

#include "store/blobs.h"

enum { TREE_FILES_MAX = 100000, TREE_DEPTH_MAX = 128, TREE_PATH_MAX = 4095 };

struct tree_entry {
    char *path;
    unsigned mode; /* 0644 or 0755; 0: a symbolic link */
    uint64_t size;
    struct digest id;
};

struct tree {
    struct tree_entry *entries;
    size_t n, cap;
    uint64_t bytes; /* of all files */
};

void tree_release(struct tree *t);

/* Keep the files `paths` (relative to the folder `dir`; a folder stands for all in it)
 * and describe them; with may_take, files are moved into the store instead of copied
 * (also when it fails later). paths NULL: all of the folder.
 * -E2BIG   beyond bytes_max (0: no limit) or TREE_FILES_MAX; the text lists the largest
 * -EINVAL  what cannot be kept: sockets, devices, links that leave the folder
 * -ESTALE  a file was written meanwhile */
int tree_keep(struct blobs *b, const char *dir, char *const *paths, size_t n_paths,
              bool may_take, uint64_t bytes_max, struct tree *ret_tree,
              struct error *ret_error);
/* Keep the manifest itself: its id names the tree. */
int tree_put(struct blobs *b, const struct tree *t, struct digest *ret_id);
int tree_get(struct blobs *b, const struct digest *id, struct tree *ret_tree);
int tree_encode(const struct tree *t, struct buffer *out);
/* -EBADMSG for what is no manifest. */
int tree_decode(const char *data, size_t len, struct tree *ret_tree);
/* Make the folder `dir`, which must not exist or be empty, with these files. What was
 * linked can be written by who uses the folder: see blobs_is_intact().
 * -EEXIST: it is not empty; -ENOENT: a blob is not here; -EBADMSG: a link's target
 * leaves the folder, or a size is not what the manifest says. */
int tree_lay_out(struct blobs *b, const struct tree *t, const char *dir, bool may_link,
                 struct error *ret_error);
