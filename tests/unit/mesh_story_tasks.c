/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <limits.h>
#include <string.h>

#include "tests/unit/mesh_story_internal.h"

/* ---- names ---- */

unsigned run_number(const struct mesh_story *s, const struct run_id *run)
{
    for (unsigned i = 0; i < s->n_runs; i++)
        if (run_id_equal(&s->runs[i], run))
            return i + 1;
    abort();
}

void task_name(const struct mesh_story *s, const struct run_id *run,
               const struct task_id *task, char ret[NAME_SIZE])
{
    const struct flow *f = s->flows[run_number(s, run) - 1];
    char text[TASK_TEXT_SIZE], prefix[16] = "";

    task_id_text(task, text);
    if (s->n_runs > 1)
        (void)snprintf(prefix, sizeof(prefix), "%u:", run_number(s, run));
    (void)snprintf(ret, NAME_SIZE, "%s%.40s/%s", prefix, f->steps[task->step].name,
                   text);
}

/* ---- rules ---- */

void mesh_story_task(struct mesh_story *s, const char *prefix, const char *behaviour)
{
    s->rules = realloc(s->rules, (s->n_rules + 1) * sizeof(s->rules[0]));
    assert(s->rules);
    s->rules[s->n_rules++] = (struct rule){ strdup(prefix), strdup(behaviour) };
}

static void read_word(struct behaviour *b, char *word, char **rest)
{
    if (*word >= '0' && *word <= '9') {
        b->takes = TIME_MS(strtoull(word, NULL, 10));
    } else if (strcmp(word, "exit") == 0) {
        b->reason = REASON_EXIT;
        b->exit_code = atoi(strsep(rest, " "));
    } else if (strcmp(word, "width") == 0) {
        b->has_width = true;
        b->width = strtoull(strsep(rest, " "), NULL, 10);
    } else if (strcmp(word, "blob") == 0) {
        b->blob = strtoull(strsep(rest, " "), NULL, 10);
    } else if (strcmp(word, "vary") == 0) {
        b->is_varied = true;
    } else {
        fprintf(stderr, "mesh story: what is '%s'?\n", word);
        abort();
    }
}

static struct behaviour behaviour_of(const struct mesh_story *s, const char *name)
{
    struct behaviour b = { .takes = TIME_MS(10), .reason = REASON_OK };

    for (size_t i = s->n_rules; i-- > 0;) {
        CLEANUP(freep) char *words = NULL;
        char *rest;

        if (strncmp(name, s->rules[i].prefix, strlen(s->rules[i].prefix)) != 0)
            continue;
        rest = words = strdup(s->rules[i].behaviour);
        for (char *word; (word = strsep(&rest, " "));)
            read_word(&b, word, &rest);
        break;
    }
    return b;
}

/* ---- processes ---- */

static void plan_end(struct mesh_story *s, unsigned i, uint32_t slot, time_us at)
{
    struct process *p = &s->nodes[i].slots[slot];

    p->serial = ++s->n_serials;
    queue_push(s, &(struct happening){ .at = at,
                                       .node = i,
                                       .boot = s->nodes[i].boot,
                                       .what = WHAT_TASK,
                                       .value = slot,
                                       .serial = p->serial });
}

void task_start(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct process *p = &s->nodes[i].slots[a->slot];

    assert(!p->is_used);
    *p = (struct process){ .is_used = true, .run = a->run, .task = a->task };
    task_name(s, &a->run, &a->task, p->name);
    p->behaviour = behaviour_of(s, p->name);
    s->n_starts++;
    s->nodes[i].n_starts++;
    p->fence = a->u.start.fence;
    if (p->fence)
        return;
    story_say(s, "start %c %s#%u", s->nodes[i].name, p->name, a->attempt);
    plan_end(s, i, a->slot, s->now + p->behaviour.takes);
}

void task_permit(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct process *p = &s->nodes[i].slots[a->slot];

    assert(p->is_used && p->fence && run_id_equal(&p->run, &a->run));
    p->until = a->u.permit_until;
    if (p->signal || p->until <= s->now)
        return;
    if (!p->is_begun) {
        p->is_begun = true;
        story_say(s, "start %c %s fence %u", s->nodes[i].name, p->name,
                  (unsigned)p->fence);
        plan_end(s, i, a->slot, s->now + p->behaviour.takes);
    }
    if (p->until != TIME_NEVER)
        queue_push(s, &(struct happening){ .at = p->until,
                                           .node = i,
                                           .boot = s->nodes[i].boot,
                                           .what = WHAT_GUARD,
                                           .value = a->slot });
}

void task_guard(struct mesh_story *s, unsigned i, uint32_t slot)
{
    struct process *p = &s->nodes[i].slots[slot];

    if (!p->is_used || !p->is_begun || p->until > s->now)
        return;
    p->why = REASON_LOST;
    p->signal = SIGKILL;
    story_say(s, "guard %c %s", s->nodes[i].name, p->name);
    task_end(s, i, slot, p->serial);
}

void task_kill(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct process *p = &s->nodes[i].slots[a->slot];

    assert(p->is_used && task_id_equal(&p->task, &a->task));
    p->why = a->u.kill.why;
    p->signal = a->u.kill.signal;
    plan_end(s, i, a->slot, s->now + TIME_MS(1));
}

static uint64_t fold(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static struct digest digest_of(uint64_t hash)
{
    struct digest d;
    struct prng p;

    prng_init(&p, hash);
    for (size_t i = 0; i < DIGEST_SIZE; i++)
        d.bytes[i] = (uint8_t)prng_next(&p);
    return d;
}

static void make_output(struct mesh_story *s, unsigned i, const struct process *p,
                        struct attempt_record *r)
{
    uint64_t hash = fold(0xcbf29ce484222325u, p->name, strlen(p->name));
    struct artifact *a = calloc(1, sizeof(*a));

    if (p->behaviour.is_varied)
        hash = fold(hash, &s->now, sizeof(s->now)) + i;
    assert(a);
    a->name = strdup("x");
    a->type = strdup("bytes");
    a->encoding = ENCODING_BYTES;
    a->id = digest_of(hash);
    a->size = p->behaviour.blob ? p->behaviour.blob : 8;
    if (!p->behaviour.blob) {
        a->inline_data = calloc(1, 8);
        assert(a->inline_data);
        memcpy(a->inline_data, &hash, 8);
    } else {
        blob_add(s, i, &a->id);
    }
    r->outputs = a;
    r->n_outputs = 1;
}

void task_end(struct mesh_story *s, unsigned i, uint32_t slot, uint64_t serial)
{
    struct process *p = &s->nodes[i].slots[slot];
    CLEANUP(attempt_record_release)
    struct attempt_record r = { .reason = p->behaviour.reason,
                                .exit_code = p->behaviour.exit_code,
                                .started_wall = WALL,
                                .ended_wall = WALL + s->now,
                                .has_width = p->behaviour.has_width,
                                .width = p->behaviour.width };
    struct mesh_event e = { .type = MESH_EVENT_NODE,
                            .u.node = { .type = EVENT_TASK_ENDED, .run = p->run } };

    if (!p->is_used || p->serial != serial)
        return;
    if (p->signal) {
        r.reason = p->why;
        r.exit_code = 0;
        r.signal = p->signal;
    }
    if (r.reason == REASON_OK)
        make_output(s, i, p, &r);
    story_say(s, "end %c %s", s->nodes[i].name, p->name);
    p->is_used = false;
    e.u.node.u.ended.slot = slot;
    e.u.node.u.ended.record = &r;
    node_tell(s, i, &e);
}

/* ---- what they consume ---- */

static bool is_before(const struct flow *f, uint32_t step, uint32_t of)
{
    const struct step *s = &f->steps[of];

    for (uint32_t i = 0; i < s->n_before; i++)
        if (s->before[i] == step || is_before(f, step, s->before[i]))
            return true;
    return false;
}

static bool is_beside(const struct task_id *a, const struct task_id *b)
{
    for (uint32_t i = 0; i < a->depth && i < b->depth; i++)
        if (a->path[i] != b->path[i])
            return false;
    return true;
}

/* Of which step it is that it consumed; FLOW_NONE: nothing. */
static uint32_t consume(const struct disk_row *row, const struct task_id *task,
                        const struct flow *f, uint64_t *hash)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };

    assert(attempt_record_decode(row->value, row->value_len, &r) == 0);
    assert(attempt_key_decode(row->key, row->key_len, &r.run, &r.task, &r.attempt)
           == 0);
    if ((r.verdict != VERDICT_DONE && r.verdict != VERDICT_CAUGHT)
        || !is_before(f, r.task.step, task->step) || !is_beside(&r.task, task))
        return FLOW_NONE;
    *hash = fold(*hash, row->key, row->key_len);
    for (size_t i = 0; i < r.n_outputs; i++)
        *hash = fold(*hash, r.outputs[i].id.bytes, DIGEST_SIZE);
    return r.task.step;
}

bool task_witness(const struct mesh_story *s, const struct disk_map *disk,
                  const struct run_id *run, const struct task_id *task,
                  struct digest *ret)
{
    const struct flow *f = s->flows[run_number(s, run) - 1];
    struct record_key prefix = attempts_of_run(run);
    const struct step *step = &f->steps[task->step];
    bool has[64] = { false }, has_all = true;
    uint64_t hash = 1;

    assert(f->n_all_steps <= 64);
    for (size_t i = disk_map_find(disk, prefix.bytes, prefix.len);
         i < disk->n && disk_row_begins(&disk->rows[i], prefix.bytes, prefix.len);
         i++) {
        uint32_t from = consume(&disk->rows[i], task, f, &hash);

        if (from != FLOW_NONE)
            has[from] = true;
    }
    for (uint32_t i = 0; i < step->n_before; i++)
        has_all = has_all && has[step->before[i]];
    *ret = digest_of(hash);
    return has_all;
}

static bool has_run(const struct mesh_story *s, unsigned i, const struct run_id *run)
{
    struct record_key key = run_key(run);

    return disk_map_get(&s->nodes[i].latest, key.bytes, key.len) != NULL;
}

/* From the leader, or whoever has the run; its own undecided records too. */
void task_prepare(struct mesh_story *s, unsigned i, const struct action *a)
{
    unsigned from = node_index(s, &a->u.mesh.peer);
    struct happening h = { .at = s->now + 400,
                           .node = i,
                           .boot = s->nodes[i].boot,
                           .what = WHAT_EVENT,
                           .event = { .type = MESH_EVENT_PREPARED,
                                      .token = a->u.mesh.token,
                                      .status = -EHOSTUNREACH } };

    for (unsigned k = 0;
         k < s->n_nodes && !(network_passes(s, i, from) && has_run(s, from, &a->run));
         k++)
        from = k;
    if (network_passes(s, i, from)
        && task_witness(s, &s->nodes[from].latest, &a->run, &a->task,
                        &h.event.u.prepared.witness)) {
        h.event.status = 0;
        h.event.u.prepared.flow = s->flows[run_number(s, &a->run) - 1];
    }
    queue_push(s, &h);
}

/* ---- blobs ---- */

void blob_add(struct mesh_story *s, unsigned i, const struct digest *id)
{
    if (blob_has(s, i, id))
        return;
    s->blobs[i] = realloc(s->blobs[i], (s->n_blobs[i] + 1) * sizeof(*id));
    assert(s->blobs[i]);
    s->blobs[i][s->n_blobs[i]++] = *id;
}

bool blob_has(const struct mesh_story *s, unsigned i, const struct digest *id)
{
    for (size_t k = 0; k < s->n_blobs[i]; k++)
        if (digest_equal(&s->blobs[i][k], id))
            return true;
    return false;
}

static unsigned count_copies(const struct mesh_story *s, const struct digest *id)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->n_nodes; i++)
        n += s->nodes[i].is_up && blob_has(s, i, id);
    return n;
}

unsigned mesh_story_copies(const struct mesh_story *s)
{
    unsigned least = UINT_MAX;

    for (unsigned i = 0; i < s->n_nodes; i++)
        for (size_t k = 0; k < s->n_blobs[i]; k++) {
            unsigned n = count_copies(s, &s->blobs[i][k]);

            least = n < least ? n : least;
        }
    return least;
}
