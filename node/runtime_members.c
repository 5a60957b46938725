/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_members.h"

#include <errno.h>

size_t runtime_members(const struct runtime *rt)
{
    (void)rt;
    return 0;
}

bool runtime_member_at(const struct runtime *rt, size_t i, struct member_view *ret)
{
    (void)rt, (void)i, (void)ret;
    return false;
}

bool runtime_member(const struct runtime *rt, const struct node_id *id,
                    struct member_view *ret)
{
    (void)rt, (void)id, (void)ret;
    return false;
}

int runtime_find_member(const struct runtime *rt, const char *name,
                        struct member_view *ret)
{
    (void)rt, (void)name, (void)ret;
    return -ENOENT;
}

time_us runtime_silence(const struct runtime *rt, const struct member_view *m)
{
    (void)rt, (void)m;
    return 0;
}

time_us runtime_state_age(const struct runtime *rt, const struct member_view *m)
{
    (void)rt, (void)m;
    return 0;
}

bool runtime_where(const struct runtime *rt, const struct run_id *run,
                   struct run_where *ret)
{
    (void)rt, (void)run, (void)ret;
    return false;
}

int runtime_find_told(const struct runtime *rt, const char *name, struct run_id *ret)
{
    (void)rt, (void)name, (void)ret;
    return -ENOENT;
}

struct guest_counts runtime_guests(const struct runtime *rt)
{
    (void)rt;
    return (struct guest_counts){ 0 };
}

int runtime_drain_node(struct runtime *rt, bool is_on)
{
    (void)rt, (void)is_on;
    return -ENOTSUP;
}

int runtime_leave_mesh(struct runtime *rt)
{
    (void)rt;
    return -ENOTSUP;
}
