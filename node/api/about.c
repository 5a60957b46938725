/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/node */
#include <microhttpd.h>
#include <unistd.h>

#include "node/api/about.h"
#include "base/version.h"
#include "node/api/events.h"
#include "node/api/forward_plan.h"
#include "node/api/nouns.h"
#include "node/api/server.h"
#include "node/api/source.h"
#include "node/api/tls.h"

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

/* A cap that there is none of is null. */
static void emit_cap(struct emit *e, const char *key, uint64_t cap)
{
    if (cap)
        emit_u64(e, key, cap);
    else
        emit_null(e, key);
}

static void emit_user(struct emit *e, const struct user_view *u)
{
    emit_open(e, NULL, '{');
    emit_text(e, "name", u->name);
    emit_u64(e, "weight", u->limits->weight ? u->limits->weight : 1);
    emit_u64(e, "n_runs", u->n_runs);
    emit_u64(e, "n_running", u->n_running);
    emit_u64(e, "cpu_milli", u->cpu_milli);
    emit_u64(e, "memory_bytes", u->memory_bytes);
    emit_u64(e, "gpu_milli", u->gpu_milli);
    emit_cap(e, "max_tasks", u->limits->max_tasks);
    emit_cap(e, "max_cpu_milli", u->limits->max_cpu_milli);
    emit_cap(e, "max_memory_bytes", u->limits->max_memory_bytes);
    emit_cap(e, "max_gpu_milli", u->limits->max_gpu_milli);
    emit_close(e, '}');
}

static void emit_sharing(struct emit *e, const struct runtime_config *config,
                         const struct node *node)
{
    const struct conf *c = config->conf;
    struct user_view user;

    emit_u64(e, "gpus", config->n_gpus);
    emit_open(e, "resources", '{');
    for (uint32_t i = 0; c && i < c->n_custom; i++)
        emit_u64(e, c->custom[i].name, c->custom[i].milli);
    emit_close(e, '}');
    emit_bool(e, "is_shared", c && c->is_shared);
    emit_open(e, "users", '[');
    for (size_t i = 0; node_user_at(node, i, &user); i++)
        emit_user(e, &user);
    emit_close(e, ']');
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

/* The mesh that it is one of. */
static void emit_mesh(struct emit *e, struct request *r)
{
    struct guest_counts guests = runtime_guests(r->rt);
    struct traffic traffic = runtime_traffic(r->rt);
    uint64_t n_live = 0, n_gone = 0;
    struct member_view m, self = { .note = NULL };

    for (size_t i = 0; runtime_member_at(r->rt, i, &m); i++) {
        n_live += plan_is_live(&m);
        n_gone += !plan_is_live(&m);
        if (m.is_self)
            self = m;
    }
    if (!self.note)
        return;
    emit_open(e, "mesh", '{');
    emit_text(e, "name", self.note->card.name);
    emit_text(e, "zone", self.note->card.zone);
    emit_bool(e, "draining", self.note->card.is_draining);
    emit_bool(e, "disk_full", traffic.is_full);
    emit_u64(e, "n_live", n_live);
    emit_u64(e, "n_gone", n_gone);
    emit_open(e, "transferred", '{');
    emit_u64(e, "in_bytes", traffic.got_bytes);
    emit_u64(e, "out_bytes", traffic.given_bytes);
    emit_close(e, '}');
    emit_open(e, "guests", '{');
    emit_u64(e, "preparing", guests.n_preparing);
    emit_u64(e, "waiting", guests.n_waiting);
    emit_u64(e, "running", guests.n_running);
    emit_close(e, '}');
    emit_close(e, '}');
}

static void emit_load(struct emit *e)
{
    double load[1];

    if (getloadavg(load, 1) == 1)
        emit_u64(e, "load_milli", (uint64_t)(load[0] * 1000));
}

/* A planned restart keeps the process: that there was one, `program_started` tells. */
static void emit_program(struct emit *e, const struct runtime *rt)
{
    struct restart_view restart;

    runtime_restart_view(rt, &restart);
    emit_u64(e, "program_started_ms", restart.started_wall / 1000);
    emit_open(e, "restart", '{');
    emit_bool(e, "under_way", restart.is_under_way);
    emit_u64(e, "tried", restart.n_tried);
    emit_text(e, "failed", restart.failed);
    emit_close(e, '}');
}

int about_emit(struct request *r, struct emit *e, const char *key)
{
    const struct runtime_config *config = runtime_configuration(r->rt);
    const struct node *node = runtime_node(r->rt);
    struct blobs_usage usage;
    int error = blobs_usage(runtime_blobs(r->rt), &usage);

    if (error < 0)
        return error;
    emit_open(e, key, '{');
    emit_text(e, "version", mesh_version());
    emit_u64(e, "pid", (uint64_t)getpid());
    emit_program(e, r->rt);
    emit_text(e, "dir", config->dir);
    emit_text(e, "listen", config->listen);
    emit_text(e, "tls", r->api->tls ? r->api->tls->fingerprint : NULL);
    emit_bool(e, "is_inspect", config->is_inspect);
    emit_u64(e, "slots", config->slots_max);
    emit_u64(e, "cpu_milli", config->cpu_milli);
    emit_u64(e, "memory_bytes", config->memory_bytes);
    emit_load(e);
    emit_sharing(e, config, node);
    emit_u64(e, "slots_used", node_claims(node).n_slots);
    emit_u64(e, "tasks_executed", runtime_counters(r->rt)->tasks_executed);
    emit_u64(e, "n_running", source_count_running(node));
    emit_u64(e, "n_runs", node_runs(node));
    emit_active(e, node);
    emit_u64(e, "seq", events_number(r->api->events, feed_newest(runtime_feed(r->rt))));
    emit_store(e, &usage);
    emit_mesh(e, r);
    emit_close(e, '}');
    return 0;
}

int about_get(struct request *r)
{
    struct emit e = { .out = &r->reply.body };
    int error = about_emit(r, &e, NULL);

    return error < 0 ? reply_errno(r, error, "the store") : reply_json(r, MHD_HTTP_OK);
}
