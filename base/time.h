/* SPDX-License-Identifier: Apache-2.0 */
/* time - microseconds on a clock that only the runtime or the simulator owns.
 *
 * `now` in a pure part is monotonic; `wall` is since 1970-01-01 UTC and is only
 * recorded and shown, never compared to decide. */
#pragma once

#include <stdint.h>

typedef uint64_t time_us;

#define TIME_NEVER UINT64_MAX
#define TIME_MS(n) ((time_us)(n)*1000)
#define TIME_S(n) ((time_us)(n)*1000000)
