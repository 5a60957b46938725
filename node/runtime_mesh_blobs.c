/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs of other nodes: what is to be used here and is not here is got first.
 *
 * Who waits is a gathering: some blobs, and what to do when all are here. A folder's
 * files are known when its manifest is here, so a gathering asks again what is missing
 * until nothing is. */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "node/missing.h"
#include "node/runtime_mesh.h"

enum { ROUNDS_MAX = 5, HINTS_MAX = HOMES_MAX + 2 };

struct wait {
    blob_done_fn *done;
    void *arg;
    struct wait *next;
};

/* A blob that is being got. */
struct wanted {
    struct digest id;
    struct wait *waits;
    UT_hash_handle hh;
};

struct gathering {
    struct runtime *rt;
    struct run_id run;
    struct node_id from;
    size_t n_missing;
    unsigned n_rounds;
    bool is_asking;
    int status;
    int (*find)(struct gathering *g, struct missing *m);
    void (*end)(struct gathering *g, int status);
    struct gathering *prev, *next;

    uint64_t token;                /* KEEP */
    struct attempt_record attempt; /* KEEP */
    struct slot *slot;             /* of a local task that is to start */
    uint64_t start;
    void (*told)(void *arg, int status); /* of one artifact */
    void *told_arg;
    struct artifact artifact;
};

struct blob_desk {
    struct wanted *wanted;
    struct gathering *gatherings;
    uint64_t last_start;
};

/* ---- one blob ---- */

static size_t hints(struct runtime *rt, const struct run_id *run,
                    const struct node_id *from, struct node_id *ret)
{
    struct run_where where;
    size_t n = 0;

    if (from && !node_id_is_none(from))
        ret[n++] = *from;
    mesh_where(rt->mesh->core, run, &where);
    if (!node_id_is_none(&where.leader))
        ret[n++] = where.leader;
    for (uint32_t i = 0; i < where.n_homes; i++)
        ret[n++] = where.homes[i];
    return n;
}

static void on_ended(void *arg, const struct digest *id, int status)
{
    struct runtime *rt = arg;
    struct wanted *w;
    struct wait *wait, *next;

    HASH_FIND(hh, rt->mesh->blobs->wanted, id, sizeof(*id), w);
    if (!w)
        return;
    HASH_DELETE(hh, rt->mesh->blobs->wanted, w);
    LL_FOREACH_SAFE(w->waits, wait, next)
    {
        wait->done(wait->arg, id, status);
        free(wait);
    }
    free(w);
}

int runtime_mesh_get_blob(struct runtime *rt, const struct run_id *run,
                          const struct node_id *from, const struct digest *id,
                          blob_done_fn *done, void *arg)
{
    struct blob_desk *desk = rt->mesh->blobs;
    struct wait *wait = calloc(1, sizeof(*wait));
    struct node_id who[HINTS_MAX];
    struct wanted *w;
    bool is_new;
    int r = 0;

    if (!wait)
        return -ENOMEM;
    HASH_FIND(hh, desk->wanted, id, sizeof(*id), w);
    is_new = !w;
    if (is_new) {
        w = calloc(1, sizeof(*w));
        if (!w) {
            free(wait);
            return -ENOMEM;
        }
        w->id = *id;
        HASH_ADD(hh, desk->wanted, id, sizeof(w->id), w);
    }
    *wait = (struct wait){ .done = done, .arg = arg };
    LL_APPEND(w->waits, wait);
    if (is_new)
        r = exchange_get(rt->mesh->exchange, id, who, hints(rt, run, from, who));
    if (r < 0) {
        HASH_DELETE(hh, desk->wanted, w);
        free(wait);
        free(w);
    }
    return r;
}

/* ---- several ---- */

static void gathering_free(struct gathering *g)
{
    DL_DELETE(g->rt->mesh->blobs->gatherings, g);
    attempt_record_release(&g->attempt);
    artifact_release(&g->artifact);
    free(g);
}

static void end(struct gathering *g, int status)
{
    g->end(g, status);
    gathering_free(g);
}

static void gather(struct gathering *g);

static void on_one(void *arg, const struct digest *id, int status)
{
    struct gathering *g = arg;
    struct runtime *rt = g->rt;

    (void)id;
    if (status < 0)
        g->status = status;
    if (--g->n_missing || g->is_asking)
        return;
    gather(g);
    runtime_drain(rt);
}

static void ask(struct gathering *g, const struct missing *m)
{
    g->is_asking = true;
    for (size_t i = 0; i < m->n && g->status == 0; i++) {
        int r = runtime_mesh_get_blob(g->rt, &g->run, &g->from, &m->ids[i], on_one, g);

        if (r < 0)
            g->status = r;
        else
            g->n_missing++;
    }
    g->is_asking = false;
}

static void gather(struct gathering *g)
{
    CLEANUP(missing_release) struct missing m = { .ids = NULL };
    int r = g->status;

    if (r == 0)
        r = g->find(g, &m);
    if (r == 0 && m.n && ++g->n_rounds > ROUNDS_MAX)
        r = -EHOSTUNREACH;
    if (r == 0 && m.n) {
        ask(g, &m);
        if (g->n_missing)
            return;
        r = g->status;
    }
    end(g, r);
}

static struct gathering *gathering_new(struct runtime *rt, const struct run_id *run)
{
    struct gathering *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->rt = rt;
    g->run = *run;
    DL_APPEND(rt->mesh->blobs->gatherings, g);
    return g;
}

/* ---- copies of what is kept ---- */

static int find_attempt(struct gathering *g, struct missing *m)
{
    return missing_of_attempt(g->rt->blobs, &g->attempt, m);
}

static void end_keep(struct gathering *g, int status)
{
    struct mesh_event e = { .type = MESH_EVENT_KEPT,
                            .token = g->token,
                            .status = status };

    runtime_mesh_step(g->rt, &e);
}

void runtime_mesh_keep(struct runtime *rt, const struct mesh_job *job)
{
    struct gathering *g = gathering_new(rt, &job->run);

    if (!g)
        return;
    g->token = job->token;
    g->from = job->peer;
    g->find = find_attempt;
    g->end = end_keep;
    g->status = attempt_record_decode(job->bytes, job->len, &g->attempt);
    gather(g);
}

/* ---- a run's code ---- */

static int find_code(struct gathering *g, struct missing *m)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    int r = runtime_read_run(g->rt, &g->run, &record, &flow);

    return r < 0 ? r : missing_of_run(g->rt->blobs, flow, &record, m);
}

/* Without it a run can be led here, but no task of it started. */
static void end_code(struct gathering *g, int status)
{
    char text[RUN_ID_TEXT_SIZE];

    run_id_text(&g->run, text);
    if (status < 0 && status != -ENOENT)
        runtime_log(g->rt, "run.no_code", "run=%s error=%s", text, strerror(-status));
}

void runtime_mesh_get_run(struct runtime *rt, const struct mesh_job *job)
{
    struct gathering *g = gathering_new(rt, &job->run);

    if (!g)
        return;
    g->find = find_code;
    g->end = end_code;
    gather(g);
}

/* ---- a task of a run that is led here ---- */

static int find_task(struct gathering *g, struct missing *m)
{
    const struct slot *s = g->slot;
    int r = s->run->is_laid_out ? 0
                                : missing_of_tree(g->rt->blobs, &s->run->package, m);

    return r < 0 ? r
                 : missing_of_task(&g->rt->artifacts, s->flow, &s->run->id, &s->task, m);
}

/* What is nowhere to be had the start itself names. */
static void end_task(struct gathering *g, int status)
{
    struct slot *s = g->slot;

    (void)status;
    if (s->state == SLOT_FETCHING && s->fetch == g->start)
        runtime_start_prepared(g->rt, s);
}

bool runtime_mesh_fetch_first(struct runtime *rt, struct slot *s)
{
    CLEANUP(missing_release) struct missing m = { .ids = NULL };
    struct gathering probe = { .rt = rt, .slot = s };
    struct gathering *g;

    if (find_task(&probe, &m) < 0 || m.n == 0)
        return false;
    g = gathering_new(rt, &s->run->id);
    if (!g)
        return false;
    g->slot = s;
    g->start = s->fetch = ++rt->mesh->blobs->last_start;
    g->find = find_task;
    g->end = end_task;
    s->state = SLOT_FETCHING;
    ask(g, &m);
    if (g->n_missing)
        return true;
    s->state = SLOT_IDLE;
    gathering_free(g);
    return false;
}

/* ---- an artifact that somebody reads ---- */

static int find_artifact(struct gathering *g, struct missing *m)
{
    return g->artifact.encoding == ENCODING_TREE
               ? missing_of_tree(g->rt->blobs, &g->artifact.id, m)
               : missing_of_blob(g->rt->blobs, &g->artifact.id, m);
}

static void end_artifact(struct gathering *g, int status)
{
    g->told(g->told_arg, status);
}

int runtime_fetch(struct runtime *rt, const struct run_id *run,
                  const struct digest *id, bool is_tree,
                  void (*done)(void *arg, int status), void *arg)
{
    struct gathering probe = { .rt = rt };
    CLEANUP(missing_release) struct missing m = { .ids = NULL };
    struct gathering *g;
    int r;

    if (!rt->mesh)
        return 1;
    probe.artifact.id = *id;
    probe.artifact.encoding = is_tree ? ENCODING_TREE : ENCODING_BYTES;
    r = find_artifact(&probe, &m);
    if (r < 0 || m.n == 0)
        return r < 0 ? r : 1;
    g = gathering_new(rt, run);
    if (!g)
        return -ENOMEM;
    g->artifact = probe.artifact;
    g->told = done;
    g->told_arg = arg;
    g->find = find_artifact;
    g->end = end_artifact;
    ask(g, &m);
    if (g->n_missing)
        return 0;
    r = g->status;
    gathering_free(g);
    return r < 0 ? r : 1;
}

/* ---- opening and closing ---- */

int runtime_mesh_blobs_open(struct runtime *rt)
{
    rt->mesh->blobs = calloc(1, sizeof(*rt->mesh->blobs));
    return rt->mesh->blobs ? 0 : -ENOMEM;
}

void runtime_mesh_blobs_close(struct runtime *rt)
{
    struct blob_desk *desk = rt->mesh->blobs;
    struct wanted *w, *next_wanted;
    struct gathering *g, *next;

    if (!desk)
        return;
    HASH_ITER (hh, desk->wanted, w, next_wanted) {
        struct wait *wait, *next_wait;

        HASH_DELETE(hh, desk->wanted, w);
        LL_FOREACH_SAFE(w->waits, wait, next_wait)
        free(wait);
        free(w);
    }
    DL_FOREACH_SAFE(desk->gatherings, g, next)
    gathering_free(g);
    free(TAKE(rt->mesh->blobs));
}
