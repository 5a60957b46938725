/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/measure.h"

#include <inttypes.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    uint64_t rest = value % unit;

    return rest && value <= UINT64_MAX - unit ? value - rest + unit : value;
}

uint64_t measure_round_bytes(uint64_t bytes)
{
    if (bytes <= 256 * MIB)
        return round_up(bytes, 16 * MIB);
    if (bytes <= GIB)
        return round_up(bytes, 64 * MIB);
    if (bytes <= 8 * GIB)
        return round_up(bytes, 512 * MIB);
    return round_up(bytes, bytes <= 64 * GIB ? GIB : 8 * GIB);
}

time_us measure_round_time(time_us time)
{
    uint64_t s = round_up(time, TIME_S(1)) / TIME_S(1);

    if (s <= 5 * MINUTE_S)
        s = round_up(s, 30);
    else if (s <= HOUR_S)
        s = round_up(s, 5 * MINUTE_S);
    else
        s = round_up(s, s <= DAY_S ? HOUR_S / 2 : HOUR_S);
    return TIME_S(s);
}

uint64_t measure_round_cpu(uint64_t milli)
{
    enum { NOISE = 100 }; /* a task that keeps one processor busy is seen at 1.05 */

    if (milli <= 250)
        return 250;
    if (milli <= 500)
        return 500;
    return milli <= 1000 ? 1000 : round_up(milli - NOISE, 1000);
}

void measure_bytes(uint64_t bytes, struct buffer *out)
{
    if (bytes && bytes % GIB == 0)
        buffer_printf(out, "%" PRIu64 "G", bytes / GIB);
    else
        buffer_printf(out, "%" PRIu64 "M", round_up(bytes, MIB) / MIB);
}

void measure_time(time_us time, struct buffer *out)
{
    uint64_t s = round_up(time, TIME_S(1)) / TIME_S(1);

    if (s && s % DAY_S == 0)
        buffer_printf(out, "%" PRIu64 "d", s / DAY_S);
    else if (s && s % HOUR_S == 0)
        buffer_printf(out, "%" PRIu64 "h", s / HOUR_S);
    else if (s && s % MINUTE_S == 0)
        buffer_printf(out, "%" PRIu64 "m", s / MINUTE_S);
    else
        buffer_printf(out, "%" PRIu64 "s", s);
}

void measure_cpu(uint64_t milli, struct buffer *out)
{
    buffer_printf(out, "%g", (double)milli / 1000);
}

void measure_bytes_for_people(uint64_t bytes, struct buffer *out)
{
    if (bytes >= GIB)
        buffer_printf(out, "%.1f GiB", (double)bytes / (double)GIB);
    else if (bytes >= MIB)
        buffer_printf(out, "%" PRIu64 " MiB", (bytes + MIB / 2) / MIB);
    else
        buffer_printf(out, "%" PRIu64 " KiB", (bytes + 1023) >> 10);
}

void measure_time_for_people(time_us time, struct buffer *out)
{
    uint64_t s = time / TIME_S(1);

    if (time < TIME_S(1))
        buffer_printf(out, "%" PRIu64 " ms", time / TIME_MS(1));
    else if (s < MINUTE_S)
        buffer_printf(out, "%.1f s", (double)time / 1e6);
    else if (s < HOUR_S)
        buffer_printf(out, "%" PRIu64 " min %02" PRIu64 " s", s / MINUTE_S,
                      s % MINUTE_S);
    else
        buffer_printf(out, "%" PRIu64 " h %02" PRIu64 " min", s / HOUR_S,
                      s % HOUR_S / MINUTE_S);
}
