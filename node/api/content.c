/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/content.h"

#include <errno.h>
#include <microhttpd.h>

#include "node/api/elsewhere.h"
#include "node/api/encode.h"

static int add_headers(struct request *r, const struct artifact *a,
                       const struct task_id *maker)
{
    char id[DIGEST_TEXT_SIZE], task[TASK_TEXT_SIZE];
    CLEANUP(buffer_release) struct buffer made_by = BUFFER_INIT;

    digest_text(&a->id, id);
    task_id_text(maker, task);
    if (maker->step < r->flow->n_all_steps)
        buffer_printf(&made_by, "%s/%s", r->flow->steps[maker->step].name, task);
    if (reply_header(r, "Mesh-Type", a->type ? a->type : "bytes") < 0
        || reply_header(r, "Mesh-Encoding", encoding_name(a->encoding)) < 0
        || reply_header(r, "Mesh-Id", id) < 0)
        return -1;
    /* A name may come to stand for other bytes, which the ETag tells. */
    if (reply_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "private, no-cache") < 0)
        return -1;
    return reply_header(r, "Mesh-Task", buffer_text(&made_by));
}

int content_reply(struct request *r, const struct artifact *a,
                  const struct task_id *maker)
{
    uint64_t size = a->size;
    const void *data = a->inline_data;
    bool is_tree = a->encoding == ENCODING_TREE;
    int error = 0;

    if ((is_tree || (!data && size)) && elsewhere_want(r, &a->id, is_tree))
        return REQUEST_NEXT;
    if (is_tree) {
        data = NULL;
        error = blobs_stat(runtime_blobs(r->rt), &a->id, &size);
    }
    if (error < 0)
        return reply_errno(r, error, "the content");
    if (add_headers(r, a, maker) < 0)
        return reply_errno(r, -ENOMEM, "the answer");
    return reply_bytes(r, &a->id, data, size);
}
