/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes in one process: what one is asked and the other answers. Messages between
 * them are encoded, wait for a turn of the loop, and can be lost. */
#include "tests/unit/api_kit.h"

#include "node/api/forward_text.h"
#include "node/api/role.h"

static struct runtime far;
static struct api *far_api;
static int far_user, far_task;

struct letter {
    struct letter *next;
    struct runtime *to;
    struct node_id from;
    struct buffer bytes;
};
static struct letter *letters, **last_letter = &letters;
static uv_idle_t mail;
static bool is_mail_open;
static unsigned n_sent, n_busy; /* n_busy: so many sends find the queue full */
static unsigned most_in_flight;

/* ---- the network ---- */

static int send_letter(struct runtime *rt, const struct node_id *peer,
                       const struct message *m)
{
    struct letter *l;

    if (!rt->other || !node_id_equal(&rt->other->id, peer)
        || rt->other->note.state == MEMBER_DEAD)
        return -ENOTCONN;
    if (n_busy) {
        n_busy--;
        return -EAGAIN;
    }
    l = calloc(1, sizeof(*l));
    *l = (struct letter){ .to = rt->other, .from = rt->id, .bytes = BUFFER_INIT };
    assert_int_equal(message_encode(m, &l->bytes), 0);
    *last_letter = l;
    last_letter = &l->next;
    n_sent++;
    return 0;
}

static void deliver(uv_idle_t *handle)
{
    unsigned n = 0;

    (void)handle;
    for (struct letter *l = letters; l; l = l->next)
        n++;
    most_in_flight = n > most_in_flight ? n : most_in_flight;
    while (letters) {
        struct letter *l = letters;
        struct message m;

        letters = l->next;
        if (!letters)
            last_letter = &letters;
        assert_int_equal(message_decode(l->bytes.data, l->bytes.len, &m), 0);
        runtime_peer_on_message(l->to, &l->from, &m);
        message_release(&m);
        buffer_release(&l->bytes);
        free(l);
    }
}

static void far_dies(void)
{
    far.note.state = MEMBER_DEAD;
    runtime_peer_on_gone(&fake, &far.id);
}

/* ---- two nodes ---- */

static void name(struct runtime *rt, const char *called, uint8_t id)
{
    rt->id = (struct node_id){ .bytes = { id } };
    rt->note = (struct member_note){ .id = rt->id,
                                     .state = MEMBER_ALIVE,
                                     .has_card = true,
                                     .card = { .name = (char *)called,
                                               .roles = ROLE_WORKER | ROLE_HOME } };
}

static void far_leads(void)
{
    fake.where = (struct run_where){ .place = RUN_PLACE_ELSEWHERE, .leader = far.id };
    far.where = (struct run_where){ .place = RUN_PLACE_LEADS, .leader = far.id };
    fake.is_empty = true;
    far.has_active = true;
    far.active = make_run(1);
    far.active_record = make_record(1, "Demo");
}

static int set_up_two(void **state)
{
    struct error error = { "" };
    char path[96];

    memset(&far, 0, sizeof(far));
    set_up(state);
    far.fixture = fake.fixture;
    far.config = fake.config;
    far.artifacts = fake.artifacts;
    far.active_flow = fake.active_flow;
    far.feed = feed_new();
    far.shared_loop = &fake.loop;
    far.other = &fake;
    fake.other = &far;
    name(&fake, "near", 1);
    name(&far, "far", 2);
    n_busy = n_sent = most_in_flight = 0;
    uv_idle_init(&fake.loop, &mail);
    uv_idle_start(&mail, deliver);
    is_mail_open = true;
    assert_int_equal(runtime_peer_open(&fake, send_letter), 0);
    assert_int_equal(runtime_peer_open(&far, send_letter), 0);
    snprintf(path, sizeof(path), "%s/far-user", fake.fixture->dir);
    far_user = listen_on(path);
    snprintf(path, sizeof(path), "%s/far-task", fake.fixture->dir);
    far_task = listen_on(path);
    assert_int_equal(mesh_http_module.start(&far,
                                            &(struct api_sockets){ far_user, far_task,
                                                                   -1 },
                                            &far_api, &error),
                     0);
    return 0;
}

static int tear_down_two(void **state)
{
    mesh_http_module.stop(far_api);
    runtime_peer_close(&far);
    for (int i = 0; i < 100; i++)
        uv_run(&fake.loop, UV_RUN_NOWAIT);
    fake.other = NULL;
    uv_close((uv_handle_t *)&mail, NULL);
    runtime_peer_close(&fake);
    close(far_user);
    close(far_task);
    release_runtime(&far);
    return tear_down(state);
}

#define TWO(f) cmocka_unit_test_setup_teardown(f, set_up_two, tear_down_two)

/* ---- stories ---- */

static void a_run_led_elsewhere_is_answered_by_its_leader(void **state)
{
    (void)state;
    far_leads();
    ask("GET /v1/runs/1");
    expect_status(200);
    expect_text("\"state\":\"running\"");
    expect_text("Content-Type: application/json");
    assert_int_equal(most_in_flight, 1);
    ask("GET /v1/runs/1/tasks?limit=1");
    expect_status(200);
    expect_text("\"step\":\"fit\"");
    ask("GET /v1/runs/1/tasks?limit=x");
    expect_status(400);
}

static void its_bytes_keep_their_headers(void **state)
{
    (void)state;
    far_leads();
    ask("GET /v1/runs/1/artifacts/fit/0/model");
    expect_status(200);
    assert_string_equal(body_of_answer(), "hello");
    expect_text("ETag: \"");
    expect_text("Content-Length: 5");
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model", "Range: bytes=1-2\r\n",
           NULL, 0);
    expect_status(206);
    expect_text("Content-Range: bytes 1-2/5");
    assert_string_equal(body_of_answer(), "el");
}

static void what_changes_a_run_is_done_by_its_leader(void **state)
{
    (void)state;
    far_leads();
    post("POST /v1/runs/1/cancel", "");
    expect_status(202);
    assert_int_equal(far.n_cancelled, 1);
    assert_int_equal(fake.n_cancelled, 0);
    post("POST /v1/runs/1/cancel", "[1]");
    expect_status(202);
}

static void a_wrong_node_says_so_and_is_asked_again(void **state)
{
    int fd = dial(user_path);

    (void)state;
    far_leads();
    far.where.place = RUN_PLACE_ELSEWHERE;
    far.where.leader = fake.id;
    send_text(fd, "POST /v1/runs/1/cancel HTTP/1.1\r\nHost: m\r\nConnection: close\r\n"
                  "Content-Length: 0\r\n\r\n");
    while (n_sent < 6) /* an answer, and asked again */
        turn(fd, POLLIN);
    assert_int_equal(far.n_cancelled, 0);
    far.where.place = RUN_PLACE_LEADS;
    receive(fd, NULL, &answer);
    expect_status(202);
    assert_int_equal(far.n_cancelled, 1);
    close(fd);
}

static void a_home_answers_when_the_leader_is_dead(void **state)
{
    (void)state;
    far_leads();
    fake.is_empty = false;
    fake.where.place = RUN_PLACE_HOME;
    far_dies();
    ask("GET /v1/runs/1");
    expect_status(200);
    expect_text("Age: 42");
    expect_text("\"number\":1");
}

static void what_nobody_was_told_of_is_searched(void **state)
{
    (void)state;
    far_leads();
    fake.where.place = RUN_PLACE_UNKNOWN;
    far.has_active = false;
    put_end(1);
    ask("GET /v1/runs/1");
    expect_status(200);
    expect_text("\"state\":\"ended\"");
    far.is_empty = true;
    ask("GET /v1/runs/7");
    expect_status(404);
    expect_text("there is no run '7'");
}

static int follow_run(void)
{
    return follow("?run=1&since=0", "");
}

static void publish_at(struct runtime *rt, enum feed_type type, const char *text)
{
    struct feed_event event = { .type = type,
                                .wall = 1,
                                .run = make_run(1),
                                .number = 1,
                                .step = "fit",
                                .stream = LOG_STDOUT,
                                .data = text,
                                .len = strlen(text) };

    assert_int_equal(feed_publish(rt->feed, &event, 0), 0);
}

static void events_stream_through(void **state)
{
    int fd;

    (void)state;
    far_leads();
    fd = follow_run();
    publish_at(&far, FEED_LOG, "one");
    receive(fd, "\"text\":\"one\"", &answer);
    publish_at(&far, FEED_LOG, "two");
    receive(fd, "\"text\":\"two\"", &answer);
    close(fd);
    ask("GET /v1/node"); /* the loop turns */
    expect_status(200);
}

static void events_go_on_at_the_next_leader(void **state)
{
    int fd;

    (void)state;
    far_leads();
    fd = follow_run();
    publish_at(&far, FEED_LOG, "one");
    receive(fd, "\"text\":\"one\"", &answer);
    /* The one that is asked takes over: the stream ends, and the client that asks again
     * gets what it has not seen. */
    far.note.state = MEMBER_DEAD;
    fake.where = (struct run_where){ .place = RUN_PLACE_LEADS, .leader = fake.id };
    fake.is_empty = false;
    runtime_peer_on_gone(&fake, &far.id);
    receive(fd, NULL, &answer);
    close(fd);
    publish_at(&fake, FEED_LOG, "two");
    fd = follow("?run=1&since=1", "");
    receive(fd, "\"text\":\"two\"", &answer);
    close(fd);
}

/* More than the window holds: parts come only as they are taken. */
static void a_client_that_does_not_read_fills_no_memory(void **state)
{
    enum { SIZE = 4 << 20 };
    CLEANUP(freep) char *bytes = make_bytes(SIZE, 7);
    struct digest id;
    struct artifact big = { .name = (char *)"big",
                            .type = (char *)"bytes",
                            .encoding = ENCODING_BYTES,
                            .size = SIZE };
    struct attempt_record a = { .run = make_run(1),
                                .task = fit(5),
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK,
                                .started_wall = 1,
                                .ended_wall = 2,
                                .outputs = &big,
                                .n_outputs = 1 };
    int fd;

    (void)state;
    assert_int_equal(blobs_put(fake.fixture->blobs, bytes, SIZE, &id), 0);
    big.id = id;
    put_attempt(&a);
    far_leads();
    fd = dial(user_path);
    send_text(fd, "GET /v1/runs/1/artifacts/fit/5/big HTTP/1.1\r\nHost: m\r\n"
                  "Connection: close\r\n\r\n");
    for (int i = 0; i < 3000; i++)
        uv_run(&fake.loop, UV_RUN_NOWAIT);
    assert_true(n_sent < 3 * PEER_WINDOW);
    buffer_release(&answer);
    answer = BUFFER_INIT;
    n_busy = 5;
    receive(fd, NULL, &answer);
    close(fd);
    expect_status(200);
    assert_int_equal(answer.len - (size_t)(body_of_answer() - answer.data), SIZE);
    assert_memory_equal(body_of_answer(), bytes, SIZE);
}

static void an_answer_that_is_cut_off_is_seen_to_be(void **state)
{
    enum { SIZE = 4 << 20 };
    CLEANUP(freep) char *bytes = make_bytes(SIZE, 7);
    struct digest id;
    char line[128] = "GET /v1/runs/1/flow";
    int fd;

    (void)state;
    assert_int_equal(blobs_put(fake.fixture->blobs, bytes, SIZE, &id), 0);
    far_leads();
    ask(line);
    expect_status(200);
    fd = follow_run();
    far_dies();
    fake.where = (struct run_where){ .place = RUN_PLACE_UNKNOWN };
    receive(fd, NULL, &answer);
    /* Without the last chunk of a whole answer. */
    assert_null(strstr(body_of_answer(), "\r\n0\r\n\r\n"));
    close(fd);
}

static void a_peer_may_not_invent_requests(void **state)
{
    static const struct {
        const char *method, *target;
        uint32_t role;
    } bad[] = { { "GET", "/v1/runs HTTP/1.1\r\nX: y", 3 },
                { "GET", "v1/runs", 3 },
                { "BREW", "/v1/runs", 3 },
                { "GET", "/v1/runs", 0 },
                { "GET", "/v1/runs", 4 } };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct message m = { .type = MESSAGE_REQUEST,
                             .u.request = { .request = 99 + i,
                                            .method = (char *)bad[i].method,
                                            .target = (char *)bad[i].target,
                                            .user = (char *)"eve",
                                            .role = bad[i].role,
                                            .window = 1 } };

        runtime_peer_on_message(&far, &fake.id, &m);
        assert_non_null(letters); /* refused at once */
        uv_run(&fake.loop, UV_RUN_NOWAIT);
    }
}

static void a_role_goes_along(void **state)
{
    (void)state;
    far_leads();
    struct message m = { .type = MESSAGE_REQUEST,
                         .u.request = { .request = 5,
                                        .method = (char *)"POST",
                                        .target = (char *)"/v1/runs/1/cancel",
                                        .user = (char *)"eve",
                                        .role = ROLE_SUBMITTER,
                                        .window = 1 } };

    runtime_peer_on_message(&far, &fake.id, &m);
    for (int i = 0; i < 200; i++)
        uv_run(&fake.loop, UV_RUN_NOWAIT);
    assert_int_equal(far.n_cancelled, 0); /* it is ann's */
    m.u.request.user = (char *)"ann";
    m.u.request.request = 6;
    runtime_peer_on_message(&far, &fake.id, &m);
    for (int i = 0; i < 2000 && !far.n_cancelled; i++)
        uv_run(&fake.loop, UV_RUN_NOWAIT);
    assert_int_equal(far.n_cancelled, 1);
}

/* ---- what all know ---- */

static void members_are_told_with_what_they_say(void **state)
{
    (void)state;
    ask("GET /v1/members");
    expect_status(200);
    expect_text("\"state\":\"alive\",\"since_s\":7");
    expect_text("\"name\":\"far\"");
    assert_null(strstr(body_of_answer(), "\"node\""));
    ask("GET /v1/members?detail=true");
    expect_status(200);
    expect_text("\"guests\":{\"preparing\":0,\"waiting\":0,\"running\":3}");
    expect_text("\"silent\":[]");
    far_dies();
    ask("GET /v1/members?detail=true");
    expect_text("\"state\":\"dead\"");
    ask("GET /v1/members?detail=maybe");
    expect_status(400);
}

static void one_that_does_not_answer_is_named(void **state)
{
    (void)state;
    n_busy = 1000000;
    ask("GET /v1/members?detail=true");
    expect_status(200);
    expect_text("\"silent\":[\"far\"]");
    ask("GET /v1/runs");
    expect_status(200);
    expect_text("\"silent\":[\"far\"]");
    n_busy = 0;
}

static void runs_of_all_are_listed_once(void **state)
{
    (void)state;
    put_run(2, "Demo");
    far_leads();
    fake.is_empty = false;
    ask("GET /v1/runs?limit=5");
    expect_status(200);
    expect_text("\"number\":2");
    expect_text("\"number\":1,\"flow\":\"Demo\",\"state\":\"running\"");
    assert_null(strstr(strstr(body_of_answer(), "\"number\":1,") + 1, "\"number\":1,"));
    ask("GET /v1/runs?limit=1");
    expect_text("\"before\":\"2\"");
}

static void a_request_can_name_its_node(void **state)
{
    (void)state;
    post("POST /v1/drain?node=far", "");
    expect_status(202);
    assert_true(far.is_draining);
    assert_false(fake.is_draining);
    post("POST /v1/undrain?node=far", "");
    assert_false(far.is_draining);
    post("POST /v1/drain?node=nobody", "");
    expect_status(404);
    expect_text("there is no member 'nobody'");
    far_dies();
    post("POST /v1/leave?node=far", "");
    expect_status(404);
    expect_text("member 'far' is not there");
}

/* ---- texts ---- */

static void targets_are_escaped(void **state)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    char *params[] = { (char *)"7", (char *)"a b", (char *)"x/y" };

    (void)state;
    target_path("/v1/runs/RUN/logs/STEP/TASK", params, &out);
    assert_string_equal(buffer_text(&out), "/v1/runs/7/logs/a%20b/x%2Fy");
}

static void heads_are_read(void **state)
{
    CLEANUP(buffer_release) struct buffer in = BUFFER_INIT;
    CLEANUP(answer_head_release) struct answer_head h = { .headers = BUFFER_INIT };

    (void)state;
    buffer_puts(&in, "HTTP/1.0 206 Partial Content\r\nDate: now\r\nETag: \"x\"\r\n"
                     "Content-Type: text/plain\r\nConnection: close\r\n");
    assert_int_equal(answer_head_read(&in, &h), 0);
    buffer_puts(&in, "\r\nbody");
    assert_int_equal(answer_head_read(&in, &h), 1);
    assert_int_equal(h.status, 206);
    assert_string_equal(h.type, "text/plain");
    assert_string_equal(buffer_text(&h.headers), "ETag: \"x\"\n");
    assert_string_equal(in.data + h.len, "body");
    buffer_clear(&in);
    buffer_puts(&in, "SMTP 250\r\n\r\n");
    assert_int_equal(answer_head_read(&in, &h), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TWO(a_run_led_elsewhere_is_answered_by_its_leader),
        TWO(its_bytes_keep_their_headers),
        TWO(what_changes_a_run_is_done_by_its_leader),
        TWO(a_wrong_node_says_so_and_is_asked_again),
        TWO(a_home_answers_when_the_leader_is_dead),
        TWO(what_nobody_was_told_of_is_searched),
        TWO(events_stream_through),
        TWO(events_go_on_at_the_next_leader),
        TWO(a_client_that_does_not_read_fills_no_memory),
        TWO(an_answer_that_is_cut_off_is_seen_to_be),
        TWO(a_peer_may_not_invent_requests),
        TWO(a_role_goes_along),
        TWO(members_are_told_with_what_they_say),
        TWO(one_that_does_not_answer_is_named),
        TWO(runs_of_all_are_listed_once),
        TWO(a_request_can_name_its_node),
        cmocka_unit_test(targets_are_escaped),
        cmocka_unit_test(heads_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
