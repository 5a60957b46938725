/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mesh_story.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/mesh_story_internal.h"
#include "tests/unit/story_sketch.h"

void story_say(struct mesh_story *s, const char *format, ...)
{
    char line[512];
    va_list args;
    size_t word;

    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    word = strcspn(line, " ");
    if (s->words && !memmem(s->words, strlen(s->words), line, word))
        return;
    buffer_printf(&s->trace, "[%5llu] %s\n", (unsigned long long)s->now / 1000, line);
}

/* ---- a story ---- */

static struct mesh_story *make(unsigned n_nodes, uint32_t slots, uint64_t seed)
{
    static char names[] = "a\0b\0c\0d\0e\0f\0g\0h\0i\0j\0k\0l\0m\0n\0o\0p";
    struct mesh_story *s = calloc(1, sizeof(*s));

    assert(s && n_nodes <= NODES_MAX);
    s->n_nodes = n_nodes;
    s->n_slots = slots;
    prng_init(&s->prng, seed);
    for (unsigned i = 0; i < n_nodes; i++) {
        struct story_node *n = &s->nodes[i];

        n->name = (char)('a' + i);
        memset(n->id.bytes, (int)(i + 1), sizeof(n->id.bytes));
        n->slots = calloc(slots, sizeof(n->slots[0]));
        assert(n->slots);
        s->card[i] = (struct member_card){ .name = &names[2 * i],
                                           .address = (char[]){ "127.0.0.1:1" },
                                           .zone = (char[]){ "" },
                                           .version = (char[]){ "1" },
                                           .roles = ROLE_WORKER | ROLE_HOME,
                                           .slots = slots,
                                           .cpu_milli = 1000000,
                                           .memory_bytes = 1ULL << 40,
                                           .disk_bytes = 1ULL << 40 };
        s->card[i].address = strdup("127.0.0.1:1");
        s->card[i].zone = strdup("");
        s->card[i].version = strdup("1");
    }
    return s;
}

struct mesh_story *mesh_story_new(unsigned n_nodes, uint32_t slots, uint64_t seed)
{
    struct mesh_story *s = make(n_nodes, slots, seed);

    for (unsigned i = 0; i < n_nodes; i++)
        node_boot(s, i);
    return s;
}

struct mesh_story *mesh_story_signed(unsigned n_nodes, unsigned n_old, uint32_t slots,
                                     uint64_t seed)
{
    struct mesh_story *s = make(n_nodes, slots, seed);

    s->has_signatures = true;
    for (unsigned i = 0; i < n_nodes; i++) {
        s->signs[i] = i + n_old < n_nodes;
        s->card[i].features = s->signs[i] ? FEATURE_SIGNS : 0;
        node_boot(s, i);
    }
    return s;
}

struct mesh_story *mesh_story_numbered(unsigned n_nodes, const uint64_t *floors,
                                       uint64_t seed)
{
    struct mesh_story *s = make(n_nodes, 2, seed);

    s->has_numbers = true;
    for (unsigned i = 0; i < n_nodes; i++) {
        s->floors[i] = floors ? floors[i] : 0;
        node_boot(s, i);
    }
    return s;
}

uint64_t mesh_story_number(const struct mesh_story *s, unsigned run)
{
    return s->numbers[run - 1];
}

static struct run_where where_mesh(const struct mesh_story *s, unsigned i)
{
    static const struct run_id mesh;
    struct run_where w;

    mesh_where(s->nodes[i].mesh, &mesh, &w);
    return w;
}

char mesh_story_mesh_leader(const struct mesh_story *s)
{
    for (unsigned i = 0; i < s->n_nodes; i++) {
        struct run_where w;

        if (!s->nodes[i].is_up)
            continue;
        w = where_mesh(s, i);
        if (node_id_equal(&w.leader, &s->nodes[i].id))
            return s->nodes[i].name;
    }
    return 0;
}

unsigned mesh_story_mesh_homes(const struct mesh_story *s)
{
    char leader = mesh_story_mesh_leader(s);

    return leader ? where_mesh(s, (unsigned)(leader - 'a')).n_homes : 0;
}

static void free_node(struct mesh_story *s, unsigned i)
{
    struct story_node *n = &s->nodes[i];

    node_down(s, i);
    disk_map_release(&n->disk);
    disk_map_release(&n->latest);
    for (size_t k = 0; k < n->n_paused; k++)
        happening_release(&n->paused[k]);
    free(n->paused);
    free(n->writes);
    free(n->held);
    free(n->slots);
    free(n->lost);
    free(s->blobs[i]);
    free(s->card[i].address);
    free(s->card[i].zone);
    free(s->card[i].version);
}

void mesh_story_free(struct mesh_story *s)
{
    struct happening h;

    for (unsigned i = 0; i < s->n_nodes; i++)
        free_node(s, i);
    while (queue_pop(s, &h))
        happening_release(&h);
    for (unsigned i = 0; i < s->n_runs; i++)
        sketch_free(s->flows[i]);
    for (size_t i = 0; i < s->n_rules; i++) {
        free(s->rules[i].prefix);
        free(s->rules[i].behaviour);
    }
    free(s->rules);
    free(s->told);
    free(s->queue);
    buffer_release(&s->trace);
    buffer_release(&s->shown);
    free(s);
}

static unsigned index_of(const struct mesh_story *s, char node)
{
    unsigned i = (unsigned)(node - 'a');

    assert(i < s->n_nodes);
    return i;
}

/* ---- time ---- */

static void tell_message(struct mesh_story *s, const struct happening *h)
{
    CLEANUP(message_release) struct message msg = { .type = 0 };
    struct mesh_event e = { .type = MESH_EVENT_MESSAGE,
                            .peer = s->nodes[h->from].id,
                            .u.message = &msg };

    assert(message_decode(h->bytes, h->len, &msg) == 0);
    if (network_passes(s, h->from, h->node))
        node_tell(s, h->node, &e);
}

static void tell(struct mesh_story *s, struct happening *h)
{
    switch (h->what) {
    case WHAT_MESSAGE:
        tell_message(s, h);
        break;
    case WHAT_EVENT:
        if (h->event.type == MESH_EVENT_ENTRIES
            || h->event.type == MESH_EVENT_RECORDS) {
            h->event.u.entries.entries = h->entries;
            h->event.u.entries.n = h->n_entries;
        }
        if (h->event.type == MESH_EVENT_END_FOUND && h->n_entries) {
            h->event.u.end.value = h->entries[0].value;
            h->event.u.end.value_len = h->entries[0].value_len;
        }
        node_tell(s, h->node, &h->event);
        break;
    case WHAT_DURABLE:
        node_on_durable(s, h->node, h->value);
        break;
    case WHAT_GUARD:
        task_guard(s, h->node, (uint32_t)h->value);
        break;
    case WHAT_TASK:
        task_end(s, h->node, (uint32_t)h->value, h->serial);
        break;
    case WHAT_TICK:
        node_tell(s, h->node, &(struct mesh_event){ .type = MESH_EVENT_TICK });
        break;
    }
}

static bool is_stale(const struct mesh_story *s, const struct happening *h)
{
    const struct story_node *n = &s->nodes[h->node];

    return !n->is_up || (h->boot && h->boot != n->boot)
           || (h->what == WHAT_TICK && h->serial != n->serial);
}

static void set_aside(struct story_node *n, const struct happening *h)
{
    n->paused = realloc(n->paused, (n->n_paused + 1) * sizeof(*h));
    assert(n->paused);
    n->paused[n->n_paused++] = *h;
}

static void step(struct mesh_story *s)
{
    struct happening h;

    if (!queue_pop(s, &h))
        return;
    s->now = h.at > s->now ? h.at : s->now;
    if (is_stale(s, &h)) {
        happening_release(&h);
        return;
    }
    if (s->nodes[h.node].is_paused) {
        set_aside(&s->nodes[h.node], &h);
        return;
    }
    tell(s, &h);
    node_tell(s, h.node, &(struct mesh_event){ .type = MESH_EVENT_FLUSH });
    node_plan(s, h.node);
    happening_release(&h);
}

void mesh_story_run_for(struct mesh_story *s, uint64_t ms)
{
    time_us until = s->now + TIME_MS(ms);

    while (queue_next(s) <= until)
        step(s);
    s->now = until;
}

/* Told, or, when who was to tell it died, on a disk. */
static bool has_ended(struct mesh_story *s)
{
    bool has_all = true;

    for (unsigned r = 0; r < s->n_runs; r++) {
        struct record_key key = run_end_key(&s->runs[r]);

        for (unsigned i = 0; i < s->n_nodes && !s->outcomes[r]; i++) {
            CLEANUP(run_end_record_release)
            struct run_end_record end = { .outcome = 0 };
            const struct disk_row *row =
                disk_map_get(&s->nodes[i].disk, key.bytes, key.len);

            if (row && s->nodes[i].is_up
                && run_end_record_decode(row->value, row->value_len, &end) == 0)
                s->outcomes[r] = end.outcome;
        }
        has_all = has_all && (s->outcomes[r] || !s->is_accepted[r]);
    }
    return has_all;
}

static bool is_quiet(const struct mesh_story *s)
{
    for (unsigned i = 0; i < s->n_nodes; i++)
        for (uint32_t k = 0; k < s->n_slots && s->nodes[i].is_up; k++)
            if (s->nodes[i].slots[k].is_used)
                return false;
    return mesh_story_rows(s) == 0;
}

/* ---- what must hold at the end ---- */

static void check_attempt(const struct mesh_story *s, unsigned i,
                          const struct disk_row *row)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    struct digest witness;

    assert(attempt_record_decode(row->value, row->value_len, &r) == 0);
    assert(attempt_key_decode(row->key, row->key_len, &r.run, &r.task, &r.attempt)
           == 0);
    if (s->has_signatures)
        sign_check_kept(s, &r);
    if (r.verdict != VERDICT_DONE || !r.has_witness)
        return;
    assert(task_witness(s, &s->nodes[i].disk, &r.run, &r.task, &witness));
    assert(digest_equal(&witness, &r.witness));
}

static void check_same(const struct mesh_story *s, unsigned i, unsigned k,
                       const struct run_id *run)
{
    struct record_key prefix = attempts_of_run(run);
    const struct disk_map *a = &s->nodes[i].disk, *b = &s->nodes[k].disk;
    size_t x = disk_map_find(a, prefix.bytes, prefix.len);
    size_t y = disk_map_find(b, prefix.bytes, prefix.len);

    for (; x < a->n && disk_row_begins(&a->rows[x], prefix.bytes, prefix.len); x++) {
        assert(y < b->n && a->rows[x].key_len == b->rows[y].key_len);
        assert(memcmp(a->rows[x].key, b->rows[y].key, a->rows[x].key_len) == 0);
        assert(a->rows[x].value_len == b->rows[y].value_len);
        assert(memcmp(a->rows[x].value, b->rows[y].value, a->rows[x].value_len) == 0);
        y++;
    }
    assert(y == b->n || !disk_row_begins(&b->rows[y], prefix.bytes, prefix.len));
}

static void check_run(const struct mesh_story *s, const struct run_id *run)
{
    struct record_key end = run_end_key(run), prefix = attempts_of_run(run);
    struct record_key begin = run_key(run); /* the end alone may be kept, to know it */
    unsigned first = NODES_MAX;

    for (unsigned i = 0; i < s->n_nodes; i++) {
        const struct disk_map *d = &s->nodes[i].disk;

        if (!s->nodes[i].is_up || !disk_map_get(d, end.bytes, end.len)
            || !disk_map_get(d, begin.bytes, begin.len))
            continue;
        for (size_t r = disk_map_find(d, prefix.bytes, prefix.len);
             r < d->n && disk_row_begins(&d->rows[r], prefix.bytes, prefix.len); r++)
            check_attempt(s, i, &d->rows[r]);
        if (first < NODES_MAX)
            check_same(s, first, i, run);
        first = i;
    }
    assert(first < NODES_MAX);
}

bool mesh_story_run(struct mesh_story *s, uint64_t ms_max)
{
    time_us until = s->now + TIME_MS(ms_max);

    while (!has_ended(s) && queue_next(s) <= until)
        step(s);
    if (!has_ended(s))
        return false;
    while (!is_quiet(s) && queue_next(s) <= until)
        step(s);
    if (!is_quiet(s))
        return false;
    for (unsigned i = 0; i < s->n_runs; i++)
        if (s->outcomes[i])
            check_run(s, &s->runs[i]);
    return true;
}

bool mesh_story_run_until(struct mesh_story *s, const char *text, uint64_t ms_max)
{
    time_us until = s->now + TIME_MS(ms_max);

    while (!strstr(buffer_text(&s->trace), text) && queue_next(s) <= until)
        step(s);
    return strstr(buffer_text(&s->trace), text) != NULL;
}

void mesh_story_meet(struct mesh_story *s)
{
    bool is_met = false;

    for (unsigned n = 0; n < 1000 && !is_met; n++) {
        mesh_story_run_for(s, 100);
        is_met = true;
        for (unsigned i = 0; i < s->n_nodes; i++)
            is_met =
                is_met && gossip_alive(mesh_members(s->nodes[i].mesh)) == s->n_nodes;
    }
    assert(is_met);
    mesh_story_run_for(s, 1000);
    s->now = (s->now / TIME_S(1) + 1) * TIME_S(1);
    (void)mesh_story_trace(s);
}

/* ---- what happens ---- */

static void tell_node_of(struct mesh_story *s, unsigned i, struct event *e)
{
    struct mesh_event event = { .type = MESH_EVENT_NODE, .u.node = *e };

    node_tell(s, i, &event);
    node_tell(s, i, &(struct mesh_event){ .type = MESH_EVENT_FLUSH });
    node_plan(s, i);
}

unsigned mesh_story_submit(struct mesh_story *s, char node, const char *sketch)
{
    uint8_t random[10] = { 0, (uint8_t)s->n_runs };
    struct event e = { .type = EVENT_SUBMIT };
    char text[] = "", user[] = "me";
    struct run_record record = { .flow_text = text, .user = user };

    assert(s->n_runs < RUNS_MAX);
    s->flows[s->n_runs] = sketch_flow(sketch);
    s->runs[s->n_runs] = run_id_make(1000 + s->n_runs, random);
    record.run = e.run = s->runs[s->n_runs];
    record.flow_name = record.flow_path = s->flows[s->n_runs]->name;
    e.u.submit.record = &record;
    e.u.submit.flow = s->flows[s->n_runs++];
    tell_node_of(s, index_of(s, node), &e);
    return s->n_runs;
}

void mesh_story_cancel(struct mesh_story *s, char node, unsigned run)
{
    tell_node_of(s, index_of(s, node),
                 &(struct event){ .type = EVENT_CANCEL, .run = s->runs[run - 1] });
}

static void ask(struct mesh_story *s, char node, const struct propose_message *what)
{
    unsigned i = index_of(s, node);
    struct mesh_event e = { .type = MESH_EVENT_ASK,
                            .token = 1 + (uint64_t)(what->op == PROPOSE_SWAP),
                            .u.ask = { .what = what, .patience = TIME_S(4) } };

    node_tell(s, i, &e);
    node_tell(s, i, &(struct mesh_event){ .type = MESH_EVENT_FLUSH });
    node_plan(s, i);
}

void mesh_story_read(struct mesh_story *s, char node, const char *name)
{
    ask(s, node, &(struct propose_message){ .op = PROPOSE_READ, .key = (char *)name });
}

void mesh_story_swap(struct mesh_story *s, char node, const char *name,
                     const char *expected, const char *value)
{
    ask(s, node,
        &(struct propose_message){ .op = PROPOSE_SWAP,
                                   .key = (char *)name,
                                   .has_expected = expected != NULL,
                                   .expected = (uint8_t *)expected,
                                   .expected_len = expected ? strlen(expected) : 0,
                                   .value = (uint8_t *)value,
                                   .value_len = strlen(value) });
}

void mesh_story_kill(struct mesh_story *s, char node)
{
    story_say(s, "crash %c", node);
    node_down(s, index_of(s, node));
}

void mesh_story_start(struct mesh_story *s, char node)
{
    node_boot(s, index_of(s, node));
}

void mesh_story_pause(struct mesh_story *s, char node)
{
    s->nodes[index_of(s, node)].is_paused = true;
}

void mesh_story_resume(struct mesh_story *s, char node)
{
    struct story_node *n = &s->nodes[index_of(s, node)];

    n->is_paused = false;
    for (size_t k = 0; k < n->n_paused; k++) {
        n->paused[k].at = s->now;
        queue_push(s, &n->paused[k]);
    }
    n->n_paused = 0;
    node_plan(s, index_of(s, node));
}

void mesh_story_cut(struct mesh_story *s, const char *nodes)
{
    for (unsigned i = 0; i < s->n_nodes; i++)
        s->is_cut[i] = nodes && strchr(nodes, s->nodes[i].name);
}

void mesh_story_deafen(struct mesh_story *s, const char *two)
{
    memset(s->is_deaf, 0, sizeof(s->is_deaf));
    if (two)
        s->is_deaf[index_of(s, two[0])][index_of(s, two[1])] = true;
}

void mesh_story_network(struct mesh_story *s, unsigned lost, unsigned doubled,
                        unsigned delayed)
{
    s->lost = lost;
    s->doubled = doubled;
    s->delayed = delayed;
}

static void tell_plain(struct mesh_story *s, char node, struct mesh_event *e)
{
    unsigned i = index_of(s, node);

    node_tell(s, i, e);
    node_tell(s, i, &(struct mesh_event){ .type = MESH_EVENT_FLUSH });
    node_plan(s, i);
}

void mesh_story_lie(struct mesh_story *s, char node, const char *lie, unsigned n)
{
    s->nodes[index_of(s, node)].lie = lie;
    s->nodes[index_of(s, node)].n_lies = n;
}

void mesh_story_drain(struct mesh_story *s, char node)
{
    struct member_card *card = &s->card[index_of(s, node)];

    card->is_draining = true;
    tell_plain(s, node,
               &(struct mesh_event){ .type = MESH_EVENT_CARD, .u.card = card });
    tell_plain(s, node,
               &(struct mesh_event){ .type = MESH_EVENT_DRAIN, .u.is_on = true });
}

void mesh_story_leave(struct mesh_story *s, char node)
{
    tell_plain(s, node, &(struct mesh_event){ .type = MESH_EVENT_LEAVE });
}

bool mesh_story_may_leave(const struct mesh_story *s, char node)
{
    return mesh_may_leave(s->nodes[index_of(s, node)].mesh);
}

/* ---- what is seen ---- */

void mesh_story_show(struct mesh_story *s, const char *words)
{
    s->words = words;
}

const char *mesh_story_trace(struct mesh_story *s)
{
    buffer_clear(&s->shown);
    buffer_append(&s->shown, s->trace.data, s->trace.len);
    buffer_clear(&s->trace);
    return buffer_text(&s->shown);
}

uint64_t mesh_story_now_ms(const struct mesh_story *s)
{
    return s->now / 1000;
}

unsigned mesh_story_starts(const struct mesh_story *s)
{
    return s->n_starts;
}

unsigned mesh_story_starts_of(const struct mesh_story *s, char node)
{
    return s->nodes[index_of(s, node)].n_starts;
}

char mesh_story_leader(const struct mesh_story *s, unsigned run)
{
    for (unsigned i = 0; i < s->n_nodes; i++) {
        struct run_where where;

        if (!s->nodes[i].is_up)
            continue;
        mesh_where(s->nodes[i].mesh, &s->runs[run - 1], &where);
        if (where.place == RUN_PLACE_LEADS)
            return s->nodes[i].name;
    }
    return 0;
}

unsigned mesh_story_homes(const struct mesh_story *s, unsigned run, char *ret_names)
{
    char leader = mesh_story_leader(s, run);
    struct run_where where;

    if (!leader)
        return 0;
    mesh_where(s->nodes[index_of(s, leader)].mesh, &s->runs[run - 1], &where);
    for (uint32_t i = 0; i < where.n_homes; i++)
        ret_names[i] = s->nodes[node_index(s, &where.homes[i])].name;
    ret_names[where.n_homes] = '\0';
    return where.n_homes;
}

enum run_outcome mesh_story_outcome(const struct mesh_story *s, unsigned run)
{
    return s->outcomes[run - 1];
}

uint64_t mesh_story_hash(const struct mesh_story *s)
{
    uint64_t hash = 0;

    for (unsigned i = 0; i < s->n_nodes; i++)
        if (s->nodes[i].is_up)
            hash = hash * 31 + mesh_hash(s->nodes[i].mesh);
    return hash;
}

static size_t attempts_at(const struct mesh_story *s, unsigned run, char node,
                          const struct disk_row **ret_first)
{
    const struct disk_map *d = &s->nodes[index_of(s, node)].disk;
    struct record_key prefix = attempts_of_run(&s->runs[run - 1]);
    size_t first = disk_map_find(d, prefix.bytes, prefix.len), n = 0;

    while (first + n < d->n
           && disk_row_begins(&d->rows[first + n], prefix.bytes, prefix.len))
        n++;
    *ret_first = &d->rows[first];
    return n;
}

size_t mesh_story_same(const struct mesh_story *s, unsigned run, const char *nodes)
{
    const struct disk_row *rows, *other;
    size_t n = attempts_at(s, run, *nodes, &rows);

    for (; *nodes; nodes++) {
        if (attempts_at(s, run, *nodes, &other) != n)
            return 0;
        for (size_t i = 0; i < n; i++)
            if (other[i].key_len != rows[i].key_len
                || other[i].value_len != rows[i].value_len
                || memcmp(other[i].key, rows[i].key, rows[i].key_len) != 0
                || memcmp(other[i].value, rows[i].value, rows[i].value_len) != 0)
                return 0;
    }
    return n;
}

static bool is_of_a_run(const struct disk_row *row)
{
    static const uint8_t mesh[RUN_ID_SIZE];

    return strchr("lqo", row->key[0]) && memcmp(row->key + 1, mesh, RUN_ID_SIZE) != 0;
}

/* What a worker kept of a run that nobody accepted, as its founder died before: nobody
 * is there to tell it that the run is nowhere. */
static bool is_of_nobodys_run(const struct mesh_story *s, const struct disk_row *row)
{
    if (row->key[0] != 'o' || row->key_len <= RUN_ID_SIZE)
        return false;
    for (unsigned i = 0; i < s->n_runs; i++)
        if (memcmp(s->runs[i].bytes, row->key + 1, RUN_ID_SIZE) == 0)
            return !s->is_accepted[i];
    return true;
}

size_t mesh_story_rows(const struct mesh_story *s)
{
    size_t n = 0;

    for (unsigned i = 0; i < s->n_nodes; i++)
        for (size_t r = 0; s->nodes[i].is_up && r < s->nodes[i].disk.n; r++)
            n += is_of_a_run(&s->nodes[i].disk.rows[r])
                 && !is_of_nobodys_run(s, &s->nodes[i].disk.rows[r]);
    return n;
}

static bool is_known(const struct mesh_story *s, const struct run_id *run)
{
    for (unsigned i = 0; i < s->n_runs; i++)
        if (run_id_equal(&s->runs[i], run))
            return true;
    return false;
}

const char *mesh_story_left(struct mesh_story *s)
{
    buffer_clear(&s->shown);
    for (unsigned i = 0; i < s->n_nodes; i++)
        for (size_t r = 0; s->nodes[i].is_up && r < s->nodes[i].disk.n; r++) {
            const struct disk_row *row = &s->nodes[i].disk.rows[r];
            struct run_where where;
            struct run_id run;

            if (!is_of_a_run(row))
                continue;
            memcpy(run.bytes, row->key + 1, RUN_ID_SIZE);
            if (!is_known(s, &run)) {
                buffer_printf(&s->shown, "%c has a row of a shadow\n",
                              s->nodes[i].name);
                continue;
            }
            mesh_where(s->nodes[i].mesh, &run, &where);
            buffer_printf(&s->shown,
                          "%c has a row %c of run %u: place %d, %u homes, "
                          "%llu of %llu decided\n",
                          s->nodes[i].name, row->key[0], run_number(s, &run),
                          where.place, where.n_homes, (unsigned long long)where.decided,
                          (unsigned long long)where.last);
        }
    return buffer_text(&s->shown);
}

uint64_t mesh_story_messages(const struct mesh_story *s, enum message_type type)
{
    return s->n_messages[type % 64];
}
