/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/reply.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void reply_init(struct reply *r, bool has_no_body)
{
    *r = (struct reply){ .state = REPLY_HEAD, .has_no_body = has_no_body };
    r->line.bytes_max = REPLY_HEAD_MAX;
}

void reply_release(struct reply *r)
{
    buffer_release(&r->line);
}

/* ---- the head ---- */

static int parse_status(struct reply *r, const char *line, struct error *e)
{
    if (strncmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line[7])
        || line[8] != ' ' || !isdigit((unsigned char)line[9])
        || !isdigit((unsigned char)line[10]) || !isdigit((unsigned char)line[11])
        || (line[12] != ' ' && line[12] != '\0'))
        return fail(e, -EBADMSG, "who answers there speaks no HTTP");
    r->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    r->is_closing = line[7] == '0';
    return 0;
}

static int parse_length(struct reply *r, const char *value, struct error *e)
{
    size_t digits = strspn(value, "0123456789");
    uint64_t length = strtoull(value, NULL, 10);

    if (!digits || value[digits] || digits > 18 || (r->has_length && r->left != length))
        return fail(e, -EBADMSG, "the answer has a bad Content-Length");
    r->has_length = true;
    r->left = length;
    return 0;
}

static void keep(char *field, size_t size, const char *value)
{
    size_t len = min_size(strlen(value), size - 1);

    memcpy(field, value, len);
    field[len] = '\0';
}

static int parse_header(struct reply *r, char *line, bool *is_chunked, struct error *e)
{
    char *colon = strchr(line, ':'), *value = colon ? colon + 1 : NULL, *end;

    if (!colon || colon == line)
        return fail(e, -EBADMSG, "the answer has a bad header");
    *colon = '\0';
    value += strspn(value, " \t");
    end = value + strlen(value);
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    if (strcasecmp(line, "Content-Length") == 0)
        return parse_length(r, value, e);
    if (strcasecmp(line, "Transfer-Encoding") == 0)
        *is_chunked = strcasecmp(value, "chunked") == 0;
    else if (strcasecmp(line, "Connection") == 0)
        r->is_closing = r->is_closing || strcasecmp(value, "close") == 0;
    else if (strcasecmp(line, "Content-Type") == 0)
        keep(r->type, sizeof(r->type), value);
    else if (strcasecmp(line, "Mesh-Type") == 0)
        keep(r->artifact_type, sizeof(r->artifact_type), value);
    else if (strcasecmp(line, "Mesh-Encoding") == 0)
        keep(r->artifact_encoding, sizeof(r->artifact_encoding), value);
    else if (strcasecmp(line, "Mesh-Id") == 0)
        keep(r->artifact_id, sizeof(r->artifact_id), value);
    return 0;
}

static void begin_body(struct reply *r, bool is_chunked)
{
    if (r->has_no_body || r->status == 204 || r->status == 304)
        r->state = REPLY_DONE;
    else if (is_chunked)
        r->state = REPLY_CHUNK_SIZE;
    else if (r->has_length)
        r->state = r->left ? REPLY_BODY : REPLY_DONE;
    else
        r->state = REPLY_BODY_TO_END;
    if (r->state == REPLY_BODY_TO_END)
        r->is_closing = true;
}

static int parse_head(struct reply *r, struct error *e)
{
    bool is_chunked = false, is_first = true;
    char *at = r->line.data;
    int result = 0;

    while (result == 0 && at && *at) {
        char *line = strsep(&at, "\n");
        size_t len = strlen(line);

        if (len && line[len - 1] == '\r')
            line[--len] = '\0';
        if (is_first)
            result = parse_status(r, line, e);
        else if (len)
            result = parse_header(r, line, &is_chunked, e);
        is_first = false;
    }
    if (result < 0)
        return result;
    buffer_clear(&r->line);
    if (r->status < 200) { /* 100 Continue: the real one follows */
        r->has_length = false;
        return 0;
    }
    begin_body(r, is_chunked);
    return 0;
}

/* Collects up to and with the next newline; true when it is there. */
static bool take_line(struct reply *r, const char *data, size_t len, size_t *used)
{
    const char *newline = memchr(data, '\n', len);
    size_t n = newline ? (size_t)(newline - data) + 1 : len;

    buffer_append(&r->line, data, n);
    *used += n;
    return newline != NULL;
}

static bool is_head_whole(const struct buffer *b)
{
    return (b->len >= 2 && memcmp(b->data + b->len - 2, "\n\n", 2) == 0)
           || (b->len >= 3 && memcmp(b->data + b->len - 3, "\n\r\n", 3) == 0);
}

/* ---- chunks ---- */

static int parse_chunk_size(struct reply *r, struct error *e)
{
    size_t digits = strspn(r->line.data, "0123456789abcdefABCDEF");
    char behind = r->line.data[digits];

    if (!digits || digits > 15 || !strchr(";\r\n \t", behind))
        return fail(e, -EBADMSG, "the answer has a bad chunk");
    r->left = strtoull(r->line.data, NULL, 16);
    r->state = r->left ? REPLY_CHUNK : REPLY_TRAILER;
    buffer_clear(&r->line);
    return 0;
}

static int parse_line(struct reply *r, struct error *e)
{
    bool is_empty = r->line.data[0] == '\n' || strcmp(r->line.data, "\r\n") == 0;

    switch (r->state) {
    case REPLY_HEAD:
        return is_head_whole(&r->line) ? parse_head(r, e) : 0;
    case REPLY_CHUNK_SIZE:
        return parse_chunk_size(r, e);
    case REPLY_CHUNK_END:
        if (!is_empty)
            return fail(e, -EBADMSG, "the answer has a chunk without an end");
        r->state = REPLY_CHUNK_SIZE;
        break;
    default: /* the trailer */
        if (is_empty)
            r->state = REPLY_DONE;
        break;
    }
    buffer_clear(&r->line);
    return 0;
}

static int pass_body(struct reply *r, const char *data, size_t len, size_t *used,
                     int (*body)(void *arg, const char *data, size_t len), void *arg)
{
    size_t n = r->state == REPLY_BODY_TO_END || r->left > len ? len : (size_t)r->left;
    int result = body(arg, data, n);

    *used += n;
    if (r->state == REPLY_BODY_TO_END)
        return result;
    r->left -= n;
    if (r->left == 0)
        r->state = r->state == REPLY_BODY ? REPLY_DONE : REPLY_CHUNK_END;
    return result;
}

int reply_feed(struct reply *r, const char *data, size_t len,
               int (*body)(void *arg, const char *data, size_t len), void *arg,
               size_t *ret_used, struct error *ret_error)
{
    size_t used = 0;
    int result = 0;

    while (result == 0 && used < len && r->state != REPLY_DONE) {
        if (r->state == REPLY_BODY || r->state == REPLY_BODY_TO_END
            || r->state == REPLY_CHUNK) {
            result = pass_body(r, data + used, len - used, &used, body, arg);
        } else if (take_line(r, data + used, len - used, &used)) {
            if (buffer_failed(&r->line) || strlen(r->line.data) != r->line.len)
                return fail(ret_error, -EBADMSG,
                            "the answer's head is no text, or too "
                            "long");
            result = parse_line(r, ret_error);
        }
    }
    if (result == 0 && buffer_failed(&r->line))
        return fail(ret_error, -EBADMSG, "the answer's head is too long");
    *ret_used = used;
    return result;
}

int reply_end(struct reply *r)
{
    if (r->state == REPLY_BODY_TO_END)
        r->state = REPLY_DONE;
    return r->state == REPLY_DONE ? 0 : -ECONNRESET;
}

/* ---- server-sent events ---- */

void event_lines_release(struct event_lines *e)
{
    buffer_release(&e->line);
    buffer_release(&e->data);
    buffer_release(&e->name);
}

static int dispatch(struct event_lines *e, event_lines_fn *each, void *arg)
{
    int r = 0;

    if (e->data.len) {
        e->data.data[--e->data.len] = '\0'; /* the newline of its last line */
        r = each(arg, e->has_id ? e->id : 0,
                 e->name.len ? buffer_text(&e->name) : "message", buffer_text(&e->data),
                 e->data.len);
    }
    buffer_clear(&e->data);
    buffer_clear(&e->name);
    e->has_id = false;
    return r;
}

static int take_field(struct event_lines *e, event_lines_fn *each, void *arg)
{
    char *line = e->line.data, *colon, *value;

    if (e->line.len && line[e->line.len - 1] == '\r')
        line[--e->line.len] = '\0';
    if (e->line.len == 0)
        return dispatch(e, each, arg);
    colon = strchr(line, ':');
    if (colon == line)
        return 0; /* a comment: the heartbeat */
    value = colon ? colon + 1 : line + e->line.len;
    if (colon)
        *colon = '\0';
    value += *value == ' ';
    if (strcmp(line, "data") == 0) {
        buffer_puts(&e->data, value);
        return buffer_putc(&e->data, '\n');
    }
    if (strcmp(line, "event") == 0) {
        buffer_clear(&e->name);
        return buffer_puts(&e->name, value);
    }
    if (strcmp(line, "id") == 0 && isdigit((unsigned char)*value)) {
        e->id = strtoull(value, NULL, 10);
        e->has_id = true;
    }
    return 0;
}

int event_lines_feed(struct event_lines *e, const char *data, size_t len,
                     event_lines_fn *each, void *arg)
{
    int r = 0;

    e->line.bytes_max = e->data.bytes_max = EVENT_BYTES_MAX;
    for (size_t at = 0; r == 0 && at < len;) {
        const char *newline = memchr(data + at, '\n', len - at);
        size_t n = newline ? (size_t)(newline - data) - at : len - at;

        r = buffer_append(&e->line, data + at, n);
        at += n + (newline != NULL);
        if (r < 0 || !newline)
            continue;
        r = take_field(e, each, arg);
        buffer_clear(&e->line);
    }
    return r;
}
