/* SPDX-License-Identifier: Apache-2.0 */
/* sharing - what a node's owner grants its users. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A cap of 0 is none, a weight of 0 is 1. */
struct user_limits {
    const char *name; /* NULL in `otherwise` */
    uint32_t weight;
    uint32_t max_tasks; /* that run at once; so for the others */
    uint64_t max_cpu_milli, max_memory_bytes, max_gpu_milli;
};

struct sharing {
    struct user_limits otherwise; /* of whoever is not named */
    struct user_limits *users;
    size_t n_users;
};

/* What a user of this name may have. */
const struct user_limits *sharing_of(const struct sharing *s, const char *name);
