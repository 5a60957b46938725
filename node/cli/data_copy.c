/* SPDX-License-Identifier: Apache-2.0 */
/* Many objects copied or removed at once, and what is told of it meanwhile. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/data.h"
#include "node/cli/terminal.h"
#include "store/digest.h"

enum { TICK_MS = 200, RESUMED_BYTES = 16 << 20 };

struct data_job {
    struct data_copy *copy;
    struct data_job *next, **link;
    struct transfer *transfer; /* NULL: it is removed */
    char *from, *to;           /* for people */
};

static void job_end(struct data_job *j)
{
    *j->link = j->next;
    if (j->next)
        j->next->link = j->link;
    j->copy->n_jobs--;
    free(j->from);
    free(j->to);
    free(j);
}

static char *text_of(const struct data *d, const struct data_place *p, const char *name)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    return d->m->address_text(&p->address, name, &text) < 0 ? NULL : buffer_take(&text);
}

static struct data_job *job_new(struct data_copy *c, char *take_from, char *take_to)
{
    struct data_job *j = calloc(1, sizeof(*j));

    if (!j || !take_from || !take_to) {
        free(take_from);
        free(take_to);
        free(j);
        return NULL;
    }
    *j = (struct data_job){
        .copy = c, .next = c->jobs, .link = &c->jobs, .from = take_from, .to = take_to
    };
    if (j->next)
        j->next->link = &j->next;
    c->jobs = j;
    c->n_jobs++;
    return j;
}

/* ---- what is told ---- */

static void clear_line(struct data_copy *c)
{
    if (c->has_line)
        fputs("\r\033[K", stderr);
}

static void draw_line(struct data_copy *c)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint64_t ms = uv_now(&c->d->loop) - c->began_ms;
    struct transfers_progress p;

    c->d->m->progress(c->d->m->transfers(c->d->cloud), &p);
    buffer_printf(&text, "%" PRIu64 " of %" PRIu64 " files, ", p.n_done, p.n_started);
    terminal_bytes(p.bytes_done, &text);
    buffer_puts(&text, " of ");
    terminal_bytes(p.bytes_total, &text);
    buffer_puts(&text, ", ");
    terminal_bytes(ms ? p.bytes_done * 1000 / ms : 0, &text);
    fprintf(stderr, "\r%s/s\033[K", buffer_text(&text));
    fflush(stderr);
}

static void on_tick(uv_timer_t *timer)
{
    draw_line(timer->data);
}

static void say_json(const struct data_job *j, const struct object_about *about,
                     const char *error)
{
    CLEANUP(json_decrefp)
    json_t *json = json_pack("{s:s, s:s?}", "from", j->from, "error", error);
    CLEANUP(freep) char *text = NULL;

    if (!json) /* a name that is no UTF-8 */
        json = json_pack("{s:n, s:s?}", "from", "error", error);
    if (!error)
        json_object_del(json, "error");
    if (j->transfer) {
        json_object_set_new(json, "to", json_string(j->to));
        if (about)
            json_object_set_new(json, "bytes", json_integer((json_int_t)about->size));
    } else if (!error) {
        json_object_set_new(json, "removed", json_true());
    }
    text = json_dumps(json, JSON_COMPACT);
    puts(text ? text : "{}");
}

/* Whoever is refused once is refused each time. */
static bool is_hopeless(int status)
{
    return status == -EACCES || status == -EROFS || status == -ENOSPC
           || status == -ECONNREFUSED || status == -EHOSTUNREACH || status == -EPROTO
           || status == -ETIMEDOUT;
}

static void end_all(struct data_copy *c)
{
    c->is_over = true;
    for (struct data_job *j = c->jobs; j; j = j->next)
        if (j->transfer)
            c->d->m->cancel(j->transfer);
}

static void on_done(void *arg, int status, const struct object_about *about,
                    const struct error *error)
{
    struct data_job *j = arg;
    struct data_copy *c = j->copy;

    if (c->d->is_json && status != -ECANCELED)
        say_json(j, about, status < 0 ? error->text : NULL);
    if (status == 0) {
        c->n_files++;
    } else if (status != -ECANCELED) {
        clear_line(c);
        c->n_failed++;
        if (!c->code)
            c->code = status == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
        if (!c->is_over)
            data_failed(status, j->from, error);
    }
    job_end(j);
    if (is_hopeless(status) && !c->is_over)
        end_all(c);
}

/* ---- what goes on with a large file after a crash ---- */

/* One for each pair of places. NULL: this one starts anew. */
static char *state_path(const struct data *d, const struct data_pair *pair,
                        const struct data_job *j)
{
    CLEANUP(buffer_release) struct buffer both = BUFFER_INIT;
    char id[DIGEST_TEXT_SIZE], path[PATH_MAX];
    struct digest digest;
    char *state;

    if (pair->about && pair->about->size < RESUMED_BYTES)
        return NULL;
    if (pair->from->address.kind != STORE_FILE || !realpath(j->from, path))
        snprintf(path, sizeof(path), "%s", j->from);
    buffer_printf(&both, "%s\n", path);
    if (pair->to->address.kind != STORE_FILE || j->to[0] == '/'
        || !getcwd(path, sizeof(path)))
        path[0] = '\0';
    buffer_printf(&both, "%s\n%s\n%s", path,
                  pair->to->address.endpoint ? pair->to->address.endpoint : "", j->to);
    if (buffer_failed(&both))
        return NULL;
    digest = digest_memory(both.data, both.len);
    digest_text(&digest, id);
    mkdir(d->dir, 0700);
    if (asprintf(&state, "%s/uploads", d->dir) < 0)
        return NULL;
    mkdir(state, 0700);
    free(state);
    return asprintf(&state, "%s/uploads/%.32s.json", d->dir, id) < 0 ? NULL : state;
}

/* ---- copies ---- */

void data_copy_begin(struct data_copy *c, struct data *d)
{
    *c = (struct data_copy){ .d = d, .began_ms = uv_now(&d->loop) };
    uv_timer_init(&d->loop, &c->tick);
    c->tick.data = c;
    c->has_line = !d->is_json && isatty(STDERR_FILENO) && terminal_is_smart();
    if (c->has_line)
        uv_timer_start(&c->tick, on_tick, TICK_MS, TICK_MS);
    uv_unref((uv_handle_t *)&c->tick);
}

static void turn(struct data_copy *c)
{
    data_turn(c->d);
    if (c->d->is_interrupted && !c->is_over) {
        clear_line(c);
        cli_say("interrupted: what is under way is taken back");
        c->code = CLI_CANCELLED;
        end_all(c);
    }
}

static bool wait_for_place(struct data_copy *c)
{
    while (c->n_jobs >= DATA_JOBS_MAX)
        turn(c);
    return !c->is_over;
}

bool data_copy_add(struct data_copy *c, const struct data_pair *pair)
{
    struct data *d = c->d;
    struct transfer_request q = { .from = pair->from->store,
                                  .from_name = pair->from_name,
                                  .about = pair->about,
                                  .to = pair->to->store,
                                  .to_name = pair->to_name,
                                  .is_if_absent = options_has(d->options, "if-absent"),
                                  .done = on_done };
    CLEANUP(freep) char *state = NULL;
    struct data_job *j;
    int r;

    if (!wait_for_place(c))
        return false;
    j = job_new(c, text_of(d, pair->from, pair->from_name),
                text_of(d, pair->to, pair->to_name));
    if (j) {
        q.arg = j;
        q.state_path = state = state_path(d, pair, j);
        r = d->m->start(d->m->transfers(d->cloud), &q, &j->transfer);
    } else {
        r = -ENOMEM;
    }
    if (r == 0)
        return true;
    c->code = cli_failed(r, NULL);
    if (j)
        job_end(j);
    end_all(c);
    return false;
}

bool data_remove_add(struct data_copy *c, const struct data_place *at, const char *name)
{
    struct object_call *call;
    struct data_job *j;
    int r = -ENOMEM;

    if (!wait_for_place(c))
        return false;
    j = job_new(c, text_of(c->d, at, name), strdup(""));
    if (j)
        r = at->store->class->remove(at->store, name, on_done, j, &call);
    if (r == 0)
        return true;
    c->code = cli_failed(r, NULL);
    if (j)
        job_end(j);
    end_all(c);
    return false;
}

int data_copy_wait(struct data_copy *c)
{
    while (c->n_jobs)
        turn(c);
    return c->code;
}

int data_copy_end(struct data_copy *c, const char *verb)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct transfers_progress p;

    data_copy_wait(c);
    c->d->m->progress(c->d->m->transfers(c->d->cloud), &p);
    uv_timer_stop(&c->tick);
    uv_close((uv_handle_t *)&c->tick, NULL);
    data_turn(c->d);
    clear_line(c);
    if (c->d->is_json)
        return c->code;
    buffer_printf(&text, "%s %" PRIu64 " object%s, ", verb, c->n_files,
                  c->n_files == 1 ? "" : "s");
    terminal_bytes(p.bytes_done, &text);
    buffer_puts(&text, ", in ");
    terminal_duration((uv_now(&c->d->loop) - c->began_ms) * 1000, &text);
    if (c->n_failed)
        buffer_printf(&text, "; %" PRIu64 " failed", c->n_failed);
    puts(buffer_text(&text));
    return c->code;
}
