/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics: the figures of a node, for Prometheus.
 *
 * What the loop owns is written on the loop, what has to be read from the store or from
 * /proc on a thread behind it. */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>

#include "base/version.h"
#include "node/api/encode.h"
#include "node/api/events.h"
#include "node/api/exchange.h"
#include "node/api/exposition.h"
#include "node/api/nouns.h"
#include "node/api/self.h"

#define LABELS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* ---- runs and tasks ---- */

static void put_runs(struct exposition *x, const struct node *node)
{
    struct run_view view;
    uint64_t running = 0, stopping = 0;

    for (size_t i = 0; node_run_at(node, i, &view); i++) {
        running += view.state != RUN_STATE_STOPPING;
        stopping += view.state == RUN_STATE_STOPPING;
    }
    exposition_gauge(x, "mesh_runs", "Runs that are active.");
    exposition_u64(x, LABELS("state", "running"), running);
    exposition_u64(x, LABELS("state", "stopping"), stopping);
}

static void put_tasks(struct exposition *x, const struct node *node)
{
    struct run_view sum = { .n_done = 0 }, view;

    for (size_t i = 0; node_run_at(node, i, &view); i++) {
        sum.n_waiting += view.n_waiting;
        sum.n_running += view.n_running;
        sum.n_done += view.n_done;
        sum.n_failed += view.n_failed;
        sum.n_skipped += view.n_skipped;
        sum.n_adopted += view.n_adopted;
    }
    exposition_gauge(x, "mesh_tasks", "Tasks of the runs that are active.");
    exposition_u64(x, LABELS("state", "waiting"), sum.n_waiting);
    exposition_u64(x, LABELS("state", "running"), sum.n_running);
    exposition_u64(x, LABELS("state", "done"), sum.n_done);
    exposition_u64(x, LABELS("state", "failed"), sum.n_failed);
    exposition_u64(x, LABELS("state", "skipped"), sum.n_skipped);
    exposition_u64(x, LABELS("state", "adopted"), sum.n_adopted);
}

static void put_run_counters(struct exposition *x, const struct counters *c)
{
    exposition_counter(x, "mesh_runs_started_total", "Runs that were submitted.");
    exposition_u64(x, NULL, c->runs_started);
    exposition_counter(x, "mesh_runs_ended_total", "Runs that ended.");
    for (enum run_outcome o = RUN_OK; o <= RUN_CANCELLED; o++)
        exposition_u64(x, LABELS("outcome", run_outcome_name(o)), c->runs_ended[o]);
}

static void put_ends(struct exposition *x, const struct counters *c)
{
    exposition_counter(x, "mesh_task_ends_total", "Attempts that ended, and how.");
    for (unsigned v = 0; v < COUNTED_VERDICTS; v++)
        for (unsigned i = 0; i < COUNTED_REASONS; i++)
            if (c->tasks_ended[v][i])
                exposition_u64(x,
                               LABELS("verdict", verdict_name((enum verdict)v),
                                      "reason", reason_name((enum reason)i)),
                               c->tasks_ended[v][i]);
}

static void put_task_counters(struct exposition *x, const struct counters *c)
{
    exposition_counter(x, "mesh_task_starts_total", "Attempts that were started.");
    exposition_u64(x, NULL, c->tasks_started);
    put_ends(x, c);
    exposition_counter(x, "mesh_task_retries_total",
                       "Attempts that failed and are followed by another one.");
    exposition_u64(x, NULL, c->tasks_retried);
    exposition_histogram(x, "mesh_task_seconds", "How long attempts took.");
    exposition_spread(x, NULL, histogram_long_bounds, &c->task_time);
    exposition_counter(x, "mesh_task_log_bytes_total",
                       "What tasks wrote to their logs.");
    exposition_u64(x, NULL, c->log_bytes);
}

/* ---- what there is, and what is taken ---- */

static void put_capacity(struct exposition *x, struct runtime *rt)
{
    const struct runtime_config *config = runtime_configuration(rt);
    struct claims claims = node_claims(runtime_node(rt));

    exposition_gauge(x, "mesh_slots", "Attempts that may run at once.");
    exposition_u64(x, NULL, config->slots_max);
    exposition_gauge(x, "mesh_slots_used", "Attempts that run.");
    exposition_u64(x, NULL, claims.n_slots);
    exposition_gauge(x, "mesh_cpus", "Processors that this node gives away.");
    exposition_real(x, NULL, (double)config->cpu_milli / 1000);
    exposition_gauge(x, "mesh_cpus_claimed", "Processors that attempts have claimed.");
    exposition_real(x, NULL, (double)claims.cpu_milli / 1000);
    exposition_gauge(x, "mesh_memory_bytes", "Memory that this node gives away.");
    exposition_u64(x, NULL, config->memory_bytes);
    exposition_gauge(x, "mesh_memory_claimed_bytes",
                     "Memory that attempts have claimed.");
    exposition_u64(x, NULL, claims.memory_bytes);
}

/* ---- the interface ---- */

static void put_requests(struct exposition *x, const struct meter *m)
{
    exposition_counter(x, "mesh_http_requests_total", "Requests that were answered.");
    for (const struct meter_row *row = m->rows; row < m->rows + m->n_rows; row++)
        for (size_t i = 0; i < METER_STATUSES_MAX && row->statuses[i]; i++) {
            char status[16];

            snprintf(status, sizeof(status), "%u", row->statuses[i]);
            exposition_u64(x,
                           LABELS("method",
                                  row->route ? method_name(row->route->method) : "none",
                                  "route", row->route ? row->route->pattern : "none",
                                  "status", status),
                           row->counts[i]);
        }
    exposition_histogram(x, "mesh_http_request_seconds",
                         "From a request's first line to its answer's.");
    for (const struct meter_row *row = m->rows; row < m->rows + m->n_rows; row++)
        exposition_spread(x,
                          LABELS("method",
                                 row->route ? method_name(row->route->method) : "none",
                                 "route", row->route ? row->route->pattern : "none"),
                          histogram_bounds, &row->time);
}

static void put_followers(struct exposition *x, struct api *api)
{
    struct events_stats stats = events_stats(api->events);

    exposition_counter(x, "mesh_events_total", "Events that followers could hear of.");
    exposition_u64(x, NULL, feed_newest(runtime_feed(api->rt)));
    exposition_gauge(x, "mesh_event_followers", "Streams of events that are open.");
    exposition_u64(x, NULL, stats.n_streams);
    exposition_counter(x, "mesh_event_sent_bytes_total", "What followers were sent.");
    exposition_u64(x, NULL, stats.bytes);
    exposition_counter(x, "mesh_event_followers_dropped_total",
                       "Followers that did not read.");
    exposition_u64(x, NULL, stats.n_dropped);
}

static void put_connections(struct exposition *x, const struct api *api)
{
    exposition_gauge(x, "mesh_http_connections", "Connections that are open.");
    for (size_t i = 0; i < api->n_listeners; i++)
        exposition_u64(x, LABELS("listener", listener_name(&api->listeners[i])),
                       listener_connections(&api->listeners[i]));
}

int metrics_get(struct request *r)
{
    struct exposition x = { .out = &r->reply.body };
    const struct counters *counters = runtime_counters(r->rt);

    exposition_gauge(&x, "mesh_build_info", "Which mesh this is; always 1.");
    exposition_u64(&x, LABELS("version", mesh_version()), 1);
    put_runs(&x, runtime_node(r->rt));
    put_run_counters(&x, counters);
    put_tasks(&x, runtime_node(r->rt));
    put_task_counters(&x, counters);
    put_capacity(&x, r->rt);
    put_requests(&x, &r->api->meter);
    put_connections(&x, r->api);
    put_followers(&x, r->api);
    return REQUEST_NEXT;
}

/* ---- on a thread ---- */

static int put_store(struct exposition *x, struct runtime *rt)
{
    struct writer_stats stats;
    struct blobs_usage usage;
    int error = blobs_usage(runtime_blobs(rt), &usage);

    if (error < 0)
        return error;
    writer_stats(runtime_writer(rt), &stats);
    exposition_gauge(x, "mesh_store_bytes", "What the store takes on disk.");
    exposition_u64(x, NULL, usage.bytes);
    exposition_gauge(x, "mesh_store_quota_bytes", "What it may take; 0 is no limit.");
    exposition_u64(x, NULL, usage.quota_bytes);
    exposition_gauge(x, "mesh_store_disk_free_bytes", "What is free on its disk.");
    exposition_u64(x, NULL, usage.disk_free_bytes);
    exposition_gauge(x, "mesh_store_blobs", "Blobs in the store.");
    exposition_u64(x, NULL, usage.n_blobs);
    exposition_gauge(x, "mesh_store_queue_bytes", "What waits to be committed.");
    exposition_u64(x, NULL, stats.queued_bytes);
    exposition_counter(x, "mesh_store_writes_total", "Records that were committed.");
    exposition_u64(x, NULL, stats.n_writes);
    exposition_histogram(x, "mesh_store_commit_seconds", "How long commits took.");
    exposition_spread(x, NULL, histogram_bounds, &stats.commit_time);
    return 0;
}

/* Named as by every client library of Prometheus. */
static int put_process(struct exposition *x)
{
    struct self self;
    int error = self_read(&self);

    if (error < 0)
        return error;
    exposition_counter(x, "process_cpu_seconds_total", "Processor time of this node.");
    exposition_real(x, NULL, (double)self.cpu_us / 1e6);
    exposition_gauge(x, "process_resident_memory_bytes", "Its memory.");
    exposition_u64(x, NULL, self.resident_bytes);
    exposition_gauge(x, "process_virtual_memory_bytes", "Its address space.");
    exposition_u64(x, NULL, self.virtual_bytes);
    exposition_gauge(x, "process_open_fds", "Its open files.");
    exposition_u64(x, NULL, self.n_fds);
    exposition_gauge(x, "process_max_fds", "How many files it may open.");
    exposition_u64(x, NULL, self.fds_max);
    exposition_gauge(x, "process_start_time_seconds", "When it began, since 1970.");
    exposition_real(x, NULL, (double)self.started_wall / 1e6);
    return 0;
}

int metrics_get_work(struct request *r)
{
    struct exposition x = { .out = &r->reply.body };
    int error = put_store(&x, r->rt);

    if (error == 0)
        error = put_process(&x);
    return error < 0 ? reply_errno(r, error, "the figures")
                     : reply_body(r, MHD_HTTP_OK, EXPOSITION_TYPE);
}
