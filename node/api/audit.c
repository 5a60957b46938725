/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/audit and /v1/audit/verify: what this node has written down of who did what,
 * and whether it is still what was written; ?all=true: what each member has. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#include "node/api/emit.h"
#include "node/api/forward_text.h"
#include "node/api/gather.h"
#include "node/api/nouns.h"
#include "node/runtime_audit.h"
#include "node/runtime_members.h"

enum {
    ENTRIES_DEFAULT = 100,
    ENTRIES_MAX = 10000,
    SINCE_MAX_S = 100 * 366 * 24 * 3600U,
    TIME_SIZE = 28, /* all as long, so that they compare as text */
};

struct line {
    char time[TIME_SIZE];
    char *json;
};

struct audit_query {
    struct audit_log *log;
    char node[MEMBER_NAME_MAX + 1]; /* "": this node is alone */
    time_us after;
    const char *user, *verb;
    enum audit_verdict verdict; /* 0: any */
    bool is_all;
    struct line *lines; /* a ring of the newest */
    size_t limit, n;    /* n of all that were found */
    bool is_older;      /* there are more */
};

static void audit_query_release(void *data)
{
    struct audit_query *q = data;

    for (size_t i = 0; i < q->limit && q->lines; i++)
        free(q->lines[i].json);
    free(q->lines);
}

/* ---- what is asked ---- */

static bool read_all(struct request *r, bool *ret)
{
    const char *text = request_query(r, "all");

    *ret = text && strcmp(text, "true") == 0;
    if (!text || *ret || strcmp(text, "false") == 0)
        return true;
    reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "'all' must be true or false");
    return false;
}

static void find_name(struct request *r, char *ret)
{
    struct member_view m;

    for (size_t i = 0; runtime_member_at(r->rt, i, &m); i++)
        if (m.is_self && m.note->has_card && m.note->card.name)
            snprintf(ret, MEMBER_NAME_MAX + 1, "%s", m.note->card.name);
}

static bool read_query(struct request *r, struct audit_query *q)
{
    const char *verdict = request_query(r, "verdict");
    struct timespec now;
    uint64_t since_s, limit;

    if (!request_number(r, "since_s", SINCE_MAX_S, SINCE_MAX_S, &since_s)
        || !request_number(r, "limit", ENTRIES_DEFAULT, ENTRIES_MAX, &limit)
        || !read_all(r, &q->is_all))
        return false;
    q->user = request_query(r, "user");
    q->verb = request_query(r, "verb");
    q->verdict = verdict ? audit_verdict_parse(verdict) : 0;
    if (verdict && !q->verdict) {
        reply_error(r, MHD_HTTP_BAD_REQUEST, "done, refused or failed",
                    "there is no verdict '%.64s'", verdict);
        return false;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    q->after =
        (uint64_t)now.tv_sec > since_s ? ((uint64_t)now.tv_sec - since_s) * 1000000 : 0;
    q->limit = limit ? limit : 1;
    q->lines = calloc(q->limit, sizeof(*q->lines));
    return q->lines != NULL || reply_errno(r, -ENOMEM, "the answer");
}

static void put_filter(struct buffer *out, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(out, "&%s=", name);
    target_escape(value, out);
}

static int ask_others(struct request *r, const struct audit_query *q)
{
    CLEANUP(buffer_release) struct buffer target = BUFFER_INIT;

    buffer_printf(&target, "/v1/audit?limit=%zu", q->limit);
    put_filter(&target, "since_s", request_query(r, "since_s"));
    put_filter(&target, "user", q->user);
    put_filter(&target, "verb", q->verb);
    put_filter(&target, "verdict", request_query(r, "verdict"));
    return buffer_failed(&target) ? -ENOMEM : gather_begin(r, buffer_text(&target));
}

static struct audit_query *query_new(struct request *r)
{
    struct audit_query *q = request_data(r, sizeof(*q), audit_query_release);

    if (!q)
        return NULL;
    q->log = runtime_audit_log(r->rt);
    find_name(r, q->node);
    return q->log ? q : NULL;
}

static int begin(struct request *r, int error, int (*work)(struct request *r))
{
    r->work = work;
    if (error < 0)
        return error;
    return gather_is_done(r) ? REQUEST_WORK : REQUEST_WAIT;
}

/* ---- entries ---- */

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct line *)a)->time, ((const struct line *)b)->time);
}

/* Takes the text. */
static int keep(struct audit_query *q, const char *time, char *take_json)
{
    struct line *l = &q->lines[q->n % q->limit];

    if (!take_json)
        return -ENOMEM;
    q->is_older = q->is_older || l->json;
    free(l->json);
    l->json = take_json;
    snprintf(l->time, sizeof(l->time), "%s", time);
    q->n++;
    return 0;
}

static void emit_entry(struct emit *e, const struct audit_query *q,
                       const struct audit_entry *entry)
{
    emit_open(e, NULL, '{');
    emit_text(e, "node", q->node[0] ? q->node : NULL);
    emit_u64(e, "number", entry->number);
    emit_time(e, "time", entry->wall);
    emit_text(e, "verb", entry->verb);
    emit_text(e, "verdict", audit_verdict_name(entry->verdict));
    emit_text(e, "user", entry->user);
    emit_text(e, "way", audit_way_name(entry->way));
    emit_text(e, "from", entry->from);
    emit_text(e, "about", entry->about);
    emit_text(e, "why", entry->why);
    emit_u64(e, "unsaid", entry->n_unsaid);
    emit_close(e, '}');
}

/* As emit_time(), of what it was made. */
static void cut_time(const char *json, char *ret)
{
    static const char key[] = "\"time\":\"";
    const char *at = strstr(json, key);

    *ret = '\0';
    if (at)
        snprintf(ret, TIME_SIZE, "%.27s", at + sizeof(key) - 1);
}

static int take_entry(void *arg, const char *file, const struct audit_entry *entry,
                      enum audit_fault fault)
{
    CLEANUP(buffer_release) struct buffer json = BUFFER_INIT;
    struct emit e = { .out = &json };
    struct audit_query *q = arg;
    char time[TIME_SIZE];

    (void)file;
    if (fault || entry->wall < q->after
        || (q->user && strcmp(q->user, entry->user) != 0)
        || (q->verb && strcmp(q->verb, entry->verb) != 0)
        || (q->verdict && q->verdict != entry->verdict))
        return 0;
    emit_entry(&e, q, entry);
    if (buffer_failed(&json))
        return -ENOMEM;
    cut_time(buffer_text(&json), time);
    return keep(q, time, buffer_take(&json));
}

/* Its entries are in order and ours too, but not among each other: the ring becomes a
 * list first. */
static int merge(struct audit_query *all, const json_t *entries)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(entries, i, entry)
    {
        const char *time = json_string_value(json_object_get(entry, "time"));
        int r = time ? keep(all, time, json_dumps(entry, JSON_COMPACT)) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

/* Room for what all have; then the newest of it. */
static int merge_others(struct request *r, struct audit_query *q)
{
    struct audit_query all = { .limit = q->limit };
    const struct gathered *g;
    int result = 0;

    for (size_t i = 0; gather_at(r, i); i++)
        all.limit += q->limit;
    all.lines = calloc(all.limit, sizeof(*all.lines));
    if (!all.lines)
        return -ENOMEM;
    for (size_t i = 0; i < q->limit && q->lines[i].json; i++) {
        struct line *l = &q->lines[i];

        result = keep(&all, l->time, TAKE(l->json));
    }
    for (size_t i = 0; result == 0 && (g = gather_at(r, i)); i++) {
        json_t *json =
            g->has_answered ? json_loadb(g->body.data, g->body.len, 0, NULL) : NULL;

        result = merge(&all, json_object_get(json, "entries"));
        q->is_older = q->is_older || json_is_true(json_object_get(json, "older"));
        json_decref(json);
    }
    qsort(all.lines, all.n, sizeof(*all.lines), compare);
    q->n = 0;
    for (size_t i = 0; i < all.n; i++) {
        int error = keep(q, all.lines[i].time, TAKE(all.lines[i].json));

        result = result ? result : error;
    }
    audit_query_release(&all);
    return result;
}

static int audit_get_work(struct request *r)
{
    struct emit e = { .out = &r->reply.body };
    struct audit_query *q = r->data;
    int error = audit_log_read(q->log, take_entry, q);

    if (error == 0 && r->gather)
        error = merge_others(r, q);
    if (error < 0)
        return reply_errno(r, error, "the audit log");
    emit_open(&e, NULL, '{');
    emit_open(&e, "entries", '[');
    for (size_t i = q->n > q->limit ? q->n - q->limit : 0; i < q->n; i++) {
        const char *json = q->lines[i % q->limit].json;

        emit_raw(&e, NULL, json, strlen(json));
    }
    emit_close(&e, ']');
    emit_bool(&e, "older", q->is_older);
    gather_emit_silent(r, &e);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}

int audit_get(struct request *r)
{
    struct audit_query *q = query_new(r);

    if (!q)
        return -ENOMEM;
    if (!read_query(r, q))
        return 0;
    return begin(r, q->is_all ? ask_others(r, q) : 0, audit_get_work);
}

/* The others have answered, or the time is over; or the work is done. */
int audit_get_end(struct request *r)
{
    return gather_is_done(r) ? REQUEST_WORK : REQUEST_WAIT;
}

/* ---- whether it is what was written ---- */

static void emit_report(struct emit *e, const struct audit_query *q,
                        const struct audit_report *report)
{
    emit_open(e, NULL, '{');
    emit_text(e, "node", q->node[0] ? q->node : NULL);
    emit_bool(e, "intact", report->n_faults == 0);
    emit_u64(e, "entries", report->n);
    emit_u64(e, "first", report->first);
    emit_u64(e, "last", report->last.number);
    emit_digest(e, "digest", &report->last.digest);
    emit_u64(e, "kept", report->kept);
    emit_u64(e, "n_faults", report->n_faults);
    emit_open(e, "faults", '[');
    for (size_t i = 0; i < report->n_faults && i < AUDIT_FAULTS_MAX; i++) {
        emit_open(e, NULL, '{');
        emit_text(e, "file", report->faults[i].file);
        emit_u64(e, "number", report->faults[i].number);
        emit_text(e, "fault", report->faults[i].text);
        emit_close(e, '}');
    }
    emit_close(e, ']');
    emit_close(e, '}');
}

static void emit_other(struct emit *e, const struct gathered *g)
{
    json_t *json =
        g->has_answered ? json_loadb(g->body.data, g->body.len, 0, NULL) : NULL;
    const json_t *node = json_array_get(json_object_get(json, "nodes"), 0);
    CLEANUP(freep) char *text = node ? json_dumps(node, JSON_COMPACT) : NULL;

    if (text)
        emit_raw(e, NULL, text, strlen(text));
    json_decref(json);
}

static int audit_verify_work(struct request *r)
{
    struct emit e = { .out = &r->reply.body };
    const struct audit_query *q = r->data;
    const struct gathered *g;
    struct audit_report report;
    int error = audit_log_verify(q->log, &report);

    if (error < 0)
        return reply_errno(r, error, "the audit log");
    emit_open(&e, NULL, '{');
    emit_open(&e, "nodes", '[');
    emit_report(&e, q, &report);
    for (size_t i = 0; (g = gather_at(r, i)); i++)
        emit_other(&e, g);
    emit_close(&e, ']');
    gather_emit_silent(r, &e);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}

int audit_verify(struct request *r)
{
    struct audit_query *q = query_new(r);

    if (!q)
        return -ENOMEM;
    if (!read_all(r, &q->is_all))
        return 0;
    return begin(r, q->is_all ? gather_begin(r, "/v1/audit/verify") : 0,
                 audit_verify_work);
}
