/* SPDX-License-Identifier: Apache-2.0 */
/* package - which files beside a flow file go along as its code.
 *
 *     what git tracks, where there is a repository; else
 *     the folder, less what .gitignore and .meshignore name
 *         less package.exclude, plus package.include and the flow file itself
 *         never .git .env* *.pem id_* .aws, and not the data folder
 *
 * Sockets and the like are left out; so are links that leave the folder, which
 * n_links_out counts because somebody may miss them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { PACKAGE_BYTES_MAX = 50 << 20, PACKAGE_LARGEST = 5 };

struct package_file {
    char *path; /* relative to the folder */
    uint64_t size;
    bool is_executable, is_link;
};

struct package {
    struct package_file *files; /* sorted by path in byte order */
    size_t n, cap;
    uint64_t bytes;
    size_t n_links_out;
    char *link_out; /* one of them, NULL: none */
    bool is_git;
};

struct package_rules {
    const char *dir;                       /* the folder of the flow file */
    const char *flow_name;                 /* the file in it */
    const char *data_dir;                  /* NULL: none */
    char *const *include, *const *exclude; /* NULL-terminated patterns, or NULL */
};

/* -E2BIG: more than PACKAGE_BYTES_MAX or TREE_FILES_MAX; the text says what to do. */
int package_collect(const struct package_rules *rules, struct package *ret,
                    struct error *ret_error);
void package_release(struct package *p);

/* NULL if it is not in the package. */
const struct package_file *package_find(const struct package *p, const char *path);
/* The paths as store/tree.h wants them: borrowed, the array is the caller's. */
char **package_paths(const struct package *p);

/* Whether a path is never packed, whoever names it. */
bool package_is_secret(const char *path);
/* Whether a link at `path` with this target stays in the folder. */
bool package_link_is_inside(const char *path, const char *target);
