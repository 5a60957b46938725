/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/where.h"

#include "node/api/forward_plan.h"

static void emit_member(struct emit *e, const char *key, struct request *r,
                        const struct node_id *id)
{
    char text[NODE_ID_TEXT_SIZE];
    struct member_view m;

    if (node_id_is_none(id)) {
        emit_null(e, key);
        return;
    }
    node_id_text(id, text);
    emit_open(e, key, '{');
    emit_text(e, "id", text);
    if (runtime_member(r->rt, id, &m)) {
        emit_text(e, "name", m.note->has_card ? m.note->card.name : NULL);
        emit_bool(e, "alive", plan_is_live(&m));
    }
    emit_close(e, '}');
}

static const char *place_name(enum run_place p)
{
    static const char *const names[] = {
        [RUN_PLACE_UNKNOWN] = "unknown",
        [RUN_PLACE_LEADS] = "leads",
        [RUN_PLACE_HOME] = "home",
        [RUN_PLACE_ELSEWHERE] = "elsewhere",
    };

    return names[p];
}

void where_emit(struct request *r, const struct run_id *run, struct emit *e)
{
    struct run_where w;

    if (!runtime_where(r->rt, run, &w) || w.place == RUN_PLACE_UNKNOWN)
        return;
    emit_open(e, "mesh", '{');
    emit_text(e, "place", place_name(w.place));
    emit_member(e, "leader", r, &w.leader);
    emit_open(e, "homes", '[');
    for (uint32_t i = 0; i < w.n_homes; i++)
        emit_member(e, NULL, r, &w.homes[i]);
    emit_close(e, ']');
    emit_bool(e, "tentative", w.is_tentative);
    emit_u64(e, "age_s", plan_age_s(r->rt, run));
    emit_close(e, '}');
}

const char *where_state(struct request *r, const struct run_id *run)
{
    struct run_where w;

    if (runtime_where(r->rt, run, &w)
        && (w.place == RUN_PLACE_HOME || w.place == RUN_PLACE_ELSEWHERE))
        return "running";
    return "interrupted";
}
