/* SPDX-License-Identifier: Apache-2.0 */
/* What one program writes the next one reads, whole; and what makes no sense is
 * refused. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/handover.h"

static const struct run_id run = { .bytes = { 1, 2, 3, 4, 5 } };
static char token[] = "0123456789abcdef0123456789abcdef";

static void make_slot(struct slot *s)
{
    static struct output_type old = { .name = "table", .type = "text/csv" };
    static struct output_type new = { .name = "plot",
                                      .type = "image/png",
                                      .next = &old };
    static struct input_link links[] = {
        { .id = { .bytes = { 9 } }, .path = "slots/3/in/a" },
        { .id = { .bytes = { 8 } }, .path = "slots/3/in/b \"c\"" },
    };

    *s = SLOT_NONE;
    s->index = 3;
    s->state = SLOT_RUNNING;
    s->pid = 4711;
    s->task =
        (struct task_id){ .step = 2, .depth = 2, .iteration = 1, .path = { 7, 300 } };
    s->attempt = 4;
    s->pipe_read[0] = 10, s->pipe_read[1] = 11;
    s->pipe_write[0] = 12, s->pipe_write[1] = 13;
    s->gpus = UINT64_C(1) << 63 | 5;
    s->fence = 77;
    s->guard_fd = 21;
    s->permit_until = UINT64_C(1) << 40;
    s->generation = 2;
    s->ballot = 9;
    s->started = 123456789;
    s->started_wall = 1790000000000000;
    s->kill_reason = REASON_TIMEOUT;
    s->owner = 1001;
    s->is_guest = true;
    s->choice = "left";
    s->types = &new;
    s->links = links;
    s->n_links = ARRAY_SIZE(links);
    s->has_cache_key = true;
    s->cache_key.bytes[31] = 6;
    s->log.bytes = 5000;
    s->log.bytes_max = 1 << 20;
    s->log.is_truncated = true;
    s->log.fd = 20;
    buffer_append(&s->log.pieces, "a\0b\xff", 4);
    s->cgroup.generation = 3;
    s->cgroup.was_killed = true;
    s->cgroup.memory_max = 1 << 30;
    s->cgroup.oom_kills = 2;
    s->cgroup.v2_path = "/sys/fs/cgroup/mesh/slot3.3";
    strcpy(s->token, token);
}

static void make_guest(struct mesh_guest *g)
{
    *g = (struct mesh_guest){ .lease = UINT64_C(1) << 63 | 8,
                              .counter = UINT64_C(3) << 40,
                              .gpus = 5,
                              .fence = 77,
                              .started = 123,
                              .has_witness = true,
                              .rank = { .is_sealed = true,
                                        .generation = 2,
                                        .ballot = { 9, { .bytes = { 4 } } } },
                              .leader = { .bytes = { 5 } } };
    g->witness.bytes[0] = 3;
}

static void encode(struct buffer *out)
{
    struct handover_secret secret = { .run = run,
                                      .name = "key",
                                      .value = "it's \"s\"" };
    struct handover_task task = { .run = run, .n_files = 12, .has_guest = true };
    struct handover h = { .pid = 99,
                          .dir = "/data",
                          .version = "1.2.3",
                          .boot = 6,
                          .is_draining = true,
                          .lock_fd = 5,
                          .user_fd = 7,
                          .task_fd = 8,
                          .tcp_fd = -1,
                          .peer_listen = "127.0.0.1:4000",
                          .bulk_port = 4001,
                          .tasks = &task,
                          .n_tasks = 1,
                          .secrets = &secret,
                          .n_secrets = 1 };
    struct slot s;

    make_slot(&s);
    make_guest(&task.guest);
    task.slot = &s;
    assert_int_equal(handover_encode(&h, out), 0);
    buffer_release(&s.log.pieces);
}

static void check_slot(const struct slot *s)
{
    struct slot wanted;

    make_slot(&wanted);
    assert_int_equal(s->index, 3);
    assert_int_equal(s->pid, 4711);
    assert_true(task_id_equal(&s->task, &wanted.task));
    assert_int_equal(s->attempt, 4);
    assert_memory_equal(s->pipe_read, wanted.pipe_read, sizeof(s->pipe_read));
    assert_memory_equal(s->pipe_write, wanted.pipe_write, sizeof(s->pipe_write));
    assert_true(s->gpus == wanted.gpus && s->fence == 77 && s->generation == 2);
    assert_true(s->guard_fd == 21 && s->permit_until == wanted.permit_until);
    assert_true(s->ballot == 9 && s->started == wanted.started);
    assert_true(s->started_wall == wanted.started_wall && s->is_guest);
    assert_int_equal(s->kill_reason, REASON_TIMEOUT);
    assert_int_equal(s->owner, 1001);
    assert_string_equal(s->choice, "left");
    assert_string_equal(s->types->name, "plot"); /* the newest is first */
    assert_string_equal(s->types->next->type, "text/csv");
    assert_int_equal(s->n_links, 2);
    assert_string_equal(s->links[1].path, "slots/3/in/b \"c\"");
    assert_true(digest_equal(&s->links[0].id, &wanted.links[0].id));
    assert_true(s->has_cache_key && digest_equal(&s->cache_key, &wanted.cache_key));
    assert_true(s->has_log_file && s->log.fd == -1 && s->log.is_truncated);
    assert_true(s->log.bytes == 5000 && s->log.bytes_max == 1 << 20);
    assert_int_equal(s->log.pieces.len, 4);
    assert_memory_equal(s->log.pieces.data, "a\0b\xff", 4);
    assert_true(s->cgroup.was_killed && s->cgroup.generation == 3);
    assert_true(s->cgroup.memory_max == 1 << 30 && s->cgroup.oom_kills == 2);
    assert_string_equal(s->cgroup.v2_path, wanted.cgroup.v2_path);
    assert_null(s->cgroup.v1_path);
    assert_string_equal(s->token, token);
    buffer_release(&wanted.log.pieces);
}

static void all_of_it_comes_back(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(handover_release) struct handover h = { .pid = 0 };
    const struct mesh_guest *g;

    (void)state;
    encode(&text);
    assert_int_equal(handover_decode(text.data, text.len, &h), 0);
    assert_true(h.pid == 99 && h.boot == 6 && h.is_draining && h.lock_fd == 5);
    assert_true(h.user_fd == 7 && h.task_fd == 8 && h.tcp_fd == -1);
    assert_string_equal(h.dir, "/data");
    assert_string_equal(h.version, "1.2.3");
    assert_string_equal(h.peer_listen, "127.0.0.1:4000");
    assert_int_equal(h.bulk_port, 4001);
    assert_int_equal(h.n_secrets, 1);
    assert_string_equal(h.secrets[0].value, "it's \"s\"");
    assert_int_equal(h.n_tasks, 1);
    assert_true(run_id_equal(&h.tasks[0].run, &run) && h.tasks[0].n_files == 12);
    check_slot(h.tasks[0].slot);
    g = &h.tasks[0].guest;
    assert_true(h.tasks[0].has_guest && g->slot == 3 && g->attempt == 4);
    assert_true(g->lease == (UINT64_C(1) << 63 | 8) && g->counter == UINT64_C(3) << 40);
    assert_true(g->has_witness && g->witness.bytes[0] == 3 && !g->is_void);
    assert_true(g->rank.is_sealed && g->rank.ballot.counter == 9);
    assert_true(g->rank.ballot.node.bytes[0] == 4 && g->leader.bytes[0] == 5);
}

/* Whatever it is, it is refused or taken, and nothing is lost or freed twice. */
static void damage_does_no_harm(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    (void)state;
    encode(&text);
    for (size_t i = 0; i < text.len; i++) {
        static const char put[] = "0\"}x";

        for (size_t k = 0; k < sizeof(put) - 1; k++) {
            CLEANUP(handover_release) struct handover h = { .pid = 0 };
            char was = text.data[i];

            text.data[i] = put[k];
            handover_decode(text.data, text.len, &h);
            text.data[i] = was;
        }
    }
    for (size_t len = 0; len < text.len; len++) {
        CLEANUP(handover_release) struct handover h = { .pid = 0 };

        assert_int_not_equal(handover_decode(text.data, len, &h), 0);
    }
}

static void refused(const char *text, int error)
{
    CLEANUP(handover_release) struct handover h = { .pid = 0 };

    assert_int_equal(handover_decode(text, strlen(text), &h), error);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    refused("", -EBADMSG);
    refused("[]", -EBADMSG);
    refused("{}", -EPROTONOSUPPORT);
    refused("{\"format\": 2}", -EPROTONOSUPPORT);
    refused("{\"format\": 1}", 0);
    refused("{\"format\": 1, \"tasks\": [{}]}", -EBADMSG);
    refused("{\"format\": 1, \"tasks\": [1]}", -EBADMSG);
    refused("{\"format\": 1, \"secrets\": [[\"00\", \"a\", \"b\"]]}", -EBADMSG);
}

/* Of another process, or of another folder, it is nobody's. */
static void only_its_own_process_takes_it(void **state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct handover h;
    int fd;

    (void)state;
    encode(&text);
    assert_false(handover_is_there());
    assert_int_equal(handover_put(&text, &fd), 0);
    assert_true(handover_is_there());
    assert_int_equal(handover_take("/tmp", &h), -ENOENT);
    handover_release(&h);
    assert_false(handover_is_there());
    setenv("MESH_HANDOVER", "0", 1);
    assert_int_equal(handover_take("/tmp", &h), -ENOENT);
    handover_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_comes_back),
        cmocka_unit_test(damage_does_no_harm),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(only_its_own_process_takes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
