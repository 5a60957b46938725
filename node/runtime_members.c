/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_members.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/exchange.h"
#include "node/runtime_mesh.h"

enum { ID_FRONT_MIN = 4, LEAVE_LOOK_MS = 200 };

static const struct gossip *members(const struct runtime *rt)
{
    return rt->mesh ? mesh_members(rt->mesh->core) : NULL;
}

const struct mesh *runtime_mesh(const struct runtime *rt)
{
    return rt->mesh ? rt->mesh->core : NULL;
}

const char *runtime_node_name(const struct runtime *rt)
{
    return rt->mesh ? rt->mesh->card.name : NULL;
}

size_t runtime_members(const struct runtime *rt)
{
    return rt->mesh ? gossip_members(members(rt)) : 0;
}

bool runtime_member_at(const struct runtime *rt, size_t i, struct member_view *ret)
{
    return rt->mesh && gossip_at(members(rt), i, ret);
}

bool runtime_member(const struct runtime *rt, const struct node_id *id,
                    struct member_view *ret)
{
    return rt->mesh && gossip_find(members(rt), id, ret);
}

static bool is_named(const struct member_view *m, const char *name)
{
    return m->note->has_card && m->note->card.name
           && strcmp(m->note->card.name, name) == 0;
}

static bool begins_with(const struct member_view *m, const char *name)
{
    char text[NODE_ID_TEXT_SIZE];

    node_id_text(&m->note->id, text);
    return strlen(name) >= ID_FRONT_MIN && strncmp(text, name, strlen(name)) == 0;
}

/* One that is here before one that was, and a name before an id. */
static int find(const struct runtime *rt, const char *name, bool by_name,
                bool may_be_gone, struct member_view *ret)
{
    struct member_view m;
    size_t n = 0;

    for (size_t i = 0; runtime_member_at(rt, i, &m); i++) {
        bool is_gone = m.note->state == MEMBER_DEAD || m.note->state == MEMBER_LEFT;

        if ((is_gone && !may_be_gone)
            || !(by_name ? is_named(&m, name) : begins_with(&m, name)))
            continue;
        *ret = m;
        n++;
    }
    return n == 1 ? 0 : n ? -ENOTUNIQ : -ENOENT;
}

int runtime_find_member(const struct runtime *rt, const char *name,
                        struct member_view *ret)
{
    int r = find(rt, name, true, false, ret);

    if (r == -ENOENT)
        r = find(rt, name, true, true, ret);
    return r == -ENOENT ? find(rt, name, false, true, ret) : r;
}

time_us runtime_silence(const struct runtime *rt, const struct member_view *m)
{
    time_us now = runtime_now(rt);

    if (m->is_self || m->note->state == MEMBER_ALIVE || now < m->since)
        return 0;
    return now - m->since;
}

time_us runtime_state_age(const struct runtime *rt, const struct member_view *m)
{
    time_us now = runtime_now(rt);

    return m->since == 0 || now < m->since ? 0 : now - m->since;
}

bool runtime_where(const struct runtime *rt, const struct run_id *run,
                   struct run_where *ret)
{
    if (!rt->mesh)
        return false;
    mesh_where(rt->mesh->core, run, ret);
    return true;
}

static bool is_run(const struct run_note *note, const char *name)
{
    char id[RUN_ID_TEXT_SIZE], number[24];

    run_id_text(&note->run, id);
    snprintf(number, sizeof(number), "%" PRIu64, note->number);
    return (note->number && strcmp(number, name) == 0)
           || (strlen(name) >= ID_FRONT_MIN && strncmp(id, name, strlen(name)) == 0);
}

int runtime_find_told(const struct runtime *rt, const char *name, struct run_id *ret)
{
    size_t n = 0;

    for (size_t i = 0; rt->mesh && i < gossip_runs(members(rt)); i++) {
        const struct run_note *note = gossip_run_at(members(rt), i);

        if (!is_run(note, name))
            continue;
        *ret = note->run;
        n++;
    }
    return n == 1 ? 0 : n ? -ENOTUNIQ : -ENOENT;
}

struct guest_counts runtime_guests(const struct runtime *rt)
{
    return rt->mesh ? mesh_guests(rt->mesh->core) : (struct guest_counts){ 0 };
}

struct traffic runtime_traffic(const struct runtime *rt)
{
    struct exchange_counts blobs = { .n_getting = 0 };

    if (!rt->mesh)
        return (struct traffic){ .is_full = false };
    exchange_count(rt->mesh->exchange, &blobs);
    return (struct traffic){ .got_bytes = blobs.got_bytes,
                             .given_bytes = blobs.given_bytes,
                             .is_full = rt->mesh->is_full };
}

/* ---- going ---- */

int runtime_drain_node(struct runtime *rt, bool is_on)
{
    struct mesh_event e = { .type = MESH_EVENT_DRAIN, .u.is_on = is_on };

    if (!rt->mesh)
        return -ENOTSUP;
    runtime_mesh_event(rt, &e);
    rt->mesh->card.is_draining = is_on; /* the others give it nothing any more */
    runtime_mesh_event(rt, &(struct mesh_event){ .type = MESH_EVENT_CARD,
                                                 .u.card = &rt->mesh->card });
    return 0;
}

/* When nothing is left to do it says so, and a moment later it goes: what it said must
 * be on its way. */
static void on_leave_timer(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;

    if (rt->mesh->has_left) {
        runtime_stop(rt);
    } else if (mesh_may_leave(rt->mesh->core)) {
        rt->mesh->has_left = true;
        runtime_mesh_event(rt, &(struct mesh_event){ .type = MESH_EVENT_LEAVE });
    }
}

int runtime_leave_mesh(struct runtime *rt)
{
    int r = runtime_drain_node(rt, true);

    if (r < 0)
        return r;
    /* Not at once: who asked for it is to be answered. */
    uv_timer_start(&rt->mesh->leave_timer, on_leave_timer, LEAVE_LOOK_MS,
                   LEAVE_LOOK_MS);
    return 0;
}
