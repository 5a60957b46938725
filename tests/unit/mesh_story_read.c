/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/mesh_story_internal.h"

static struct run_id run_at(const struct disk_row *row)
{
    struct run_id run;

    memcpy(run.bytes, row->key + 1, RUN_ID_SIZE);
    return run;
}

static bool has_key(const struct disk_map *d, const struct record_key *key)
{
    return disk_map_get(d, key->bytes, key->len) != NULL;
}

static void tell_node(struct mesh_story *s, unsigned i, struct event *e)
{
    struct mesh_event event = { .type = MESH_EVENT_NODE, .u.node = *e };

    node_tell(s, i, &event);
}

/* ---- the start ---- */

static void restore_group(struct mesh_story *s, unsigned i, const struct disk_row *row)
{
    CLEANUP(replica_state_release) struct replica_state state = { .generation = 0 };
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_GROUP };

    assert(replica_state_decode(row->value, row->value_len, &state) == 0);
    memcpy(e.u.group.group.bytes, row->key + 1, RUN_ID_SIZE);
    e.u.group.state = &state;
    node_tell(s, i, &e);
}

static void entry_of(const struct disk_map *d, const struct log_row *row,
                     struct log_entry *ret)
{
    const struct disk_row *record;

    *ret = (struct log_entry){ .ballot = row->ballot,
                               .key = row->key,
                               .key_len = row->key_len,
                               .value = row->value,
                               .value_len = row->value_len,
                               .is_delete = row->is_delete,
                               .is_again = log_row_is_again(row),
                               .n_homes = row->n_homes };
    memcpy(ret->homes, row->homes, sizeof(ret->homes));
    if (row->has_value || row->is_delete || !row->key_len || row->key[0] != 'a')
        return;
    record = disk_map_get(d, row->key, row->key_len);
    assert(record);
    ret->value = record->value;
    ret->value_len = record->value_len;
}

static void restore_entry(struct mesh_story *s, unsigned i, const struct disk_row *r)
{
    CLEANUP(log_row_release) struct log_row row = { .arena = NULL };
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_ENTRY };
    struct log_entry entry = { .key = NULL };

    assert(log_row_decode(r->value, r->value_len, &row) == 0);
    assert(log_row_key_decode(r->key, r->key_len, &e.u.entry.group, &e.u.entry.index)
           == 0);
    entry_of(&s->nodes[i].disk, &row, &entry);
    if (!row.has_value && entry.key_len && entry.key[0] == 'a') {
        entry.value = NULL;
        entry.value_len = 0;
    }
    e.u.entry.entry = &entry;
    node_tell(s, i, &e);
}

static void restore_run(struct mesh_story *s, unsigned i, const struct disk_row *row)
{
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_RUN, .u.run = run_at(row) };
    struct record_key end = run_end_key(&e.u.run);

    if (!has_key(&s->nodes[i].disk, &end))
        node_tell(s, i, &e);
}

static void restore_kept(struct mesh_story *s, unsigned i, const struct disk_row *row)
{
    CLEANUP(kept_attempt_release) struct kept_attempt k = { .arena = NULL };
    struct offered_attempt offer;
    struct mesh_event e = { .type = MESH_EVENT_RESTORE_KEPT, .u.kept = &offer };

    assert(kept_attempt_decode(row->value, row->value_len, &k) == 0);
    assert(kept_attempt_key_decode(row->key, row->key_len, &k) == 0);
    offer = (struct offered_attempt){ .name = k.name,
                                      .run = k.run,
                                      .task = k.task,
                                      .witness = k.witness,
                                      .record = k.record,
                                      .record_len = k.record_len };
    node_tell(s, i, &e);
}

/* The rows may change while they are told: a copy is walked. */
void read_back(struct mesh_story *s, unsigned i)
{
    static const struct {
        char kind;
        void (*restore)(struct mesh_story *, unsigned, const struct disk_row *);
    } kinds[] = { { 'q', restore_group },
                  { 'l', restore_entry },
                  { 'r', restore_run },
                  { 'o', restore_kept } };
    struct disk_map copy = { .rows = NULL };

    disk_map_copy(&s->nodes[i].disk, &copy);
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
        for (size_t r = 0; r < copy.n; r++)
            if (copy.rows[r].key[0] == kinds[k].kind)
                kinds[k].restore(s, i, &copy.rows[r]);
    disk_map_release(&copy);
}

/* ---- a run ---- */

static void restore_attempt(struct mesh_story *s, unsigned i,
                            const struct disk_row *row)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    struct event e = { .type = EVENT_RESTORE_ATTEMPT, .u.attempt = &r };

    assert(attempt_record_decode(row->value, row->value_len, &r) == 0);
    assert(attempt_key_decode(row->key, row->key_len, &r.run, &r.task, &r.attempt)
           == 0);
    e.run = r.run;
    tell_node(s, i, &e);
}

static void restore_fence(struct mesh_story *s, unsigned i, const struct disk_row *row)
{
    struct event e = { .type = EVENT_RESTORE_FENCE };

    assert(fence_record_decode(row->value, row->value_len, &e.u.fence.fence) == 0);
    assert(fence_key_decode(row->key, row->key_len, &e.run, &e.u.fence.task) == 0);
    tell_node(s, i, &e);
}

static void restore_state(struct mesh_story *s, unsigned i, const struct run_id *run)
{
    CLEANUP(run_state_record_release) struct run_state_record state = { .n_tags = 0 };
    struct record_key key = run_state_key(run);
    const struct disk_row *row = disk_map_get(&s->nodes[i].disk, key.bytes, key.len);

    if (!row)
        return;
    assert(run_state_record_decode(row->value, row->value_len, &state) == 0);
    if (state.is_cancelled)
        tell_node(s, i, &(struct event){ .type = EVENT_CANCEL, .run = *run });
}

static void tell_lost(struct mesh_story *s, unsigned i, const struct run_id *run)
{
    struct story_node *n = &s->nodes[i];

    for (size_t k = 0; k < n->n_lost; k++)
        if (n->lost[k].is_used && run_id_equal(&n->lost[k].run, run)) {
            n->lost[k].is_used = false;
            tell_node(s, i,
                      &(struct event){ .type = EVENT_RESTORE_LOST,
                                       .run = *run,
                                       .u.task = n->lost[k].task });
        }
}

static void restore_all(struct mesh_story *s, unsigned i, const struct run_id *run)
{
    struct record_key key = run_key(run), prefix = attempts_of_run(run);
    struct record_key fences = fences_of_run(run);
    struct event e = { .type = EVENT_RESTORE_RUN, .run = *run };
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    struct disk_map copy = { .rows = NULL };
    const struct disk_row *row;

    disk_map_copy(&s->nodes[i].disk, &copy);
    row = disk_map_get(&copy, key.bytes, key.len);
    assert(run_record_decode(row->value, row->value_len, &record) == 0);
    record.run = *run;
    e.u.submit.record = &record;
    e.u.submit.flow = s->flows[run_number(s, run) - 1];
    tell_node(s, i, &e);
    for (size_t r = 0; r < copy.n; r++)
        if (disk_row_begins(&copy.rows[r], prefix.bytes, prefix.len))
            restore_attempt(s, i, &copy.rows[r]);
    for (size_t r = 0; r < copy.n; r++)
        if (disk_row_begins(&copy.rows[r], fences.bytes, fences.len))
            restore_fence(s, i, &copy.rows[r]);
    restore_state(s, i, run);
    tell_lost(s, i, run);
    disk_map_release(&copy);
}

void read_run(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct mesh_event e = { .type = MESH_EVENT_LOADED, .u.loaded.run = a->run };
    struct record_key key = run_key(&a->run), end = run_end_key(&a->run);
    const struct disk_row *record = disk_map_get(&s->nodes[i].disk, key.bytes, key.len);

    if (has_key(&s->nodes[i].disk, &end)) {
        e.status = -EALREADY;
        e.u.loaded.record = record ? record->value : NULL;
        e.u.loaded.record_len = record ? record->value_len : 0;
    } else if (!record)
        e.status = -ENOENT;
    else
        restore_all(s, i, &a->run);
    node_tell(s, i, &e);
}

/* ---- for others ---- */

static void add_entry(struct happening *h, const struct log_entry *e)
{
    struct log_entry *copy;

    h->entries = realloc(h->entries, (h->n_entries + 1) * sizeof(h->entries[0]));
    assert(h->entries);
    copy = &h->entries[h->n_entries++];
    *copy = *e;
    copy->key = malloc(e->key_len + 1);
    copy->value = malloc(e->value_len + 1);
    assert(copy->key && copy->value);
    if (e->key_len)
        memcpy(copy->key, e->key, e->key_len);
    if (e->value_len)
        memcpy(copy->value, e->value, e->value_len);
}

static struct happening answer(struct mesh_story *s, unsigned i, const struct action *a,
                               enum mesh_event_type type)
{
    return (struct happening){ .at = s->now + 100,
                               .node = i,
                               .boot = s->nodes[i].boot,
                               .what = WHAT_EVENT,
                               .event = { .type = type, .token = a->u.mesh.token } };
}

void read_entries(struct mesh_story *s, unsigned i, const struct action *a)
{
    const struct disk_map *d = &s->nodes[i].disk;
    struct happening h = answer(s, i, a, MESH_EVENT_ENTRIES);

    for (uint64_t index = a->u.mesh.lo; index <= a->u.mesh.hi; index++) {
        struct record_key key = log_row_key(&a->u.mesh.group, index);
        const struct disk_row *row = disk_map_get(d, key.bytes, key.len);
        CLEANUP(log_row_release) struct log_row log = { .arena = NULL };
        struct log_entry entry = { .key = NULL };

        if (!row)
            break;
        assert(log_row_decode(row->value, row->value_len, &log) == 0);
        entry_of(d, &log, &entry);
        add_entry(&h, &entry);
    }
    queue_push(s, &h);
}

void read_records(struct mesh_story *s, unsigned i, const struct action *a,
                  const uint8_t *from, size_t len)
{
    const struct disk_map *d = &s->nodes[i].disk;
    struct happening h = answer(s, i, a, MESH_EVENT_RECORDS);
    static const char kinds[] = "aefmrv";
    size_t bytes = 0;

    h.event.u.entries.is_last = true;
    for (size_t k = 0; kinds[k]; k++)
        for (size_t r = 0; r < d->n; r++) {
            const struct disk_row *row = &d->rows[r];
            struct log_entry e = { .key = row->key,
                                   .key_len = row->key_len,
                                   .value = row->value,
                                   .value_len = row->value_len };

            if (row->key[0] != kinds[k] || row->key_len <= RUN_ID_SIZE
                || memcmp(row->key + 1, a->run.bytes, RUN_ID_SIZE) != 0)
                continue;
            if (len
                && (memcmp(row->key, from, min_size(len, row->key_len)) < 0
                    || (row->key_len == len && memcmp(row->key, from, len) == 0)))
                continue;
            bytes += row->value_len;
            if (bytes > 1000) { /* little, so that there are several parts */
                h.event.u.entries.is_last = false;
                queue_push(s, &h);
                return;
            }
            add_entry(&h, &e);
        }
    queue_push(s, &h);
}

void read_end(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct happening h = answer(s, i, a, MESH_EVENT_END_FOUND);
    struct record_key key = run_end_key(&a->run);

    const struct disk_row *row = disk_map_get(&s->nodes[i].disk, key.bytes, key.len);

    h.event.status = row ? 0 : -ENOENT;
    if (row)
        add_entry(&h, &(struct log_entry){ .value = row->value,
                                           .value_len = row->value_len });
    h.event.u.end.run = a->run;
    queue_push(s, &h);
}
