/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "node/mesh_internal.h"

int mesh_grow(void *items, size_t n, size_t *cap, size_t size)
{
    void **all = items, *grown;
    size_t wanted = *cap ? 2 * *cap : 16;

    if (n < *cap)
        return 0;
    grown = realloc(*all, wanted * size);
    if (!grown)
        return -ENOMEM;
    *all = grown;
    *cap = wanted;
    return 0;
}

static void move(const void **span, uintptr_t from, uintptr_t to)
{
    *span = (const void *)((uintptr_t)*span - from + to);
}

/* While a step runs, spans are offsets: the bytes may move. */
static void shift(struct outbox *out, uintptr_t from, uintptr_t to)
{
    for (size_t i = 0; i < out->n; i++) {
        struct action *a = &out->actions[i];

        switch (a->type) {
        case ACTION_PERSIST:
            move(&a->u.persist.key, from, to);
            move(&a->u.persist.value, from, to);
            break;
        case ACTION_SEND:
        case ACTION_KEEP:
        case ACTION_ASKED:
            move(&a->u.mesh.bytes, from, to);
            break;
        case ACTION_READ_RECORDS:
            move(&a->u.mesh.from, from, to);
            break;
        default:
            break;
        }
    }
}

void mesh_outbox_begin(struct outbox *out)
{
    shift(out, (uintptr_t)out->bytes.data, 0);
}

void mesh_outbox_end(struct outbox *out)
{
    shift(out, 0, (uintptr_t)out->bytes.data);
}

static int take_span(struct buffer *bytes, const void **span, size_t len)
{
    size_t at = bytes->len;

    if (len && buffer_append(bytes, *span, len) < 0)
        return -ENOMEM;
    *span = (const void *)(uintptr_t)at;
    return 0;
}

static int add(struct mesh *m, const struct action *a)
{
    struct outbox *out = m->out;

    if (mesh_grow(&out->actions, out->n, &out->cap, sizeof(out->actions[0])) < 0)
        return -ENOMEM;
    out->actions[out->n++] = *a;
    return 0;
}

int mesh_emit(struct mesh *m, const struct action *a)
{
    struct buffer *bytes = &m->out->bytes;
    struct action copy = *a;
    int error = 0;

    switch (a->type) {
    case ACTION_PERSIST:
        error = take_span(bytes, &copy.u.persist.value, a->u.persist.value_len);
        if (error == 0)
            error = take_span(bytes, &copy.u.persist.key, a->u.persist.key_len);
        break;
    case ACTION_SEND:
    case ACTION_KEEP:
    case ACTION_ASKED:
        error = take_span(bytes, &copy.u.mesh.bytes, a->u.mesh.len);
        break;
    case ACTION_READ_RECORDS:
        error = take_span(bytes, &copy.u.mesh.from, a->u.mesh.from_len);
        break;
    default:
        break;
    }
    return error ? error : add(m, &copy);
}

int mesh_persist(struct mesh *m, const struct run_id *run, const struct mesh_write *w,
                 uint64_t *ret_ticket)
{
    struct action a = { .type = ACTION_PERSIST,
                        .ticket = ++m->last_ticket,
                        .run = *run,
                        .slot = NODE_SLOT_NONE };

    a.u.persist.key = w->key;
    a.u.persist.key_len = w->key_len;
    a.u.persist.value = w->value;
    a.u.persist.value_len = w->value_len;
    a.u.persist.is_urgent = w->is_urgent;
    a.u.persist.is_delete = w->is_delete;
    a.u.persist.is_range = w->is_range;
    a.u.persist.with_next = w->with_next;
    *ret_ticket = a.ticket;
    return mesh_emit(m, &a);
}

int mesh_send(struct mesh *m, const struct node_id *peer, const struct message *msg,
              uint64_t ticket)
{
    struct buffer *bytes = &m->out->bytes;
    size_t at = bytes->len;
    struct action a = { .type = ACTION_SEND, .ticket = ticket, .slot = NODE_SLOT_NONE };
    int error;

    if (node_id_equal(peer, &m->self))
        return 0;
    error = message_encode(msg, bytes);
    if (error < 0)
        return error == -ENOMEM ? error : 0;
    a.u.mesh.peer = *peer;
    a.u.mesh.bytes = (const void *)(uintptr_t)at;
    a.u.mesh.len = bytes->len - at;
    return add(m, &a);
}
