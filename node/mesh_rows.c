/* SPDX-License-Identifier: Apache-2.0 */
/* What a home and an executor keep beside the records. What cannot be encoded broke a
 * limit before it came here. */
#include <assert.h>
#include <errno.h>

#include "node/mesh_internal.h"
#include "proto/rows.h"

/* Encoded into the outbox itself, then taken from there. */
static int put(struct mesh *m, const struct run_id *run, const struct record_key *key,
               const struct buffer *value, bool with_next, uint64_t *ret_ticket)
{
    struct mesh_write w = { .key = key->bytes,
                            .key_len = key->len,
                            .value = value->data,
                            .value_len = value->len,
                            .with_next = with_next };

    return mesh_persist(m, run, &w, ret_ticket);
}

static int remove_row(struct mesh *m, const struct run_id *run,
                      const struct record_key *key, bool is_range, bool with_next,
                      uint64_t *ret_ticket)
{
    struct mesh_write w = { .key = key->bytes,
                            .key_len = key->len,
                            .is_delete = true,
                            .is_range = is_range,
                            .with_next = with_next };

    return mesh_persist(m, run, &w, ret_ticket);
}

int row_put_entry(struct mesh *m, const struct group *g, const struct entry *e,
                  uint64_t *ret_ticket)
{
    struct record_key key = log_row_key(&g->id, e->index);
    struct log_row row = { .ballot = e->log.ballot,
                           .key = e->log.key,
                           .key_len = e->log.key_len,
                           .is_delete = e->log.is_delete,
                           .n_homes = e->log.n_homes };
    int error;

    if (!entry_is_attempt(&e->log)) {
        row.has_value = e->log.value_len > 0;
        row.value = e->log.value;
        row.value_len = e->log.value_len;
    }
    for (uint32_t i = 0; i < row.n_homes; i++)
        row.homes[i] = e->log.homes[i];
    buffer_clear(&m->scratch);
    error = log_row_encode(&row, &m->scratch);
    if (error == -ENOMEM)
        return error;
    assert(error == 0);
    return put(m, &g->run, &key, &m->scratch, true, ret_ticket);
}

int row_delete_entry(struct mesh *m, const struct group *g, uint64_t index,
                     uint64_t *ret_ticket)
{
    struct record_key key = log_row_key(&g->id, index);

    return remove_row(m, &g->run, &key, false, true, ret_ticket);
}

int row_delete_log(struct mesh *m, const struct group *g, uint64_t *ret_ticket)
{
    struct record_key key = log_rows_of(&g->id);

    return remove_row(m, &g->run, &key, true, true, ret_ticket);
}

int row_delete_stretch(struct mesh *m, const struct group *g, uint64_t index,
                       uint64_t *ret_ticket)
{
    struct record_key key = log_row_key(&g->id, index);

    key.len--;
    return remove_row(m, &g->run, &key, true, false, ret_ticket);
}

int row_put_state(struct mesh *m, const struct group *g, uint64_t *ret_ticket)
{
    struct record_key key = replica_state_key(&g->id);
    int error;

    buffer_clear(&m->scratch);
    error = replica_state_encode(replica_state(g->replica), &m->scratch);
    if (error == -ENOMEM)
        return error;
    assert(error == 0);
    return put(m, &g->run, &key, &m->scratch, false, ret_ticket);
}

int row_delete_group(struct mesh *m, const struct group *g, uint64_t *ret_ticket)
{
    struct record_key key = replica_state_key(&g->id);
    int error = row_delete_log(m, g, ret_ticket);

    return error ? error : remove_row(m, &g->run, &key, false, false, ret_ticket);
}

int row_put_kept(struct mesh *m, const struct work *w, const struct kept *k,
                 uint64_t *ret_ticket)
{
    struct record_key key = kept_attempt_key(&w->run, &k->task, (uint32_t)k->key.boot,
                                             k->key.counter);
    struct kept_attempt row = { .name = kept_name(m, k),
                                .run = w->run,
                                .task = k->task,
                                .witness = k->witness,
                                .record = k->record,
                                .record_len = k->record_len };
    int error;

    buffer_clear(&m->scratch);
    error = kept_attempt_encode(&row, &m->scratch);
    if (error == -ENOMEM)
        return error;
    assert(error == 0);
    return put(m, &w->run, &key, &m->scratch, false, ret_ticket);
}

int row_delete_kept(struct mesh *m, const struct work *w, const struct kept *k)
{
    struct record_key key = kept_attempt_key(&w->run, &k->task, (uint32_t)k->key.boot,
                                             k->key.counter);
    uint64_t ticket;

    return remove_row(m, &w->run, &key, false, false, &ticket);
}

int row_delete_all_kept(struct mesh *m, const struct run_id *run)
{
    struct record_key key = kept_attempts_of_run(run);
    uint64_t ticket;

    return remove_row(m, run, &key, true, false, &ticket);
}
