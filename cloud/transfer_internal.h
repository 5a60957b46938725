/* SPDX-License-Identifier: Apache-2.0 */
/* What transfer*.c share: transfer.c has the transfers, transfer_part.c their parts,
 * transfer_upload.c what is before and behind the parts. */
#pragma once

#include <openssl/evp.h>

#include "base/macros.h"
#include "cloud/encode.h"
#include "cloud/transfer.h"
#include "cloud/transfer_state.h"

enum part_state {
    PART_READING = 1,
    PART_READ,
    PART_HASHING,
    PART_HASHED,
    PART_WRITING
};

/* One that is in memory. */
struct part {
    struct transfer *t;
    struct part *next; /* of its transfer, by number */
    uint32_t index;
    uint64_t offset, len, got;
    enum part_state state;
    char *room;
    const void *data;
    uint8_t sha256[ENCODE_SHA256]; /* where the target wants it */
    struct object_call *call;      /* NULL: none */
    uv_work_t work;
};

enum transfer_step {
    TRANSFER_WAITING = 1,
    TRANSFER_ASKING, /* for the source, for an old upload, for a new one */
    TRANSFER_PARTS,
    TRANSFER_FINISHING,
    TRANSFER_FAILING, /* waits for what is under way */
    TRANSFER_ABORTING,
};

struct transfer {
    struct transfers *e;
    struct transfer *next, **link;
    struct transfer_request request; /* its texts are ours */
    enum transfer_step step;
    bool is_cancelled;
    int status; /* the first failure */
    struct error error;
    struct object_about about; /* of the source */
    uint64_t part_bytes;
    uint32_t n_parts, n_next, n_done, n_in_order;
    char **tags;       /* of parts that are done; NULL for a whole */
    struct part *live; /* in memory */
    uint32_t n_live;
    uint32_t n_hashed;
    EVP_MD_CTX *hash; /* NULL: the source does not know it */
    char *upload;     /* NULL: none has begun */
    bool is_stale;    /* an old upload, of another source, goes first */
    struct transfer_state state;
    struct object_part *finish; /* while it finishes */
    struct object_call *call;   /* of a step, not of a part; NULL: none */
    struct object_store *asked; /* whose call it is */
    uv_work_t work;             /* with the state file */
    bool is_working;
    int (*run)(struct transfer *t); /* on a thread */
    void (*then)(struct transfer *t, int status);
    int worked;
    struct object_about placed; /* of the new object */
    uint64_t bytes_done;
};

struct transfers {
    uv_loop_t *loop;
    struct transfers_options options;
    struct transfer *first, **last; /* active ones before waiting ones */
    uint32_t n, n_active, n_parts;
    struct transfers_progress progress;
    uv_timer_t wake; /* transfers begin on the loop's next turn */
    bool is_closing, is_pumping, is_again, has_cancelled;
};

/* One more part is taken up, if there is one and room for it. */
bool part_start(struct transfer *t);
/* What may go on with the parts in memory does. */
void parts_advance(struct transfer *t);
void parts_cancel(struct transfer *t);

/* Goes on from where the source is known until its parts may start. */
void upload_prepare(struct transfer *t);
void upload_finish(struct transfer *t);
void upload_abort(struct transfer *t);
/* Whether something is left in the target that nobody goes on with. */
bool upload_must_go(const struct transfer *t);

/* Nothing more is begun; it ends when what is under way has. The first failure counts;
 * an error without a text is told by its number. */
void transfer_fail(struct transfer *t, int status, const struct error *error);
void transfer_end(struct transfer *t, const struct object_about *about);
/* After whatever happened to a transfer; it may be gone then. */
void transfers_pump(struct transfers *e);
