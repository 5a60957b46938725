/* SPDX-License-Identifier: Apache-2.0 */
/* body - the bytes a client sends, in memory or in a file of DIR/spool.
 *
 * Short ones stay in memory. What may be long goes to a file in the data folder's file
 * system, so that it can be renamed into the store, or to where it belongs. */
#pragma once

#include "base/buffer.h"
#include "node/api/router.h"

enum { BODY_MEMORY_MAX = 256 << 10 }; /* of BODY_SPOOL */

struct body {
    enum body_kind kind;
    uint64_t size, bytes_max;
    struct buffer memory; /* while path is NULL */
    char *path;
    int fd; /* of path, for reading and writing; -1: none */
    const char *spool_dir;
    int error;
};

void body_init(struct body *b, enum body_kind kind, uint64_t bytes_max,
               const char *spool_dir);
/* Removes the file unless it was renamed or adopted. */
void body_release(struct body *b);

/* The first failure is kept, and later bytes are dropped:
 * -E2BIG beyond bytes_max, -ENOSPC, -EIO, -ENOMEM */
int body_add(struct body *b, const void *data, size_t len);

/* Remove what a crash left in the folder. */
void body_clean_spool(const char *spool_dir);
