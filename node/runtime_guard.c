/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks with `effect: exclusive`: what waits for its fence, and who ends a task whose
 * permit ran out though this process may stand still then (node/guard.h). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/guard.h"
#include "node/runtime_mesh.h"

/* ---- fences ---- */

static void tell(struct runtime *rt, const struct fenced *f)
{
    struct event e = { .type = EVENT_FENCED, .run = f->run };

    e.u.fenced.slot = f->slot;
    e.u.fenced.fence = f->fence;
    runtime_queue(rt, &e);
}

void runtime_fenced(struct runtime *rt, const struct action *a)
{
    struct fenced f = { a->ticket, a->run, a->slot, a->u.fence };
    struct fence_queue *q = &rt->fences;

    if (f.ticket <= rt->tickets.durable) {
        tell(rt, &f);
        return;
    }
    if (q->n == q->cap) {
        size_t cap = q->cap ? 2 * q->cap : 16;
        struct fenced *all = realloc(q->all, cap * sizeof(*all));

        if (!all) {
            runtime_give_up(rt, -ENOMEM, "out of memory");
            return;
        }
        q->all = all;
        q->cap = cap;
    }
    q->all[q->n++] = f;
}

void runtime_fences_durable(struct runtime *rt)
{
    struct fence_queue *q = &rt->fences;
    size_t kept = 0;

    for (size_t i = 0; i < q->n; i++)
        if (q->all[i].ticket <= rt->tickets.durable)
            tell(rt, &q->all[i]);
        else
            q->all[kept++] = q->all[i];
    if (kept == q->n)
        return;
    q->n = kept;
    runtime_drain(rt);
}

/* ---- permits ---- */

/* Clocks as the guard has them. */
static struct guard_deadline deadline_of(struct runtime *rt, const struct slot *s)
{
    struct guard_deadline d = { UINT64_MAX, (uint64_t)EXCLUSIVE_WARNING * 1000 };
    time_us now = runtime_now(rt);
    struct timespec t;

    clock_gettime(CLOCK_BOOTTIME, &t);
    if (s->permit_until == TIME_NEVER)
        return d;
    d.at_ns = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    if (s->permit_until > now)
        d.at_ns += (s->permit_until - now) * 1000;
    return d;
}

/* Small enough for the pipe to take it whole. Who has ended does not read. */
static int send_deadline(struct runtime *rt, const struct slot *s)
{
    struct guard_deadline d = deadline_of(rt, s);
    ssize_t n = write(s->guard_fd, &d, sizeof(d));

    return n == sizeof(d) || errno == EPIPE || errno == EAGAIN ? 0 : -errno;
}

void runtime_permit(struct runtime *rt, const struct action *a)
{
    struct slot *s = runtime_slot(rt, a->slot);

    if (!s || !s->fence || !s->run || !run_id_equal(&s->run->id, &a->run))
        return;
    s->permit_until = a->u.permit_until;
    if (s->state == SLOT_FETCHING && s->awaits_permit) {
        s->awaits_permit = false;
        if (!runtime_mesh_fetch_first(rt, s))
            runtime_start_prepared(rt, s);
    } else if (s->guard_fd > 0) {
        (void)send_deadline(rt, s);
    }
}

int runtime_guard_open(struct runtime *rt, struct slot *s, int *ret_fd)
{
    int fds[2], r;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    s->guard_fd = fds[1];
    r = send_deadline(rt, s);
    if (r < 0)
        close(fds[0]);
    else
        *ret_fd = fds[0];
    return r;
}

int runtime_guard_argv(const struct step_launch *l, char ***ret_argv)
{
    size_t n = 0;
    char **argv;

    while (l->argv[n])
        n++;
    argv = calloc(n + 4, sizeof(*argv));
    if (!argv)
        return -ENOMEM;
    argv[0] = (char *)"mesh";
    argv[1] = (char *)GUARD_VERB;
    argv[2] = l->path;
    memcpy(argv + 3, l->argv, n * sizeof(*argv));
    *ret_argv = argv;
    return 0;
}

bool runtime_guard_has_ended_it(const struct runtime *rt, const struct slot *s)
{
    if (s->fence && rt->mesh && s->guard_fd <= 0)
        return true; /* it began before this program was started in its place */
    return s->guard_fd > 0 && s->permit_until != TIME_NEVER
           && runtime_now(rt) + EXCLUSIVE_WARNING >= s->permit_until;
}
