/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_mesh.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/version.h"
#include "node/runtime_peer.h"

/* ---- jobs ---- */

static struct mesh_job *add_job(struct runtime_mesh *m)
{
    if (m->job_head + m->n_jobs == m->cap_jobs) {
        size_t cap = m->cap_jobs ? 2 * m->cap_jobs : 64;
        struct mesh_job *jobs = malloc(cap * sizeof(*jobs));

        if (!jobs)
            return NULL;
        if (m->n_jobs)
            memcpy(jobs, m->jobs + m->job_head, m->n_jobs * sizeof(*jobs));
        free(m->jobs);
        m->jobs = jobs;
        m->cap_jobs = cap;
        m->job_head = 0;
    }
    return &m->jobs[m->job_head + m->n_jobs++];
}

static int copy_span(const void *data, size_t len, struct mesh_job *job)
{
    if (!len)
        return 0;
    job->bytes = malloc(len);
    if (!job->bytes)
        return -ENOMEM;
    memcpy(job->bytes, data, len);
    job->len = len;
    return 0;
}

static void queue_job(struct runtime *rt, const struct action *a)
{
    const struct mesh_action *from = &a->u.mesh;
    struct mesh_job *job = add_job(rt->mesh);
    int r = -ENOMEM;

    if (job) {
        *job = (struct mesh_job){ .type = a->type,
                                  .run = a->run,
                                  .task = a->task,
                                  .peer = from->peer,
                                  .group = from->group,
                                  .token = from->token,
                                  .lo = from->lo,
                                  .hi = from->hi,
                                  .status = from->status };
        r = a->type == ACTION_READ_RECORDS ? copy_span(from->from, from->from_len, job)
            : a->type == ACTION_KEEP || a->type == ACTION_ASKED
                ? copy_span(from->bytes, from->len, job)
                : 0;
    }
    if (r < 0)
        runtime_give_up(rt, r, "out of memory");
}

void runtime_mesh_queue(struct runtime *rt, enum action_type type,
                        const struct run_id *run)
{
    queue_job(rt, &(struct action){ .type = type, .run = *run });
}

static void do_job(struct runtime *rt, const struct mesh_job *job)
{
    switch (job->type) {
    case ACTION_PREPARE:
        runtime_mesh_prepare(rt, job);
        break;
    case ACTION_UNPREPARE:
        runtime_mesh_unprepare(rt, job);
        break;
    case ACTION_READ_ENTRIES:
        runtime_mesh_read_entries(rt, job);
        break;
    case ACTION_READ_RECORDS:
        runtime_mesh_read_records(rt, job);
        break;
    case ACTION_LOAD_RUN:
        runtime_mesh_load_run(rt, job);
        break;
    case ACTION_FORGET_RUN:
        runtime_mesh_forget_run(rt, &job->run);
        break;
    case ACTION_WITNESS:
        runtime_mesh_witness(rt, job);
        break;
    case ACTION_LOOK:
        runtime_mesh_look(rt, job);
        break;
    case ACTION_GONE:
        if (!runtime_gone(rt, &job->run, &job->task))
            runtime_mesh_event(rt, &(struct mesh_event){ .type = MESH_EVENT_KEPT,
                                                         .token = job->token,
                                                         .status = KEPT_NEEDLESS });
        break;
    case ACTION_TELL: /* TELL_TASK_TORN */
        runtime_stale(rt, &job->run, &job->task);
        break;
    case ACTION_KEEP:
        runtime_mesh_keep(rt, job);
        break;
    case ACTION_FIND_END:
        runtime_mesh_find_end(rt, job);
        break;
    case ACTION_ASKED:
        runtime_registers_answer(rt, job->token, job->status, job->bytes, job->len);
        break;
    case ACTION_PERSIST: /* of a run's record, see runtime_mesh_store.c */
        runtime_mesh_get_run(rt, job);
        break;
    default:
        break;
    }
}

bool runtime_mesh_work(struct runtime *rt)
{
    struct runtime_mesh *m = rt->mesh;

    if (!m->n_jobs || m->is_working)
        return false;
    m->is_working = true;
    while (m->n_jobs && !rt->is_stopping) {
        struct mesh_job job = m->jobs[m->job_head++];

        if (--m->n_jobs == 0)
            m->job_head = 0;
        do_job(rt, &job);
        free(job.bytes);
        runtime_drain(rt); /* the engine's events; jobs wait for this loop */
    }
    m->is_working = false;
    return true;
}

/* ---- events in, actions out ---- */

void runtime_mesh_carry_out(struct runtime *rt, const struct action *a)
{
    switch (a->type) {
    case ACTION_SEND:
        runtime_mesh_post(rt, a);
        break;
    case ACTION_CONNECT:
    case ACTION_DISCONNECT:
        runtime_mesh_connect(rt, a);
        break;
    case ACTION_TO_GUEST:
        if (runtime_slot(rt, a->slot))
            runtime_slot(rt, a->slot)->is_guest = true;
        break;
    case ACTION_MEMBER:
        runtime_mesh_keep_certificate(rt, &a->u.mesh.peer);
        break;
    case ACTION_REFUSED:
        runtime_mesh_refused(rt, a);
        break;
    case ACTION_PREPARE:
    case ACTION_UNPREPARE:
    case ACTION_READ_ENTRIES:
    case ACTION_READ_RECORDS:
    case ACTION_LOAD_RUN:
    case ACTION_FORGET_RUN:
    case ACTION_WITNESS:
    case ACTION_LOOK:
    case ACTION_GONE:
    case ACTION_TELL:
    case ACTION_KEEP:
    case ACTION_ASKED:
    case ACTION_FIND_END:
        queue_job(rt, a);
        break;
    default: /* of others, or of interest to nobody here */
        break;
    }
}

void runtime_mesh_step(struct runtime *rt, struct mesh_event *event)
{
    struct runtime_mesh *m = rt->mesh;
    int r;

    assert(!m->is_stepping);
    m->is_stepping = true;
    event->now = runtime_now(rt);
    event->wall = runtime_wall();
    r = mesh_step(m->core, event, &rt->outbox);
    if (r < 0)
        runtime_give_up(rt, r, "the scheduler");
    else
        runtime_carry_out(rt);
    outbox_clear(&rt->outbox);
    m->is_stepping = false;
}

void runtime_mesh_event(struct runtime *rt, struct mesh_event *event)
{
    if (rt->is_stopping)
        return;
    runtime_mesh_step(rt, event);
    runtime_drain(rt);
}

void runtime_mesh_durable(struct runtime *rt, uint64_t ticket)
{
    struct mesh_event e = { .type = MESH_EVENT_DURABLE, .u.ticket = ticket };

    runtime_mesh_post_durable(rt, ticket);
    runtime_mesh_event(rt, &e);
}

/* ---- time ---- */

static bool is_due(const struct runtime *rt)
{
    return mesh_deadline(rt->mesh->core) == 0 && !rt->is_stopping;
}

/* Before the loop waits: nothing more for now. What a flush leaves is for a tick. */
static void on_flush(uv_prepare_t *prepare)
{
    struct runtime *rt = prepare->data;

    if (is_due(rt))
        runtime_mesh_event(rt, &(struct mesh_event){ .type = MESH_EVENT_FLUSH });
    if (!is_due(rt))
        return;
    rt->mesh->is_flushed = true;
    runtime_mesh_event(rt, &(struct mesh_event){ .type = MESH_EVENT_TICK });
    rt->mesh->is_flushed = false;
}

/* libuv calls timers of no time again before it looks at anything else. */
uint64_t runtime_timeout(time_us now, time_us at)
{
    return at > now ? (at - now + 999) / 1000 : 1;
}

void runtime_mesh_set_timer(struct runtime *rt, uv_timer_t *timer, uv_timer_cb on_timer,
                            time_us *set, time_us at)
{
    time_us now;

    if (at == *set)
        return;
    *set = at;
    if (at == TIME_NEVER) {
        uv_timer_stop(timer);
        return;
    }
    now = runtime_now(rt);
    uv_update_time(&rt->loop);
    uv_timer_start(timer, on_timer, runtime_timeout(now, at), 0);
}

static void on_prepare_timer(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;

    rt->mesh->prepare_at = TIME_NEVER;
    if (preparer_on_tick(rt->mesh->preparer, runtime_now(rt)) < 0)
        runtime_give_up(rt, -ENOMEM, "out of memory");
    runtime_drain(rt);
}

time_us runtime_mesh_deadline(struct runtime *rt)
{
    time_us at = mesh_deadline(rt->mesh->core);

    runtime_mesh_set_timer(rt, &rt->mesh->prepare_timer, on_prepare_timer,
                           &rt->mesh->prepare_at,
                           preparer_deadline(rt->mesh->preparer));
    runtime_mesh_set_exchange_timer(rt);
    if (at == 0 && rt->mesh->is_flushed)
        return runtime_now(rt);
    return at ? at : TIME_NEVER; /* on_flush() comes before the loop waits */
}

/* ---- opening and closing ---- */

/* What the node says of itself. The address is known when it listens. */
static int fill_card(struct runtime *rt)
{
    struct runtime_mesh *m = rt->mesh;
    const struct conf *c = rt->config.conf;
    const struct chain *chain = identity_chain(m->identity);
    CLEANUP(buffer_release) struct buffer certificate = BUFFER_INIT;
    struct member_card *card = &m->card;

    if (chain_encode(chain, &certificate) < 0)
        return -ENOMEM;
    *card = (struct member_card){ .name = strdup(chain->leaf.name),
                                  .address = strdup(m->peers_module->address(m->peers)),
                                  .bulk_port = m->peers_module->bulk_port(m->peers),
                                  .zone = strdup(chain->leaf.zone),
                                  .minor = mesh_minor(),
                                  .features = FEATURE_SIGNS,
                                  .version = strdup(mesh_version()),
                                  .roles = chain->leaf.roles,
                                  .is_draining = rt->before && rt->before->is_draining,
                                  .slots = rt->n_slots,
                                  .cpu_milli = rt->capacity.cpu_milli,
                                  .memory_bytes = rt->capacity.memory_bytes,
                                  .disk_bytes = rt->capacity.disk_bytes >> 30 << 30,
                                  .n_gpus = rt->config.n_gpus };
    memcpy(card->curve_key, identity_curve_key(m->identity), CURVE_KEY_SIZE);
    card->certificate_len = certificate.len;
    card->certificate = (uint8_t *)buffer_take(&certificate);
    card->custom = calloc(RESOURCES_CUSTOM_MAX, sizeof(*card->custom));
    for (uint32_t i = 0; card->custom && c && i < c->n_custom; i++) {
        card->custom[i].name = strdup(c->custom[i].name);
        card->custom[i].milli = c->custom[i].milli;
        if (!card->custom[i].name)
            return -ENOMEM;
        card->n_custom++;
    }
    return card->name && card->address && card->zone && card->version
                   && card->certificate && card->custom
               ? 0
               : -ENOMEM;
}

static int open_core(struct runtime *rt)
{
    struct runtime_mesh *m = rt->mesh;
    struct node_config node;
    struct mesh_signer signer = runtime_mesh_signer(rt);
    struct mesh_config config = { .self = m->self,
                                  .boot = m->boot,
                                  .term = m->term,
                                  .card = &m->card,
                                  .node = &node,
                                  .signer = &signer };

    config.has_numbers = true;
    config.is_founder = identity_has_authority(m->identity);
    config.last_number = rt->next_number - 1;
    runtime_random(rt, &config.seed, sizeof(config.seed));
    runtime_node_config(rt, &node);
    m->core = mesh_new(&config, runtime_now(rt));
    if (!m->core)
        return -ENOMEM;
    rt->node = mesh_node(m->core);
    return 0;
}

static void open_handles(struct runtime *rt)
{
    struct runtime_mesh *m = rt->mesh;

    uv_prepare_init(&rt->loop, &m->flush);
    uv_timer_init(&rt->loop, &m->prepare_timer);
    uv_timer_init(&rt->loop, &m->exchange_timer);
    uv_timer_init(&rt->loop, &m->leave_timer);
    uv_timer_init(&rt->loop, &m->probe_timer);
    m->leave_timer.data = m->probe_timer.data = rt;
    m->flush.data = m->prepare_timer.data = m->exchange_timer.data = rt;
    m->prepare_at = m->exchange_at = TIME_NEVER;
    uv_prepare_start(&m->flush, on_flush);
    uv_unref((uv_handle_t *)&m->flush);
}

static int answer_peer(struct runtime *rt, const struct node_id *peer,
                       const struct message *m)
{
    return runtime_mesh_send(rt, peer, m, false);
}

int runtime_mesh_open(struct runtime *rt, struct error *ret_error)
{
    struct runtime_mesh *m = calloc(1, sizeof(*m));
    int r;

    if (!m)
        return -ENOMEM;
    rt->mesh = m;
    m->held.last = &m->held.first;
    m->identity = rt->config.identity;
    m->self = identity_node(m->identity);
    open_handles(rt);
    r = identity_boot(m->identity, &m->term, ret_error);
    m->boot = rt->before && rt->before->boot ? rt->before->boot : m->term;
    m->n_made = (uint64_t)(m->term - m->boot) << 40;
    if (r == 0)
        r = runtime_mesh_blobs_open(rt);
    if (r == 0)
        r = runtime_mesh_guests_open(rt);
    if (r == 0)
        r = runtime_mesh_wire_open(rt, ret_error);
    if (r == 0)
        r = fill_card(rt);
    if (r == 0)
        r = open_core(rt);
    if (r == 0)
        r = runtime_peer_open(rt, answer_peer);
    return r;
}

void runtime_mesh_close(struct runtime *rt)
{
    if (!rt->mesh)
        return;
    runtime_peer_close(rt);
    runtime_mesh_wire_close(rt);
    runtime_mesh_blobs_close(rt);
}

static void free_jobs(struct runtime_mesh *m)
{
    for (size_t i = 0; i < m->n_jobs; i++)
        free(m->jobs[m->job_head + i].bytes);
    free(m->jobs);
}

void runtime_mesh_release(struct runtime *rt)
{
    struct runtime_mesh *m = rt->mesh;

    if (!m)
        return;
    runtime_mesh_guests_close(rt);
    runtime_admissions_release(rt);
    runtime_registers_release(rt);
    free_jobs(m);
    runtime_mesh_batch_release(&m->batch);
    mesh_free(m->core);
    member_card_release(&m->card);
    free(m->before);
    free(m);
    rt->mesh = NULL;
    rt->node = NULL;
}
