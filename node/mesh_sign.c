/* SPDX-License-Identifier: Apache-2.0 */
/* Who carried out an attempt signs it, and the leader believes nothing else.
 *
 * What ended here waits for the flush, and for the disk to have what was signed before,
 * so that one signature is for many; it is written down, and offered, signed. What a
 * leader ran itself goes into the log at once: it is signed alone. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "node/mesh_internal.h"

void sign_release(struct mesh *m)
{
    free(m->unsigned_names);
}

/* ---- attempts that are offered ---- */

int sign_later(struct mesh *m, struct kept *k)
{
    if (!m->has_signer)
        return work_put(m, k);
    if (mesh_grow(&m->unsigned_names, m->n_unsigned, &m->cap_unsigned,
                  sizeof(m->unsigned_names[0]))
        < 0)
        return -ENOMEM;
    m->unsigned_names[m->n_unsigned++] = kept_name(m, k);
    k->is_new = true;
    return 0;
}

struct batch {
    struct kept *kept[MESH_BATCH_MAX];
    struct attempt_record records[MESH_BATCH_MAX];
    size_t n;
};

static void release_batch(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        attempt_record_release(&b->records[i]);
}

static int add_to_batch(struct mesh *m, struct batch *b, struct kept *k)
{
    struct attempt_record *r = &b->records[b->n];
    struct attempt_name name = kept_name(m, k);
    int error = attempt_record_decode(k->record, k->record_len, r);

    if (error == -ENOMEM)
        return error;
    assert(error == 0); /* it was encoded here */
    r->run = k->work->run;
    r->task = k->task;
    r->node = name.node;
    r->boot = name.boot;
    r->counter = name.counter;
    r->witness = k->witness;
    r->has_witness = true;
    b->kept[b->n++] = k;
    return 0;
}

static int put_signed(struct mesh *m, struct kept *k, const struct attempt_record *r)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int error = attempt_record_encode(r, &bytes);

    if (error == -ENOMEM)
        return error;
    assert(error == 0);
    free(k->record);
    k->record_len = bytes.len;
    k->record = (uint8_t *)buffer_take(&bytes);
    k->is_new = false;
    error = work_put(m, k);
    m->signed_ticket = k->ticket;
    return error;
}

static int sign_batch(struct mesh *m, struct batch *b)
{
    struct attempt_record *records[MESH_BATCH_MAX];
    int error;

    for (size_t i = 0; i < b->n; i++)
        records[i] = &b->records[i];
    error = b->n ? m->signer.sign(m->signer.arg, records, b->n) : 0;
    for (size_t i = 0; i < b->n && error == 0; i++)
        error = put_signed(m, b->kept[i], records[i]);
    return error;
}

/* Of names from *at on; what was given up meanwhile is not signed. */
static int sign_some(struct mesh *m, size_t *at)
{
    CLEANUP(release_batch) struct batch b = { .n = 0 };
    int error = 0;

    while (*at < m->n_unsigned && b.n < m->signer.batch_max && error == 0) {
        struct kept *k = kept_find(m, &m->unsigned_names[(*at)++]);

        if (k && k->is_new)
            error = add_to_batch(m, &b, k);
    }
    return error ? error : sign_batch(m, &b);
}

/* What was signed last is still on its way to the disk: this would come behind it, and
 * until then more may end. */
bool sign_is_due(const struct mesh *m)
{
    return m->n_unsigned >= MESH_BATCH_MAX
           || (m->n_unsigned && m->durable >= m->signed_ticket);
}

int sign_flush(struct mesh *m)
{
    size_t at = 0;
    int error = 0;

    if (!sign_is_due(m))
        return 0;
    while (at < m->n_unsigned && error == 0)
        error = sign_some(m, &at);
    m->n_unsigned = 0;
    return error;
}

/* ---- the leader's own ---- */

/* What the engine will make of it later has to be in it before it is signed. */
int sign_own(struct mesh *m, uint32_t slot, struct attempt_record *r)
{
    struct run_view view;
    uint32_t attempt;

    if (!m->has_signer || !node_slot(m->node, slot, &r->run, &r->task, &attempt)
        || !node_run(m->node, &r->run, &view))
        return 0;
    node_complete_result(view.flow, r);
    return m->signer.sign(m->signer.arg, &r, 1);
}

/* ---- attempts of others ---- */

/* A member of before signatures sends none. */
static bool must_sign(const struct mesh *m, const struct peer *p)
{
    struct member_view v;

    return gossip_find(m->gossip, &p->id, &v) && v.note->has_card
           && v.note->card.features & FEATURE_SIGNS;
}

static int find_fault(struct mesh *m, const struct peer *p, struct attempt_record *r)
{
    int error = -EXDEV;

    if (node_id_equal(&r->node, &p->id))
        error = m->signer.check(m->signer.arg, r);
    return error == -ENOKEY && !must_sign(m, p) ? 0 : error;
}

int sign_refuse(struct mesh *m, const struct peer *p, const struct run_id *run,
                const struct task_id *task, int status)
{
    struct action a = {
        .type = ACTION_REFUSED, .run = *run, .task = *task, .slot = NODE_SLOT_NONE
    };

    a.u.mesh.peer = p->id;
    a.u.mesh.status = status;
    return mesh_emit(m, &a);
}

int sign_check(struct mesh *m, const struct peer *p, struct attempt_record *r)
{
    int error;

    if (!m->has_signer) { /* what nobody checks is no signature */
        r->signature_len = 0;
        return 0;
    }
    error = r->is_judged ? -EKEYREJECTED : find_fault(m, p, r);
    if (error == 0 || error == -ENOMEM)
        return error;
    error = sign_refuse(m, p, &r->run, &r->task, error);
    return error ? error : -EBADMSG;
}
