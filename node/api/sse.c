/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/sse.h"

#include <errno.h>
#include <inttypes.h>

#include "node/api/encode.h"
#include "node/api/number.h"

int sse_event(const struct feed_event *event, struct buffer *out)
{
    struct emit e = { .out = out };

    buffer_printf(out, "id: %" PRIu64 "\nevent: %s\ndata: ", event->seq,
                  event_name(event->type));
    encode_event(&e, event);
    return buffer_puts(out, "\n\n");
}

int sse_gap(uint64_t next_seq, struct buffer *out)
{
    return buffer_printf(out, "event: gap\ndata: {\"next\":%" PRIu64 "}\n\n", next_seq);
}

int sse_heartbeat(struct buffer *out)
{
    return buffer_puts(out, ":\n\n");
}

int sse_since(const char *text, uint64_t *ret_seq)
{
    return number_parse(text, UINT64_MAX - 1, ret_seq);
}
