/* SPDX-License-Identifier: Apache-2.0 */
/* replica - one home's part in keeping a log that a majority of homes agrees on.
 *
 * A run's records (or the registers of the mesh group) are changed by the entries of a log,
 * in order; an entry is decided when a majority of the homes has it on disk. One home leads
 * and appends; another one takes over with a greater ballot, if its log is at least as new
 * as those of a majority (Raft, USENIX ATC'14, section 5; ADR 0011 says why a log and not
 * one register). What was decided stays decided; what was not may go.
 *
 *     follower --- silence, and a majority would vote ---> candidate --- majority --> leader
 *        ^------------------ a greater ballot, or no majority heard -------------------'
 *
 * The homes of a generation never change. The last entry of a generation names the homes of
 * the next one; the leader appends nothing behind it until it is decided, then the next
 * generation begins, with the same log. A home that is new gets the records in parts
 * (INSTALL) and takes part when it has them all.
 *
 * This module knows of entries only their number and ballot: their bytes are the caller's,
 * who keeps them in the store and reads them again when a home lags behind.
 *
 * Pure. Order in the outbox is contract: what REPLICA_SAVE and REPLICA_APPEND ask for must
 * be durable before the sends behind them leave. A group of one home decides by itself when
 * its disk has it, and sends nothing. */
#pragma once

#include "base/prng.h"
#include "base/time.h"
#include "proto/message.h"
#include "proto/replica_state.h"

struct replica;

struct replica_timing { /* all zero: the defaults */
    time_us heartbeat, election_min, election_max, repair;
};

struct replica_config {
    struct group_id group;
    struct node_id self;
    const struct replica_state *state; /* as saved, or of a new group; copied */
    bool is_founder; /* a new group, nobody else knows it: lead at once */
    struct replica_timing timing;
    uint64_t seed;
};

enum replica_action_type {
    REPLICA_SAVE = 1, /* replica_state() is to be made durable; then replica_on_saved() */
    REPLICA_SEND,     /* `message` to `peer` */
    REPLICA_APPEND,   /* cut the log behind `lo` - 1, then keep message.u.append's entries
                         as lo..hi; when durable replica_on_durable(hi) */
    REPLICA_SEND_ENTRIES, /* entries lo..hi to `peer`: an APPEND whose header is `message`;
                             fewer are fine; those that are gone: replica_on_missing() */
    REPLICA_SEND_INSTALL, /* part `lo` of all that is decided to `peer`, header likewise */
    REPLICA_KEEP_INSTALL, /* keep the entries of message.u.install; when durable
                             replica_on_durable_part() */
    REPLICA_DECIDED,      /* all up to `hi` is decided */
    REPLICA_LEAD,         /* this home leads, and all that earlier leaders decided is
                             decided here */
    REPLICA_FOLLOW,       /* it does not, or no more; `peer` leads, or nobody (all zero) */
    REPLICA_HOMES,        /* a generation began; see replica_state(); maybe without us */
};

struct replica_action {
    enum replica_action_type type;
    struct node_id peer;
    uint64_t lo, hi;
    struct message message; /* what it points to is borrowed until the next call */
};
struct replica_outbox {
    struct replica_action *actions;
    size_t n, cap;
};
void replica_outbox_clear(struct replica_outbox *out);
void replica_outbox_release(struct replica_outbox *out);

struct replica *replica_new(const struct replica_config *config, time_us now);
void replica_free(struct replica *r);

/* All return 0 or -ENOMEM. VOTE .. INSTALLED of this group. */
int replica_on_message(struct replica *r, const struct node_id *from,
                       const struct message *m, time_us now, struct replica_outbox *out);
int replica_on_tick(struct replica *r, time_us now, struct replica_outbox *out);
time_us replica_deadline(const struct replica *r);
/* Members came or went, as gossip believes: whether a majority of the homes lives. */
int replica_on_members(struct replica *r, bool (*is_live)(void *, const struct node_id *),
                       void *arg, bool is_isolated, time_us now,
                       struct replica_outbox *out);
int replica_on_saved(struct replica *r, time_us now, struct replica_outbox *out);
int replica_on_durable(struct replica *r, uint64_t index, time_us now,
                       struct replica_outbox *out);
int replica_on_durable_part(struct replica *r, uint64_t part, time_us now,
                            struct replica_outbox *out);
int replica_on_missing(struct replica *r, const struct node_id *peer, time_us now,
                       struct replica_outbox *out);

/* The leader appends n entries: their indexes are *ret_first and the next. The caller keeps
 * them and says replica_on_durable(); sends come at once or from replica_flush().
 * -EPERM: it does not lead; -EBUSY: the generation is closing; -ENOMEM */
int replica_append(struct replica *r, size_t n, time_us now, uint64_t *ret_first,
                   struct replica_outbox *out);
/* All that was appended since goes out, once per peer. */
int replica_flush(struct replica *r, time_us now, struct replica_outbox *out);
/* The leader gives the group other homes: installs the new ones, closes the generation.
 * -EPERM, -EBUSY as above; -EINVAL: the list is even, or has a home twice. */
int replica_move(struct replica *r, const struct node_id *homes, uint32_t n, time_us now,
                 struct replica_outbox *out);

bool replica_leads(const struct replica *r);
/* All zero: nobody known. */
struct node_id replica_leader(const struct replica *r);
const struct replica_state *replica_state(const struct replica *r);
uint64_t replica_decided(const struct replica *r);
/* How long no majority was heard, for tentative mode; 0: it is heard. */
time_us replica_without_majority(const struct replica *r, time_us now);
/* All homes have this on disk: rows of the log up to it may go. */
uint64_t replica_everywhere(const struct replica *r);
uint64_t replica_hash(const struct replica *r);
