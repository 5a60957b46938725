/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/progress_json.h"

#include <errno.h>
#include <string.h>

#include "node/cli/client.h"
#include "node/cli/terminal.h"

static void count_all(struct progress *p, const json_t *run)
{
    const json_t *steps = json_object_get(run, "steps"), *s;
    size_t i;

    p->started = terminal_parse_time(json_text(run, "started"));
    p->is_stopping = strcmp(json_text(run, "state"), "stopping") == 0;
    p->is_suspended = json_is_true(json_object_get(run, "suspended"));
    p->n_adopted = json_number(json_object_get(run, "tasks"), "adopted");
    json_array_foreach(steps, i, s)
    {
        const char *waits = json_text(s, "waits");

        progress_count(p, (uint32_t)i,
                       &(struct progress_counts){
                           .known = json_number(s, "known"),
                           .done = json_number(s, "done"),
                           .running = json_number(s, "running"),
                           .failed = json_number(s, "failed"),
                           .ready = json_number(s, "ready"),
                           .skipped = json_number(s, "skipped"),
                       });
        progress_waits(p, (uint32_t)i, *waits ? waits : NULL);
    }
}

static int name_steps(struct progress *p, const json_t *run)
{
    const json_t *steps = json_object_get(run, "steps"), *s;
    CLEANUP(freep)
    const char **names = calloc(json_array_size(steps) + 1, sizeof(*names));
    size_t i;

    if (!names)
        return -ENOMEM;
    json_array_foreach(steps, i, s) names[i] = json_text(s, "name");
    return progress_begin(p, json_text(run, "flow"), json_number(run, "number"), names,
                          (uint32_t)json_array_size(steps));
}

int progress_read(struct progress *p, const json_t *run)
{
    if (!json_array_size(json_object_get(run, "steps")))
        return 0;
    if (!p->n_steps && name_steps(p, run) < 0)
        return -ENOMEM;
    count_all(p, run);
    return 0;
}

void progress_read_tasks(struct progress *p, const json_t *answer)
{
    const json_t *attempt;
    size_t i;

    progress_forget_tasks(p);
    json_array_foreach(json_object_get(answer, "attempts"), i, attempt)
    {
        struct feed_event e = {
            .type = FEED_TASK_STARTED,
            .step = json_text(attempt, "step"),
            .attempt = (uint32_t)json_number(attempt, "attempt"),
            .pid = (uint32_t)json_number(attempt, "pid"),
            .wall = terminal_parse_time(json_text(attempt, "started")),
        };

        progress_event(p, &e, json_text(attempt, "task"));
    }
}
