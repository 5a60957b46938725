/* SPDX-License-Identifier: Apache-2.0 */
/* fetch_internal - what the files fetch*.c share. */
#pragma once

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/prng.h"
#include "node/fetch.h"

enum { FETCH_DENIED_MAX = 64 };

enum leaf_state { LEAF_MISSING, LEAF_ASKED, LEAF_TWICE, LEAF_HERE };

struct fetch_peer {
    struct node_id id;
    bool is_connected;
    uint32_t n_asked;   /* of it, and not here */
    uint32_t window;    /* how much is asked for at once: more as it comes */
    uint32_t n_strikes; /* silences in a row */
    time_us heard;      /* or first asked since */
    time_us avoid_until;
    time_us full_until; /* its queue */
    UT_hash_handle hh;
};

enum holder_kind {
    HOLDER_ASKED = 1, /* whether it has anything */
    HOLDER_PART,
    HOLDER_WHOLE, /* it or somebody else says so */
};

struct fetch_holder {
    enum holder_kind kind;
    struct fetch_peer *peer;
    time_us asked;     /* HOLDER_ASKED */
    time_us dry_until; /* HOLDER_PART: it had nothing that is missing */
    uint64_t cursor;
    uint8_t *have; /* HOLDER_PART */
    size_t have_len;
};

struct fetch_blob {
    struct digest id;
    uint64_t size;
    bool has_size; /* and `leaves`, `groups` */
    uint64_t n_leaves, n_missing, n_here, stretch;
    uint8_t *leaves, *groups; /* enum leaf_state of each; a single group is here */
    uint64_t n_groups, n_groups_asked;
    uint64_t cursor;
    uint32_t n_asked; /* requests, also those that are being checked */
    struct fetch_holder holders[FETCH_HOLDERS_MAX];
    size_t n_holders;
    struct node_id denied[FETCH_DENIED_MAX]; /* who said to have it, and had it not */
    size_t n_denied;
    bool has_parts;                /* some of them fetch it too, */
    uint8_t spread[BLOB_HAVE_MAX]; /* and together they have these parts */
    unsigned n_rounds;             /* of asking all */
    time_us find_at, refresh_at;   /* ask all when there is nobody; ask holders again */
    time_us progress;
    struct fetch_blob *prev, *next; /* in the order in which they were wanted */
    UT_hash_handle hh;
};

struct fetch_request {
    uint64_t number; /* 0: free */
    struct fetch_blob *blob;
    struct fetch_peer *peer;
    enum blob_part part;
    uint64_t at; /* leaf or group */
    bool is_checked;
};

struct fetch {
    struct node_id self;
    struct prng prng;
    struct fetch_peer *peers;
    struct fetch_blob *blobs, *list; /* the same */
    struct fetch_request requests[FETCH_IN_FLIGHT_MAX];
    size_t n_requests;
    uint64_t next_request;
    time_us tick_at;
    size_t n_finds; /* since the last tick */
    struct fetch_outbox *out;
    bool is_out_of_memory;
};

void fetch_act(struct fetch *f, const struct fetch_action *a);
struct fetch_peer *fetch_peer_find(const struct fetch *f, const struct node_id *id);
/* NULL: no memory, or no room. */
struct fetch_peer *fetch_peer_get(struct fetch *f, const struct node_id *id);
struct fetch_holder *fetch_holder_find(struct fetch_blob *b, const struct node_id *id);
/* NULL: it is this node itself, the list is full, or there is no memory. */
struct fetch_holder *fetch_holder_add(struct fetch *f, struct fetch_blob *b,
                                      const struct node_id *id, enum holder_kind kind);
void fetch_holder_remove(struct fetch_blob *b, struct fetch_holder *h);
/* The same for one that said to have it and had it not, or not the right bytes: it is
 * not believed again for this blob. */
void fetch_holder_strike(struct fetch_blob *b, struct fetch_holder *h);
void fetch_ask_holder(struct fetch *f, struct fetch_blob *b, struct fetch_holder *h,
                      time_us now);
bool fetch_holder_has(const struct fetch_blob *b, const struct fetch_holder *h,
                      uint64_t leaf);

/* A request is answered, or given up with its blob. */
void fetch_settle(struct fetch *f, struct fetch_request *r);
/* Ask nothing of this peer until then, and what it owes of others. */
void fetch_avoid(struct fetch *f, struct fetch_peer *p, time_us until);
/* The end of each event: ask for more. */
int fetch_finish(struct fetch *f, time_us now);

/* Tell, and forget it. */
void fetch_end(struct fetch *f, struct fetch_blob *b, int status);

/* Find holders where there are none, and hear from those there are what they have now;
 * a blob that nobody has is ended. */
void fetch_look_around(struct fetch *f, struct fetch_blob *b, time_us now);
/* Fill what room there is with requests. */
void fetch_pump(struct fetch *f, time_us now);
