/* SPDX-License-Identifier: Apache-2.0 */
/* explain - what the answers for a task and for a whole run share. */
#pragma once

#include "node/api/sides.h"

enum { EXPLAIN_LOG_LINES = 10 };

/* Which run the one that is explained is held against. */
struct against {
    struct run_id run;
    bool is_given; /* by ?against=, else the run that it goes on from */
};

/* For `begin`: false with the reply set. Before source_begin(), which finds the run. */
bool against_read(struct request *r, struct against *ret);
/* Reads both sides if there are two: *ret_has_sides. False with the reply set. */
bool against_sides(struct request *r, const struct against *a,
                   const struct run_record *record, struct sides *ret,
                   bool *ret_has_sides);
void against_emit(struct emit *e, const struct sides *sides, bool has_sides);

/* {failure, log_tail} of an attempt that did not end well; null and [] of one that did.
 * 0 or a negative errno. */
int explain_failure(struct request *r, struct emit *e, const struct attempt_record *a);
