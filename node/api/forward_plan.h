/* SPDX-License-Identifier: Apache-2.0 */
/* forward_plan - which nodes may answer a request, in the order in which they are
 * asked.
 */
#pragma once

#include "node/api/request.h"
#include "node/runtime_members.h"

enum plan_verdict {
    PLAN_HERE = 1,   /* it is for this node */
    PLAN_ASK,        /* ask `whom`, one after another */
    PLAN_NOBODY,     /* nobody leads the run now */
    PLAN_MISDIRECTED /* a peer asks, and another one is to be asked */
};

struct plan {
    enum plan_verdict verdict;
    struct node_id *whom;
    size_t n;
    bool has_run; /* `run` is the one that was asked for */
    struct run_id run;
    bool is_search;    /* nobody told of the run: all are asked */
    bool is_kept_here; /* this node is a home of the run */
    struct error why;  /* PLAN_HERE with a text: there is no such member */
    char leader[MEMBER_NAME_MAX + 1]; /* "": nobody is known */
};
void plan_release(struct plan *p);
/* 0 or -ENOMEM. On the loop. */
int plan_make(struct request *r, struct plan *ret);

/* Whether a member can be asked now. */
bool plan_is_live(const struct member_view *m);
/* How old is what this node knows of the run, in whole seconds: since its leader was
 * silent. 0: it leads it, or hears its leader. */
uint64_t plan_age_s(struct runtime *rt, const struct run_id *run);
