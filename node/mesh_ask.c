/* SPDX-License-Identifier: Apache-2.0 */
/* What the caller asks of the mesh group: one question after the other, each for as
 * long as it said. A question that is given up may still be carried out: whoever asked
 * to change something does not know then whether it did. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "node/mesh_internal.h"

void question_free(struct question *q)
{
    if (!q)
        return;
    free(q->what.key);
    free(q->what.expected);
    free(q->what.value);
    free(q);
}
CLEANUP_POINTER(struct question, question_free);

void asks_release(struct mesh *m)
{
    struct question *q, *next;

    DL_FOREACH_SAFE(m->questions, q, next)
    question_free(q);
    m->questions = NULL;
}

static int copy_bytes(const uint8_t *data, size_t len, uint8_t **ret)
{
    *ret = malloc(len + 1);
    if (!*ret)
        return -ENOMEM;
    if (len)
        memcpy(*ret, data, len);
    return 0;
}

static int question_new(const struct mesh_event *event, time_us now,
                        struct question **ret)
{
    CLEANUP(question_freep) struct question *q = calloc(1, sizeof(*q));
    const struct propose_message *what = event->u.ask.what;

    if (!q)
        return -ENOMEM;
    q->token = event->token;
    q->until = now + event->u.ask.patience;
    q->what = *what;
    q->what.expected = q->what.value = NULL;
    q->what.key = strdup(what->key);
    if (!q->what.key
        || copy_bytes(what->expected, what->expected_len, &q->what.expected) < 0
        || copy_bytes(what->value, what->value_len, &q->what.value) < 0)
        return -ENOMEM;
    *ret = TAKE(q);
    return 0;
}

static int tell(struct mesh *m, uint64_t token, int status, const void *value,
                size_t len)
{
    struct action a = { .type = ACTION_ASKED, .slot = NODE_SLOT_NONE };

    a.u.mesh.token = token;
    a.u.mesh.status = status;
    a.u.mesh.bytes = value;
    a.u.mesh.len = len;
    return mesh_emit(m, &a);
}

int ask_on_event(struct mesh *m, const struct mesh_event *event)
{
    struct question *q;
    int error;

    if (m->n_questions >= QUESTIONS_MAX)
        return tell(m, event->token, -EBUSY, NULL, 0);
    error = question_new(event, m->now, &q);
    if (error < 0)
        return error;
    DL_APPEND(m->questions, q);
    m->n_questions++;
    return 0;
}

/* Its answer was told, or will be. */
static void drop(struct mesh *m, struct question *q)
{
    DL_DELETE(m->questions, q);
    m->n_questions--;
    question_free(q);
}

bool asks_are_due(const struct mesh *m)
{
    return m->questions && !m->proposal.request;
}

int asks_flush(struct mesh *m)
{
    return propose_question(m, m->questions);
}

int ask_on_answer(struct mesh *m, struct question *q,
                  const struct proposed_message *answer)
{
    int error = tell(m, q->token, answer->status, answer->value, answer->value_len);

    drop(m, q);
    return error;
}

int asks_on_tick(struct mesh *m)
{
    struct question *q, *next;
    int error = 0;

    DL_FOREACH_SAFE(m->questions, q, next)
    {
        if (error || m->now < q->until)
            continue;
        propose_give_up(m, q);
        error = tell(m, q->token, -ETIMEDOUT, NULL, 0);
        drop(m, q);
    }
    return error;
}

time_us asks_deadline(const struct mesh *m)
{
    time_us at = TIME_NEVER;

    for (const struct question *q = m->questions; q; q = q->next)
        at = q->until < at ? q->until : at;
    return at;
}
