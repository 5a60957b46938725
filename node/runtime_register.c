/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_register.h"

#include <errno.h>
#include <string.h>

#include "node/runtime_mesh.h"

enum { ROUNDS_MAX = 64 }; /* lost to others who changed it */

static const time_us PATIENCE = TIME_S(4);

struct register_job {
    struct register_job *next;
    uint64_t id;
    struct register_exchange x;
    char *name;
    time_us until;
    bool is_writing;
    unsigned n_rounds;
    bool had_value;
    struct buffer was, made;
};

static void job_free(struct register_job *job)
{
    if (!job)
        return;
    buffer_release(&job->was);
    buffer_release(&job->made);
    free(job->name);
    free(job);
}
CLEANUP_POINTER(struct register_job, job_free);

static struct register_job **find(struct runtime *rt, uint64_t id)
{
    struct register_job **at = &rt->mesh->registers;

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    return at;
}

static struct register_job *take_out(struct runtime *rt, uint64_t id)
{
    struct register_job **at = find(rt, id), *job = *at;

    if (job)
        *at = job->next;
    return job;
}

static void end(struct runtime *rt, struct register_job *job, int status,
                const void *value, size_t len)
{
    CLEANUP(job_freep) struct register_job *over = take_out(rt, job->id);

    over->x.done(over->x.arg, status, value, len);
}

/* ---- asking ---- */

static void ask(struct runtime *rt, struct register_job *job)
{
    struct propose_message what = { .op = job->is_writing ? PROPOSE_SWAP : PROPOSE_READ,
                                    .key = job->name };
    struct mesh_event e = { .type = MESH_EVENT_ASK,
                            .token = job->id,
                            .u.ask = { .what = &what } };
    time_us now = runtime_now(rt);

    e.u.ask.patience = job->until > now ? job->until - now : 0;
    if (job->is_writing) {
        what.has_expected = job->had_value;
        what.expected = (uint8_t *)job->was.data;
        what.expected_len = job->was.len;
        what.value = (uint8_t *)job->made.data;
        what.value_len = job->made.len;
    }
    runtime_mesh_event(rt, &e);
}

/* Calls `done`, which may cancel others, but not this one: it is over. */
static void on_read(struct runtime *rt, struct register_job *job, int status,
                    const void *value, size_t len)
{
    int r = status == -ENOENT ? 0 : status;

    if (status == -ENOENT)
        value = NULL;
    if (r < 0 || !job->x.change) {
        end(rt, job, r, value, len);
        return;
    }
    buffer_clear(&job->was);
    buffer_clear(&job->made);
    job->had_value = value != NULL;
    if (len)
        buffer_append(&job->was, value, len);
    r = job->x.change(job->x.arg, value, len, &job->made);
    if (r == 0 && (buffer_failed(&job->made) || buffer_failed(&job->was)))
        r = -ENOMEM;
    if (r) {
        end(rt, job, r == REGISTER_AS_IS ? 0 : r, value, len);
        return;
    }
    job->is_writing = true;
    ask(rt, job);
}

static void on_written(struct runtime *rt, struct register_job *job, int status)
{
    if (status == -ESTALE && ++job->n_rounds < ROUNDS_MAX) {
        job->is_writing = false;
        ask(rt, job);
        return;
    }
    end(rt, job, status == -ESTALE ? -EBUSY : status, job->made.data, job->made.len);
}

void runtime_registers_answer(struct runtime *rt, uint64_t id, int status,
                              const void *value, size_t len)
{
    struct register_job *job = *find(rt, id);

    if (!job)
        return;
    if (job->is_writing)
        on_written(rt, job, status);
    else
        on_read(rt, job, status, value, len);
}

bool runtime_has_registers(const struct runtime *rt)
{
    return rt->mesh && rt->mesh->core;
}

int runtime_register_exchange(struct runtime *rt, const struct register_exchange *x,
                              uint64_t *ret_id)
{
    CLEANUP(job_freep) struct register_job *job = NULL;
    struct register_job *added;

    if (!runtime_has_registers(rt))
        return -ENOTSUP;
    job = calloc(1, sizeof(*job));
    if (!job)
        return -ENOMEM;
    *job = (struct register_job){ .id = ++rt->mesh->n_register_jobs,
                                  .x = *x,
                                  .name = strdup(x->name),
                                  .until = runtime_now(rt) + PATIENCE,
                                  .was = BUFFER_INIT,
                                  .made = BUFFER_INIT,
                                  .next = rt->mesh->registers };
    if (!job->name)
        return -ENOMEM;
    *ret_id = job->id;
    added = rt->mesh->registers = TAKE(job);
    ask(rt, added);
    return 0;
}

void runtime_register_cancel(struct runtime *rt, uint64_t id)
{
    if (rt->mesh)
        job_free(take_out(rt, id));
}

void runtime_registers_release(struct runtime *rt)
{
    while (rt->mesh->registers)
        job_free(take_out(rt, rt->mesh->registers->id));
}
