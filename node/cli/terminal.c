/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/terminal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } chosen;

bool terminal_choose_colour(const char *when)
{
    if (!when || strcmp(when, "auto") == 0)
        chosen = COLOUR_AUTO;
    else if (strcmp(when, "always") == 0)
        chosen = COLOUR_ALWAYS;
    else if (strcmp(when, "never") == 0)
        chosen = COLOUR_NEVER;
    else
        return false;
    return true;
}

bool terminal_has_colour(int fd)
{
    const char *no = getenv("NO_COLOR"), *force = getenv("CLICOLOR_FORCE"),
               *term = getenv("TERM");

    if (chosen != COLOUR_AUTO)
        return chosen == COLOUR_ALWAYS;
    if (no && *no)
        return false;
    if (force && *force && strcmp(force, "0") != 0)
        return true;
    return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

/* A locale would take longer to load than to ask what it is. */
bool terminal_has_unicode(void)
{
    static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
    const char *value = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(names) && !(value && *value); i++)
        value = getenv(names[i]);
    return value && (strcasestr(value, "utf-8") || strcasestr(value, "utf8"));
}

bool terminal_is_smart(void)
{
    const char *term = getenv("TERM");

    return term && *term && strcmp(term, "dumb") != 0;
}

size_t terminal_width(int fd)
{
    struct winsize size;

    return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* ---- times ---- */

time_us terminal_parse_time(const char *rfc3339)
{
    struct tm tm = { .tm_isdst = 0 };
    const char *end = rfc3339 ? strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
    double fraction = 0;

    if (!end)
        return 0;
    if (*end == '.')
        fraction = strtod(end, NULL);
    return (time_us)timegm(&tm) * 1000000 + (time_us)(fraction * 1e6 + 0.5);
}

void terminal_print(const char *text)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    terminal_escape(text, strlen(text), &out);
    fwrite(buffer_text(&out), 1, out.len, stdout);
}

int terminal_time(const char *rfc3339, struct buffer *out)
{
    time_us us = terminal_parse_time(rfc3339);
    time_t s = (time_t)(us / 1000000);
    char text[32];
    struct tm tm;

    if (!rfc3339)
        return 0;
    if (!us || !localtime_r(&s, &tm))
        return -EINVAL;
    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    return buffer_puts(out, text);
}

int table_print(const struct table *t)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    int r = table_write(t, terminal_width(STDOUT_FILENO),
                        terminal_has_colour(STDOUT_FILENO), &out);

    if (r == 0)
        fwrite(buffer_text(&out), 1, out.len, stdout);
    return r;
}
