/* SPDX-License-Identifier: Apache-2.0 */
/* measure - sizes, times and processors as a flow file spells them. Pure. */
#pragma once

#include "base/buffer.h"
#include "base/time.h"

/* Rounded up to what a person would write: 48M, 640M, 3G; 90s, 10m, 4h; 0.25, 1, 6. */
uint64_t measure_round_bytes(uint64_t bytes);
time_us measure_round_time(time_us time);
uint64_t measure_round_cpu(uint64_t milli);

/* As a flow file takes it; exact, in the largest unit that allows it. */
void measure_bytes(uint64_t bytes, struct buffer *out);
void measure_time(time_us time, struct buffer *out);
void measure_cpu(uint64_t milli, struct buffer *out);

/* For a sentence: `1.9 GiB`, `840 ms`, `3 min 20 s`. */
void measure_bytes_for_people(uint64_t bytes, struct buffer *out);
void measure_time_for_people(time_us time, struct buffer *out);
