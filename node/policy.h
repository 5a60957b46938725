/* SPDX-License-Identifier: Apache-2.0 */
/* policy - what flows may do at a node: `policy:` of mesh.conf.
 *
 *     policy:
 *       users: [ann, ben]
 *       remote: no
 *       environment: [OMP_*, TZ]
 *       paths: [/data, /scratch]
 *       max_resources: {cpu: 8, memory: 32G, gpu: 1, disk: 100G, licence: 1}
 *
 * What is not said is allowed, as if there were no policy. A run is held against it
 * where it is submitted, and again by each node that is to carry out its tasks, by its
 * own policy. Pure. */
#pragma once

#include "flow/diagnostic.h"
#include "flow/flow.h"
#include "proto/record.h"

struct check;
struct value;

struct policy_texts {
    char **all;
    size_t n;
    uint32_t line; /* in the file; 0: not said */
};

struct policy_custom {
    char *name;
    uint64_t milli;
};

struct policy {
    struct policy_texts users, environment, paths;
    bool refuses_remote;
    uint32_t remote_line, max_line;
    uint64_t max_cpu_milli, max_memory_bytes, max_disk_bytes; /* UINT64_MAX: any */
    uint64_t max_gpu_milli;
    struct policy_custom *max_custom;
    size_t n_max_custom;
};

/* Allows everything. */
void policy_init(struct policy *p);
/* Whether it forbids anything. */
bool policy_is_said(const struct policy *p);
/* The value of `policy:`, into the struct policy that `field` points to. */
void policy_read(struct check *check, const struct value *v, void *field);

struct policy_question {
    const struct flow *flow;
    const char *user; /* whose run it is; NULL: nobody's */
    bool is_remote;   /* it did not come by a socket of the machine it came to */
};
/* The first thing that is forbidden, REFUSAL_NONE if nothing is. All of them are noted
 * in *d, if it is not NULL, each with the line of `path` that says so. */
enum refusal policy_check(const struct policy *p, const char *path,
                          const struct policy_question *q, struct diagnostics *d);
