/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/http_retry.h"

#include <stdio.h>
#include <string.h>

#include "cloud/http.h"

bool http_retry_code(int code, bool is_once)
{
    switch (code) {
    case 429:
    case 503:
        return true;
    case 408:
    case 500:
    case 502:
    case 504:
        return !is_once;
    default:
        return false;
    }
}

/* Days since 1970 of a day of the Gregorian calendar; of Howard Hinnant's
 * http://howardhinnant.github.io/date_algorithms.html, for years of our time. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400, of_era = y % 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int month_of(const char *name)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

    for (int i = 0; i < 12; i++)
        if (memcmp(names + 3 * i, name, 3) == 0)
            return i + 1;
    return 0;
}

/* Two digits of a year mean the one that is less than 50 years ahead. */
static int year_of(int year)
{
    if (year >= 100)
        return year;
    return year < 70 ? year + 2000 : year + 1900;
}

/* Since 1970; -1: not a date. */
static int64_t date_s(const char *text)
{
    char month[4] = "";
    int year, day, hour, minute, second;
    const char *comma = strchr(text, ',');
    int n = comma ? sscanf(comma + 1, "%2d%*1[ -]%3s%*1[ -]%4d %2d:%2d:%2d", &day,
                           month, &year, &hour, &minute, &second)
                  : sscanf(text, "%*3s %3s %2d %2d:%2d:%2d %4d", month, &day, &hour,
                           &minute, &second, &year);

    if (n != 6 || strlen(month) != 3 || month_of(month) == 0)
        return -1;
    if (day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 || minute > 59
        || second < 0 || second > 60 || year < 0)
        return -1;
    return days_of(year_of(year), month_of(month), day) * 86400 + hour * 3600
           + minute * 60 + second;
}

uint64_t http_retry_after_s(const char *value, int64_t now_s)
{
    size_t digits = strspn(value, "0123456789");
    uint64_t seconds = 0;
    int64_t date;

    if (digits > 0) {
        for (size_t i = 0; i < digits && seconds < UINT32_MAX; i++)
            seconds = seconds * 10 + (uint64_t)(value[i] - '0');
        return value[digits] == '\0' ? seconds : 0;
    }
    date = date_s(value);
    return date > now_s ? (uint64_t)(date - now_s) : 0;
}

uint64_t http_retry_wait_ms(struct prng *prng, uint32_t tries, uint64_t least_ms)
{
    uint64_t most = HTTP_BACKOFF_MAX_MS;

    if (tries < 16 && (uint64_t)HTTP_BACKOFF_MIN_MS << tries < most)
        most = (uint64_t)HTTP_BACKOFF_MIN_MS << tries;
    return least_ms + prng_below(prng, most + 1);
}
