/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/console.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <uthash.h>

#include "node/api/encode.h"
#include "node/cli/terminal.h"

enum { RECENT_BYTES = 128 << 10, TIMESTAMP_SIZE = 32 };

/* A line that was begun. Its key is the stream and what the line will start with. */
struct partial {
    UT_hash_handle hh;
    struct buffer text;
    char *key;
};

struct console {
    struct console_config config;
    struct buffer out;
    struct buffer
        prefix; /* of the event at hand: stream, then `[40/start/0 (pid 1)] ` */
    struct buffer recent; /* the lines of late, for the summary of a failure */
    struct buffer only;   /* `[40/fit/3`: nothing else is shown; empty: all is */
    struct partial *partials;
    int error;

    uint64_t n_done, n_failed, n_adopted;
    bool has_failed_hook;
    bool is_unstarted; /* the first failure, and nobody said why */
    char *failure;     /* `fit/3` of the first one, NULL: none */
    struct buffer why, last_lines;

    char timestamp[TIMESTAMP_SIZE]; /* of timestamp_second */
    uint64_t timestamp_second;
};

struct console *console_new(const struct console_config *config)
{
    struct console *c = calloc(1, sizeof(*c));

    if (c)
        c->config = *config;
    return c;
}

static void partial_free(struct console *c, struct partial *p)
{
    HASH_DELETE(hh, c->partials, p);
    buffer_release(&p->text);
    free(p->key);
    free(p);
}

void console_free(struct console *c)
{
    struct partial *p, *next;

    if (!c)
        return;
    console_flush(c);
    HASH_ITER (hh, c->partials, p, next)
        partial_free(c, p);
    buffer_release(&c->out);
    buffer_release(&c->prefix);
    buffer_release(&c->recent);
    buffer_release(&c->only);
    buffer_release(&c->why);
    buffer_release(&c->last_lines);
    free(c->failure);
    free(c);
}

bool console_is_empty(const struct console *c)
{
    return c->out.len == 0;
}

/* Who reads may be slow, and may share a descriptor that does not block. */
static int write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        struct pollfd p = { .fd = fd, .events = POLLOUT };

        if (n < 0 && errno == EAGAIN)
            poll(&p, 1, -1);
        else if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

int console_flush(struct console *c)
{
    if (c->config.sink && c->out.len)
        c->config.sink(c->config.sink_arg, c->out.data, c->out.len);
    else if (c->error == 0)
        c->error = write_all(c->config.fd, c->out.data, c->out.len);
    buffer_clear(&c->out);
    return c->error;
}

/* Whether the event at hand is of the task that alone is shown. */
static bool is_shown(const struct console *c)
{
    size_t len = c->only.len;

    return !len
           || (c->prefix.len > len + 1
               && memcmp(c->prefix.data + 1, c->only.data, len) == 0
               && strchr(" ]", c->prefix.data[1 + len]));
}

void console_unsink(struct console *c)
{
    c->config.sink = NULL;
}

/* ---- one line ---- */

static void add_timestamp(struct console *c, time_us wall)
{
    uint64_t second = wall / 1000000;
    time_t s = (time_t)second;
    struct tm tm;

    if (second != c->timestamp_second && localtime_r(&s, &tm)) {
        strftime(c->timestamp, sizeof(c->timestamp), "%Y-%m-%d %H:%M:%S", &tm);
        c->timestamp_second = second;
    }
    buffer_printf(&c->out, "%s.%03u ", c->timestamp, (unsigned)(wall / 1000 % 1000));
}

static void begin_line(struct console *c, time_us wall)
{
    if (c->config.has_timestamps)
        add_timestamp(c, wall);
}

static void end_line(struct console *c)
{
    buffer_putc(&c->out, '\n');
    if (c->out.len >= CONSOLE_BYTES)
        console_flush(c);
}

static void add_prefix(struct console *c)
{
    if (c->config.has_colour)
        buffer_puts(&c->out, COLOUR_DIM);
    buffer_append(&c->out, c->prefix.data + 1, c->prefix.len - 1);
    if (c->config.has_colour)
        buffer_puts(&c->out, COLOUR_OFF);
}

static void say(struct console *c, time_us wall, const char *colour, const char *text)
{
    if (c->prefix.len > 1 && !is_shown(c))
        return;
    begin_line(c, wall);
    if (c->prefix.len > 1)
        add_prefix(c);
    if (c->config.has_colour)
        buffer_puts(&c->out, colour);
    buffer_puts(&c->out, text);
    if (c->config.has_colour)
        buffer_puts(&c->out, COLOUR_OFF);
    end_line(c);
}

/* printf() would take a good part of the microsecond that a line may take. */
static void add_number(struct buffer *out, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + n % 10);
    while (n /= 10);
    buffer_append(out, digits + at, sizeof(digits) - at);
}

static void add_run(struct buffer *p, const struct feed_event *e)
{
    char name[RUN_NAME_SIZE];

    if (e->number)
        add_number(p, e->number);
    else
        buffer_puts(p, run_name(0, &e->run, name));
}

static void set_prefix(struct console *c, const struct feed_event *e, const char *task)
{
    struct buffer *p = &c->prefix;

    buffer_clear(p);
    buffer_putc(p, e->type == FEED_LOG && e->stream == LOG_STDERR ? '2' : '1');
    if (!task)
        return;
    buffer_putc(p, '[');
    add_run(p, e);
    buffer_putc(p, '/');
    buffer_puts(p, e->step ? e->step : "?");
    buffer_putc(p, '/');
    buffer_puts(p, task);
    if (e->pid) {
        buffer_puts(p, " (pid ");
        add_number(p, e->pid);
        buffer_putc(p, ')');
    }
    buffer_puts(p, "] ");
}

/* ---- what tasks write ---- */

static void remember(struct console *c, const char *line, size_t len)
{
    size_t size = c->prefix.len + len + 1;

    if (size > RECENT_BYTES / 2)
        return;
    if (c->recent.len + size > RECENT_BYTES) {
        size_t keep = RECENT_BYTES / 2;

        memmove(c->recent.data, c->recent.data + c->recent.len - keep, keep);
        c->recent.len = keep;
    }
    if (!buffer_reserve(&c->recent, size))
        return;
    buffer_append(&c->recent, c->prefix.data, c->prefix.len);
    buffer_append(&c->recent, line, len);
    buffer_putc(&c->recent, '\n');
}

static void log_line(struct console *c, time_us wall, const char *line, size_t len)
{
    size_t from = c->out.len, at;

    if (len && line[len - 1] == '\r')
        len--;
    begin_line(c, wall);
    add_prefix(c);
    at = c->out.len;
    if (terminal_escape(line, len, &c->out) && c->config.has_colour)
        buffer_puts(&c->out, COLOUR_OFF);
    if (!c->config.is_plain && !buffer_failed(&c->out))
        remember(c, c->out.data + at, c->out.len - at);
    if ((c->config.is_quiet || !is_shown(c)) && !buffer_failed(&c->out))
        c->out.len = from;
    else
        end_line(c);
}

static struct partial *find_partial(struct console *c)
{
    struct partial *p = NULL;

    if (c->partials)
        HASH_FIND(hh, c->partials, c->prefix.data, c->prefix.len, p);
    return p;
}

static void keep_partial(struct console *c, struct partial *p, const char *text,
                         size_t len)
{
    if (!p) {
        p = calloc(1, sizeof(*p));
        if (p)
            p->key = strndup(c->prefix.data, c->prefix.len);
        if (!p || !p->key) {
            free(p);
            return;
        }
        HASH_ADD_KEYPTR(hh, c->partials, p->key, c->prefix.len, p);
    }
    buffer_append(&p->text, text, len);
}

/* The end of a line that was begun, or all of one. */
static void complete(struct console *c, struct partial *p, time_us wall,
                     const char *text, size_t len)
{
    if (!p) {
        log_line(c, wall, text, len);
        return;
    }
    buffer_append(&p->text, text, len);
    log_line(c, wall, buffer_text(&p->text), p->text.len);
    partial_free(c, p);
}

static void log_event(struct console *c, const struct feed_event *e)
{
    const char *at = e->data, *end = e->data + e->len;
    struct partial *p = find_partial(c);

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t room = CONSOLE_LINE_MAX - (p ? p->text.len : 0);
        size_t len = (size_t)((newline ? newline : end) - at);

        if (len <= room && !newline) {
            keep_partial(c, p, at, len);
            return;
        }
        complete(c, p, e->wall, at, min_size(len, room));
        p = NULL;
        at += min_size(len, room) + (newline && len <= room);
    }
}

/* Ends the begun line of the prefix at hand, of this stream. */
static void end_partial(struct console *c, char stream, time_us wall)
{
    struct partial *p;

    c->prefix.data[0] = stream;
    p = find_partial(c);
    if (p)
        complete(c, p, wall, "", 0);
}

void console_end_lines(struct console *c)
{
    struct partial *p, *next;

    HASH_ITER (hh, c->partials, p, next) {
        buffer_clear(&c->prefix);
        buffer_puts(&c->prefix, p->key);
        if (!buffer_failed(&c->prefix))
            complete(c, p, 0, "", 0);
    }
}

/* ---- ends ---- */

static void add_signal(int signal, struct buffer *out)
{
    const char *name = sigabbrev_np(signal);

    if (name)
        buffer_printf(out, "killed by SIG%s (signal %d)", name, signal);
    else
        buffer_printf(out, "killed by signal %d", signal);
}

void console_reason(const struct feed_event *e, struct buffer *out)
{
    if (e->message && *e->message)
        terminal_escape(e->message, strlen(e->message), out);
    else if (e->reason == REASON_EXIT)
        buffer_printf(out, "exit code %d", e->exit_code);
    else if (e->reason == REASON_SIGNAL)
        add_signal(e->signal, out);
    else if (e->reason == REASON_START)
        buffer_puts(out, "it could not be started");
    else if (e->reason == REASON_OOM)
        buffer_puts(out, "killed at its memory limit");
    else if (e->reason == REASON_TIMEOUT)
        buffer_puts(out, "it took longer than its timeout");
    else if (e->reason == REASON_CANCELLED)
        buffer_puts(out, "cancelled");
    else if (e->reason == REASON_LOST)
        buffer_puts(out, "its node ended while it ran");
    else if (e->reason == REASON_INPUT_MODIFIED)
        buffer_puts(out, "it wrote to an input");
    else
        buffer_puts(out, reason_name(e->reason));
}

/* Calls `each` for the last lines in `recent` that begin with `front` behind the
 * stream, oldest first. */
static void each_recent(const struct console *c, const char *front, size_t front_len,
                        struct buffer *out,
                        void (*each)(const char *line, size_t len, struct buffer *out))
{
    const char *found[CONSOLE_LAST_LINES];
    const char *end = c->recent.data + c->recent.len;
    size_t n_found = 0;

    while (end > c->recent.data && n_found < CONSOLE_LAST_LINES) {
        const char *newline = end - 1;
        const char *before =
            newline > c->recent.data
                ? memrchr(c->recent.data, '\n', (size_t)(newline - c->recent.data))
                : NULL;
        const char *line = before ? before + 1 : c->recent.data;

        if ((size_t)(newline - line) > front_len
            && memcmp(line + 1, front, front_len) == 0)
            found[n_found++] = line + 1;
        end = line;
    }
    while (n_found-- > 0)
        each(found[n_found], strcspn(found[n_found], "\n"), out);
}

static void add_indented(const char *line, size_t len, struct buffer *out)
{
    const char *behind = memmem(line, len, "] ", 2);

    if (behind)
        buffer_printf(out, "    %.*s\n", (int)(line + len - behind - 2), behind + 2);
}

static void add_whole(const char *line, size_t len, struct buffer *out)
{
    buffer_append(out, line, len);
    buffer_putc(out, '\n');
}

void console_only(struct console *c, const char *run, const char *task)
{
    buffer_clear(&c->only);
    if (!task)
        return;
    buffer_printf(&c->only, "[%s/%s ", run, task);
    if (buffer_failed(&c->only))
        return;
    each_recent(c, c->only.data, c->only.len, &c->out, add_whole);
    c->only.len--; /* a task without a process has no space behind its name */
}

static void note_failure(struct console *c, const struct feed_event *e,
                         const char *task)
{
    c->n_failed++;
    if (c->failure)
        return;
    if (asprintf(&c->failure, "%s/%s", e->step ? e->step : "?", task) < 0)
        c->failure = NULL;
    c->is_unstarted = e->reason == REASON_START && (!e->message || !*e->message);
    console_reason(e, &c->why);
    if (c->recent.len)
        each_recent(c, c->prefix.data + 1, c->prefix.len - 1, &c->last_lines,
                    add_indented);
}

/* What runs behind the end of a run; no step has a dot in its name. */
static bool is_hook(const struct feed_event *e)
{
    static const char front[] = "on_exit.";

    return e->step && strncmp(e->step, front, sizeof(front) - 1) == 0;
}

static void say_failed(struct console *c, const struct feed_event *e)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    buffer_puts(&text,
                e->verdict == VERDICT_LOST ? "Task was lost: " : "Task failed: ");
    console_reason(e, &text);
    buffer_putc(&text, '.');
    say(c, e->wall, COLOUR_RED, buffer_text(&text));
    buffer_clear(&text);
    if (is_hook(e)) {
        say(c, e->wall, COLOUR_YELLOW, "It is a hook: the outcome of the run stays.");
    } else if (e->verdict == VERDICT_CAUGHT) {
        say(c, e->wall, COLOUR_YELLOW, "The failure is caught: the flow goes on.");
    } else if (e->is_retried) {
        buffer_puts(&text, "Task is retried ");
        if (e->retry_in_us) {
            buffer_puts(&text, "in ");
            terminal_duration(e->retry_in_us, &text);
            buffer_putc(&text, ' ');
        }
        buffer_printf(&text, "(attempt %" PRIu32 ").", e->attempt + 1);
        say(c, e->wall, COLOUR_YELLOW, buffer_text(&text));
    }
}

/* The message is of the node and has nothing to escape. */
static void say_done_before(struct console *c, const struct feed_event *e)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    buffer_printf(&text, "Task was done before: %s.", e->message);
    say(c, e->wall, COLOUR_GREEN, buffer_text(&text));
}

static void task_ended(struct console *c, const struct feed_event *e, const char *task)
{
    if (c->partials) {
        end_partial(c, '2', e->wall);
        end_partial(c, '1', e->wall);
    }
    if (e->verdict == VERDICT_DONE || e->verdict == VERDICT_CAUGHT)
        c->n_done++;
    if (e->verdict == VERDICT_ADOPTED)
        c->n_adopted++;
    if (e->verdict == VERDICT_FAILED && is_hook(e))
        c->has_failed_hook = true;
    else if (e->verdict == VERDICT_FAILED && !e->is_retried
             && e->reason != REASON_CANCELLED)
        note_failure(c, e, task);
    if (c->config.is_plain)
        return;
    if (e->verdict == VERDICT_DONE && e->message && *e->message && !c->config.is_quiet)
        say_done_before(c, e);
    else if (e->verdict == VERDICT_DONE && !c->config.is_quiet)
        say(c, e->wall, COLOUR_GREEN, "Task finished successfully.");
    else if (e->verdict == VERDICT_ADOPTED && !c->config.is_quiet)
        say(c, e->wall, COLOUR_GREEN, "Task was done before and is taken over.");
    else if (e->verdict != VERDICT_DONE && e->verdict != VERDICT_ADOPTED)
        say_failed(c, e);
}

/* ---- the run's end ---- */

static void say_outcome(struct console *c, const struct feed_event *e)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint64_t n = c->n_done;

    buffer_printf(&text, "Workflow ended: %s in ",
                  e->outcome == RUN_OK          ? "OK"
                  : e->outcome == RUN_CANCELLED ? "CANCELLED"
                                                : "FAILED");
    terminal_duration(e->started_wall && e->wall > e->started_wall
                          ? e->wall - e->started_wall
                          : 0,
                      &text);
    buffer_printf(&text, ", %" PRIu64 " task%s", n, n == 1 ? "" : "s");
    if (e->outcome != RUN_OK)
        buffer_puts(&text, " done");
    if (c->n_failed)
        buffer_printf(&text, ", %" PRIu64 " failed", c->n_failed);
    if (c->n_adopted)
        buffer_printf(&text, ", %" PRIu64 " taken over", c->n_adopted);
    if (c->has_failed_hook)
        buffer_puts(&text, "; its on_exit hook failed");
    buffer_putc(&text, '.');
    say(c, e->wall, e->outcome == RUN_OK ? COLOUR_GREEN : COLOUR_RED,
        buffer_text(&text));
}

static void say_message(struct console *c, const struct feed_event *e)
{
    if (!e->message || !*e->message)
        return;
    buffer_puts(&c->out, "  The reason:        ");
    terminal_escape(e->message, strlen(e->message), &c->out);
    buffer_putc(&c->out, '\n');
}

static void say_failure(struct console *c, const struct feed_event *e)
{
    struct buffer *out = &c->out;
    char name[RUN_NAME_SIZE];

    run_name(e->number, &e->run, name);

    if (c->failure) {
        buffer_printf(out, "  The first failure: %s/%s, ", name, c->failure);
        buffer_append(out, buffer_text(&c->why), c->why.len);
        buffer_puts(out, ".");
        buffer_puts(out, c->last_lines.len ? " It printed last:\n" : "\n");
        buffer_append(out, buffer_text(&c->last_lines), c->last_lines.len);
        /* A task that fits no node has no process and no message; its run has one. */
        if (c->is_unstarted)
            say_message(c, e);
        else
            buffer_printf(out, "  All it printed:    mesh logs %s/%s\n", name,
                          c->failure);
        buffer_printf(out, "  What to do:        mesh explain %s/%s\n", name,
                      c->failure);
    } else {
        say_message(c, e);
    }
}

static void run_ended(struct console *c, const struct feed_event *e)
{
    char name[RUN_NAME_SIZE];

    console_end_lines(c);
    buffer_clear(&c->prefix);
    if (c->config.is_plain)
        return;
    say_outcome(c, e);
    if (e->outcome == RUN_FAILED)
        say_failure(c, e);
    if (e->outcome != RUN_OK)
        buffer_printf(&c->out, "  To go on from here: mesh resume %s\n",
                      run_name(e->number, &e->run, name));
}

static void suspended(struct console *c, const struct feed_event *e)
{
    char text[160], name[RUN_NAME_SIZE];

    if (c->config.is_plain)
        return;
    run_name(e->number, &e->run, name);
    buffer_clear(&c->prefix);
    if (e->type == FEED_RUN_SUSPENDED)
        snprintf(text, sizeof(text),
                 "Run %s is suspended: what runs is finished, nothing starts. "
                 "To go on: mesh unsuspend %s",
                 name, name);
    else
        snprintf(text, sizeof(text), "Run %s goes on.", name);
    say(c, e->wall, COLOUR_YELLOW, text);
}

/* In a mesh a run may have no number yet. */
static void put_started(const struct feed_event *e, char *ret, size_t size)
{
    char id[RUN_ID_TEXT_SIZE];

    run_id_text(&e->run, id);
    if (!e->number)
        snprintf(ret, size, "Workflow starting (run-id %s):", id);
    else
        snprintf(ret, size, "Workflow starting (run-id %" PRIu64 "):", e->number);
}

void console_event_of(struct console *c, const struct feed_event *e, const char *task)
{
    char text[80];

    set_prefix(c, e, task);
    if (buffer_failed(&c->prefix))
        return;
    switch (e->type) {
    case FEED_RUN_STARTED:
        if (c->config.is_plain)
            break;
        put_started(e, text, sizeof(text));
        say(c, e->wall, COLOUR_BOLD, text);
        break;
    case FEED_RUN_NUMBERED:
        if (c->config.is_plain)
            break;
        snprintf(text, sizeof(text), "The run has a number (run-id %" PRIu64 ").",
                 e->number);
        say(c, e->wall, COLOUR_BOLD, text);
        break;
    case FEED_TASK_STARTED:
        if (!c->config.is_quiet && !c->config.is_plain)
            say(c, e->wall, "", "Task is starting.");
        break;
    case FEED_LOG:
        log_event(c, e);
        break;
    case FEED_TASK_ENDED:
        task_ended(c, e, task ? task : "?");
        break;
    case FEED_RUN_ENDED:
        run_ended(c, e);
        break;
    case FEED_RUN_SUSPENDED:
    case FEED_RUN_UNSUSPENDED:
        suspended(c, e);
        break;
    }
}

void console_json(struct console *c, const char *name, const char *data, size_t len)
{
    buffer_printf(&c->out, "{\"event\":\"%s\",\"data\":", name);
    buffer_append(&c->out, data, len);
    buffer_putc(&c->out, '}');
    end_line(c);
}

static void encode(struct console *c, const struct feed_event *event)
{
    CLEANUP(buffer_release) struct buffer data = BUFFER_INIT;
    struct emit e = { .out = &data };

    encode_event(&e, event);
    if (!buffer_failed(&data))
        console_json(c, event_name(event->type), data.data, data.len);
}

void console_event(struct console *c, const struct feed_event *e)
{
    char task[TASK_TEXT_SIZE];

    if (c->config.is_json) {
        encode(c, e);
        return;
    }
    if (feed_is_of_run(e->type)) {
        console_event_of(c, e, NULL);
        return;
    }
    task_id_text(&e->task, task);
    console_event_of(c, e, task);
}
