/* SPDX-License-Identifier: Apache-2.0 */
/* replica_state - what a home must remember of a group whose log it keeps a copy of.
 *
 * It lies beside the records of the run, under its own key, and is written as a whole
 * before the home sends what follows from it. scheduler/replica.h says what it is for.
 */
#pragma once

#include "proto/message.h"
#include "proto/record.h"

/* Where ballots change in the log: enough to compare logs. Ascending. */
struct replica_stretch {
    uint64_t first; /* index */
    struct ballot ballot;
};

struct replica_state {
    uint64_t generation; /* from 1; 0: of a group that nothing is known of */
    struct node_id homes[HOMES_MAX];
    uint32_t n_homes;
    struct ballot promised;
    struct log_position base; /* decided; ballots are known from here on. Where a
                                 generation begins its ballot is zero: those of the one
                                 before do not compare with this one's */
    struct log_position last;
    struct replica_stretch *stretches; /* behind base; MESSAGE_ITEMS_MAX at most */
    size_t n_stretches;
    uint64_t commit;  /* a hint: at least this was decided */
    uint64_t closing; /* index of the entry that names the next homes; 0: none */
    struct node_id next_homes[HOMES_MAX];
    uint32_t n_next_homes;
    bool is_installing; /* takes no part until all parts are here. Also set by a caller
                           who finds that rows of the log are damaged */
};
void replica_state_release(struct replica_state *s);
/* -ENOMEM: *ret is unchanged. */
int replica_state_copy(const struct replica_state *from, struct replica_state *ret);

/* 'q' group */
struct record_key replica_state_key(const struct group_id *group);
/* As records: see attempt_record_encode() and attempt_record_decode(). */
int replica_state_encode(const struct replica_state *s, struct buffer *out);
int replica_state_decode(const void *data, size_t len, struct replica_state *ret);
