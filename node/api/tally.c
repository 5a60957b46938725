/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/tally.h"

#include <errno.h>
#include <stdlib.h>

struct tallying {
    struct tally *tally;
    const atomic_bool *is_stopping;
};

void tally_release(struct tally *t)
{
    free(t->steps);
    t->steps = NULL;
}

static void count_task(struct tally *t)
{
    if (t->task.step >= t->n_steps)
        return;
    switch (t->verdict) {
    case VERDICT_DONE:
    case VERDICT_CAUGHT:
        t->steps[t->task.step].done++;
        t->tasks.done++;
        break;
    case VERDICT_ADOPTED:
        t->steps[t->task.step].done++;
        t->tasks.adopted++;
        break;
    case VERDICT_FAILED:
        t->steps[t->task.step].failed++;
        t->tasks.failed++;
        break;
    case VERDICT_LOST:
        break;
    }
}

static int each_attempt(void *arg, struct span key, struct span value)
{
    struct tallying *tallying = arg;
    struct tally *t = tallying->tally;
    CLEANUP(attempt_record_release) struct attempt_record a = { .attempt = 0 };
    int r = attempt_record_decode(value.data, value.len, &a);

    if (r == 0)
        r = attempt_key_decode(key.data, key.len, &a.run, &a.task, &a.attempt);
    if (r < 0)
        return r;
    if (atomic_load(tallying->is_stopping))
        return -ECANCELED;
    if (t->n_attempts && !task_id_equal(&t->task, &a.task))
        count_task(t);
    t->task = a.task;
    t->verdict = a.verdict;
    t->n_attempts++;
    if (!t->started_wall || a.started_wall < t->started_wall)
        t->started_wall = a.started_wall;
    return 0;
}

int tally_run(struct writer *w, const struct run_id *run, uint32_t n_steps,
              const atomic_bool *is_stopping, struct tally *ret)
{
    struct record_key prefix = attempts_of_run(run);
    struct tally t = { .n_steps = n_steps };
    struct tallying tallying = { .tally = &t, .is_stopping = is_stopping };
    int r;

    t.steps = calloc(n_steps + 1u, sizeof(*t.steps));
    if (!t.steps)
        return -ENOMEM;
    r = writer_scan(w, STORE_RECORDS, (struct span){ prefix.bytes, prefix.len },
                    (struct span){ NULL, 0 }, each_attempt, &tallying);
    if (r < 0) {
        tally_release(&t);
        return r;
    }
    if (t.n_attempts)
        count_task(&t);
    *ret = t;
    return 0;
}
