/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs of other nodes: what is to be used here and is not here is got first.
 *
 * Who waits is a gathering: some blobs, and what to do when all are here. A folder's
 * files are known when its manifest is here, so a gathering asks again what is missing
 * until nothing is. */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "node/exchange.h"
#include "node/missing.h"
#include "node/runtime_mesh.h"

enum { ROUNDS_MAX = 5, HINTS_MAX = HOMES_MAX + 2 };

struct gathering {
    struct runtime *rt;
    struct run_id run;
    struct node_id from; /* all zero: not known who has it */
    unsigned n_rounds;
    struct exchange_want *want;
    int (*find)(struct gathering *g, struct missing *m);
    void (*end)(struct gathering *g, int status);
    struct gathering *prev, *next;

    struct digest id; /* of one blob, or a folder */
    bool is_tree;
    blob_done_fn *done;
    void (*told)(void *arg, int status);
    void *arg;                     /* of either */
    uint64_t number;               /* of runtime_fetch() */
    uint64_t token;                /* KEEP */
    struct attempt_record attempt; /* KEEP */
    struct slot *slot;             /* of a task of our own that is to start */
    struct task_id task;           /* LOOK */
    uint64_t fetch;
};

static size_t hints(const struct gathering *g, struct node_id *ret)
{
    struct run_where where;
    size_t n = 0;

    if (!node_id_is_none(&g->from))
        ret[n++] = g->from;
    mesh_where(g->rt->mesh->core, &g->run, &where);
    if (!node_id_is_none(&where.leader))
        ret[n++] = where.leader;
    for (uint32_t i = 0; i < where.n_homes; i++)
        ret[n++] = where.homes[i];
    return n;
}

static void gathering_free(struct gathering *g)
{
    DL_DELETE(g->rt->mesh->gatherings, g);
    attempt_record_release(&g->attempt);
    free(g);
}

static void end(struct gathering *g, int status)
{
    g->end(g, status);
    gathering_free(g);
}

static void on_gathered(void *arg, int status, const struct digest *failed);

/* 1: nothing is missing. 0: it is on its way. */
static int ask(struct gathering *g)
{
    int r = 1;

    while (r > 0 && g->n_rounds++ < ROUNDS_MAX) {
        CLEANUP(missing_release) struct missing m = { .ids = NULL };
        struct node_id who[HINTS_MAX];

        r = g->find(g, &m);
        if (r < 0)
            return r;
        if (m.n == 0)
            return 1;
        r = exchange_want(g->rt->mesh->exchange, m.ids, m.n, who, hints(g, who),
                          on_gathered, g, &g->want);
    }
    return r > 0 ? -EHOSTUNREACH : r;
}

static void on_gathered(void *arg, int status, const struct digest *failed)
{
    struct gathering *g = arg;
    struct runtime *rt = g->rt;
    int r = status < 0 ? status : ask(g);

    (void)failed;
    if (r)
        end(g, r < 0 ? r : 0);
    runtime_drain(rt);
}

static struct gathering *gathering_new(struct runtime *rt, const struct run_id *run)
{
    struct gathering *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->rt = rt;
    g->run = *run;
    DL_APPEND(rt->mesh->gatherings, g);
    return g;
}

/* Begins, and ends at once when nothing is missing. */
static void gather(struct gathering *g)
{
    int r = ask(g);

    if (r)
        end(g, r < 0 ? r : 0);
}

/* The same for whoever is not called back then: 1. */
static int gather_later(struct gathering *g)
{
    int r = ask(g);

    if (r)
        gathering_free(g);
    return r;
}

/* ---- one blob ---- */

static int find_one(struct gathering *g, struct missing *m)
{
    return g->is_tree ? missing_of_tree(g->rt->blobs, &g->id, m)
                      : missing_of_blob(g->rt->blobs, &g->id, m);
}

static void end_one(struct gathering *g, int status)
{
    if (g->done)
        g->done(g->arg, &g->id, status);
    else if (g->told)
        g->told(g->arg, status);
}

int runtime_mesh_get_blob(struct runtime *rt, const struct run_id *run,
                          const struct node_id *from, const struct digest *id,
                          blob_done_fn *done, void *arg)
{
    struct gathering *g = gathering_new(rt, run);

    if (!g)
        return -ENOMEM;
    g->from = *from;
    g->id = *id;
    g->done = done;
    g->arg = arg;
    g->find = find_one;
    g->end = end_one;
    return gather_later(g);
}

int runtime_fetch(struct runtime *rt, const struct run_id *run, const struct digest *id,
                  bool is_tree, void (*done)(void *arg, int status), void *arg,
                  uint64_t *ret_fetch)
{
    struct gathering *g;

    if (!rt->mesh)
        return 1;
    g = gathering_new(rt, run);
    if (!g)
        return -ENOMEM;
    g->number = *ret_fetch = ++rt->mesh->n_fetches;
    g->id = *id;
    g->is_tree = is_tree;
    g->told = done;
    g->arg = arg;
    g->find = find_one;
    g->end = end_one;
    return gather_later(g);
}

/* Its bytes come all the same: somebody wanted them, and may again. */
void runtime_fetch_cancel(struct runtime *rt, uint64_t fetch)
{
    struct gathering *g;

    if (!rt->mesh)
        return;
    DL_FOREACH(rt->mesh->gatherings, g)
    if (fetch && g->number == fetch)
        g->told = NULL;
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
    if (attempt_record_decode(job->bytes, job->len, &g->attempt) < 0)
        end(g, -EBADMSG);
    else
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

/* Its start may have been taken back meanwhile, and the slot be another's. */
static bool is_wanted(const struct gathering *g)
{
    return g->slot->run && g->slot->fetch == g->fetch;
}

static int find_task(struct gathering *g, struct missing *m)
{
    const struct slot *s = g->slot;
    int r;

    if (!is_wanted(g))
        return 0;
    r = s->run->is_laid_out ? 0 : missing_of_tree(g->rt->blobs, &s->run->package, m);
    return r < 0
               ? r
               : missing_of_task(&g->rt->artifacts, s->flow, &s->run->id, &s->task, m);
}

/* What cannot be had for another reason, as a run's code, the start itself names. */
static void end_task(struct gathering *g, int status)
{
    struct slot *s = g->slot;

    if (s->state != SLOT_FETCHING || !is_wanted(g))
        return;
    if (status == 0 || !runtime_give_back(g->rt, s, status == -ENOENT))
        runtime_start_prepared(g->rt, s);
}

bool runtime_mesh_fetch_first(struct runtime *rt, struct slot *s)
{
    struct gathering *g = gathering_new(rt, &s->run->id);

    if (!g)
        return false;
    g->slot = s;
    g->fetch = ++s->fetch;
    g->find = find_task;
    g->end = end_task;
    if (gather_later(g))
        return false;
    s->state = SLOT_FETCHING;
    return true;
}

/* ---- a task that nobody could carry out ---- */

static int find_needs(struct gathering *g, struct missing *m)
{
    const struct run_context *c = runtime_context(g->rt, &g->run);

    return c ? missing_of_task(&g->rt->artifacts, c->flow, &g->run, &g->task, m) : 0;
}

static void end_look(struct gathering *g, int status)
{
    const struct run_context *c = runtime_context(g->rt, &g->run);

    if (status == -ENOENT && c)
        (void)runtime_lost(g->rt, c, &g->task, true);
}

static bool is_looked_for(const struct runtime *rt, const struct mesh_job *job)
{
    const struct gathering *g;

    DL_FOREACH(rt->mesh->gatherings, g)
    if (g->find == find_needs && run_id_equal(&g->run, &job->run)
        && task_id_equal(&g->task, &job->task))
        return true;
    return false;
}

void runtime_mesh_look(struct runtime *rt, const struct mesh_job *job)
{
    struct gathering *g = is_looked_for(rt, job) ? NULL : gathering_new(rt, &job->run);

    if (!g)
        return;
    g->task = job->task;
    g->find = find_needs;
    g->end = end_look;
    gather(g);
}

/* ---- the exchange ---- */

static time_us exchange_now(void *arg)
{
    return runtime_now(arg);
}

static int exchange_send(void *arg, const struct node_id *peer, const struct message *m,
                         bool is_bulk)
{
    return runtime_mesh_send(arg, peer, m, is_bulk);
}

static void on_exchange_timer(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;

    rt->mesh->exchange_at = TIME_NEVER;
    exchange_on_tick(rt->mesh->exchange);
    runtime_drain(rt);
}

void runtime_mesh_set_exchange_timer(struct runtime *rt)
{
    struct runtime_mesh *m = rt->mesh;

    runtime_mesh_set_timer(rt, &m->exchange_timer, on_exchange_timer, &m->exchange_at,
                           exchange_deadline(m->exchange));
}

int runtime_mesh_blobs_open(struct runtime *rt)
{
    struct runtime_mesh *m = rt->mesh;
    struct exchange_config config = { .loop = &rt->loop,
                                      .blobs = rt->blobs,
                                      .self = m->self,
                                      .now = exchange_now,
                                      .send = exchange_send,
                                      .arg = rt };

    runtime_random(rt, &config.seed, sizeof(config.seed));
    m->exchange = exchange_new(&config);
    return m->exchange ? 0 : -ENOMEM;
}

/* What the pool still does for it ends while the loop is closed. */
void runtime_mesh_blobs_close(struct runtime *rt)
{
    struct gathering *g, *next;

    exchange_free(TAKE(rt->mesh->exchange));
    DL_FOREACH_SAFE(rt->mesh->gatherings, g, next)
    gathering_free(g);
}
