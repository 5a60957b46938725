/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/cli/line.h"
#include "node/cli/terminal.h"

enum {
    NAME_MAX = 24, /* columns of a step's name */
    BAR_MIN = 8,   /* columns of a bar */
    BAR_MAX = 32,
    BESIDE_BAR = 34, /* columns that what is behind a bar mostly takes */
    FAILED_TOO = 11, /* more, when tasks run of a step of which some failed */
    TASKS_SHOWN = 3, /* below the selected step */
    NARROW = 40,     /* columns below which there are no bars */
};

/* ---- a step ---- */

enum phase {
    PHASE_WAITING = 1,
    PHASE_READY,
    PHASE_RUNNING,
    PHASE_FAILED,
    PHASE_DONE,
    PHASE_SKIPPED
};

static enum phase phase_of(const struct progress_step *s)
{
    const struct progress_counts *n = &s->n;

    if (n->failed)
        return PHASE_FAILED;
    if (n->running)
        return PHASE_RUNNING;
    if (n->known && n->done + n->skipped >= n->known)
        return n->done ? PHASE_DONE : PHASE_SKIPPED;
    return n->ready || n->done ? PHASE_READY : PHASE_WAITING;
}

static const char *const phase_words[] = {
    [PHASE_WAITING] = "waiting", [PHASE_READY] = "ready", [PHASE_RUNNING] = "running",
    [PHASE_FAILED] = "failed",   [PHASE_DONE] = "done",   [PHASE_SKIPPED] = "skipped",
};

/* How long a step stays when there is no room for all. */
static unsigned urgency(const struct progress_step *s)
{
    static const unsigned ranks[] = {
        [PHASE_WAITING] = 2, [PHASE_READY] = 3, [PHASE_RUNNING] = 5,
        [PHASE_FAILED] = 4,  [PHASE_DONE] = 1,  [PHASE_SKIPPED] = 0,
    };

    return s->n.failed && s->n.running ? 6 : ranks[phase_of(s)];
}

/* A hook that is not asked for yet is no step to anybody. */
static bool is_shown(const struct progress_step *s)
{
    return s->n.known || s->waits || s->n.done || s->n.failed;
}

static const char *phase_colour(enum phase phase)
{
    return phase == PHASE_FAILED    ? COLOUR_RED
           : phase == PHASE_DONE    ? COLOUR_GREEN
           : phase == PHASE_RUNNING ? COLOUR_BOLD
                                    : COLOUR_DIM;
}

static void put_mark(struct line *l, enum phase phase)
{
    static const char *const unicode[] = {
        [PHASE_WAITING] = " ", [PHASE_READY] = " ", [PHASE_RUNNING] = "•",
        [PHASE_FAILED] = "✗",  [PHASE_DONE] = "✓",  [PHASE_SKIPPED] = "-",
    };
    static const char *const ascii[] = {
        [PHASE_WAITING] = " ", [PHASE_READY] = " ", [PHASE_RUNNING] = "*",
        [PHASE_FAILED] = "x",  [PHASE_DONE] = "+",  [PHASE_SKIPPED] = "-",
    };

    line_put(l, phase_colour(phase), l->has_unicode ? unicode[phase] : ascii[phase]);
}

static void put_bar(struct line *l, const struct progress_step *s, size_t columns)
{
    double known = (double)s->n.known;

    if (s->n.known)
        line_bar(l, (double)(s->n.done + s->n.skipped) / known,
                 (double)s->n.failed / known, columns);
    else
        line_bar(l, 0, 0, columns);
}

/* What does not depend on the step, so that columns stand below each other. */
struct grid {
    size_t name, count, bar; /* columns; bar 0: none */
};

static size_t count_text(const struct progress_step *s, char text[80])
{
    char done[NUMBER_TEXT_SIZE], known[NUMBER_TEXT_SIZE];

    return (size_t)snprintf(text, 80, "%s/%s",
                            number_text(s->n.done + s->n.skipped, done),
                            s->n.known ? number_text(s->n.known, known) : "?");
}

/* Behind the word that says of what kind it is, for programs. */
static const char *sentence_of(const char *waits)
{
    const char *behind = strstr(waits, ": ");

    return behind ? behind + 2 : waits;
}

static void put_pieces(struct line *l, const struct progress_step *s, enum phase phase)
{
    time_us left = progress_left(s);
    char text[NUMBER_TEXT_SIZE];

    if (s->n.running)
        line_format(l, NULL, "  %s running", number_text(s->n.running, text));
    if (s->n.failed)
        line_format(l, COLOUR_RED, "  %s failed", number_text(s->n.failed, text));
    if ((phase == PHASE_RUNNING || phase == PHASE_FAILED) && s->n.running && s->rate > 0
        && s->n.known > 1) {
        line_put(l, NULL, "  ");
        line_rate(l, s->rate);
        if (left != TIME_NEVER) {
            line_put(l, NULL, "  ");
            line_duration(l, NULL, left);
            line_put(l, NULL, " left");
        }
    }
    if (phase == PHASE_SKIPPED)
        line_put(l, COLOUR_DIM, "  skipped");
    if (s->waits && !s->n.running && !s->n.failed) {
        line_put(l, NULL, "  ");
        line_name(l, COLOUR_DIM, sentence_of(s->waits));
    }
}

static void put_step(struct line *l, const struct progress_step *s,
                     const struct grid *g, bool is_selected)
{
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
    enum phase phase = phase_of(s);
    char count[80];
    size_t columns = count_text(s, count), before;

    line_put(l, COLOUR_BOLD, is_selected ? (l->has_unicode ? "›" : ">") : " ");
    put_mark(l, phase);
    line_put(l, NULL, " ");
    terminal_name(s->name, &name);
    before = l->used;
    if (terminal_columns(buffer_text(&name)) > g->name) {
        name.data[terminal_fit(name.data, g->name - 1)] = '\0';
        line_put(l, is_selected ? COLOUR_BOLD : NULL, name.data);
        line_put(l, NULL, l->has_unicode ? "…" : "~");
    } else {
        line_put(l, is_selected ? COLOUR_BOLD : NULL, buffer_text(&name));
    }
    line_spaces(l, before + g->name - l->used + 2);
    if (g->bar) {
        put_bar(l, s, g->bar);
        line_put(l, NULL, "  ");
    }
    line_spaces(l, g->count > columns ? g->count - columns : 0);
    line_put(l, phase == PHASE_WAITING ? COLOUR_DIM : NULL, count);
    put_pieces(l, s, phase);
    line_end(l);
}

/* ---- which steps ---- */

struct shown {
    uint32_t *steps; /* indexes, in the flow's order */
    uint32_t n, n_hidden;
    size_t by_phase[PHASE_SKIPPED + 1]; /* of those that are hidden */
};

/* Keeps the `room` most urgent ones: the least urgency that stays, and how many of it.
 */
static unsigned find_least(const struct view *v, const struct progress *p, size_t room,
                           size_t *ret_n)
{
    size_t by_urgency[8] = { 0 };
    unsigned least = ARRAY_SIZE(by_urgency) - 1;

    for (uint32_t i = 0; i < p->n_steps; i++)
        if (is_shown(&p->steps[i]) && i != v->selected)
            by_urgency[urgency(&p->steps[i])]++;
    if (v->selected != VIEW_NONE && room)
        room--;
    while (least > 0 && by_urgency[least] < room) {
        room -= by_urgency[least];
        least--;
    }
    *ret_n = room;
    return least;
}

static int choose(const struct view *v, const struct progress *p, size_t room,
                  struct shown *ret)
{
    unsigned least;
    size_t n_least;

    ret->steps = calloc((size_t)p->n_steps + 1, sizeof(*ret->steps));
    if (!ret->steps)
        return -1;
    least = find_least(v, p, room, &n_least);
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const struct progress_step *s = &p->steps[i];
        bool stays = i == v->selected || urgency(s) > least;

        if (!is_shown(s))
            continue;
        if (!stays && urgency(s) == least && n_least) {
            n_least--;
            stays = true;
        }
        if (stays) {
            ret->steps[ret->n++] = i;
        } else {
            ret->n_hidden++;
            ret->by_phase[phase_of(s)]++;
        }
    }
    return 0;
}

static size_t count_shown(const struct progress *p)
{
    size_t n = 0;

    for (uint32_t i = 0; i < p->n_steps; i++)
        n += is_shown(&p->steps[i]);
    return n;
}

uint32_t view_next_step(const struct progress *p, uint32_t from, int by)
{
    uint32_t n = p->n_steps, at = from;

    if (!count_shown(p))
        return VIEW_NONE;
    if (from == VIEW_NONE || from >= n)
        at = by > 0 ? n - 1 : 0;
    do
        at = (at + (by > 0 ? 1 : n - 1)) % n;
    while (!is_shown(&p->steps[at]));
    return at;
}

static struct grid measure(const struct view *v, const struct progress *p,
                           const struct shown *shown)
{
    struct grid g = { .name = 4 };
    size_t fixed, beside = BESIDE_BAR;
    char count[80];

    for (uint32_t i = 0; i < shown->n; i++) {
        const struct progress_step *s = &p->steps[shown->steps[i]];
        CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
        size_t columns;

        terminal_name(s->name, &name);
        columns = min_size(terminal_columns(buffer_text(&name)), NAME_MAX);
        g.name = columns > g.name ? columns : g.name;
        columns = count_text(s, count);
        g.count = columns > g.count ? columns : g.count;
        if (s->n.running && s->n.failed)
            beside = BESIDE_BAR + FAILED_TOO;
    }
    g.name = min_size(g.name, v->width / 3 > 4 ? v->width / 3 : 4);
    fixed = 3 + g.name + 2 + 2 + g.count + beside;
    if (v->width >= NARROW)
        g.bar =
            v->width > fixed + BAR_MIN ? min_size(v->width - fixed, BAR_MAX) : BAR_MIN;
    return g;
}

/* ---- the other lines ---- */

static void put_title(struct line *l, const struct progress *p, time_us now)
{
    char name[RUN_NAME_SIZE];
    const struct progress_counts *n = &p->all.n;
    uint64_t over = n->done + n->skipped + n->running + n->failed;
    char text[NUMBER_TEXT_SIZE];

    line_name(l, COLOUR_BOLD, p->flow);
    line_format(l, COLOUR_BOLD, ", run %s", run_name(p->number, &p->run, name));
    line_put(l, p->is_suspended ? COLOUR_YELLOW : NULL,
             p->is_stopping    ? ", is stopping after "
             : p->is_suspended ? ", suspended after "
                               : ", for ");
    line_duration(l, NULL, p->started && now > p->started ? now - p->started : 0);
    line_format(l, NULL, ": %s done", number_text(n->done, text));
    if (n->running)
        line_format(l, NULL, ", %s running", number_text(n->running, text));
    if (n->failed)
        line_format(l, COLOUR_RED, ", %s failed", number_text(n->failed, text));
    if (n->known > over)
        line_format(l, NULL, ", %s waiting", number_text(n->known - over, text));
    if (n->skipped)
        line_format(l, NULL, ", %s skipped", number_text(n->skipped, text));
    if (p->n_adopted)
        line_format(l, NULL, ", %s taken over", number_text(p->n_adopted, text));
    if (p->all.rate > 0 && n->running) {
        line_put(l, NULL, ", ");
        line_rate(l, p->all.rate);
    }
    line_end(l);
}

/* The oldest tasks of the selected step: who takes long stands first. */
static void put_tasks(struct line *l, const struct progress *p, uint32_t step,
                      size_t max, time_us now)
{
    const struct progress_task *task;

    for (task = p->running; task && max; task = task->hh.next) {
        if (task->step != step)
            continue;
        line_put(l, NULL, "     ");
        line_name(l, NULL, task->name);
        line_put(l, COLOUR_DIM, " for ");
        line_duration(l, NULL, now > task->started ? now - task->started : 0);
        line_format(l, COLOUR_DIM, " (pid %" PRIu32 ")", task->pid);
        line_end(l);
        max--;
    }
}

static void put_hidden(struct line *l, const struct shown *shown)
{
    const char *between = ": ";
    char text[NUMBER_TEXT_SIZE];

    line_format(l, COLOUR_DIM, "   %s %s more step%s", l->has_unicode ? "…" : "...",
                number_text(shown->n_hidden, text), shown->n_hidden == 1 ? "" : "s");
    for (size_t i = PHASE_WAITING; i <= PHASE_SKIPPED; i++) {
        if (!shown->by_phase[i])
            continue;
        line_format(l, COLOUR_DIM, "%s%s %s", between,
                    number_text(shown->by_phase[i], text), phase_words[i]);
        between = ", ";
    }
    line_end(l);
}

static void put_foot(struct line *l, const struct view *v, const struct progress *p)
{
    char name[RUN_NAME_SIZE];

    if (v->mode == VIEW_CANCEL) {
        line_format(l, COLOUR_YELLOW, "Cancel run %s? y: yes; any other key: no",
                    run_name(p->number, &p->run, name));
    } else if (v->notice) {
        line_name(l, COLOUR_YELLOW, v->notice);
    } else if (v->followed) {
        line_put(l, COLOUR_YELLOW, "only ");
        line_name(l, COLOUR_YELLOW, v->followed);
        line_put(l, COLOUR_YELLOW,
                 progress_task(p, v->followed) ? "" : ", which has ended");
        line_put(l, COLOUR_YELLOW, v->is_paused ? ", paused" : "");
        line_put(l, COLOUR_DIM, "  f: all again, j k: another task, ?: all keys");
    } else if (v->is_paused) {
        line_put(l, COLOUR_YELLOW, "the lines are paused, the run is not");
        line_put(l, COLOUR_DIM, "  p: go on");
    } else {
        line_put(l, COLOUR_DIM, "?: keys");
    }
    line_end(l);
}

static void put_help(struct line *l, const struct view *v, size_t max)
{
    static const char *const keys[][2] = {
        { "j k, arrows", "select a step; its oldest tasks are shown below it" },
        { "f, Enter", "only the lines of one task of that step; f: all again" },
        { "p, Space", "pause the lines above; the run goes on" },
        { "s", "suspend the run: it starts nothing more; s: go on" },
        { "c", "cancel the run, after a question" },
        { "q", NULL },
        { "Esc", "back to all steps and lines" },
        { "Ctrl-C", NULL },
        { "Ctrl-Z", "stop watching for a while; fg comes back" },
    };
    const char *const leave = "leave; the run goes on, and mesh follow comes back",
                      *const stay =
                          "the run is in this process, so this does not leave",
                      *const cancel =
                          "cancel the run and say how to resume it; twice kills";

    for (size_t i = 0; i < ARRAY_SIZE(keys) && max; i++, max--) {
        const char *does = keys[i][1];

        if (!does && *keys[i][0] == 'q')
            does = v->can_detach ? leave : stay;
        else if (!does)
            does = v->is_owner ? cancel : leave;
        line_format(l, COLOUR_BOLD, "  %-12s", keys[i][0]);
        line_put(l, NULL, does);
        line_end(l);
    }
}

static void put_steps(struct line *l, const struct view *v, const struct progress *p,
                      size_t max, time_us now)
{
    CLEANUP(freep) uint32_t *steps = NULL;
    struct shown shown = { .n = 0 };
    size_t n = count_shown(p), tasks = 0;
    struct grid grid;

    if (v->selected != VIEW_NONE && max > 4)
        tasks = min_size(TASKS_SHOWN, max / 3);
    max -= tasks;
    if (choose(v, p, n > max && max > 1 ? max - 1 : max, &shown) < 0)
        return;
    steps = shown.steps;
    grid = measure(v, p, &shown);
    for (uint32_t i = 0; i < shown.n; i++) {
        put_step(l, &p->steps[steps[i]], &grid, steps[i] == v->selected);
        if (steps[i] == v->selected)
            put_tasks(l, p, steps[i], tasks, now);
    }
    if (shown.n_hidden && max > 1)
        put_hidden(l, &shown);
}

void view_render(const struct view *v, const struct progress *p, time_us now,
                 struct buffer *out)
{
    struct line l = { .out = out,
                      .width = v->width,
                      .has_colour = v->has_colour,
                      .has_unicode = v->has_unicode };
    size_t lines = v->height > 1 ? v->height - 1 : 0;

    if (v->width < 2 || !lines || !p->flow)
        return;
    put_title(&l, p, now);
    if (lines > 2 && v->mode == VIEW_HELP)
        put_help(&l, v, lines - 2);
    else if (lines > 2)
        put_steps(&l, v, p, lines - 2, now);
    if (lines > 1)
        put_foot(&l, v, p);
}
