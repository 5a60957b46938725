/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/tail.h"

#include <errno.h>
#include <string.h>

#include "node/log.h"

enum { READ_BYTES = 256 << 10, PIECE_BYTES_MAX = 4 << 20 };

/* Keeps twice what is wanted at most, so that moving it costs little for each byte. */
static int keep(struct buffer *text, const uint8_t *data, size_t len)
{
    if (len > TAIL_BYTES_MAX) {
        data += len - TAIL_BYTES_MAX;
        len = TAIL_BYTES_MAX;
    }
    if (text->len + len > 2 * TAIL_BYTES_MAX) {
        size_t from = text->len - TAIL_BYTES_MAX;

        memmove(text->data, text->data + from, TAIL_BYTES_MAX);
        text->len = TAIL_BYTES_MAX;
    }
    return buffer_append(text, data, len);
}

/* All whole pieces at the front of the window. */
static int take_pieces(struct buffer *window, struct buffer *text)
{
    size_t at = 0, n;
    struct log_piece piece;
    int error = 0;

    while (error == 0 && at < window->len
           && (n = log_piece_decode((const uint8_t *)window->data + at,
                                    window->len - at, &piece))) {
        error = keep(text, piece.data, piece.len);
        at += n;
    }
    if (at) {
        memmove(window->data, window->data + at, window->len - at);
        window->len -= at;
    }
    return error;
}

static int read_blob(struct blobs *b, const struct digest *id, struct buffer *text)
{
    CLEANUP(buffer_release) struct buffer window = BUFFER_INIT;
    uint64_t offset = 0;
    int error = 0;

    for (size_t got = READ_BYTES; error == 0 && got == READ_BYTES;) {
        size_t before = window.len;

        error = blobs_read(b, id, offset, READ_BYTES, &window);
        got = error == 0 ? window.len - before : 0;
        offset += got;
        if (error == 0)
            error = take_pieces(&window, text);
        if (window.len > PIECE_BYTES_MAX)
            break;
    }
    return error;
}

/* Cuts the front off so that the last lines are left. */
static int cut(struct buffer *text, size_t lines)
{
    size_t end = text->len, from;

    while (end && (text->data[end - 1] == '\n' || text->data[end - 1] == '\r'))
        end--;
    for (from = end; from > 0 && end - from < TAIL_BYTES_MAX; from--)
        if (text->data[from - 1] == '\n' && --lines == 0)
            break;
    if (from)
        memmove(text->data, text->data + from, end - from);
    text->len = end - from;
    return buffer_append(text, "", 0);
}

int tail_read(struct blobs *b, const struct log_ref *log, size_t lines,
              struct buffer *ret_text)
{
    CLEANUP(buffer_release) struct buffer inlined = BUFFER_INIT;
    int error = 0;

    buffer_clear(ret_text);
    if (log->has_blob) {
        error = read_blob(b, &log->blob, ret_text);
    } else if (log->inline_len) {
        error = buffer_append(&inlined, log->inline_data, log->inline_len);
        if (error == 0)
            error = take_pieces(&inlined, ret_text);
    }
    return error == 0 ? cut(ret_text, lines) : error;
}

void tail_emit(struct emit *e, const char *key, const struct buffer *text)
{
    const char *at = buffer_text(text), *end = at + text->len;

    emit_open(e, key, '[');
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t len = (size_t)((newline ? newline : end) - at);

        emit_bytes(e, NULL, at, len && at[len - 1] == '\r' ? len - 1 : len);
        at += len + (newline != NULL);
    }
    emit_close(e, ']');
}
