/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/node */
#include <microhttpd.h>
#include <unistd.h>

#include "node/api/emit.h"
#include "node/api/nouns.h"
#include "node/api/source.h"

enum { ACTIVE_MAX = 1000 };

static void emit_store(struct emit *e, const struct blobs_usage *usage)
{
    emit_open(e, "store", '{');
    emit_u64(e, "n_blobs", usage->n_blobs);
    emit_u64(e, "bytes", usage->bytes);
    emit_u64(e, "quota_bytes", usage->quota_bytes);
    emit_u64(e, "disk_free_bytes", usage->disk_free_bytes);
    emit_close(e, '}');
}

/* By number; the oldest, should there be more than anybody can look at. */
static void emit_active(struct emit *e, const struct node *node)
{
    struct run_view view;

    emit_open(e, "runs", '[');
    for (size_t i = 0; i < ACTIVE_MAX && node_run_at(node, i, &view); i++)
        emit_u64(e, NULL, view.record->number);
    emit_close(e, ']');
}

int about_get(struct request *r)
{
    const struct runtime_config *config = runtime_configuration(r->rt);
    const struct node *node = runtime_node(r->rt);
    struct emit e = { .out = &r->reply.body };
    struct blobs_usage usage;
    int error = blobs_usage(runtime_blobs(r->rt), &usage);

    if (error < 0)
        return reply_errno(r, error, "the store");
    emit_open(&e, NULL, '{');
    emit_text(&e, "version", MESH_VERSION);
    emit_u64(&e, "pid", (uint64_t)getpid());
    emit_text(&e, "dir", config->dir);
    emit_text(&e, "listen", config->listen);
    emit_bool(&e, "is_inspect", config->is_inspect);
    emit_u64(&e, "slots", config->slots_max);
    emit_u64(&e, "cpu_milli", config->cpu_milli);
    emit_u64(&e, "memory_bytes", config->memory_bytes);
    emit_u64(&e, "n_running", source_count_running(node));
    emit_u64(&e, "n_runs", node_runs(node));
    emit_active(&e, node);
    emit_u64(&e, "seq", feed_newest(runtime_feed(r->rt)));
    emit_store(&e, &usage);
    emit_close(&e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
