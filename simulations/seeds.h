/* SPDX-License-Identifier: Apache-2.0 */
/* seeds - which histories to live through, as a person writes it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct seeds {
    uint64_t from, to; /* from .. to-1 */
    bool is_one;       /* to be shown */
};

/* "7" if it is one, else "0:500". False: it is neither. */
bool seeds_parse(const char *text, bool is_one, struct seeds *ret);
bool seeds_number(const char *text, uint64_t *ret);
