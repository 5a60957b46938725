/* SPDX-License-Identifier: Apache-2.0 */
/* http_retry - whether and when a request is tried again. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/prng.h"

enum {
    /* A service that asks for more than this is not waited for. */
    HTTP_RETRY_AFTER_MAX_S = 300,
};

/* Whether an answer with this status may be different next time. Once: only if the
 * service surely did nothing. */
bool http_retry_code(int code, bool is_once);

/* Seconds from a Retry-After: a number, or a date in any of the three formats of RFC
 * 9110, 5.6.7 against now_s since 1970. 0: the date has passed, or it is neither. */
uint64_t http_retry_after_s(const char *value, int64_t now_s);

/* How long to wait after `tries` of them, at least least_ms. */
uint64_t http_retry_wait_ms(struct prng *prng, uint32_t tries, uint64_t least_ms);
