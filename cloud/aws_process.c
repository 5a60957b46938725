/* SPDX-License-Identifier: Apache-2.0 */
/* credential_process: a command that prints a key
 * (https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html).
 * It has a minute and a process group of its own, which ends with it. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/aws_source.h"

enum { PROCESS_MS = 60000, PRINTS_MAX = 64 << 10 };

/* It ends when the process has ended and its output too, and is freed when its three
 * handles are closed. */
struct aws_process {
    uv_process_t child;
    uv_pipe_t out;
    uv_timer_t timer;
    int n_open; /* handles */
    bool is_running, is_closing, has_output;
    int64_t exit_status;
    int signal;
    credentials_fetched_fn *fetched; /* NULL: answered, or dropped */
    void *arg;
    char *from;
    struct buffer printed;
};

static void process_free(struct aws_process *p)
{
    aws_buffer_wipe(&p->printed);
    free(p->from);
    free(p);
}

static void on_closed(uv_handle_t *handle)
{
    struct aws_process *p = handle->data;

    if (--p->n_open == 0)
        process_free(p);
}

static void close_all(struct aws_process *p)
{
    if (p->is_closing)
        return;
    p->is_closing = true;
    if (p->is_running)
        kill(-p->child.pid, SIGKILL);
    uv_close((uv_handle_t *)&p->child, on_closed);
    uv_close((uv_handle_t *)&p->out, on_closed);
    uv_close((uv_handle_t *)&p->timer, on_closed);
}

static void answer(struct aws_process *p, int status, const struct credential *key,
                   const struct error *error)
{
    credentials_fetched_fn *fetched = p->fetched;

    p->fetched = NULL;
    close_all(p);
    if (fetched)
        fetched(p->arg, status, key, error);
}

static void answer_error(struct aws_process *p, const char *what)
{
    struct error error;

    fail(&error, -EACCES, "%s: credential_process %s", p->from, what);
    answer(p, -EACCES, NULL, &error);
}

static int read_key(struct aws_process *p, struct aws_key *key, struct error *error)
{
    struct error why = { .text = "" };
    int r;

    if (p->signal || p->exit_status)
        return fail(error, -EACCES, "%s: credential_process ended with %s %d", p->from,
                    p->signal ? "signal" : "status",
                    p->signal ? p->signal : (int)p->exit_status);
    r = aws_key_read_process(buffer_text(&p->printed), p->printed.len, key, &why);
    return r < 0 ? fail(error, r, "%s: %.400s", p->from, why.text) : 0;
}

static void end_if_all_ended(struct aws_process *p)
{
    CLEANUP(aws_key_release) struct aws_key key = { .text = BUFFER_INIT };
    struct error error = { .text = "" };
    int r;

    if (p->is_running || p->has_output || p->is_closing)
        return;
    r = read_key(p, &key, &error);
    key.key.from = p->from;
    answer(p, r, r == 0 ? &key.key : NULL, &error);
}

static void on_exit_of(uv_process_t *child, int64_t status, int term_signal)
{
    struct aws_process *p = child->data;

    p->is_running = false;
    p->exit_status = status;
    p->signal = term_signal;
    end_if_all_ended(p);
}

static void on_timeout(uv_timer_t *timer)
{
    answer_error(timer->data, "did not end within a minute");
}

/* Room for all it may print, taken once: nothing of it is left elsewhere. */
static void give_room(uv_handle_t *handle, size_t hint, uv_buf_t *ret)
{
    struct aws_process *p = handle->data;

    (void)hint;
    *ret = uv_buf_init(p->printed.data + p->printed.len,
                       (unsigned)(PRINTS_MAX - p->printed.len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct aws_process *p = stream->data;

    (void)buf;
    if (n == UV_ENOBUFS) {
        answer_error(p, "prints more than 64 KiB");
    } else if (n < 0) {
        p->has_output = false;
        uv_read_stop(stream);
        end_if_all_ended(p);
    } else {
        p->printed.len += (size_t)n;
        p->printed.data[p->printed.len] = '\0';
    }
}

static int open_handles(uv_loop_t *loop, struct aws_process *p)
{
    int r = uv_pipe_init(loop, &p->out, 0);

    if (r < 0)
        return r;
    r = uv_timer_init(loop, &p->timer);
    p->child.data = p->out.data = p->timer.data = p;
    p->n_open = 3;
    return r;
}

static int spawn(uv_loop_t *loop, struct aws_process *p, char **words)
{
    uv_stdio_container_t stdio[3] = {
        { .flags = UV_IGNORE },
        { .flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
          .data.stream = (uv_stream_t *)&p->out },
        { .flags = UV_INHERIT_FD, .data.fd = 2 },
    };
    const uv_process_options_t options = { .exit_cb = on_exit_of,
                                           .file = words[0],
                                           .args = words,
                                           .flags = UV_PROCESS_DETACHED,
                                           .stdio_count = 3,
                                           .stdio = stdio };
    int r = uv_spawn(loop, &p->child, &options);

    if (r < 0)
        return r;
    p->is_running = p->has_output = true;
    r = uv_read_start((uv_stream_t *)&p->out, give_room, on_read);
    return r < 0 ? r : uv_timer_start(&p->timer, on_timeout, PROCESS_MS, 0);
}

static int start(struct aws_context *c, struct aws_process *p, const char *command,
                 struct error *error)
{
    CLEANUP(freep) char *room = malloc(strlen(command) + 2);
    char *words[AWS_WORDS_MAX + 1];
    int r;

    p->fetched = NULL; /* whoever starts it is told by what this returns */
    if (!room)
        return -ENOMEM;
    r = aws_command_split(command, room, words);
    if (r < 0)
        return fail(error, -EINVAL, "%s: credential_process has %s", p->from,
                    r == -E2BIG ? "too many words" : "a quote that does not end");
    r = open_handles(c->loop, p);
    if (r == 0)
        r = spawn(c->loop, p, words);
    return r < 0
               ? fail(error, r, "%s: credential_process '%.100s' cannot be started: %s",
                      p->from, words[0], uv_strerror(r))
               : 0;
}

int aws_process_start(struct aws_context *c, const char *command,
                      credentials_fetched_fn *fetched, void *arg, const char *from,
                      struct aws_process **ret, struct error *ret_error)
{
    struct aws_process *p = calloc(1, sizeof(*p));
    int r = -ENOMEM;

    if (!p)
        return r;
    p->from = strdup(from);
    if (p->from && buffer_reserve(&p->printed, PRINTS_MAX + 1))
        r = start(c, p, command, ret_error);
    if (r < 0 && p->n_open)
        close_all(p);
    else if (r < 0)
        process_free(p);
    if (r < 0)
        return r;
    p->fetched = fetched;
    p->arg = arg;
    *ret = p;
    return 0;
}

void aws_process_drop(struct aws_process *p)
{
    if (!p)
        return;
    p->fetched = NULL;
    close_all(p);
}
