/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/cli.h"
#include "node/cli/keys.h"
#include "node/cli/order.h"
#include "node/cli/paint.h"
#include "node/cli/terminal.h"
#include "node/cli/tty.h"
#include "node/cli/view.h"

enum {
    PLAIN_MS = 10, /* a write for each line of ten thousand tasks would cost too much */
    FIRST_MS = 100, /* until the first block: a run may be over by then */
    IDLE_MS = 100,  /* between two frames when only the time goes on */
    NOTICE_S = 3,   /* how long a sentence stands */
    BLOCK_MIN = 8,  /* lines that the block may take of a small terminal */
};

/* Lines that wait for the next frame; of a flood only the newest. */
struct scroll {
    struct buffer text;
    size_t n, n_left_out;
};

struct watch {
    struct console *console;
    struct watch_source source;
    struct progress progress;
    bool is_quiet;
    time_us began;   /* the first frame */
    time_us written; /* the last frame, or the last writing of lines */

    bool is_live;
    struct tty tty;
    struct paint paint;
    struct scroll scroll;
    struct view view;
    struct buffer block, bytes;
    char *followed; /* what view.followed points to */
    time_us notice_until;
    bool has_keys; /* pressed since the last frame */
};

/* ---- lines ---- */

/* Lets go of the oldest lines until n are left. */
static void scroll_trim(struct scroll *s, size_t n)
{
    const char *at = s->text.data;

    if (s->n <= n)
        return;
    s->n_left_out += s->n - n;
    for (; s->n > n; s->n--)
        at = strchr(at, '\n') + 1;
    s->text.len -= (size_t)(at - s->text.data);
    memmove(s->text.data, at, s->text.len + 1);
}

static void take_lines(void *arg, const char *lines, size_t len)
{
    struct watch *w = arg;
    struct scroll *s = &w->scroll;

    if (buffer_append(&s->text, lines, len) < 0) {
        buffer_clear(&s->text);
        s->n_left_out += s->n;
        s->n = 0;
        return;
    }
    for (size_t i = 0; i < len; i++)
        s->n += lines[i] == '\n';
    scroll_trim(s, WATCH_FRAME_LINES);
}

static void put_left_out(struct watch *w)
{
    struct scroll *s = &w->scroll;
    char name[RUN_NAME_SIZE];

    if (!s->n_left_out)
        return;
    buffer_printf(&w->bytes, "%s… %zu lines are left out here: mesh logs %s%s\n",
                  w->view.has_colour ? COLOUR_DIM : "", s->n_left_out,
                  run_name(w->progress.number, &w->progress.run, name),
                  w->view.has_colour ? COLOUR_OFF : "");
    s->n_left_out = 0;
}

/* ---- life ---- */

static bool can_be_live(const struct options *o)
{
    return !options_has(o, "plain") && !options_has(o, "json") && !options_has(o, "dev")
           && terminal_is_smart();
}

struct watch *watch_new(const struct options *o, const struct watch_source *source)
{
    struct console_config config = console_config_of(o);
    struct watch *w = calloc(1, sizeof(*w));

    if (!w)
        return NULL;
    w->source = *source;
    w->is_quiet = config.is_quiet;
    w->view = (struct view){ .mode = VIEW_STEPS,
                             .selected = VIEW_NONE,
                             .can_detach = source->can_detach,
                             .is_owner = source->is_owner,
                             .has_colour = config.has_colour,
                             .has_unicode = terminal_has_unicode() };
    w->tty.out = w->tty.in = -1;
    if (can_be_live(o)
        && tty_open(&w->tty, config.fd, STDIN_FILENO, paint_restore) == 0) {
        w->is_live = true;
        config.sink = take_lines;
        config.sink_arg = w;
        tty_keys_on(&w->tty);
    }
    w->console = console_new(&config);
    if (!w->console) {
        watch_free(w);
        return NULL;
    }
    return w;
}

void watch_free(struct watch *w)
{
    if (!w)
        return;
    watch_end(w);
    tty_close(&w->tty);
    console_free(w->console);
    progress_release(&w->progress);
    buffer_release(&w->scroll.text);
    buffer_release(&w->block);
    buffer_release(&w->bytes);
    free(w->followed);
    free(w);
}

bool watch_is_live(const struct watch *w)
{
    return w->is_live;
}

bool watch_is_quiet(const struct watch *w)
{
    return w->is_quiet;
}

bool watch_is_gone(const struct watch *w)
{
    return w->tty.is_gone;
}

struct progress *watch_progress(struct watch *w)
{
    return &w->progress;
}

/* ---- events ---- */

void watch_event_of(struct watch *w, const struct feed_event *e, const char *task)
{
    if (w->is_live)
        progress_event(&w->progress, e, task);
    console_event_of(w->console, e, task);
}

void watch_event(struct watch *w, const struct feed_event *e)
{
    char task[TASK_TEXT_SIZE];

    if (w->is_live && (e->type == FEED_TASK_STARTED || e->type == FEED_TASK_ENDED)) {
        task_id_text(&e->task, task);
        watch_event_of(w, e, task);
    } else {
        console_event(w->console, e);
    }
}

void watch_json(struct watch *w, const char *name, const char *data, size_t len)
{
    console_json(w->console, name, data, len);
}

/* ---- frames ---- */

bool watch_has_lines(const struct watch *w)
{
    return !console_is_empty(w->console) || w->scroll.n;
}

time_us watch_due(const struct watch *w)
{
    if (!w->is_live)
        return watch_has_lines(w) ? w->written + TIME_MS(PLAIN_MS) : TIME_NEVER;
    if (w->has_keys)
        return 0;
    return w->written + TIME_MS(watch_has_lines(w) ? WATCH_FRAME_MS : IDLE_MS);
}

static void look(struct watch *w, time_us now)
{
    if (w->source.count)
        w->source.count(w->source.arg, &w->progress);
    progress_sample(&w->progress, now);
}

static void render(struct watch *w, time_us now)
{
    size_t most = w->view.height * 2 / 3;

    buffer_clear(&w->block);
    look(w, now);
    if (now >= w->notice_until)
        w->view.notice = NULL;
    w->view.height = min_size(w->view.height, most > BLOCK_MIN ? most : BLOCK_MIN);
    view_render(&w->view, &w->progress, now, &w->block);
}

/* In the background there is no block: the terminal is another's, who may be writing.
 */
static void paint(struct watch *w, time_us now)
{
    struct scroll *s = &w->scroll;
    size_t width = 80;
    bool is_ours = tty_is_ours(&w->tty) && now >= w->began + TIME_MS(FIRST_MS);
    bool has_lines;

    if (!tty_size(&w->tty, &width, &w->view.height))
        is_ours = false;
    w->view.width = width;
    if (is_ours)
        render(w, now);
    else
        buffer_clear(&w->block);
    tty_keys_on(&w->tty);
    has_lines = s->n && !w->view.is_paused;
    buffer_clear(&w->bytes);
    if (has_lines)
        put_left_out(w);
    if (has_lines)
        buffer_append(&w->bytes, s->text.data, s->text.len);
    if (is_ours || w->paint.n_rows) {
        CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;

        paint_frame(&w->paint, buffer_text(&w->bytes), w->bytes.len,
                    buffer_text(&w->block), width, &frame);
        tty_write(&w->tty, buffer_text(&frame), frame.len);
    } else {
        tty_write(&w->tty, buffer_text(&w->bytes), w->bytes.len);
    }
    if (has_lines) {
        buffer_clear(&s->text);
        s->n = 0;
    }
}

void watch_frame(struct watch *w, time_us now)
{
    w->began = w->began ? w->began : now;
    w->written = now;
    w->has_keys = false;
    console_flush(w->console);
    if (!w->is_live)
        return;
    tty_flush(&w->tty);
    if (tty_is_ready(&w->tty))
        paint(w, now);
    if (w->tty.is_gone)
        watch_end(w);
}

void watch_hide(struct watch *w)
{
    size_t width = 80, height;

    console_flush(w->console);
    if (!w->is_live)
        return;
    tty_size(&w->tty, &width, &height);
    buffer_clear(&w->bytes);
    paint_leave(&w->paint, width, &w->bytes);
    put_left_out(w);
    buffer_append(&w->bytes, buffer_text(&w->scroll.text), w->scroll.text.len);
    tty_write(&w->tty, buffer_text(&w->bytes), w->bytes.len);
    buffer_clear(&w->scroll.text);
    w->scroll.n = 0;
}

void watch_end(struct watch *w)
{
    if (!w->is_live)
        return;
    watch_hide(w);
    w->is_live = false;
    if (w->console)
        console_unsink(w->console);
    tty_leave(&w->tty);
}

bool watch_is_stuck(const struct watch *w)
{
    return !tty_is_ready(&w->tty);
}

void watch_wait(struct watch *w)
{
    tty_wait(&w->tty);
}

/* ---- keys ---- */

int watch_keys_fd(const struct watch *w)
{
    return w->is_live ? tty_keys_fd(&w->tty) : -1;
}

static void note(struct watch *w, time_us now, const char *sentence)
{
    w->view.notice = sentence;
    w->notice_until = now + TIME_S(NOTICE_S);
}

static void follow(struct watch *w, const struct progress_task *task)
{
    char name[RUN_NAME_SIZE];
    free(w->followed);
    w->followed = task ? strdup(task->name) : NULL;
    w->view.followed = w->followed;
    console_only(w->console, run_name(w->progress.number, &w->progress.run, name),
                 w->followed);
}

/* The oldest one of the selected step, else of all. */
static void follow_selected(struct watch *w, time_us now)
{
    const struct progress_task *task = w->progress.running;

    while (task && w->view.selected != VIEW_NONE && task->step != w->view.selected)
        task = task->hh.next;
    if (task)
        follow(w, task);
    else
        note(w, now,
             w->view.selected == VIEW_NONE ? "no task is running"
                                           : "no task of this step is running");
}

/* In the step of the task that is followed; of one that has ended, to any that runs. */
static void follow_next(struct watch *w, int by, time_us now)
{
    const struct progress_task *from = progress_task(&w->progress, w->followed),
                               *at = from;

    if (!from)
        follow_selected(w, now);
    for (; at; at = by > 0 ? at->hh.next : at->hh.prev)
        if (at != from && at->step == from->step) {
            follow(w, at);
            return;
        }
}

static void move(struct watch *w, int by, time_us now)
{
    if (w->followed)
        follow_next(w, by, now);
    else
        w->view.selected = view_next_step(&w->progress, w->view.selected, by);
}

static enum watch_asks on_key(struct watch *w, int key, time_us now)
{
    struct view *v = &w->view;

    if (v->mode == VIEW_CANCEL) {
        v->mode = VIEW_STEPS;
        return key == 'y' || key == 'Y' ? WATCH_CANCEL : WATCH_NOTHING;
    }
    switch (key) {
    case '?':
    case 'h':
        v->mode = v->mode == VIEW_HELP ? VIEW_STEPS : VIEW_HELP;
        break;
    case 'j':
    case KEY_DOWN:
        move(w, 1, now);
        break;
    case 'k':
    case KEY_UP:
        move(w, -1, now);
        break;
    case 'f':
    case KEY_ENTER:
        if (w->followed)
            follow(w, NULL);
        else
            follow_selected(w, now);
        break;
    case 'p':
    case ' ':
        v->is_paused = !v->is_paused;
        break;
    case 's':
        return WATCH_SUSPEND;
    case 'c':
        v->mode = VIEW_CANCEL;
        break;
    case 'q':
        if (v->can_detach)
            return WATCH_LEAVE;
        note(w, now, "the run is in this process: Ctrl-C cancels it, Ctrl-Z stops it");
        break;
    case KEY_ESCAPE:
        v->mode = VIEW_STEPS;
        v->selected = VIEW_NONE;
        if (w->followed)
            follow(w, NULL);
        break;
    default:
        break;
    }
    return WATCH_NOTHING;
}

enum watch_asks watch_keys(struct watch *w, time_us now)
{
    char bytes[256];
    int n = tty_read(&w->tty, bytes, sizeof(bytes));
    enum watch_asks asks = WATCH_NOTHING;

    /* Somebody may be faster than the first frame. */
    if (n > 0 && !w->progress.sampled)
        look(w, now);
    for (size_t at = 0, len; n > 0 && at < (size_t)n && !asks; at += len)
        asks = on_key(w, key_read(bytes + at, (size_t)n - at, &len), now);
    w->has_keys = w->has_keys || n > 0;
    if (n < 0)
        watch_end(w);
    return asks;
}

void watch_stop(struct watch *w)
{
    watch_hide(w);
    tty_stop(&w->tty);
    watch_continue(w);
}

void watch_continue(struct watch *w)
{
    if (!w->is_live)
        return;
    /* What is on the screen now is not ours to erase. */
    w->paint = (struct paint){ .n_rows = 0 };
    tty_keys_lost(&w->tty);
    w->has_keys = true;
}
