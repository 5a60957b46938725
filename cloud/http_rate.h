/* SPDX-License-Identifier: Apache-2.0 */
/* http_rate - a bound on bytes a second, of many transfers together. Pure.
 *
 * A bucket that fills with time. What has come cannot be sent back: a taker may take
 * more than there is, and all wait until the debt is paid. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { HTTP_RATE_TICK_MS = 10 };

struct http_rate {
    uint64_t bytes_per_s; /* 0: no bound */
    int64_t bytes;        /* to take now; below 0: debt */
    uint64_t rest;        /* of a byte, in thousandths */
    uint64_t filled_ms;
};

/* Whether anything may be taken. */
static inline bool http_rate_is_open(const struct http_rate *rate)
{
    return rate->bytes_per_s == 0 || rate->bytes > 0;
}

static inline void http_rate_take(struct http_rate *rate, uint64_t bytes)
{
    if (rate->bytes_per_s > 0)
        rate->bytes -= (int64_t)bytes;
}

/* A tenth of a second is saved up at most, so that a pause is not followed by a burst.
 */
static inline void http_rate_fill(struct http_rate *rate, uint64_t now_ms)
{
    uint64_t ms = now_ms - rate->filled_ms;
    uint64_t filled = rate->bytes_per_s * (ms < 1000 ? ms : 1000) + rate->rest;
    int64_t most = (int64_t)(rate->bytes_per_s / 10) + 1;

    if (rate->bytes_per_s == 0)
        return;
    rate->filled_ms = now_ms;
    rate->rest = filled % 1000;
    rate->bytes += (int64_t)(filled / 1000);
    if (rate->bytes > most)
        rate->bytes = most;
}
