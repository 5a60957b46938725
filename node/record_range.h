/* SPDX-License-Identifier: Apache-2.0 */
/* record_range - a part of the records under one prefix, as a message carries them. */
#pragma once

#include "proto/message.h"
#include "store/writer.h"

struct record_range {
    struct log_entry *entries; /* ascending keys; each is one record as it is kept */
    size_t n, cap;
    size_t bytes;
    bool has_more;
};
void record_range_release(struct record_range *r);

/* Whether a prefix leads to nothing but the records of this run: its own, its attempts,
 * its state and its end. */
bool record_range_is_of_run(const void *prefix, size_t len, const struct run_id *run);

/* Appends the records under the prefix from the first key >= from (empty: the prefix
 * itself), until about bytes_max. At least one if there is any; has_more tells of those
 * that were left out. Any thread. 0 or a negative errno. */
int record_range_read(struct writer *w, struct span prefix, struct span from,
                      size_t bytes_max, struct record_range *ret);
