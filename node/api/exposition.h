/* SPDX-License-Identifier: Apache-2.0 */
/* exposition - figures as Prometheus reads them: its text format, 0.0.4.
 *
 *     # HELP mesh_runs Runs that are active.
 *     # TYPE mesh_runs gauge
 *     mesh_runs{state="running"} 2
 *
 * A family is begun once, then each of its samples follows. Labels are name and value
 * in turn, ended by NULL. Pure; what fails is remembered by the buffer. */
#pragma once

#include "base/buffer.h"
#include "base/histogram.h"

#define EXPOSITION_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct exposition {
    struct buffer *out;
    const char *family;
};

void exposition_counter(struct exposition *x, const char *name, const char *help);
void exposition_gauge(struct exposition *x, const char *name, const char *help);
void exposition_histogram(struct exposition *x, const char *name, const char *help);

void exposition_u64(struct exposition *x, const char *const *labels, uint64_t value);
void exposition_real(struct exposition *x, const char *const *labels, double value);
/* Of a histogram: its buckets, in seconds, their sum and their number. */
void exposition_spread(struct exposition *x, const char *const *labels,
                       const time_us *bounds, const struct histogram *h);
