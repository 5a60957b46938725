/* SPDX-License-Identifier: Apache-2.0 */
/* What is written for the mesh core.
 *
 * Beside what it asks for, a run's record makes the mark that it has no end and takes
 * away the one that it is a copy, see runtime_mesh_guest.c; its end takes the mark
 * away. So what a restart finds is the same as at a node alone. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node/runtime_mesh.h"

/* ---- a transaction ---- */

static void *own(struct mesh_batch *b, const void *data, size_t len)
{
    void *copy;

    if (b->n_owned == b->cap_owned) {
        size_t cap = b->cap_owned ? 2 * b->cap_owned : 8;
        void **owned = realloc(b->owned, cap * sizeof(*owned));

        if (!owned)
            return NULL;
        b->owned = owned;
        b->cap_owned = cap;
    }
    copy = malloc(len + 1);
    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, data, len);
    b->owned[b->n_owned++] = copy;
    return copy;
}

static int add(struct mesh_batch *b, struct span key, struct span value, bool is_delete)
{
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 16;
        struct store_write *writes = realloc(b->writes, cap * sizeof(*writes));

        if (!writes)
            return -ENOMEM;
        b->writes = writes;
        b->cap = cap;
    }
    b->writes[b->n++] = (struct store_write){
        .table = STORE_RECORDS, .key = key, .value = value, .is_delete = is_delete
    };
    return 0;
}

/* A key that is made here. */
static int add_own(struct mesh_batch *b, const struct record_key *key,
                   struct span value, bool is_delete)
{
    const void *copy = own(b, key->bytes, key->len);

    return copy ? add(b, (struct span){ copy, key->len }, value, is_delete) : -ENOMEM;
}

static int delete_each(void *arg, struct span key, struct span value)
{
    struct mesh_batch *b = arg;
    const void *copy = own(b, key.data, key.len);

    (void)value;
    return copy ? add(b, (struct span){ copy, key.len }, (struct span){ "", 0 }, true)
                : -ENOMEM;
}

static void clear(struct mesh_batch *b)
{
    for (size_t i = 0; i < b->n_owned; i++)
        free(b->owned[i]);
    b->n = b->n_owned = 0;
    b->is_urgent = false;
}

void runtime_mesh_batch_release(struct mesh_batch *b)
{
    clear(b);
    free(b->writes);
    free(b->owned);
    *b = (struct mesh_batch){ .writes = NULL };
}

/* ---- runs ---- */

/* Lists go by numbers. A run that has none yet stands under one that is made of its id,
 * which is shown to nobody and finds nothing: see runtime_find_run(). These come behind
 * all numbers that are given, so such a run is among the newest. */

static struct record_key mark(char type, const struct run_id *run)
{
    struct record_key k = { .len = 1 + RUN_ID_SIZE };

    k.bytes[0] = (uint8_t)type;
    memcpy(k.bytes + 1, run->bytes, RUN_ID_SIZE);
    return k;
}

static bool is_written(const struct mesh_batch *b, const struct record_key *key)
{
    bool is = false;

    for (size_t i = 0; i < b->n; i++)
        if (b->writes[i].key.len == key->len
            && memcmp(b->writes[i].key.data, key->bytes, key->len) == 0)
            is = !b->writes[i].is_delete;
    return is;
}

static bool is_kept(struct runtime *rt, const struct record_key *key)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;

    return writer_get(rt->writer, STORE_RECORDS, (struct span){ key->bytes, key->len },
                      &value)
           == 0;
}

/* A home that is new gets a run's end before its record. */
static bool has_end(struct runtime *rt, const struct run_id *run)
{
    struct record_key key = run_end_key(run);

    return is_written(&rt->mesh->batch, &key) || is_kept(rt, &key);
}

static struct run_id run_of(const struct action *a)
{
    struct run_id run = { .bytes = { 0 } };

    if (a->u.persist.key_len == 1 + RUN_ID_SIZE)
        memcpy(run.bytes, (const uint8_t *)a->u.persist.key + 1, RUN_ID_SIZE);
    return run;
}

enum { SAME_PLACE_MAX = 8 };

/* Ids begin with a time in ms, so these are in the order of time. */
static struct record_key place_of(const struct run_id *run, unsigned i)
{
    uint64_t place = 0;

    for (int k = 0; k < 8; k++)
        place = place << 8 | run->bytes[k];
    return number_key(NUMBER_PLACES | ((place >> 3) + i));
}

static int read_listed(struct runtime *rt, const struct record_key *key,
                       struct buffer *ret)
{
    return writer_get(rt->writer, STORE_RECORDS, (struct span){ key->bytes, key->len },
                      ret);
}

static bool is_of_run(const struct buffer *value, const struct run_id *run)
{
    return value->len == RUN_ID_SIZE
           && memcmp(value->data, run->bytes, RUN_ID_SIZE) == 0;
}

/* Where it stands without a number, or, if it does not, where it may. -ENOENT: there
 * is no room, or it does not. */
static int find_place(struct runtime *rt, const struct run_id *run, bool is_free,
                      struct record_key *ret)
{
    for (unsigned i = 0; i < SAME_PLACE_MAX; i++) {
        CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
        int r;

        *ret = place_of(run, i);
        r = read_listed(rt, ret, &value);
        if (r < 0 && r != -ENOENT)
            return r;
        if (r == 0 ? is_of_run(&value, run) : is_free)
            return 0;
    }
    return -ENOENT;
}

static int list_at(struct runtime *rt, const struct run_id *run,
                   const struct record_key *key)
{
    struct mesh_batch *b = &rt->mesh->batch;
    const void *id = own(b, run->bytes, RUN_ID_SIZE);

    return id ? add_own(b, key, (struct span){ id, RUN_ID_SIZE }, false) : -ENOMEM;
}

/* The node's own count stays above all numbers it has seen. */
static int count_to(struct runtime *rt, uint64_t number)
{
    struct mesh_batch *b = &rt->mesh->batch;
    struct store_write next = runtime_count_to(rt, number);
    int r;

    next.value.data = own(b, next.value.data, next.value.len);
    if (!next.value.data)
        return -ENOMEM;
    r = add(b, next.key, next.value, false);
    if (r == 0)
        b->writes[b->n - 1].table = next.table;
    return r;
}

static int list_run(struct runtime *rt, const struct run_id *run)
{
    struct record_key place;
    int r = find_place(rt, run, true, &place);

    return r == -ENOENT ? 0 : r < 0 ? r : list_at(rt, run, &place);
}

/* Under its number, unless a run that this node had before it had others stands there.
 */
static int list_numbered(struct runtime *rt, const struct run_id *run, uint64_t number)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = number_key(number), place;
    int r = read_listed(rt, &key, &value);

    if (r == 0)
        return is_of_run(&value, run) ? 0 : list_run(rt, run);
    if (r != -ENOENT)
        return r;
    r = list_at(rt, run, &key);
    if (r == 0)
        r = count_to(rt, number);
    if (r == 0)
        r = find_place(rt, run, false, &place);
    if (r == 0)
        r = add_own(&rt->mesh->batch, &place, (struct span){ "", 0 }, true);
    return r == -ENOENT ? 0 : r;
}

static int put_run(struct runtime *rt, const struct run_id *run, const struct action *a)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    struct record_key unfinished = mark('u', run), copy = mark('c', run);
    int r = add_own(&rt->mesh->batch, &copy, (struct span){ "", 0 }, true);

    if (r == 0
        && run_record_decode(a->u.persist.value, a->u.persist.value_len, &record)
               == -ENOMEM)
        r = -ENOMEM;
    if (r == 0)
        r = record.number ? list_numbered(rt, run, record.number) : list_run(rt, run);
    if (r == 0 && !has_end(rt, run))
        r = add_own(&rt->mesh->batch, &unfinished, (struct span){ "", 0 }, false);
    return r;
}

static int delete_mark(struct runtime *rt, const struct run_id *run)
{
    struct record_key unfinished = mark('u', run);

    return add_own(&rt->mesh->batch, &unfinished, (struct span){ "", 0 }, true);
}

/* 0: it stands nowhere. */
static uint64_t number_of(struct runtime *rt, const struct run_id *run)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };

    return runtime_read_record(rt, run, &record) == 0 ? record.number : 0;
}

/* Where it stands: under its number, or without. */
static int find_listed(struct runtime *rt, const struct run_id *run,
                       struct record_key *ret)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    uint64_t number = number_of(rt, run);
    int r;

    *ret = number_key(number);
    r = number ? read_listed(rt, ret, &value) : -ENOENT;
    if (r == 0 && is_of_run(&value, run))
        return 0;
    return r < 0 && r != -ENOENT ? r : find_place(rt, run, false, ret);
}

static int delete_run(struct runtime *rt, const struct run_id *run)
{
    struct record_key listed;
    int r = find_listed(rt, run, &listed);

    if (r == 0)
        r = add_own(&rt->mesh->batch, &listed, (struct span){ "", 0 }, true);
    return r < 0 && r != -ENOENT ? r : delete_mark(rt, run);
}

void runtime_mesh_unlist(struct runtime *rt, const struct run_id *run)
{
    struct record_key listed;
    struct store_write write = { .table = STORE_RECORDS, .is_delete = true };

    if (find_listed(rt, run, &listed) < 0)
        return;
    write.key = (struct span){ listed.bytes, listed.len };
    writer_put(rt->writer, &write, 1, false);
}

/* What goes with it in the same transaction. */
static int add_marks(struct runtime *rt, const struct action *a)
{
    bool is_delete = a->u.persist.is_delete;
    struct run_id run = run_of(a);

    switch (*(const char *)a->u.persist.key) {
    case 'r':
        return is_delete ? delete_run(rt, &run) : put_run(rt, &run, a);
    case 'e':
        return is_delete ? 0 : delete_mark(rt, &run);
    default:
        return 0;
    }
}

/* ---- actions ---- */

static int add_action(struct runtime *rt, const struct action *a)
{
    struct mesh_batch *b = &rt->mesh->batch;
    struct span key = { a->u.persist.key, a->u.persist.key_len };
    int r;

    if (a->u.persist.is_range)
        return writer_scan(rt->writer, STORE_RECORDS, key, (struct span){ NULL, 0 },
                           delete_each, b);
    r = add(b, key, (struct span){ a->u.persist.value, a->u.persist.value_len },
            a->u.persist.is_delete);
    return r < 0 ? r : add_marks(rt, a);
}

/* A write that changes nothing. */
static const struct store_write nothing = { .table = STORE_RECORDS,
                                            .key = { "c", 1 },
                                            .is_delete = true };

uint64_t runtime_mesh_barrier(struct runtime *rt)
{
    return writer_put(rt->writer, &nothing, 1, true);
}

/* Whoever becomes a home of a run gets its code as long as somebody has it. */
static void want_run(struct runtime *rt, const struct action *a)
{
    if (*(const char *)a->u.persist.key == 'r' && !a->u.persist.is_delete
        && !runtime_context(rt, &a->run))
        runtime_mesh_queue(rt, ACTION_PERSIST, &a->run);
}

void runtime_mesh_persist(struct runtime *rt, const struct action *a)
{
    struct mesh_batch *b = &rt->mesh->batch;
    uint64_t ticket;
    int r;

    assert(a->u.persist.key_len);
    r = add_action(rt, a);
    b->is_urgent = b->is_urgent || a->u.persist.is_urgent;
    want_run(rt, a);
    if (r == 0 && a->u.persist.with_next)
        return;              /* what it points to lives until the outbox is cleared */
    if (r == 0 && b->n == 0) /* a range of nothing: the ticket is the next one's */
        r = add(b, nothing.key, nothing.value, true);
    ticket = r == 0 ? writer_put(rt->writer, b->writes, b->n, b->is_urgent) : 0;
    clear(b);
    if (ticket == 0 || runtime_push_ticket(rt, a->ticket, ticket) < 0)
        runtime_give_up(rt, r < 0 ? r : -ENOMEM, "the store");
}

/* ---- what is read for followers ---- */

const char *runtime_mesh_name(struct runtime *rt, const struct node_id *id,
                              char name[MEMBER_NAME_MAX + 1])
{
    struct member_view m;

    if (node_id_is_none(id) || node_id_equal(id, &rt->mesh->self))
        return NULL;
    if (gossip_find(mesh_members(rt->mesh->core), id, &m) && m.note->has_card)
        snprintf(name, MEMBER_NAME_MAX + 1, "%s", m.note->card.name);
    else
        node_id_text(id, name);
    return name;
}

const char *runtime_mesh_node_of_lease(struct runtime *rt, uint32_t slot,
                                       char name[MEMBER_NAME_MAX + 1])
{
    struct node_id id;

    return mesh_lease_node(rt->mesh->core, slot, &id) ? runtime_mesh_name(rt, &id, name)
                                                      : NULL;
}

const char *runtime_mesh_read_attempt(struct runtime *rt, const struct action *a,
                                      struct attempt_record *ret,
                                      char name[MEMBER_NAME_MAX + 1])
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = attempt_key(&a->run, &a->task, a->attempt);

    if (writer_get(rt->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                   &value)
            < 0
        || attempt_record_decode(value.data, value.len, ret) < 0)
        return NULL;
    return runtime_mesh_name(rt, &ret->node, name);
}

void runtime_mesh_read_end(struct runtime *rt, const struct run_id *run)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_end_key(run);
    int r = writer_get(rt->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                       &value);

    run_end_record_release(&rt->last_end);
    if (r < 0 || run_end_record_decode(value.data, value.len, &rt->last_end) < 0)
        rt->last_end = (struct run_end_record){ .run = *run };
}

/* ---- what users change ---- */

int runtime_mesh_record(struct runtime *rt, const struct run_id *run,
                        const struct record_key *key, const struct buffer *value)
{
    struct mesh_event e = { .type = MESH_EVENT_RECORD };
    struct run_where where;

    mesh_where(rt->mesh->core, run, &where);
    if (where.place != RUN_PLACE_LEADS)
        return -EREMOTE;
    e.u.record.run = *run;
    e.u.record.key = key->bytes;
    e.u.record.key_len = key->len;
    e.u.record.value = value->data;
    e.u.record.value_len = value->len;
    runtime_mesh_event(rt, &e);
    return 0;
}
