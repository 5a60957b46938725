/* SPDX-License-Identifier: Apache-2.0 */
/* records - makes a store that many runs have gone through, in a second:
 *
 *     bench-records DIR RUNS FLOWS TASKS
 *
 * RUNS ended runs of FLOWS flows in turn (Flow0, Flow1, ...), numbered from 1; the
 * newest has a foreach of TASKS tasks, each with a small artifact `x`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "proto/record.h"
#include "store/digest.h"
#include "store/store.h"

enum { GROUP = 1000, STEP_START = 0, STEP_WORK, STEP_JOIN };

static const time_us epoch = 1700000000000000;

struct group {
    struct store *store;
    struct store_write writes[GROUP];
    struct record_key keys[GROUP];
    struct buffer values[GROUP];
    size_t n;
};

static int flush(struct group *g)
{
    int r = g->n ? g->store->ops->commit(g->store, g->writes, g->n) : 0;

    for (size_t i = 0; i < g->n; i++)
        buffer_clear(&g->values[i]);
    g->n = 0;
    return r;
}

static int add(struct group *g, const struct record_key *key, int encoded)
{
    size_t i = g->n++;

    g->keys[i] = *key;
    g->writes[i] =
        (struct store_write){ .table = STORE_RECORDS,
                              .key = { g->keys[i].bytes, key->len },
                              .value = { g->values[i].data, g->values[i].len } };
    if (encoded == 0 && g->n == GROUP)
        return flush(g);
    return encoded;
}

static int add_run(struct group *g, const struct run_id *id, uint64_t number,
                   uint64_t flow, uint64_t n_tasks)
{
    char name[32], text[1024], *tags[] = { "bench", number % 100 ? "often" : "rare" };
    struct record_parameter parameters[] = { { "alpha", "0.3", false },
                                             { "rounds", "12", false } };
    struct run_record r = { .run = *id,
                            .number = number,
                            .flow_name = name,
                            .flow_path = "/home/somebody/flows/bench.mf",
                            .flow_text = text,
                            .parameters = parameters,
                            .n_parameters = 2,
                            .tags = tags,
                            .n_tags = 2,
                            .user = "somebody",
                            .submitted_wall = epoch + number * 1000000 };
    struct run_end_record end = { .run = *id,
                                  .outcome = number % 10 ? RUN_OK : RUN_FAILED,
                                  .started_wall = r.submitted_wall + 100,
                                  .ended_wall = r.submitted_wall + 500000,
                                  .n_done = n_tasks + 2,
                                  .n_attempts = n_tasks + 2 };
    struct record_key run = run_key(id), run_end = run_end_key(id),
                      by_number = number_key(number);
    struct buffer *value;
    int error;

    snprintf(name, sizeof(name), "Flow%llu", (unsigned long long)flow);
    snprintf(text, sizeof(text),
             "mesh: 1\nflow: %s\nparameters:\n  alpha: {type: float, default: 0.3}\n"
             "  rounds: {type: int, default: 12}\nsteps:\n  start:\n    run: 'true'\n"
             "    foreach: {range: %llu}\n    next: work\n  work:\n    run: 'true'\n"
             "    next: join\n  join:\n    run: 'true'\n    join: start\n",
             name, (unsigned long long)n_tasks);
    r.flow_text_len = strlen(text);
    error = add(g, &run, run_record_encode(&r, &g->values[g->n]));
    if (error == 0)
        error = add(g, &run_end, run_end_record_encode(&end, &g->values[g->n]));
    if (error < 0)
        return error;
    value = &g->values[g->n];
    return add(g, &by_number, buffer_append(value, id->bytes, RUN_ID_SIZE));
}

static int add_attempt(struct group *g, const struct run_id *run, uint32_t step,
                       uint64_t index, uint64_t width)
{
    char json[64];
    int len = snprintf(json, sizeof(json), "{\"index\": %llu, \"loss\": %.6f}",
                       (unsigned long long)index, 1.0 / (double)(index + 1));
    struct task_id task = { .step = step, .depth = step == STEP_WORK };
    struct artifact x = { .name = "x",
                          .type = "dict",
                          .encoding = ENCODING_JSON,
                          .size = (uint64_t)len,
                          .id = digest_memory(json, (size_t)len),
                          .inline_data = (uint8_t *)json };
    struct attempt_record a = { .run = *run,
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK,
                                .started_wall = epoch + index * 100,
                                .ended_wall = epoch + index * 100 + 900,
                                .pid = 4242,
                                .max_rss_bytes = 9 << 20,
                                .cpu_us = 800,
                                .width = width,
                                .has_width = step == STEP_START,
                                .outputs = &x,
                                .n_outputs = step == STEP_WORK };
    struct record_key key;

    task.path[0] = index;
    a.task = task;
    key = attempt_key(run, &task, 0);
    return add(g, &key, attempt_record_encode(&a, &g->values[g->n]));
}

static int add_attempts(struct group *g, const struct run_id *run, uint64_t n)
{
    int error = add_attempt(g, run, STEP_START, 0, n);

    for (uint64_t i = 0; error == 0 && i < n; i++)
        error = add_attempt(g, run, STEP_WORK, i, 0);
    return error ? error : add_attempt(g, run, STEP_JOIN, 0, 0);
}

static int fill(struct group *g, uint64_t n_runs, uint64_t n_flows, uint64_t n_tasks)
{
    int error = 0;

    for (uint64_t number = 1; error == 0 && number <= n_runs; number++) {
        uint8_t random[10] = { 0 };
        struct run_id id;

        memcpy(random, &number, sizeof(number));
        id = run_id_make(epoch / 1000 + number, random);
        error =
            add_run(g, &id, number, number % n_flows, number == n_runs ? n_tasks : 1);
        if (error == 0 && number == n_runs)
            error = add_attempts(g, &id, n_tasks);
    }
    return error ? error : flush(g);
}

int main(int argc, char **argv)
{
    static struct group group;
    struct error error = { .text = "" };
    uint64_t n[3];
    int r;

    for (int i = 0; argc == 5 && i < 3; i++)
        n[i] = strtoull(argv[i + 2], NULL, 10);
    if (argc != 5 || n[0] == 0 || n[1] == 0) {
        fprintf(stderr, "usage: bench-records DIR RUNS FLOWS TASKS\n");
        return 2;
    }
    r = store_open_lmdb(argv[1], &group.store, NULL, &error);
    if (r == 0)
        r = fill(&group, n[0], n[1], n[2]);
    if (r < 0)
        fprintf(stderr, "bench-records: %s\n",
                error.text[0] ? error.text : strerror(-r));
    store_close(group.store);
    for (size_t i = 0; i < GROUP; i++)
        buffer_release(&group.values[i]);
    return r < 0;
}
