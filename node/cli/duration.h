/* SPDX-License-Identifier: Apache-2.0 */
/* duration - how long a token opens something, as people write it: 30d, 12h, 15m, 90s.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* `never` is 0. False: it is none. */
bool duration_parse(const char *text, uint32_t *ret_s);
