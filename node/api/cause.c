/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/cause.h"

#include <inttypes.h>
#include <string.h>

const char *cause_name(enum cause c)
{
    static const char *const names[] = {
        [CAUSE_NEW_RUN] = "new_run",   [CAUSE_ADOPTED] = "adopted",
        [CAUSE_CACHED] = "cached",     [CAUSE_NEW_STEP] = "new_step",
        [CAUSE_MOVED] = "moved",       [CAUSE_FAILED] = "failed",
        [CAUSE_NOT_DONE] = "not_done", [CAUSE_UPSTREAM] = "upstream",
        [CAUSE_ASKED] = "asked",       [CAUSE_LOST] = "lost",
    };

    return c >= CAUSE_NEW_RUN && c <= CAUSE_LOST ? names[c] : "unknown";
}

static bool waits_for(const struct flow *f, const struct step *s, const char *name)
{
    for (uint32_t i = 0; i < s->n_before; i++)
        if (strcmp(f->steps[s->before[i]].name, name) == 0)
            return true;
    return false;
}

/* The first step that a waits for and b does not; NULL: none. */
static const char *missing_before(const struct flow *f, const struct step *a,
                                  const struct flow *g, const struct step *b)
{
    for (uint32_t i = 0; i < a->n_before; i++) {
        const char *name = f->steps[a->before[i]].name;

        if (!waits_for(g, b, name))
            return name;
    }
    return NULL;
}

bool cause_moved(const struct flow *before, uint32_t was, const struct flow *after,
                 uint32_t now, struct buffer *ret_words)
{
    const struct step *a = &before->steps[was], *b = &after->steps[now];
    const char *gone = missing_before(before, a, after, b);
    const char *new = missing_before(after, b, before, a);

    if (before->scopes[a->scope].depth != after->scopes[b->scope].depth)
        buffer_puts(ret_words, "another foreach is around it");
    else if (a->foreach.kind != b->foreach.kind)
        buffer_puts(ret_words, "its foreach is of another kind");
    else if (new)
        buffer_printf(ret_words, "it waits for '%s' now", new);
    else if (gone)
        buffer_printf(ret_words, "it waits for '%s' no longer", gone);
    else
        return false;
    return true;
}

enum cause cause_of(const struct cause_facts *f)
{
    CLEANUP(buffer_release) struct buffer words = BUFFER_INIT;
    uint32_t was;

    if (f->lost)
        return CAUSE_LOST;
    if (f->is_cached)
        return CAUSE_CACHED;
    if (!f->before)
        return CAUSE_NEW_RUN;
    if (f->is_adopted)
        return CAUSE_ADOPTED;
    was = flow_find_step(f->before, f->flow->steps[f->step].name);
    if (was == FLOW_NONE)
        return CAUSE_NEW_STEP;
    if (!f->was_done)
        return f->failed ? CAUSE_FAILED : CAUSE_NOT_DONE;
    if (cause_moved(f->before, was, f->flow, f->step, &words))
        return CAUSE_MOVED;
    return f->remade != FLOW_NONE ? CAUSE_UPSTREAM : CAUSE_ASKED;
}

static void say_moved(const struct cause_facts *f, struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer words = BUFFER_INIT;
    const char *name = f->flow->steps[f->step].name;

    cause_moved(f->before, flow_find_step(f->before, name), f->flow, f->step, &words);
    buffer_printf(out, "'%s' stands elsewhere in the flow than in run %" PRIu64 ": %s",
                  name, f->number, buffer_text(&words));
}

static void say_cached(const struct cause_facts *f, struct buffer *out)
{
    buffer_puts(out, "an equal task");
    if (f->equal)
        buffer_printf(out, " of run %" PRIu64, f->equal);
    buffer_puts(out, " was done, with the same command, parameters, inputs and files: "
                     "its results are used again");
}

void cause_say(const struct cause_facts *f, struct buffer *out)
{
    const char *name = f->flow->steps[f->step].name;

    switch (cause_of(f)) {
    case CAUSE_NEW_RUN:
        buffer_puts(out, "its run is a new one, which takes nothing over");
        break;
    case CAUSE_ADOPTED:
        buffer_printf(out,
                      "it was done in run %" PRIu64 " and its results are used again",
                      f->number);
        break;
    case CAUSE_CACHED:
        say_cached(f, out);
        break;
    case CAUSE_NEW_STEP:
        buffer_printf(out, "run %" PRIu64 " had no step '%s'", f->number, name);
        break;
    case CAUSE_MOVED:
        say_moved(f, out);
        break;
    case CAUSE_FAILED:
        buffer_printf(out, "it did not end well in run %" PRIu64 ": %s", f->number,
                      reason_name(f->failed));
        break;
    case CAUSE_NOT_DONE:
        buffer_printf(out, "run %" PRIu64 " ended before it was started", f->number);
        break;
    case CAUSE_UPSTREAM:
        buffer_printf(out, "'%s', which it builds on, ran again",
                      f->flow->steps[f->remade].name);
        break;
    case CAUSE_ASKED:
        buffer_printf(out, "run %" PRIu64 " was resumed from '%s' on", f->number, name);
        break;
    case CAUSE_LOST:
        buffer_printf(out, "made again because %s", f->lost);
        break;
    }
}
