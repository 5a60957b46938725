/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/tasks.h"

#include <signal.h>

#include "base/prng.h"
#include "simulations/faults.h"
#include "simulations/flows.h"

static uint64_t mix(uint64_t h, uint64_t value)
{
    h = (h ^ value) * 0x9fb21c651e98df25u;
    return h ^ (h >> 32);
}

static struct prng draw_for(uint64_t seed, uint64_t run_number,
                            const struct task_id *task, uint64_t salt)
{
    uint64_t h = mix(mix(seed, run_number), mix(task->step, task->iteration));
    struct prng p;

    for (uint32_t i = 0; i < task->depth; i++)
        h = mix(h, task->path[i]);
    prng_init(&p, mix(h, salt));
    return p;
}

static const char *choose(const struct step *s, struct prng *p,
                          const struct tasks_config *config)
{
    if (config->faults & FAULT_CHOICE && prng_below(p, config->failure_in) == 0)
        return prng_below(p, 2) ? "nonsense" : NULL;
    return s->cases[prng_below(p, s->n_cases)].name;
}

static void plan_yield(struct task_plan *plan, const struct step *s, struct prng *p,
                       const struct tasks_config *config)
{
    plan->reason = REASON_OK;
    if (s->foreach.kind == FOREACH_ARTIFACT) {
        plan->has_width = true;
        plan->width = prng_below(p, FLOWS_WIDTH_MAX + 1);
        if (config->faults & FAULT_CHOICE && prng_below(p, config->failure_in) == 0) {
            plan->has_width = false;
            plan->reason = prng_below(p, 2) ? REASON_WIDTH : REASON_OK;
        }
    }
    if (s->switch_by)
        plan->choice = choose(s, p, config);
}

static void fail_with(struct task_plan *plan, enum reason reason)
{
    plan->reason = reason;
    plan->has_width = false;
    plan->choice = NULL;
}

static void plan_failure(struct task_plan *plan, struct prng *p, unsigned faults)
{
    static const enum reason refusals[] = { REASON_START, REASON_OOM,   REASON_OUTPUT,
                                            REASON_INPUT, REASON_MERGE, REASON_STORE };
    static const int exit_codes[] = { 1, 2, 3, 202 };

    switch (prng_below(p, 5)) {
    case 0:
        if (!(faults & FAULT_EXIT))
            break;
        fail_with(plan, REASON_EXIT);
        plan->exit_code = exit_codes[prng_below(p, ARRAY_SIZE(exit_codes))];
        break;
    case 1:
        if (!(faults & FAULT_SIGNAL))
            break;
        fail_with(plan, REASON_SIGNAL);
        plan->signal = SIGSEGV;
        break;
    case 2:
        if (faults & FAULT_LOST)
            fail_with(plan, REASON_LOST);
        break;
    case 3:
        if (faults & FAULT_HANG)
            plan->duration_us = TIME_S(600);
        break;
    default:
        if (faults & FAULT_REFUSED)
            fail_with(plan, refusals[prng_below(p, ARRAY_SIZE(refusals))]);
        break;
    }
}

struct task_plan tasks_plan(const struct tasks_config *config, const struct flow *flow,
                            uint64_t run_number, const struct task_id *task,
                            uint32_t attempt, uint64_t life)
{
    const struct step *s = &flow->steps[task->step];
    unsigned faults = config->faults;
    uint64_t again = faults & FAULT_FICKLE ? mix(life, attempt) : 0;
    struct prng yield = draw_for(config->seed, run_number, task, again);
    struct prng course = draw_for(config->seed, run_number, task, mix(again, attempt));
    struct task_plan plan = {
        .duration_us = prng_below(&course, 3) ? prng_below(&course, TIME_MS(100))
                                              : prng_below(&course, TIME_S(20)),
        .term_us = prng_below(&course, TIME_S(2)),
        .exits_itself = prng_below(&course, 4) == 0,
        .term_code = (int)prng_below(&course, 2),
    };

    plan_yield(&plan, s, &yield, config);
    plan.ignores_term = faults & FAULT_STUBBORN && prng_below(&course, 3) == 0;
    if (prng_below(&course, config->failure_in) == 0)
        plan_failure(&plan, &course, faults);
    return plan;
}
