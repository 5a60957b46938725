/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/check: all that is wrong with a flow file; nothing is started. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "flow/read.h"
#include "node/api/bodies.h"
#include "node/api/encode.h"
#include "node/api/nouns.h"

int check_work(struct request *r)
{
    CLEANUP(check_body_release) struct check_body b = { .json = NULL };
    CLEANUP(diagnostics_release) struct diagnostics d = { .n = 0 };
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    struct emit e = { .out = &r->reply.body };
    struct error why = { .text = "" };
    int error =
        check_body_read(buffer_text(&r->body.memory), r->body.memory.len, &b, &why);

    if (error == -EINVAL)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "%s", why.text);
    if (error < 0)
        return error;
    error = flow_read(b.flow, strlen(b.flow), &flow, &d);
    if (error < 0 && error != -EINVAL)
        return reply_errno(r, error, "the flow file");
    emit_open(&e, NULL, '{');
    emit_bool(&e, "ok", error == 0);
    emit_text(&e, "path", b.path);
    encode_diagnostics(&e, "diagnostics", &d);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
