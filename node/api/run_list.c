/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs: a page of those that are wanted, newest first.
 *
 * Records are looked at as bytes until one is wanted. What has ended is written down on
 * a thread of the pool; of the others the loop knows what they are, so gaps are left in
 * the text for them. */
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "node/api/encode.h"
#include "node/api/forward_text.h"
#include "node/api/gather.h"
#include "node/api/nouns.h"
#include "node/api/number.h"
#include "node/api/past.h"
#include "node/api/run_about.h"
#include "node/api/run_merge.h"
#include "node/api/server.h"
#include "node/api/source.h"
#include "node/api/where.h"
#include "node/runtime_members.h"

enum {
    RUNS_MAX = 10000,
    LOOKED_AT_MAX = 100000, /* in one request, however few of them are wanted */
};

static const char states[] = "running suspended interrupted ended ok failed cancelled";

/* A run without an end; what is said of it goes at this place of the text. */
struct gap {
    size_t at;
    struct run_record record;
    struct run_state_record changed;
    bool is_changed;
};

struct run_list {
    struct run_filter filter; /* without the tag, which may have been changed */
    const char *tag, *state;  /* NULL: any */
    uint64_t limit, n;
    const char *before;     /* NULL: from the newest on */
    uint64_t before_number; /* 0: of r->run, whose record tells */
    uint64_t next;          /* to go on before this one; 0: that was all */
    struct emit e;
    struct gap *gaps;
    size_t n_gaps, gaps_max;
    bool is_written; /* what this node knows; what others do is waited for */
    /* of the run that is looked at */
    struct buffer record, end; /* as bytes */
    struct run_state_record changed;
    bool is_changed;
};

static void run_list_release(void *data)
{
    struct run_list *list = data;

    for (size_t i = 0; i < list->n_gaps; i++) {
        run_record_release(&list->gaps[i].record);
        run_state_record_release(&list->gaps[i].changed);
    }
    free(list->gaps);
    run_state_record_release(&list->changed);
    buffer_release(&list->record);
    buffer_release(&list->end);
}

/* ---- what is asked ---- */

/* A number is one also when its run is gone: it was the last of a page. */
static bool find_before(struct request *r, struct run_list *list)
{
    if (!list->before)
        return true;
    if (*list->before != '0'
        && number_parse(list->before, UINT64_MAX, &list->before_number) == 0)
        return true;
    return request_find_run(r, list->before);
}

static void add_query(struct buffer *out, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(out, "&%s=", name);
    target_escape(value, out);
}

/* While this node reads its own. A run is known by its number only here. */
static int ask_others(struct request *r, const struct run_list *list)
{
    CLEANUP(buffer_release) struct buffer target = BUFFER_INIT;
    int error;

    if (r->listener->door == DOOR_PEER || runtime_members(r->rt) < 2)
        return REQUEST_NEXT;
    buffer_printf(&target, "/v1/runs?limit=%" PRIu64, list->limit);
    add_query(&target, "flow", list->filter.flow);
    add_query(&target, "user", list->filter.user);
    add_query(&target, "tag", list->tag);
    add_query(&target, "state", list->state);
    add_query(&target, "before", list->before);
    error = buffer_failed(&target);
    if (error == 0)
        error = gather_begin(r, buffer_text(&target));
    return error < 0 ? error : REQUEST_NEXT;
}

int runs_list(struct request *r)
{
    const char *state = request_query(r, "state");
    struct run_list *list = request_data(r, sizeof(*list), run_list_release);

    if (!list)
        return -ENOMEM;
    list->before = request_query(r, "before");
    if (!request_number(r, "limit", 100, RUNS_MAX, &list->limit)
        || !find_before(r, list))
        return 0;
    if (state && !word_is_among(state, states))
        return reply_error(r, MHD_HTTP_BAD_REQUEST, states, "there is no state '%.64s'",
                           state);
    list->state = state;
    list->tag = request_query(r, "tag");
    list->filter = (struct run_filter){ .flow = request_query(r, "flow"),
                                        .user = request_query(r, "user") };
    return ask_others(r, list);
}

/* ---- which numbers there are ---- */

static int read_first(void *arg, struct span key, struct span value)
{
    uint64_t *number = arg;

    (void)value;
    return number_key_decode(key.data, key.len, number) == 0;
}

/* 1 if a run has this number or a larger one, 0, or a negative errno. */
static int is_any_from(struct writer *w, uint64_t number)
{
    struct record_key all = number_key(0), from = number_key(number);
    uint64_t found;
    int r = writer_scan(w, STORE_RECORDS, (struct span){ all.bytes, 1 },
                        (struct span){ from.bytes, from.len }, read_first, &found);

    return r > 0 ? found < NUMBER_PLACES : r;
}

/* Numbers are read forwards only, so the newest is searched for by halves. */
static int newest_number(struct writer *w, uint64_t *ret_number)
{
    uint64_t lo = 0, step = 1; /* some run has lo (or lo is 0) */
    int r = 1;

    while (r > 0 && step < UINT64_MAX / 4) {
        r = is_any_from(w, lo + step);
        if (r > 0) {
            lo += step;
            step *= 2;
        }
    }
    for (step /= 2; r >= 0 && step; step /= 2) {
        r = is_any_from(w, lo + step);
        if (r > 0)
            lo += step;
    }
    *ret_number = lo;
    return r < 0 ? r : 0;
}

static int first_number(struct request *r, const struct run_list *list,
                        uint64_t *ret_number)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    uint64_t before = list->before_number;
    int error = newest_number(runtime_writer(r->rt), ret_number);

    if (error == 0 && list->before && !before) {
        error = source_record(r, &r->run, &record);
        before = record.number;
    }
    if (before && before <= *ret_number)
        *ret_number = before - 1;
    return error;
}

/* Places of runs that have no number yet, ascending. */
struct places {
    uint64_t *all;
    size_t n, cap;
    uint64_t before; /* 0: all */
};

static void places_release(struct places *p)
{
    free(p->all);
}

static int add_place(void *arg, struct span key, struct span value)
{
    struct places *p = arg;
    uint64_t place;

    (void)value;
    if (number_key_decode(key.data, key.len, &place) < 0)
        return -EBADMSG;
    if (p->before && place >= p->before)
        return 1;
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        uint64_t *all = realloc(p->all, cap * sizeof(*all));

        if (!all)
            return -ENOMEM;
        p->all = all;
        p->cap = cap;
    }
    p->all[p->n++] = place;
    return 0;
}

static int read_places(struct writer *w, struct places *p)
{
    struct record_key all = number_key(0), from = number_key(NUMBER_PLACES);
    int r;

    if (p->before && p->before <= NUMBER_PLACES)
        return 0;
    r = writer_scan(w, STORE_RECORDS, (struct span){ all.bytes, 1 },
                    (struct span){ from.bytes, from.len }, add_place, p);
    return r < 0 ? r : 0;
}

/* ---- which runs are wanted ---- */

static bool has_tag(const struct run_state_record *changed, const char *tag)
{
    for (size_t i = 0; i < changed->n_tags; i++)
        if (strcmp(changed->tags[i], tag) == 0)
            return true;
    return false;
}

/* 1, 0, or what run_record_matches() refuses. Reads what was changed of the run. */
static int is_wanted(struct request *r, struct run_list *list, const struct run_id *id)
{
    const struct run_filter tag = { .tag = list->tag };
    int error = run_record_matches(list->record.data, list->record.len, &list->filter);

    if (error <= 0)
        return error;
    error = source_state(r, id, &list->changed);
    list->is_changed = error == 0;
    if (error < 0 && error != -ENOENT)
        return error;
    if (!list->tag)
        return 1;
    return list->is_changed && list->changed.has_tags
               ? has_tag(&list->changed, list->tag)
               : run_record_matches(list->record.data, list->record.len, &tag);
}

static void forget_changes(struct run_list *list)
{
    run_state_record_release(&list->changed);
    list->is_changed = false;
}

static int get(struct request *r, const struct record_key *key, struct buffer *ret)
{
    buffer_clear(ret);
    return writer_get(runtime_writer(r->rt), STORE_RECORDS,
                      (struct span){ key->bytes, key->len }, ret);
}

/* 1 with the bytes of the run and of its end (none: it has no end yet), 0 if it is not
 * wanted by what it asked for. -ENOENT: the number was given and is not used. */
static int read_run(struct request *r, struct run_list *list, uint64_t number)
{
    struct record_key key = number_key(number);
    struct run_id id;
    int error = get(r, &key, &list->record);

    forget_changes(list);
    if (error < 0)
        return error;
    if (list->record.len != RUN_ID_SIZE)
        return -EBADMSG;
    memcpy(id.bytes, list->record.data, RUN_ID_SIZE);
    key = run_key(&id);
    error = get(r, &key, &list->record);
    if (error == 0)
        error = is_wanted(r, list, &id);
    if (error <= 0)
        return error;
    key = run_end_key(&id);
    error = get(r, &key, &list->end);
    return error < 0 && error != -ENOENT ? error : 1;
}

/* Of a run that may be active the loop decides. */
static bool is_state_wanted(const struct run_list *list,
                            const struct run_end_record *end)
{
    const char *state = list->state;

    if (!state)
        return true;
    if (!end)
        return word_is_among(state, "running suspended interrupted");
    return strcmp(state, "ended") == 0
           || strcmp(state, run_outcome_name(end->outcome)) == 0;
}

static int decode_run(const struct run_list *list, struct run_record *ret)
{
    int error = run_record_decode(list->record.data, list->record.len, ret);

    if (error < 0)
        return error;
    free(TAKE(ret->flow_text)); /* a list of large files is not needed */
    ret->flow_text_len = 0;
    return 0;
}

/* ---- what is written down ---- */

static int add_ended(struct run_list *list)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    struct run_about about = { .record = &record,
                               .changed = list->is_changed ? &list->changed : NULL };
    int error = run_end_record_decode(list->end.data, list->end.len, &end);

    if (error < 0 || !is_state_wanted(list, &end))
        return error;
    error = decode_run(list, &record);
    if (error < 0)
        return error;
    past_fill_end(&about, &end);
    encode_run(&list->e, &about);
    list->n++;
    return buffer_failed(list->e.out);
}

static int add_gap(struct run_list *list)
{
    struct gap gap = { .at = list->e.out->len };
    int error;

    if (!is_state_wanted(list, NULL))
        return 0;
    if (list->n_gaps == list->gaps_max) {
        size_t max = list->gaps_max ? 2 * list->gaps_max : 16;
        struct gap *more = realloc(list->gaps, max * sizeof(*more));

        if (!more)
            return -ENOMEM;
        list->gaps = more;
        list->gaps_max = max;
    }
    error = decode_run(list, &gap.record);
    if (error < 0)
        return error;
    gap.changed = list->changed;
    gap.is_changed = list->is_changed;
    list->changed = (struct run_state_record){ .n_tags = 0 };
    list->gaps[list->n_gaps++] = gap;
    list->n++;
    return 0;
}

/* Those without a number are the newest. */
static uint64_t take_next(struct places *places, uint64_t *number)
{
    if (places->n)
        return places->all[--places->n];
    return *number ? (*number)-- : 0;
}

static int add_run(struct request *r, struct run_list *list, uint64_t number)
{
    int error = read_run(r, list, number);

    if (error > 0)
        return list->end.len ? add_ended(list) : add_gap(list);
    return error == -ENOENT ? 0 : error;
}

int runs_list_work(struct request *r)
{
    struct run_list *list = r->data;
    CLEANUP(places_release) struct places places = { .before = list->before_number };
    uint64_t number = 0, newest = 0, looked_at = 0;
    int error = first_number(r, list, &newest);

    if (error == 0)
        error = read_places(runtime_writer(r->rt), &places);
    list->e.out = &r->reply.body;
    while (error >= 0 && (number = take_next(&places, &newest))) {
        if (atomic_load(r->is_stopping))
            return -ECANCELED;
        if (list->n == list->limit || looked_at++ == LOOKED_AT_MAX)
            break;
        error = add_run(r, list, number);
    }
    list->next = number && list->limit ? number + 1 : 0;
    if (error < 0)
        return reply_errno(r, error, "a run's record");
    return list->n_gaps || r->gather ? REQUEST_NEXT : runs_list_end(r);
}

/* A run that stops runs. */
static bool is_gap_wanted(const struct run_list *list, const struct run_about *about)
{
    if (!list->state)
        return true;
    if (about->end)
        return is_state_wanted(list, about->end);
    return strcmp(list->state, about->state) == 0
           || (strcmp(list->state, "running") == 0
               && strcmp(about->state, "stopping") == 0);
}

/* On the loop, where a run is either active or has its end in the store. */
static void fill_gap(struct request *r, const struct gap *gap, struct emit *e)
{
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    struct run_about about = { .record = &gap->record,
                               .changed = gap->is_changed ? &gap->changed : NULL,
                               .is_suspended = gap->changed.is_suspended,
                               .state = where_state(r, &gap->record.run) };
    struct run_view view;

    if (node_run(runtime_node(r->rt), &gap->record.run, &view))
        run_about_view(&about, &view);
    else if (source_end(r, &gap->record.run, &end) == 0)
        past_fill_end(&about, &end);
    if (is_gap_wanted(r->data, &about))
        encode_run(e, &about);
}

/* The text with its gaps filled. Commas are at the front of what is behind the first.
 */
static void put_runs(struct request *r, const struct buffer *text, struct emit *e)
{
    const struct run_list *list = r->data;
    size_t at = 0;

    for (size_t i = 0; i <= list->n_gaps; i++) {
        size_t end = i < list->n_gaps ? list->gaps[i].at : text->len;
        size_t comma = at < end && buffer_text(text)[at] == ',';

        if (at + comma < end)
            emit_raw(e, NULL, text->data + at + comma, end - at - comma);
        if (i < list->n_gaps)
            fill_gap(r, &list->gaps[i], e);
        at = end;
    }
}

/* What to ask for next. */
static void emit_before(struct emit *e, const struct run_list *list)
{
    char number[24];

    snprintf(number, sizeof(number), "%" PRIu64, list->next);
    emit_text(e, "before", list->next ? number : NULL);
}

static void write_own(struct request *r)
{
    struct run_list *list = r->data;
    CLEANUP(buffer_release) struct buffer text = r->reply.body;
    struct emit e = { .out = &r->reply.body };

    r->reply.body = BUFFER_INIT;
    emit_open(&e, NULL, '{');
    emit_open(&e, "runs", '[');
    put_runs(r, &text, &e);
    emit_close(&e, ']');
    emit_before(&e, list);
    emit_close(&e, '}');
    list->is_written = true;
}

/* ---- what the others know ---- */

static int add_others(struct request *r, struct run_merge *merge)
{
    const struct gathered *g;
    int error = 0;

    for (size_t i = 0; error != -ENOMEM && (g = gather_at(r, i)); i++)
        if (g->has_answered)
            error = run_merge_add(merge, buffer_text(&g->body), g->body.len);
    return error == -ENOMEM ? error : 0;
}

/* On a thread of the pool: there may be many. */
static int merge_work(struct request *r)
{
    const struct run_list *list = r->data;
    CLEANUP(buffer_release) struct buffer own = r->reply.body;
    struct run_merge *merge = run_merge_new((size_t)list->limit);
    struct emit e = { .out = &r->reply.body, .needs_comma = true };
    int error = -ENOMEM;

    r->reply.body = BUFFER_INIT;
    if (merge)
        error = run_merge_add(merge, buffer_text(&own), own.len);
    if (error == 0)
        error = add_others(r, merge);
    buffer_putc(&r->reply.body, '{');
    if (error == 0)
        error = run_merge_write(merge, &r->reply.body);
    run_merge_free(merge);
    if (error < 0)
        return reply_errno(r, error, "the list");
    gather_emit_silent(r, &e);
    buffer_putc(&r->reply.body, '}');
    return reply_json(r, MHD_HTTP_OK);
}

int runs_list_end(struct request *r)
{
    struct run_list *list = r->data;

    if (!list->is_written)
        write_own(r);
    if (!r->gather || buffer_failed(&r->reply.body))
        return reply_json(r, MHD_HTTP_OK);
    if (!gather_is_done(r))
        return REQUEST_WAIT;
    r->work = merge_work;
    return REQUEST_WORK;
}
