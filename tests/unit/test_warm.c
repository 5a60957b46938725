/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/unit.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/warm.h"

static char dir[] = "/tmp/mesh-warm-XXXXXX", program[64];
static struct warm_server w;
static struct variables env;

static int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/mesh-warm-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(program, sizeof(program), "%s/python3", dir);
    w = WARM_SERVER_NONE;
    assert_int_equal(variables_set(&env, strdup("PATH=/usr/bin:/bin")), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    warm_kill(&w);
    warm_reap(&w);
    warm_close(&w);
    variables_release(&env);
    unlink(program);
    rmdir(dir);
    return 0;
}

/* A server is whatever is called python3: its standard input is the socket. */
static int start(const char *script, struct error *why)
{
    struct warm_config config = { .program = program, .cwd = dir, .env = &env };
    FILE *file = fopen(program, "w");

    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    fclose(file);
    assert_int_equal(chmod(program, 0700), 0);
    return warm_start(&w, &config, why);
}

static enum warm_event next(int32_t *ret_pid)
{
    struct pollfd p = { .fd = w.socket, .events = POLLIN };

    assert_int_equal(poll(&p, 1, 60000), 1);
    return warm_receive(&w, ret_pid);
}

static void test_a_request_is_its_texts(void **state)
{
    static const char wanted[] = "\x03\0\0\0/work\0A=1\0B=\0";
    char *envp[] = { (char *)"A=1", (char *)"B=", NULL };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(freep) char *text = malloc(WARM_REQUEST_BYTES_MAX);

    (void)state;
    assert_int_equal(warm_request("/work", envp, &out), 0);
    assert_int_equal(out.len, sizeof(wanted) - 1);
    assert_memory_equal(out.data, wanted, out.len);
    /* The longest one, and one more. */
    memset(text, 'x', WARM_REQUEST_BYTES_MAX);
    text[WARM_REQUEST_BYTES_MAX - 4 - 2 - 1] = '\0';
    envp[0] = text;
    envp[1] = NULL;
    buffer_clear(&out);
    assert_int_equal(warm_request("/", envp, &out), 0);
    assert_int_equal(out.len, WARM_REQUEST_BYTES_MAX);
    buffer_clear(&out);
    assert_int_equal(warm_request("/w", envp, &out), -EMSGSIZE);
}

static void test_what_a_server_says_is_understood(void **state)
{
    struct error why = { .text = "" };
    int32_t pid = 0;

    (void)state;
    assert_int_equal(start("printf ready >&0\n"
                           "printf '\\001\\002\\000\\000' >&0\n"
                           "printf '\\365\\377\\377\\377' >&0\n"
                           "printf 'nonsense' >&0\n"
                           "read -r go\n"
                           "exit 75",
                           &why),
                     0);
    assert_int_equal(next(&pid), WARM_IS_READY);
    assert_int_equal(next(&pid), WARM_ANSWERED);
    assert_int_equal(pid, 0x201);
    assert_int_equal(next(&pid), WARM_ANSWERED);
    assert_int_equal(pid, -EAGAIN);
    assert_int_equal(next(&pid), WARM_GONE);
    assert_int_equal(warm_receive(&w, &pid), WARM_NOTHING);
    assert_true(warm_resident(&w) > 0);
    warm_dismiss(&w);
    assert_int_equal(next(&pid), WARM_GONE);
    assert_int_equal(warm_reap(&w), WARM_CANNOT);
    assert_int_equal(warm_resident(&w), 0);
}

static void test_a_request_arrives_whole(void **state)
{
    char *envp[] = { (char *)"NAME=value", NULL };
    CLEANUP(buffer_release) struct buffer request = BUFFER_INIT;
    struct error why = { .text = "" };
    struct pollfd p;
    char got[64];
    int fds[3];

    (void)state;
    assert_int_equal(start("dd bs=1000 count=1 <&0 2>/dev/null", &why), 0);
    for (int i = 0; i < 3; i++)
        fds[i] = w.socket;
    assert_int_equal(warm_request("/w", envp, &request), 0);
    assert_int_equal(warm_send(&w, &request, fds, 3), 0);
    p = (struct pollfd){ .fd = w.log, .events = POLLIN };
    assert_int_equal(poll(&p, 1, 60000), 1);
    assert_int_equal(read(w.log, got, sizeof(got)), request.len);
    assert_memory_equal(got, request.data, request.len);
    assert_int_equal(warm_reap(&w), 0);
    assert_int_equal(warm_send(&w, &request, fds, 3), -EPIPE);
}

static void test_a_full_socket_is_told(void **state)
{
    CLEANUP(buffer_release) struct buffer request = BUFFER_INIT;
    char *envp[] = { NULL, NULL };
    char text[20000];
    struct error why = { .text = "" };
    int n = 0, r;

    (void)state;
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    envp[0] = text;
    assert_int_equal(warm_request("/w", envp, &request), 0);
    assert_int_equal(start("read -r go </dev/zero", &why), 0);
    while ((r = warm_send(&w, &request, &w.log, 1)) == 0)
        assert_in_range(++n, 1, 1000);
    assert_int_equal(r, -EAGAIN);
    warm_kill(&w);
    assert_int_equal(warm_reap(&w), -1);
}

static void test_a_missing_program_is_named(void **state)
{
    struct warm_config config = { .program = "/no/python3", .cwd = dir, .env = &env };
    struct error why = { .text = "" };

    (void)state;
    assert_int_equal(warm_start(&w, &config, &why), -ENOENT);
    assert_non_null(strstr(why.text, "/no/python3: exec"));
    assert_int_equal(w.pidfd, -1);
    assert_int_equal(w.socket, -1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_is_its_texts),
        TEST(test_what_a_server_says_is_understood),
        TEST(test_a_request_arrives_whole),
        TEST(test_a_full_socket_is_told),
        TEST(test_a_missing_program_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
