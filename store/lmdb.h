/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb - options of the store on disk that only tests set. */
#pragma once

#include "store/store.h"

struct lmdb_options {
    size_t map_bytes; /* of address space at first; it grows as needed. 0: 64 GiB */
};

/* As store_open_lmdb(). */
int lmdb_open(const char *dir, const struct lmdb_options *options,
              struct store **ret_store, int *ret_pid, struct error *ret_error);
/* How much address space the map takes now. */
size_t lmdb_map_bytes(const struct store *s);
