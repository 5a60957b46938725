/* SPDX-License-Identifier: Apache-2.0 */
/* fake_runtime - a runtime for tests of the interface: a real loop, store, feed and
 * blobs, and in place of the node one run that is active when the test says so.
 *
 * Defines the functions of node/runtime.h and node/node.h that the interface calls:
 * included by one test only. */
#pragma once

#include "tests/unit/store_fixture.h"

#include "node/removal.h"
#include "node/runtime.h"
#include "node/runtime_audit.h"
#include "node/runtime_admission.h"
#include "node/runtime_identity.h"
#include "node/runtime_register.h"
#include "node/runtime_members.h"
#include "node/runtime_peer.h"
#include "node/workbench.h"
#include "node/log.h"

struct runtime {
    struct fixture *fixture;
    uv_loop_t loop;
    struct feed *feed;
    struct artifacts artifacts;
    struct runtime_config config;
    struct counters counters;
    bool is_task_process;

    struct run_id active; /* of node_run() */
    bool has_active;
    struct run_record active_record;
    struct flow *active_flow;

    int submit_error;
    bool holds_back_event; /* of a submission, until fake_tell_started() */
    struct run_id submitted;
    unsigned n_submitted, n_cancelled;
    bool is_suspended;

    char token[32]; /* of the one attempt that runs; "": none */
    struct task_id task;
    char out_dir[96];
    char chosen[32], output_type[64];

    /* Of a mesh; other NULL: alone. */
    struct runtime *other;
    uv_loop_t *shared_loop; /* the other one's; NULL: `loop` */
    struct node_id id;
    struct member_note note;
    bool is_empty; /* knows no run by itself */
    struct run_where where;
    struct peer_desk *peer_desk;
    bool is_draining;
    struct audit_log *audit;
    struct buffer audited; /* what the interface wrote, a line each */
    bool has_registers;
    int register_error;
    struct buffer shared; /* the value of the one there is */
    int identity_error, invite_error;    /* of invitations and revocations */
    struct invite invited;
    struct node_id revoked;
};

static struct runtime fake;

const struct identity *runtime_identity(const struct runtime *rt)
{
    (void)rt;
    return NULL;
}

static inline void fake_tell_started(struct runtime *rt)
{
    struct feed_event event = { .type = FEED_RUN_STARTED,
                                .wall = 1,
                                .number = 7,
                                .run = rt->submitted,
                                .flow = "Demo" };

    feed_publish(rt->feed, &event, 0);
}

int runtime_submit(struct runtime *rt, const struct submission *s,
                   struct run_id *ret_run, uint64_t *ret_number,
                   struct diagnostics *ret_diagnostics, struct error *ret_error)
{
    if (rt->submit_error) {
        diagnostics_add(ret_diagnostics, SEVERITY_ERROR, 1, 2, 3, NULL, "wrong");
        return (fail)(ret_error, rt->submit_error, "refused by the test");
    }
    rt->n_submitted += s->flow != NULL && strcmp(s->flow_path, "demo.mf") == 0;
    rt->submitted = (struct run_id){ .bytes = { 0xee, 0xee } };
    *ret_run = rt->submitted;
    *ret_number = 7;
    if (!rt->holds_back_event)
        fake_tell_started(rt);
    return 0;
}

int runtime_cancel(struct runtime *rt, const struct run_id *run)
{
    (void)run;
    rt->n_cancelled++;
    return rt->has_active ? 0 : -EALREADY;
}

int runtime_suspend(struct runtime *rt, const struct run_id *run, bool is_suspended)
{
    (void)run;
    rt->is_suspended = is_suspended;
    return rt->has_active ? 0 : -EALREADY;
}

int runtime_tag(struct runtime *rt, const struct run_id *run, char *const *tags,
                size_t n_tags, uint64_t *ret_ticket)
{
    struct run_state_record state = { .has_tags = true,
                                      .tags = (char **)tags,
                                      .n_tags = n_tags };
    struct record_key key = run_state_key(run);
    struct buffer value = BUFFER_INIT;
    struct store_write write = { .table = STORE_RECORDS,
                                 .key = { key.bytes, key.len } };

    if (run_state_record_encode(&state, &value) < 0)
        return -ENOMEM;
    write.value = (struct span){ value.data, value.len };
    *ret_ticket = writer_put(rt->fixture->writer, &write, 1, true);
    buffer_release(&value);
    return 0;
}

int runtime_remove(struct runtime *rt, const struct run_id *run, uint64_t *ret_ticket)
{
    return rt->has_active ? -EBUSY
                          : removal_begin(rt->fixture->writer, run, ret_ticket);
}

int runtime_find_run(struct runtime *rt, const char *name, struct run_id *ret_run)
{
    struct record_key key = number_key((uint64_t)atoi(name));
    struct buffer value = BUFFER_INIT;
    int r;

    if (strcmp(name, "dead") == 0)
        return -ENOTUNIQ;
    if (rt->is_empty)
        return -ENOENT;
    if (run_id_parse(name, ret_run) == 0)
        return 0;
    r = writer_get(rt->fixture->writer, STORE_RECORDS,
                   (struct span){ key.bytes, key.len }, &value);
    if (r == 0)
        memcpy(ret_run->bytes, value.data, RUN_ID_SIZE);
    buffer_release(&value);
    return r;
}

uv_loop_t *runtime_loop(struct runtime *rt)
{
    return rt->shared_loop ? rt->shared_loop : &rt->loop;
}

/* The node is the runtime itself. */
const struct node *runtime_node(const struct runtime *rt)
{
    return (const struct node *)rt;
}

struct feed *runtime_feed(struct runtime *rt)
{
    return rt->feed;
}

struct writer *runtime_writer(struct runtime *rt)
{
    return rt->fixture->writer;
}

struct blobs *runtime_blobs(struct runtime *rt)
{
    return rt->fixture->blobs;
}

const struct artifacts *runtime_artifacts(struct runtime *rt)
{
    return &rt->artifacts;
}

const struct runtime_config *runtime_configuration(const struct runtime *rt)
{
    return &rt->config;
}

const struct counters *runtime_counters(const struct runtime *rt)
{
    return &rt->counters;
}

int runtime_channel(struct runtime *rt, const char *token, struct channel_attempt *ret)
{
    if (!rt->token[0] || strcmp(token, rt->token) != 0)
        return -EACCES;
    *ret = (struct channel_attempt){ .run = rt->active,
                                     .task = rt->task,
                                     .flow = rt->active_flow,
                                     .out_dir = rt->out_dir };
    return 0;
}

int runtime_choose(struct runtime *rt, const struct channel_attempt *a,
                   const char *name)
{
    (void)a;
    snprintf(rt->chosen, sizeof(rt->chosen), "%s", name);
    return strcmp(name, "good") == 0 ? 0 : -EINVAL;
}

int runtime_bench_make(struct runtime *rt, const struct run_id *run,
                       const struct task_id *task, uint32_t attempt,
                       struct workbench *ret, struct error *ret_error)
{
    (void)rt, (void)run, (void)task, (void)attempt, (void)ret;
    return (fail)(ret_error, -ENOENT, "refused by the test");
}

void workbench_release(struct workbench *b)
{
    (void)b;
}

int runtime_parameter(struct runtime *rt, uint32_t slot, const char *name,
                      struct buffer *out)
{
    (void)rt, (void)slot;
    return strcmp(name, "alpha") == 0 ? buffer_puts(out, "0.5") : -ENOENT;
}

int runtime_output_type(struct runtime *rt, uint32_t slot, const char *name,
                        const char *type)
{
    (void)slot;
    snprintf(rt->output_type, sizeof(rt->output_type), "%s=%s", name, type);
    return 0;
}

bool runtime_use(struct runtime *rt, uint32_t slot, struct task_use *ret)
{
    (void)rt, (void)slot;
    *ret = (struct task_use){ .pid = 4711,
                              .started_wall = 1000000,
                              .memory_bytes = 1 << 20,
                              .memory_peak_bytes = 2 << 20,
                              .cpu_milli = 900,
                              .cpu_peak_milli = 1900 };
    return true;
}

bool runtime_is_task_process(struct runtime *rt, pid_t pid)
{
    return pid == getpid() && rt->is_task_process;
}

struct audit_log *runtime_audit_log(struct runtime *rt)
{
    const struct audit_kept none = { .first = 0 };

    if (!rt->audit)
        rt->audit = audit_log_new(rt->fixture->dir, &none);
    return rt->audit;
}

void runtime_audit(struct runtime *rt, struct audit_entry *e)
{
    e->wall = 1000000;
    buffer_printf(&rt->audited, "%s %s %s %s %s: %s\n", e->user ? e->user : "",
                  audit_way_name(e->way), e->verb, audit_verdict_name(e->verdict),
                  e->about ? e->about : "", e->why ? e->why : "");
    audit_log_add(runtime_audit_log(rt), e);
}

/* What a runtime holds by itself; its fixture and flow may be another's too. */
static inline void release_runtime(struct runtime *rt)
{
    feed_free(rt->feed);
    audit_log_free(rt->audit);
    buffer_release(&rt->audited);
    buffer_release(&rt->shared);
}

void runtime_audit_stranger(struct runtime *rt, struct audit_entry *e)
{
    runtime_audit(rt, e);
}

/* ---- the mesh: two nodes at most ---- */

const struct mesh *runtime_mesh(const struct runtime *rt)
{
    (void)rt;
    return NULL; /* all bytes are here */
}

int runtime_fetch(struct runtime *rt, const struct run_id *run, const struct digest *id,
                  bool is_tree, void (*done)(void *arg, int status), void *arg,
                  uint64_t *ret_fetch)
{
    (void)rt, (void)run, (void)id, (void)is_tree, (void)done, (void)arg;
    (void)ret_fetch;
    return 1;
}

void runtime_fetch_cancel(struct runtime *rt, uint64_t fetch)
{
    (void)rt, (void)fetch;
}

size_t runtime_members(const struct runtime *rt)
{
    return rt->other ? 2 : 0;
}

bool runtime_member_at(const struct runtime *rt, size_t i, struct member_view *ret)
{
    const struct runtime *m = i == 0 ? rt : rt->other;

    if (i >= runtime_members(rt))
        return false;
    *ret = (struct member_view){ .note = &m->note, .is_self = i == 0 };
    return true;
}

bool runtime_member(const struct runtime *rt, const struct node_id *id,
                    struct member_view *ret)
{
    for (size_t i = 0; runtime_member_at(rt, i, ret); i++)
        if (node_id_equal(&ret->note->id, id))
            return true;
    return false;
}

int runtime_find_member(const struct runtime *rt, const char *name,
                        struct member_view *ret)
{
    for (size_t i = 0; runtime_member_at(rt, i, ret); i++)
        if (strcmp(ret->note->card.name, name) == 0)
            return 0;
    return -ENOENT;
}

time_us runtime_silence(const struct runtime *rt, const struct member_view *m)
{
    (void)rt;
    return m->note->state == MEMBER_ALIVE ? 0 : TIME_S(42);
}

time_us runtime_state_age(const struct runtime *rt, const struct member_view *m)
{
    (void)rt, (void)m;
    return TIME_S(7);
}

bool runtime_where(const struct runtime *rt, const struct run_id *run,
                   struct run_where *ret)
{
    (void)run;
    *ret = rt->where;
    return rt->other != NULL;
}

int runtime_find_told(const struct runtime *rt, const char *name, struct run_id *ret)
{
    if (!rt->other || rt->where.place != RUN_PLACE_ELSEWHERE)
        return -ENOENT;
    return runtime_find_run(rt->other, name, ret);
}

struct traffic runtime_traffic(const struct runtime *rt)
{
    (void)rt;
    return (struct traffic){ .is_full = false };
}

struct guest_counts runtime_guests(const struct runtime *rt)
{
    (void)rt;
    return (struct guest_counts){ .n_running = 3 };
}

int runtime_drain_node(struct runtime *rt, bool is_on)
{
    rt->is_draining = is_on;
    return rt->other ? 0 : -ENOTSUP;
}

int runtime_restart(struct runtime *rt, struct error *ret_error)
{
    (void)rt, (void)ret_error;
    return -EALREADY;
}

void runtime_restart_view(const struct runtime *rt, struct restart_view *ret)
{
    (void)rt;
    *ret = (struct restart_view){ .n_tried = 0 };
}

int runtime_leave_mesh(struct runtime *rt)
{
    return rt->other ? 0 : -ENOTSUP;
}

int runtime_invite(struct runtime *rt, const struct inviting *inviting,
                   uint64_t *ret_id, struct error *ret_error)
{
    static const struct join_token token = { .uses = 3,
                                             .roles = ROLE_WORKER | ROLE_HOME,
                                             .expires = TIME_S(60),
                                             .contacts = { { .address =
                                                                 "127.0.0.1:1" } },
                                             .n_contacts = 1 };
    struct error why = { .text = "" };

    rt->invited = inviting->invite;
    *ret_id = 1;
    if (rt->identity_error)
        return (fail)(ret_error, rt->identity_error, "refused by the test");
    if (rt->invite_error)
        (fail)(&why, rt->invite_error, "refused by the mesh");
    inviting->done(inviting->arg, rt->invite_error, &token, &why);
    return 0;
}

void runtime_invite_cancel(struct runtime *rt, uint64_t id)
{
    (void)rt, (void)id;
}

bool runtime_has_registers(const struct runtime *rt)
{
    return rt->has_registers;
}

/* Of the one register there is. */
int runtime_register_exchange(struct runtime *rt, const struct register_exchange *x,
                              uint64_t *ret_id)
{
    struct buffer made = BUFFER_INIT;
    const char *value = rt->shared.len ? rt->shared.data : NULL;
    int r = rt->register_error;

    *ret_id = 1;
    if (r == 0 && x->change)
        r = x->change(x->arg, value, rt->shared.len, &made);
    if (r == 0 && x->change) {
        buffer_release(&rt->shared);
        rt->shared = made;
    }
    x->done(x->arg, r, rt->shared.len ? rt->shared.data : NULL, rt->shared.len);
    return 0;
}

void runtime_register_cancel(struct runtime *rt, uint64_t id)
{
    (void)rt, (void)id;
}

int runtime_revoke(struct runtime *rt, const struct node_id *node,
                   struct error *ret_error)
{
    rt->revoked = *node;
    return rt->identity_error
               ? (fail)(ret_error, rt->identity_error, "refused by the test")
               : 0;
}

struct peer_desk **runtime_peer_desk(struct runtime *rt)
{
    return &rt->peer_desk;
}

void runtime_load_interface(struct runtime *rt)
{
    (void)rt;
}

/* ---- the node ---- */

size_t node_runs(const struct node *n)
{
    return ((const struct runtime *)n)->has_active;
}

bool node_run_at(const struct node *n, size_t i, struct run_view *ret)
{
    return i == 0 && node_run(n, &((const struct runtime *)n)->active, ret);
}

bool node_run(const struct node *n, const struct run_id *id, struct run_view *ret)
{
    const struct runtime *rt = (const struct runtime *)n;

    if (!rt->has_active || !run_id_equal(id, &rt->active))
        return false;
    *ret = (struct run_view){ .id = *id,
                              .record = &rt->active_record,
                              .flow = rt->active_flow,
                              .state = RUN_STATE_RUNNING,
                              .started_wall = 1000000,
                              .n_done = 1,
                              .n_running = 2,
                              .n_waiting = 3 };
    return true;
}

bool node_step_of(const struct node *n, const struct run_id *id, uint32_t step,
                  struct step_view *ret)
{
    (void)n, (void)id;
    *ret = (struct step_view){ .n_known = step + 1 };
    return true;
}

bool node_why_waiting(const struct node *n, const struct run_id *id, uint32_t step,
                      struct buffer *ret_sentence)
{
    (void)n, (void)id;
    return step == 1 && buffer_puts(ret_sentence, "it waits") == 0;
}

uint64_t node_slot_fence(const struct node *n, uint32_t slot)
{
    (void)n, (void)slot;
    return 0;
}

uint64_t node_slot_gpus(const struct node *n, uint32_t slot)
{
    (void)n;
    return slot == 1 ? 5 : 0;
}

bool node_user_at(const struct node *n, size_t i, struct user_view *ret)
{
    static const struct user_limits limits = { .name = "ann", .max_tasks = 4 };

    if (i > 0 || !node_runs(n))
        return false;
    *ret = (struct user_view){
        .name = "ann", .limits = &limits, .n_runs = 1, .n_running = 2, .cpu_milli = 1500
    };
    return true;
}

uint32_t node_slots_end(const struct node *n)
{
    (void)n;
    return 2;
}

bool node_runs_slot(const struct node *n, uint32_t slot, struct run_id *ret_run,
                    struct task_id *ret_task, uint32_t *ret_attempt)
{
    const struct runtime *rt = (const struct runtime *)n;

    if (!rt->has_active || slot != 1)
        return false;
    *ret_run = rt->active;
    *ret_task = rt->task;
    *ret_attempt = 0;
    return true;
}

struct claims node_claims(const struct node *n)
{
    const struct runtime *rt = (const struct runtime *)n;

    return (struct claims){ .n_slots = rt->has_active, .cpu_milli = 500 };
}
