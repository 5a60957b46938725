/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/azure_date.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const DAYS[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char *const MONTHS[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
static const int64_t LAST_S = 253402300799; /* of the year 9999 */

static struct tm split(int64_t seconds)
{
    time_t at = seconds < 0 ? 0 : seconds > LAST_S ? LAST_S : seconds;
    struct tm tm = { .tm_mday = 1 };

    gmtime_r(&at, &tm);
    return tm;
}

/* What a date of four digits can hold, which the compiler cannot see. */
static unsigned digits(int value, unsigned max)
{
    return value < 0 ? 0 : (unsigned)value > max ? max : (unsigned)value;
}

void azure_date_write(int64_t seconds, char ret_text[AZURE_DATE])
{
    struct tm tm = split(seconds);

    snprintf(ret_text, AZURE_DATE, "%s, %02u %s %04u %02u:%02u:%02u GMT",
             DAYS[tm.tm_wday], digits(tm.tm_mday, 31), MONTHS[tm.tm_mon],
             digits(tm.tm_year + 1900, 9999), digits(tm.tm_hour, 23),
             digits(tm.tm_min, 59), digits(tm.tm_sec, 60));
}

void azure_iso_write(int64_t seconds, char ret_text[AZURE_ISO])
{
    struct tm tm = split(seconds);

    snprintf(ret_text, AZURE_ISO, "%04u-%02u-%02uT%02u:%02u:%02uZ",
             digits(tm.tm_year + 1900, 9999), digits(tm.tm_mon + 1, 12),
             digits(tm.tm_mday, 31), digits(tm.tm_hour, 23), digits(tm.tm_min, 59),
             digits(tm.tm_sec, 60));
}

static bool is_time(const struct tm *tm)
{
    return tm->tm_year >= 0 && tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1
           && tm->tm_mday <= 31 && tm->tm_hour >= 0 && tm->tm_hour < 24
           && tm->tm_min >= 0 && tm->tm_min < 60 && tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

static int join(struct tm *tm, int64_t *ret_seconds)
{
    tm->tm_year -= 1900;
    tm->tm_mon -= 1;
    if (!is_time(tm))
        return -EINVAL;
    *ret_seconds = timegm(tm);
    return 0;
}

int azure_date_read(const char *text, int64_t *ret_seconds)
{
    struct tm tm = { .tm_mday = 0 };
    char month[4];

    if (strlen(text) != AZURE_DATE - 1
        || sscanf(text, "%*3s, %2d %3s %4d %2d:%2d:%2d GMT", &tm.tm_mday, month,
                  &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec)
               != 6)
        return -EINVAL;
    for (int i = 0; i < 12; i++)
        if (strcmp(month, MONTHS[i]) == 0)
            tm.tm_mon = i + 1;
    return join(&tm, ret_seconds);
}

/* Behind the seconds: a fraction, then what says that this is UTC. */
static bool is_utc_end(const char *text)
{
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    return strcmp(text, "Z") == 0 || strcmp(text, "+00:00") == 0;
}

int azure_iso_read(const char *text, int64_t *ret_seconds)
{
    struct tm tm = { .tm_mday = 0 };
    int day = 0, minute = 0, second = 0;
    int n = sscanf(text, "%4d-%2d-%2d%nT%2d:%2d%n:%2d%n", &tm.tm_year, &tm.tm_mon,
                   &tm.tm_mday, &day, &tm.tm_hour, &tm.tm_min, &minute, &tm.tm_sec,
                   &second);

    if (n == 3   ? text[day] != '\0'
        : n == 5 ? !is_utc_end(text + minute)
                 : n != 6 || !is_utc_end(text + second))
        return -EINVAL;
    return join(&tm, ret_seconds);
}
