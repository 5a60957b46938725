/* SPDX-License-Identifier: Apache-2.0 */
/* fetch - which bytes to get from whom.
 *
 *     wanted --- first --+--- one leaf --------------------------------> here
 *                        '--- top ---> leaves from several at once ----> here
 *     any --- nobody has it, or nothing came for long -----------------> given up
 *
 * A blob has its digest as its name, so any copy is as good as another, and a copy that
 * is not whole yet serves what it has: who fetches the same blob at the same time is a
 * holder too, and the first one sends little more than one copy. Holders are those that
 * the caller hints at, those that they name, and when there is none left whoever of all
 * connected members says so.
 *
 * All that is asked for and did not come is FETCH_IN_FLIGHT_MAX leaves at most, also
 * what is being checked: that bounds the memory. Of two random holders the one of whom
 * less is wanted is asked (Mitzenmacher 2001); what is left in the end is asked for
 * twice. Whoever sent what is not what the name says is avoided for FETCH_LIE_US.
 *
 * Nothing here is trusted: the caller checks the bytes against the name before it says
 * that they are good.
 *
 * Pure: told the time and what arrived, it answers with actions. */
#pragma once

#include "base/time.h"
#include "proto/message.h"

enum {
    FETCH_LEAF_BYTES = 262128, /* as STORE_CHUNK_MAX */
    FETCH_GROUP_LEAVES = 1024, /* as in store/digest.h */
    FETCH_GROUPS_MAX = 8192,   /* their digests have to fit in a frame: 2 TiB */
    FETCH_IN_FLIGHT_MAX = 64,  /* 16 MiB */
    FETCH_OF_PEER_MAX = 32,
    FETCH_OF_SEED_MAX = 8,  /* of one who has all of what others fetch too */
    FETCH_HOLDERS_MAX = 16, /* of a blob; asked at once: FETCH_SOURCES_MAX */
    FETCH_SOURCES_MAX = 4,
    FETCH_BLOBS_MAX = 4096,
    FETCH_PEERS_MAX = 4096,
};

#define FETCH_LIE_US TIME_S(600)
#define FETCH_PATIENCE_US TIME_S(30) /* without any progress of a blob */

/* ---- how a blob is cut ---- */

uint64_t fetch_leaves(uint64_t size);
uint64_t fetch_groups(uint64_t size);
/* Of a leaf of it. */
size_t fetch_leaf_bytes(uint64_t size, uint64_t leaf);
/* Leaves in a group. */
size_t fetch_group_leaves(uint64_t size, uint64_t group);
/* Digests that make the id: of the leaves, or if there are several groups of these. */
uint64_t fetch_top_digests(uint64_t size);

/* `have` of a holder: bit i, from the low end of each byte, says that the leaves
 * i * stretch .. (i + 1) * stretch - 1 are all here. */
uint64_t fetch_stretch(uint64_t size);
size_t fetch_have_bytes(uint64_t size);

/* ---- what to do ---- */

enum fetch_action_type {
    FETCH_GET = 1, /* `part` at `offset` of `id` from `peer`, under `request` */
    FETCH_FIND,    /* ask `peer` what it has of `id` */
    FETCH_ENDED,   /* status 0: all of `id` was found good; -ENOENT: nobody has it;
                      -ETIMEDOUT. It is forgotten. */
};
struct fetch_action {
    enum fetch_action_type type;
    struct node_id peer;
    uint64_t request;
    struct digest id;
    enum blob_part part;
    uint64_t offset;
    int status;
};
struct fetch_outbox {
    struct fetch_action *actions;
    size_t n, cap;
};
void fetch_outbox_release(struct fetch_outbox *out);

struct fetch;

/* NULL without memory. */
struct fetch *fetch_new(const struct node_id *self, uint64_t seed);
void fetch_free(struct fetch *f);

/* Get a blob, from those that are said to have it first, in this order; a repeat adds
 * to them. -ENOMEM, -ENOSPC: FETCH_BLOBS_MAX are wanted already. */
int fetch_want(struct fetch *f, const struct digest *id, const struct node_id *hints,
               size_t n_hints, time_us now, struct fetch_outbox *out);
/* Nobody wants it any more; FETCH_ENDED does not come. */
void fetch_drop(struct fetch *f, const struct digest *id);

/* Those below return 0 or -ENOMEM, after which nothing can be relied on. */
int fetch_on_connected(struct fetch *f, const struct node_id *peer, time_us now,
                       struct fetch_outbox *out);
int fetch_on_disconnected(struct fetch *f, const struct node_id *peer, time_us now,
                          struct fetch_outbox *out);
int fetch_on_holders(struct fetch *f, const struct node_id *from,
                     const struct blob_holders_message *m, time_us now,
                     struct fetch_outbox *out);
/* What was asked for could not be sent. is_full: the peer's queue is, until
 * fetch_on_writable() or for a moment; else it cannot be reached, and is tried again a
 * few times, as a connection may be on its way. */
int fetch_on_unsent(struct fetch *f, uint64_t request, bool is_full, time_us now,
                    struct fetch_outbox *out);
int fetch_on_writable(struct fetch *f, const struct node_id *peer, time_us now,
                      struct fetch_outbox *out);
/* *ret_check: the bytes are of the right shape; check them against the name, or for
 * BLOB_LEAF and BLOB_GROUP against the digests above, then fetch_on_checked(). Else the
 * message is of no use. */
int fetch_on_data(struct fetch *f, const struct node_id *from,
                  const struct blob_data_message *m, time_us now, bool *ret_check,
                  struct fetch_outbox *out);
/* `part` and `size` are those of the message. */
int fetch_on_checked(struct fetch *f, uint64_t request, enum blob_part part,
                     uint64_t size, bool is_good, time_us now,
                     struct fetch_outbox *out);
int fetch_on_tick(struct fetch *f, time_us now, struct fetch_outbox *out);
time_us fetch_deadline(const struct fetch *f);

/* ---- questions ---- */

size_t fetch_blobs(const struct fetch *f);
size_t fetch_in_flight(const struct fetch *f);
/* Whether it is being fetched and its size is known. */
bool fetch_size(const struct fetch *f, const struct digest *id, uint64_t *ret_size);
bool fetch_has_leaf(const struct fetch *f, const struct digest *id, uint64_t leaf);
/* What may be told to others of a blob that is being fetched, be it that nothing is
 * here yet: they will ask again. False: it is not, or its size is not known yet. */
bool fetch_have(const struct fetch *f, const struct digest *id, uint64_t *ret_size,
                uint8_t ret_have[BLOB_HAVE_MAX], size_t *ret_len);
bool fetch_avoids(const struct fetch *f, const struct node_id *peer, time_us now);
