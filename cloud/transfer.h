/* SPDX-License-Identifier: Apache-2.0 */
/* transfer - objects copied from one store to another, or from memory: small ones in
 * one request, large ones in parts, many at once.
 *
 *     head -> resume or begin -> parts -> finish -> done
 *                                  '---- failed: abort ----'
 *
 * A part is read into memory, looked at and written; parts of all transfers together
 * stay within bytes_max and calls_max. An object appears at its new place when it is
 * whole: all of it was read from one version of the source (by its entity tag), has the
 * source's size and, where the source knows it, its SHA-256.
 *
 * With a state file an upload survives a crash: the file says which upload it was, the
 * target which parts it has. It is kept when the target cannot be reached, and else
 * removed with what was uploaded: nothing is left that is paid for.
 *
 * Knows no service; belongs to the loop's thread. */
#pragma once

#include <uv.h>

#include "cloud/object_store.h"

enum {
    TRANSFER_BYTES_MAX = 64 << 20,
    TRANSFER_CALLS_MAX = 32,
    TRANSFER_PART_BYTES = 8 << 20,
    TRANSFER_WHOLE_PARTS = 2, /* what is no larger than so many goes in one request */
    TRANSFERS_WAITING_MAX = 4096,
};

struct transfers;
struct transfer; /* valid until its done */

struct transfers_options {
    uint64_t bytes_max;  /* of parts in memory; one larger part alone may be there. 0:
                            TRANSFER_BYTES_MAX */
    uint32_t calls_max;  /* parts at once; 0: TRANSFER_CALLS_MAX */
    uint64_t part_bytes; /* 0: TRANSFER_PART_BYTES; more for what would be more than
                            OBJECT_PARTS_MAX parts */
};

/* -ENOMEM. Options may be NULL. */
int transfers_new(uv_loop_t *loop, const struct transfers_options *options,
                  struct transfers **ret_transfers);

/* Transfers that are left are cancelled; their done still comes, from the loop, and
 * their stores must be there until then. */
void transfers_free(struct transfers *e);

/* Texts are copied; memory is borrowed until done; stores must outlive it. */
struct transfer_request {
    struct object_store *from; /* NULL: `data` */
    const char *from_name;
    const struct object_about *about; /* as a listing told; NULL: it is asked */
    const void *data;
    size_t len;
    struct object_store *to;
    const char *to_name;
    bool is_if_absent;
    const char *content_type; /* NULL: application/octet-stream */
    const char *state_path;   /* NULL: not resumed; never for `data` */
    /* `about` of the new object, NULL on failure. */
    void (*done)(void *arg, int status, const struct object_about *about,
                 const struct error *error);
    void *arg;
};

/* -EBUSY: TRANSFERS_WAITING_MAX are there already. `done` never comes before this
 * returned. */
int transfer_start(struct transfers *e, const struct transfer_request *request,
                   struct transfer **ret_transfer);

/* `done` comes with -ECANCELED when what was uploaded is gone. */
void transfer_cancel(struct transfer *t);

struct transfers_progress {
    uint64_t n_started, n_done, n_failed;
    uint64_t bytes_total; /* of those whose size is known */
    uint64_t bytes_done;  /* written; with the parts that were there already */
    uint64_t bytes_held, bytes_held_max;
};

void transfers_progress(const struct transfers *e, struct transfers_progress *ret);
