/* SPDX-License-Identifier: Apache-2.0 */
/* From the words of the interface to what a console is told. */
#include <string.h>

#include "node/cli/order.h"
#include "node/cli/terminal.h"

static int index_of(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 1; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return 0;
}

static enum feed_type type_of(const char *name)
{
    static const char *const names[] = {
        [FEED_RUN_STARTED] = "run_started",
        [FEED_TASK_STARTED] = "task_started",
        [FEED_LOG] = "log",
        [FEED_TASK_ENDED] = "task_ended",
        [FEED_RUN_ENDED] = "run_ended",
        [FEED_RUN_SUSPENDED] = "run_suspended",
        [FEED_RUN_UNSUSPENDED] = "run_unsuspended",
        [FEED_RUN_NUMBERED] = "run_numbered",
    };

    return (enum feed_type)index_of(names, ARRAY_SIZE(names), name);
}

static enum verdict verdict_of(const char *name)
{
    static const char *const names[] = {
        [VERDICT_DONE] = "done",       [VERDICT_FAILED] = "failed",
        [VERDICT_LOST] = "lost",       [VERDICT_CAUGHT] = "caught",
        [VERDICT_ADOPTED] = "adopted",
    };

    return (enum verdict)index_of(names, ARRAY_SIZE(names), name);
}

static enum reason reason_of(const char *name)
{
    for (int r = REASON_OK; r <= REASON_LAST; r++)
        if (strcmp(reason_name((enum reason)r), name) == 0)
            return (enum reason)r;
    return REASON_EXIT;
}

static enum run_outcome outcome_of(const char *name)
{
    for (int o = RUN_OK; o <= RUN_CANCELLED; o++)
        if (strcmp(run_outcome_name((enum run_outcome)o), name) == 0)
            return (enum run_outcome)o;
    return RUN_FAILED;
}

bool event_read(const char *name, const json_t *json, struct feed_event *ret,
                const char **ret_task)
{
    const json_t *text = json_object_get(json, "text");
    struct feed_event e = { .type = type_of(name) };

    if (!e.type)
        return false;
    e.number = json_number(json, "number");
    e.wall = terminal_parse_time(json_text(json, "time"));
    e.started_wall = terminal_parse_time(json_text(json, "started"));
    e.step = json_text(json, "step");
    e.attempt = (uint32_t)json_number(json, "attempt");
    e.pid = (uint32_t)json_number(json, "pid");
    e.stream =
        strcmp(json_text(json, "stream"), "stderr") == 0 ? LOG_STDERR : LOG_STDOUT;
    e.data = json_text(json, "text");
    e.len = json_string_length(text);
    e.verdict = verdict_of(json_text(json, "verdict"));
    e.reason = reason_of(json_text(json, "reason"));
    e.exit_code = (int)json_number(json, "exit_code");
    e.signal = (int)json_number(json, "signal");
    e.is_retried = json_is_true(json_object_get(json, "retried"));
    e.retry_in_us = json_number(json, "retry_in_us");
    e.message = json_text(json, "message");
    e.outcome = outcome_of(json_text(json, "outcome"));
    e.flow = json_text(json, "flow");
    *ret = e;
    *ret_task = json_text(json, "task");
    if (feed_is_of_run(e.type))
        *ret_task = NULL;
    return true;
}
