/* SPDX-License-Identifier: Apache-2.0 */
/* removal - takes the records of a run out of the store.
 *
 *     removal_begin()   one commit: the run is gone for whoever looks, and a mark
 *                       ('d' run_id) says that its attempts are to go
 *     removal_finish()  deletes the attempts, a batch a commit, then the mark
 *
 * A run may have millions of attempts, which no one commit should hold. What a crash
 * leaves between the two is finished by removal_finish_all() of the next node. Blobs
 * that the records named are left to gc. */
#pragma once

#include <stdatomic.h>

#include "proto/record.h"
#include "store/writer.h"

/* The run must not be active. Durable with the ticket. -ENOENT: no such run; -ENOMEM.
 */
int removal_begin(struct writer *w, const struct run_id *run, uint64_t *ret_ticket);
/* Any thread. *is_stopping (may be NULL) ends it early: -ECANCELED. */
int removal_finish(struct writer *w, const struct run_id *run,
                   const atomic_bool *is_stopping, uint64_t *ret_n_attempts);

bool removal_is_any(struct writer *w);
int removal_finish_all(struct writer *w, const atomic_bool *is_stopping);
