/* SPDX-License-Identifier: Apache-2.0 */
/* replica - one home's part in keeping a log that a majority of homes agrees on.
 *
 * A run's records (or the registers of the mesh group) are changed by the entries of a
 * log, in order; an entry is decided when a majority of the homes has it on disk. One
 * home leads and appends; another one takes over with a greater ballot, if its log is
 * at least as new as those of a majority (Raft, USENIX ATC'14, section 5; ADR 0011 says
 * why a log and not one register). What was decided stays decided; what was not may go.
 *
 *     follower --- silence, and a majority would vote ---> candidate --- majority -->
 * leader
 *        ^------------------ a greater ballot, or no majority heard
 * -------------------'
 *
 * The homes of a generation never change. The last entry of a generation names the
 * homes of the next one; the leader appends nothing behind it until it is decided, then
 * the next generation begins, with the same log. A home that is new gets the records in
 * parts (INSTALL) and takes part when it has them all.
 *
 * A home that is in an older generation is told what was decided and so gets to where
 * the others are; one that is in the newer generation only never decides in the older.
 *
 * This module knows of entries only their number, ballot and, of those that close a
 * generation, the homes: their bytes are the caller's, who keeps them in the store and
 * reads them again when a home lags behind.
 *
 * Pure. What is to be kept has a ticket, and what depends on it leaves only when the
 * caller said by replica_on_durable() that it is on the disk: so the order in which the
 * outbox is carried out does not matter, but that of what is kept does. A group of one
 * home decides by itself when its disk has it, and sends nothing. */
#pragma once

#include "base/prng.h"
#include "base/time.h"
#include "proto/message.h"
#include "proto/replica_state.h"

enum {
    REPLICA_ENTRIES_MAX = 1024, /* of one REPLICA_SEND_ENTRIES */
    REPLICA_STRETCHES_MAX =
        MESSAGE_ITEMS_MAX, /* ballots in the part that is not decided */
    REPLICA_ROWS_KEPT_MAX =
        65536, /* rows of the log behind which a home is installed */
};

struct replica;

struct replica_timing { /* all zero: the defaults */
    time_us heartbeat, election_min, election_max;
};

struct replica_config {
    struct group_id group;
    struct node_id self;
    /* As kept; or of a new group: generation 1 and its homes. NULL: what a home is when
     * a VOTE, APPEND or INSTALL of a group that it does not know arrives. Copied. Who
     * cannot read the rows that it had acknowledged sets is_installing and no homes: it
     * takes no part until another generation takes it in. */
    const struct replica_state *state;
    bool is_founder; /* a new group, nobody else knows it: leads at the first tick */
    struct replica_timing timing;
    uint64_t seed;
};

/* The first three are to be made durable, in the order in which they come, each in one
 * transaction with replica_state() as it is when the call has returned; then
 * replica_on_durable() with the ticket. There is one at most in an outbox of one call.
 */
enum replica_action_type {
    REPLICA_SAVE = 1, /* replica_state() alone */
    REPLICA_APPEND, /* cut the log behind `lo` - 1, then keep message.u.append's entries
                       as lo..hi; if it has none: those of replica_append() */
    REPLICA_KEEP_INSTALL, /* keep the entries of message.u.install; `lo`: the part. The
                             first (0) replaces all that is there of the group */
    REPLICA_SEND,         /* `message` to `peer` */
    REPLICA_SEND_ENTRIES, /* entries lo..hi to `peer`: an APPEND whose header is
                             `message`; only the first of them are fine; if `lo` is
                             gone: replica_on_missing() */
    REPLICA_SEND_INSTALL, /* part `lo` of all that is decided to `peer`, header
                             likewise, is_last with the last; what was decided behind
                             the header's base may be in it. Part 0 may come again, from
                             the start */
    REPLICA_DECIDED,      /* lo..hi is decided. After a restart some are told again */
    REPLICA_LEAD,         /* this home leads, and all that earlier leaders decided is
                             decided here */
    REPLICA_FOLLOW, /* it does not, or no more; `peer` leads, or nobody (all zero) */
    REPLICA_HOMES,  /* a generation began, or all was installed; see replica_state();
                       maybe without us */
};

struct replica_action {
    enum replica_action_type type;
    struct node_id peer;
    uint64_t lo, hi;
    uint64_t ticket;        /* of what is to be made durable; ascending */
    struct message message; /* what it points to is borrowed until the next call */
};
struct replica_outbox {
    struct replica_action *actions;
    size_t n, cap;
    int error; /* -ENOMEM: actions are missing */
    struct replica_action spare;
};
void replica_outbox_clear(struct replica_outbox *out);
void replica_outbox_release(struct replica_outbox *out);

/* NULL without memory. Nothing happens before the first replica_on_tick(). */
struct replica *replica_new(const struct replica_config *config, time_us now);
void replica_free(struct replica *r);

/* These append to the outbox, and return 0 or -ENOMEM, after which the replica is to be
 * given up: it starts again from what is on the disk. */

/* VOTE .. INSTALLED of this group; what does not fit is ignored. */
int replica_on_message(struct replica *r, const struct node_id *from,
                       const struct message *m, time_us now,
                       struct replica_outbox *out);
int replica_on_tick(struct replica *r, time_us now, struct replica_outbox *out);
time_us replica_deadline(const struct replica *r);
/* Members came or went, as gossip believes: whether a majority of the homes lives. */
int replica_on_members(struct replica *r,
                       bool (*is_live)(void *, const struct node_id *), void *arg,
                       bool is_isolated, time_us now, struct replica_outbox *out);
/* What has this ticket is durable, and so is all that was to be kept before it. */
int replica_on_durable(struct replica *r, uint64_t ticket, time_us now,
                       struct replica_outbox *out);
/* Rows that a REPLICA_SEND_ENTRIES asked for are gone: the peer is installed instead.
 */
int replica_on_missing(struct replica *r, const struct node_id *peer, time_us now,
                       struct replica_outbox *out);

/* Whether an APPEND whose header is this may still be sent when its entries were read
 * after the call that asked for them: the log may have been cut in between. */
bool replica_may_send(const struct replica *r, const struct append_message *header);

/* Of one that is over (replica_is_over()): what it keeps but for the state may go. The
 * state stays until nobody can ask for this group any more: who forgot that a
 * generation is closed could vote in it again. */
int replica_give_up(struct replica *r, time_us now, struct replica_outbox *out);

/* The leader appends n entries: their indexes are *ret_first and the next, a
 * REPLICA_APPEND asks to keep them. They are sent by replica_flush().
 * -EPERM: it does not lead; -EBUSY: the generation is closing; -ENOMEM */
int replica_append(struct replica *r, size_t n, time_us now, uint64_t *ret_first,
                   struct replica_outbox *out);
/* All that was appended since goes out, once per peer. */
int replica_flush(struct replica *r, time_us now, struct replica_outbox *out);
/* The leader gives the group other homes: installs the new ones, then closes the
 * generation. Until it closes another list may replace this one.
 * -EPERM, -EBUSY as above; -EINVAL: the list is even, has a home twice, or has all
 * those that are homes already */
int replica_move(struct replica *r, const struct node_id *homes, uint32_t n,
                 time_us now, struct replica_outbox *out);

bool replica_leads(const struct replica *r);
/* All zero: nobody known. */
struct node_id replica_leader(const struct replica *r);
const struct replica_state *replica_state(const struct replica *r);
/* It is no home, and those that are know it: what it keeps may go, if it is not about
 * to become one again. */
bool replica_is_over(const struct replica *r);
uint64_t replica_decided(const struct replica *r);
/* Whether rows of the log, and the state with each of them, are needed: not while the
 * group has one home and is not about to have more. */
bool replica_needs_rows(const struct replica *r);
/* How long no majority was heard, for tentative mode; 0: it is heard. */
time_us replica_without_majority(const struct replica *r, time_us now);
/* Rows of the log up to it may go: all homes have them on disk, or they are so many
 * that a home that lacks them is installed. */
uint64_t replica_everywhere(const struct replica *r);
uint64_t replica_hash(const struct replica *r);
