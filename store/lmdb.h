/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb - what most users of a store on disk leave as it is. */
#pragma once

#include "store/store.h"

struct lmdb_options {
    size_t map_bytes; /* of address space at first; it grows as needed. 0: 64 GiB */
    int lock_fd;      /* the lock's, which this process holds since before; 0: none */
};

/* As store_open_lmdb(). */
int lmdb_open(const char *dir, const struct lmdb_options *options,
              struct store **ret_store, int *ret_pid, struct error *ret_error);
/* For the program that this process becomes: nobody else gets the store in between. */
int lmdb_lock_fd(const struct store *s);
/* How much address space the map takes now. */
size_t lmdb_map_bytes(const struct store *s);
