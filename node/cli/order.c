/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/order.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/terminal.h"
#include "scheduler/share.h"

void order_release(struct order *order)
{
    free(order->tags);
    free(order->tags_text);
    order->tags = NULL;
    order->tags_text = NULL;
}

static int split_tags(struct order *order, const char *text)
{
    size_t n = 0;
    char *at, *tag;

    for (const char *p = text; *p; p++)
        n += *p == ',';
    order->tags_text = at = strdup(text);
    order->tags = calloc(n + 2, sizeof(*order->tags));
    if (!at || !order->tags)
        return cli_failed(-ENOMEM, NULL);
    for (n = 0; (tag = strsep(&at, ","));)
        if (*tag)
            order->tags[n++] = tag;
    return 0;
}

int order_options(struct order *order, const struct options *o)
{
    const char *how = options_text(o, "on-failure"), *tags = options_text(o, "tags");
    struct error error = { .text = "" };
    uint64_t max_workers, share;

    if (options_number(o, "max-workers", UINT32_MAX, &max_workers, &error) < 0
        || options_number(o, "share", SHARE_WEIGHT_MAX, &share, &error) < 0)
        return cli_usage("%s", error.text);
    if (options_has(o, "share") && !share)
        return cli_usage("--share must be at least 1");
    if (options_has(o, "as") && geteuid() != 0)
        return cli_usage("--as is for root alone: a run is of whoever asks for it");
    if (how && strcmp(how, "stop") != 0 && strcmp(how, "finish") != 0
        && strcmp(how, "kill") != 0)
        return cli_usage("--on-failure must be stop, finish or kill, not '%.80s'", how);
    order->max_workers = (uint32_t)max_workers;
    order->share = (uint32_t)share;
    order->user = options_text(o, "as");
    order->on_failure = how;
    return tags ? split_tags(order, tags) : 0;
}

void order_say_adopted(const struct order *order, uint64_t n, bool is_over)
{
    if (!order->has_origin)
        return;
    if (is_over) {
        cli_say("nothing is left to do: all tasks were done before");
        cli_hint("to do a step and those behind it again: mesh resume RUN STEP");
        return;
    }
    cli_say("%" PRIu64 " task%s of the run before %s taken over", n, n == 1 ? "" : "s",
            n == 1 ? "is" : "are");
}

/* getpwuid() would load a library for it. */
static const char *name_in_passwd(void)
{
    FILE *file = fopen("/etc/passwd", "re");
    const struct passwd *p;

    if (!file)
        return NULL;
    do
        p = fgetpwent(file);
    while (p && p->pw_uid != getuid());
    fclose(file);
    return p ? p->pw_name : NULL;
}

const char *order_user(void)
{
    static char number[16];
    const char *name = name_in_passwd();

    if (!name || !*name)
        name = getenv("USER");
    if (!name || !*name)
        name = getenv("LOGNAME");
    if (name && *name)
        return name;
    snprintf(number, sizeof(number), "%u", (unsigned)getuid());
    return number;
}

struct console_config console_config_of(const struct options *o)
{
    return (struct console_config){ .fd = STDOUT_FILENO,
                                    .has_colour = terminal_has_colour(STDOUT_FILENO),
                                    .is_json = options_has(o, "json"),
                                    .is_quiet = options_has(o, "quiet"),
                                    .has_timestamps = options_has(o, "timestamps") };
}
