/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/board.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/cli/line.h"
#include "node/cli/terminal.h"

enum { GAUGE_COLUMNS = 32, GAUGE_MIN_WIDTH = 70, HEAD_COLUMNS = 11 };

void board_release(struct board *b)
{
    for (size_t i = 0; i < b->n_runs; i++)
        progress_release(&b->runs[i].p);
    free(b->runs);
    free(b->nodes);
    free(b->dir);
    *b = (struct board){ .n_runs = 0 };
}

struct board_run *board_run(struct board *b, const struct run_id *run)
{
    for (size_t i = 0; i < b->n_runs; i++)
        if (run_id_equal(&b->runs[i].p.run, run))
            return &b->runs[i];
    if (b->n_runs == b->runs_cap) {
        size_t cap = b->runs_cap ? 2 * b->runs_cap : 16;
        struct board_run *runs = reallocarray(b->runs, cap, sizeof(*runs));

        if (!runs)
            return NULL;
        b->runs = runs;
        b->runs_cap = cap;
    }
    b->runs[b->n_runs] = (struct board_run){ .p = { .run = *run } };
    return &b->runs[b->n_runs++];
}

struct board_node *board_node(struct board *b, const char *name)
{
    struct board_node *n;

    for (size_t i = 0; i < b->n_nodes; i++)
        if (strcmp(b->nodes[i].name, name) == 0)
            return &b->nodes[i];
    if (b->n_nodes == b->nodes_cap) {
        size_t cap = b->nodes_cap ? 2 * b->nodes_cap : 16;
        struct board_node *nodes = reallocarray(b->nodes, cap, sizeof(*nodes));

        if (!nodes)
            return NULL;
        b->nodes = nodes;
        b->nodes_cap = cap;
    }
    n = &b->nodes[b->n_nodes++];
    *n = (struct board_node){ .used = 0 };
    snprintf(n->name, sizeof(n->name), "%s", name);
    return n;
}

/* One that began anew counts from 0. */
static double rate_of(uint64_t before, uint64_t now, time_us passed)
{
    return passed && now > before ? (double)(now - before) * 1e6 / (double)passed : 0;
}

void board_sample(struct board_node *n, uint64_t n_executed, uint64_t in_bytes,
                  uint64_t out_bytes, time_us now)
{
    time_us passed = n->sampled && now > n->sampled ? now - n->sampled : 0;

    n->rate = rate_of(n->n_executed, n_executed, passed);
    n->in_rate = rate_of(n->in_bytes, in_bytes, passed);
    n->out_rate = rate_of(n->out_bytes, out_bytes, passed);
    n->n_executed = n_executed;
    n->in_bytes = in_bytes;
    n->out_bytes = out_bytes;
    n->sampled = now;
}

static void drop_unseen_nodes(struct board *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n_nodes; i++)
        if (b->nodes[i].is_seen) {
            b->nodes[n] = b->nodes[i];
            b->nodes[n++].is_seen = false;
        }
    b->n_nodes = n;
}

void board_drop_unseen(struct board *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n_runs; i++) {
        if (!b->runs[i].is_seen) {
            progress_release(&b->runs[i].p);
            continue;
        }
        b->runs[n] = b->runs[i];
        b->runs[n++].is_seen = false;
    }
    b->n_runs = n;
    drop_unseen_nodes(b);
}

/* ---- the node ---- */

static void put_head(struct line *l, const char *word)
{
    line_put(l, NULL, "  ");
    line_put(l, COLOUR_DIM, word);
    line_spaces(l, HEAD_COLUMNS - strlen(word));
}

static void put_gauge(struct line *l, double share)
{
    if (l->width < GAUGE_MIN_WIDTH)
        return;
    line_bar(l, share, 0, GAUGE_COLUMNS);
    line_put(l, NULL, "  ");
}

static void put_bytes(struct line *l, uint64_t bytes)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    terminal_bytes(bytes, &text);
    line_put(l, NULL, buffer_text(&text));
}

static double share_of(uint64_t n, uint64_t all)
{
    return all ? (double)n / (double)all : 0;
}

static void put_tasks(struct line *l, const struct board *b)
{
    uint64_t used = b->n_nodes > 1 ? 0 : b->n_running;
    uint64_t slots = b->n_nodes > 1 ? 0 : b->slots;
    double rate = 0;

    for (size_t i = 0; i < b->n_runs; i++)
        rate += b->runs[i].p.all.rate;
    for (size_t i = 0; b->n_nodes > 1 && i < b->n_nodes; i++) {
        used += b->nodes[i].used;
        slots += b->nodes[i].slots;
    }
    put_head(l, "tasks");
    put_gauge(l, share_of(used, slots));
    line_format(l, NULL, "%" PRIu64 " of %" PRIu64 " slots, %zu run%s", used, slots,
                b->n_runs, b->n_runs == 1 ? "" : "s");
    if (rate > 0) {
        line_put(l, NULL, ", ");
        line_rate(l, rate);
    }
    line_end(l);
}

static void put_usage(struct line *l, const struct board *b)
{
    put_head(l, "processor");
    put_gauge(l, b->has_usage ? share_of(b->used_milli, b->cpu_milli) : 0);
    if (b->has_usage)
        line_format(l, NULL, "%.1f of ", (double)b->used_milli / 1e3);
    line_format(l, NULL, "%g", (double)b->cpu_milli / 1e3);
    line_end(l);
    put_head(l, "memory");
    put_gauge(l, b->has_usage ? share_of(b->used_bytes, b->memory_bytes) : 0);
    if (b->has_usage) {
        put_bytes(l, b->used_bytes);
        line_put(l, NULL, " of ");
    }
    put_bytes(l, b->memory_bytes);
    line_end(l);
}

static void put_clock(struct line *l, const struct board *b, const char *clock)
{
    if (b->height && line_room(l) > strlen(clock) + 2) {
        line_spaces(l, line_room(l) - strlen(clock));
        line_put(l, NULL, clock);
    }
    line_end(l);
}

static void put_node(struct line *l, const struct board *b, const char *clock)
{
    CLEANUP(buffer_release) struct buffer dir = BUFFER_INIT;

    terminal_name(b->dir ? b->dir : "", &dir);
    line_format(l, COLOUR_BOLD, "Node %" PRIu64 " ", b->pid);
    line_put(l, NULL, "on ");
    line_put(l, NULL, buffer_text(&dir));
    put_clock(l, b, clock);
    put_tasks(l, b);
    put_usage(l, b);
    put_head(l, "store");
    put_bytes(l, b->store_bytes);
    if (b->quota_bytes) {
        line_put(l, NULL, " of ");
        put_bytes(l, b->quota_bytes);
    }
    line_put(l, NULL, ", ");
    put_bytes(l, b->disk_free_bytes);
    line_put(l, NULL, " free on the disk");
    line_end(l);
}

/* ---- runs ---- */

static uint64_t key_of(const struct board_run *r, enum board_order order)
{
    switch (order) {
    case BOARD_BY_RUNNING:
        return r->p.all.n.running;
    case BOARD_BY_RATE:
        return (uint64_t)(r->p.all.rate * 1e6);
    case BOARD_BY_AGE:
        return UINT64_MAX - r->p.started;
    case BOARD_BY_RUN:
        break;
    }
    return r->p.number;
}

static int compare(const void *a, const void *b, void *arg)
{
    const struct board *board = arg;
    const struct board_run *x = a, *y = b;
    uint64_t kx = key_of(x, board->order), ky = key_of(y, board->order);

    if (kx == ky)
        return (x->p.number < y->p.number) - (x->p.number > y->p.number);
    return (kx < ky) - (kx > ky);
}

static void add_count(struct table *t, const char *colour, uint64_t n)
{
    char text[NUMBER_TEXT_SIZE];

    table_add(t, n ? colour : COLOUR_DIM, n ? number_text(n, text) : "-");
}

static void add_counts(struct table *t, const struct progress_step *s, bool with_left)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    const struct progress_counts *n = &s->n;
    uint64_t over = n->done + n->skipped + n->running + n->failed;
    time_us left = progress_left(s);

    add_count(t, COLOUR_GREEN, n->done);
    add_count(t, COLOUR_BOLD, n->running);
    add_count(t, COLOUR_RED, n->failed);
    add_count(t, NULL, n->known > over ? n->known - over : 0);
    if (n->running)
        rate_text(s->rate, &text);
    table_add(t, NULL, buffer_text(&text));
    buffer_clear(&text);
    if (with_left && n->running && n->known > 1 && left != TIME_NEVER)
        terminal_duration(left, &text);
    table_add(t, NULL, buffer_text(&text));
}

static void add_run(struct table *t, const struct board_run *r, time_us now)
{
    char name[RUN_NAME_SIZE];

    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (r->p.started && now > r->p.started)
        terminal_duration(now - r->p.started, &text);
    table_add(t, COLOUR_BOLD, run_name(r->p.number, &r->p.run, name));
    table_add(t, NULL, r->p.flow ? r->p.flow : "");
    table_add(t, strcmp(r->state, "running") == 0 ? NULL : COLOUR_YELLOW, r->state);
    table_add(t, NULL, buffer_text(&text));
    /* Steps follow one another: their sum says nothing about the end. */
    add_counts(t, &r->p.all, false);
}

static void add_steps(struct table *t, const struct progress *p)
{
    for (uint32_t i = 0; i < p->n_steps; i++) {
        const struct progress_step *s = &p->steps[i];

        if (!s->n.running && !s->n.failed && !s->n.ready)
            continue;
        table_add(t, NULL, "");
        table_printf(t, NULL, "  %s", s->name);
        table_add(t, COLOUR_DIM, s->n.running ? "" : s->n.ready ? "ready" : "");
        table_add(t, NULL, "");
        add_counts(t, s, true);
    }
}

/* A table gives way in one column, but not for ever; colours end where it is cut. */
static void put_lines(struct line *l, char *text)
{
    for (char *line; text && *text; line_end(l)) {
        size_t len;

        line = strsep(&text, "\n");
        for (len = strlen(line); len && line[len - 1] == ' ';)
            line[--len] = '\0';
        line_put(l, NULL, line);
        if (l->is_cut && l->has_colour)
            buffer_puts(l->out, COLOUR_OFF);
    }
}

static void put_runs(struct line *l, struct board *b, time_us now)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    table_head(&t, ">RUN|~FLOW|STATE|>FOR|>DONE|>RUNNING|>FAILED|>WAITING|>RATE|>LEFT");
    if (b->n_runs)
        qsort_r(b->runs, b->n_runs, sizeof(*b->runs), compare, b);
    for (size_t i = 0; i < b->n_runs; i++) {
        add_run(&t, &b->runs[i], now);
        if (b->has_steps)
            add_steps(&t, &b->runs[i].p);
    }
    table_write(&t, b->width - 1, b->has_colour, &text);
    put_lines(l, text.data);
}

/* ---- the nodes of a mesh ---- */

static void add_bytes(struct table *t, double bytes, const char *unit)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (bytes < 1) {
        table_add(t, COLOUR_DIM, "-");
        return;
    }
    terminal_bytes((uint64_t)bytes, &text);
    buffer_puts(&text, unit);
    table_add(t, NULL, buffer_text(&text));
}

static void add_node(struct table *t, const struct board_node *n)
{
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer rate = BUFFER_INIT;
    bool is_well = strcmp(n->state, "alive") == 0;

    terminal_name(n->name, &name);
    table_add(t, COLOUR_BOLD, buffer_text(&name));
    table_add(t, is_well ? NULL : COLOUR_YELLOW, n->state);
    if (!n->is_heard) {
        for (int i = 0; i < 8; i++)
            table_add(t, COLOUR_DIM, "-");
        return;
    }
    table_printf(t, NULL, "%" PRIu64 "/%" PRIu64, n->used, n->slots);
    add_count(t, NULL, n->waiting);
    rate_text(n->rate, &rate);
    table_add(t, NULL, buffer_text(&rate));
    table_printf(t, NULL, "%.1f", (double)n->load_milli / 1e3);
    add_bytes(t, n->in_rate, "/s");
    add_bytes(t, n->out_rate, "/s");
    add_bytes(t, (double)n->store_bytes, "");
    add_bytes(t, (double)n->disk_free_bytes, "");
}

static int compare_nodes(const void *a, const void *b)
{
    return strcmp(((const struct board_node *)a)->name,
                  ((const struct board_node *)b)->name);
}

static void put_mesh(struct line *l, struct board *b, const char *clock)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    line_format(l, COLOUR_BOLD, "Mesh of %zu nodes", b->n_nodes);
    put_clock(l, b, clock);
    put_tasks(l, b);
    line_end(l);
    table_head(&t, "~NODE|STATE|>TASKS|>WAITING|>RATE|>LOAD|>IN|>OUT|>STORE|>FREE");
    qsort(b->nodes, b->n_nodes, sizeof(*b->nodes), compare_nodes);
    for (size_t i = 0; i < b->n_nodes; i++)
        add_node(&t, &b->nodes[i]);
    table_write(&t, b->width - 1, b->has_colour, &text);
    put_lines(l, text.data);
}

static void put_help(struct line *l)
{
    static const char *const keys[][2] = {
        { "r", "newest runs first" },
        { "t", "most running tasks first" },
        { "d", "most tasks done a second first" },
        { "o", "oldest first" },
        { "s", "with the steps at work, or without" },
        { "Space", "look again now" },
        { "q", "leave" },
    };

    line_end(l);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        line_format(l, COLOUR_BOLD, "  %-8s", keys[i][0]);
        line_put(l, NULL, keys[i][1]);
        line_end(l);
    }
}

/* Of what was appended since `from`, as many lines as there is room for. */
static void cut_lines(const struct board *b, struct buffer *out, size_t from)
{
    const char *at = buffer_text(out) + from;

    if (!b->height)
        return;
    for (size_t i = 1; i < b->height && *at; i++)
        at += strcspn(at, "\n") + 1;
    out->len = (size_t)(at - out->data);
    out->data[out->len] = '\0';
}

void board_render(struct board *b, time_us now, const char *clock, struct buffer *out)
{
    struct line l = { .out = out,
                      .width = b->width,
                      .has_colour = b->has_colour,
                      .has_unicode = b->has_unicode };
    size_t from = out->len;

    if (b->n_nodes > 1)
        put_mesh(&l, b, clock);
    else
        put_node(&l, b, clock);
    if (b->has_help)
        put_help(&l);
    line_end(&l);
    put_runs(&l, b, now);
    if (!buffer_failed(out))
        cut_lines(b, out, from);
}
