/* SPDX-License-Identifier: Apache-2.0 */
/* cause - why a task ran, or was taken over from the run before. Pure. */
#pragma once

#include "flow/flow.h"
#include "proto/record.h"

enum cause {
    CAUSE_NEW_RUN = 1, /* the run goes on from no other */
    CAUSE_ADOPTED,     /* taken over from the run before, not run */
    CAUSE_CACHED,      /* `cache`: taken over from an equal task */
    CAUSE_NEW_STEP,    /* the flow before had no such step */
    CAUSE_MOVED,       /* it stands elsewhere in the flow than before */
    CAUSE_FAILED,      /* it was tried before and did not end well */
    CAUSE_NOT_DONE,    /* it was not started before */
    CAUSE_UPSTREAM,    /* what it builds on was made again */
    CAUSE_ASKED,       /* `mesh resume RUN STEP` asked for it */
    CAUSE_LOST,        /* it was done in this run, and what it made was lost */
};
const char *cause_name(enum cause c);

struct cause_facts {
    const struct flow *flow, *before; /* before NULL: the run goes on from no other */
    uint32_t step;                    /* in flow */
    uint64_t number;                  /* of the run before */
    bool is_adopted, is_cached;
    uint64_t equal;     /* is_cached: the run of the equal task; 0: not known */
    bool was_done;      /* in the run before */
    enum reason failed; /* how its last attempt there ended; 0: there was none */
    const char *lost;   /* why it is made again in this run; NULL: it is not */
    uint32_t remade;    /* a step before it that ran in this run; FLOW_NONE: none */
};

enum cause cause_of(const struct cause_facts *f);
/* Appends the sentence for people. */
void cause_say(const struct cause_facts *f, struct buffer *out);

/* What moved a step between two flows, as a few words; false if it stands where it
 * stood. */
bool cause_moved(const struct flow *before, uint32_t was, const struct flow *after,
                 uint32_t now, struct buffer *ret_words);
