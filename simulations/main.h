/* SPDX-License-Identifier: Apache-2.0 */
/* main - what the modes of mesh-sim share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct seeds {
    uint64_t from, to; /* from .. to-1 */
    bool is_one;       /* to be shown */
};

/* "7" if it is one, else "0:500". */
bool seeds_parse(const char *text, bool is_one, struct seeds *ret);

int replica_main(int argc, char **argv);
