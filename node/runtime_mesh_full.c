/* SPDX-License-Identifier: Apache-2.0 */
/* A node whose disk is full takes no leases: it could only give them back. It tries to
 * write now and then, less often each time in vain, and asks for work again when that
 * works. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "node/runtime_mesh.h"

enum {
    PROBE_BYTES = 4 << 20,
    PAUSE_MIN_MS = 1000,
    PAUSE_MAX_MS = 60000,
};

static void tell_core(struct runtime *rt, bool is_full)
{
    struct mesh_event e = { .type = MESH_EVENT_FULL, .u.is_on = is_full };

    rt->mesh->is_full = is_full;
    runtime_mesh_event(rt, &e);
}

/* A file of the size of a small output, with its blocks. */
static bool can_write(const struct runtime *rt)
{
    CLEANUP(freep) char *path = NULL;
    int fd, r;

    if (asprintf(&path, "%s/probe", rt->dir) < 0)
        return false;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    r = posix_fallocate(fd, 0, PROBE_BYTES);
    close(fd);
    unlink(path);
    return r == 0;
}

static void on_probe(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;
    struct runtime_mesh *m = rt->mesh;

    if (can_write(rt)) {
        runtime_log(rt, "disk.free", "it asks for work again");
        tell_core(rt, false);
        return;
    }
    m->probe_ms = m->probe_ms < PAUSE_MAX_MS / 2 ? 2 * m->probe_ms : PAUSE_MAX_MS;
    uv_timer_start(timer, on_probe, m->probe_ms, 0);
}

void runtime_mesh_note_error(struct runtime *rt, int error)
{
    struct runtime_mesh *m = rt->mesh;

    if (m->is_full || (error != -ENOSPC && error != -EDQUOT && error != -EROFS))
        return;
    runtime_log(rt, "disk.full", "it asks for no work until there is room");
    m->probe_ms = PAUSE_MIN_MS;
    uv_timer_start(&m->probe_timer, on_probe, m->probe_ms, 0);
    tell_core(rt, true);
}
