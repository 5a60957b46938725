/* SPDX-License-Identifier: Apache-2.0 */
/* GET /metrics, of a node on which something happened. */
#include "tests/unit/api_kit.h"

static void expect_line(const char *line)
{
    char whole[256];

    snprintf(whole, sizeof(whole), "\n%s\n", line);
    expect_text(whole);
}

static void a_node_tells_its_figures(void **state)
{
    (void)state;
    make_active(1);
    fake.counters.runs_started = 3;
    fake.counters.tasks_ended[VERDICT_FAILED][REASON_OOM] = 4;
    histogram_add(&fake.counters.task_time, histogram_long_bounds, TIME_MS(50));
    histogram_add(&fake.counters.task_time, histogram_long_bounds, TIME_S(2));
    ask("GET /v1/runs/99");
    ask("GET /metrics");
    expect_status(200);
    expect_text("Content-Type: text/plain; version=0.0.4; charset=utf-8");
    expect_line("mesh_runs{state=\"running\"} 1");
    expect_line("mesh_runs_started_total 3");
    expect_line("mesh_tasks{state=\"waiting\"} 3");
    expect_line("mesh_task_ends_total{verdict=\"failed\",reason=\"oom\"} 4");
    expect_line("mesh_task_seconds_bucket{le=\"0.01\"} 0");
    expect_line("mesh_task_seconds_bucket{le=\"0.1\"} 1");
    expect_line("mesh_task_seconds_bucket{le=\"+Inf\"} 2");
    expect_line("mesh_task_seconds_sum 2.05");
    expect_line("mesh_cpus_claimed 0.5");
    expect_line("mesh_http_requests_total{method=\"GET\",route=\"/v1/runs/RUN\","
                "status=\"404\"} 1");
    expect_line("mesh_http_connections{listener=\"user\"} 1");
    expect_text("\nprocess_resident_memory_bytes ");
}

static void followers_and_commits_are_counted(void **state)
{
    int fd = follow("", "");

    (void)state;
    publish("one", 3);
    receive(fd, "\"text\":\"one\"", &answer);
    ask("GET /v1/runs"); /* waits until what was put is durable */
    ask("GET /metrics");
    expect_line("mesh_event_followers 1");
    expect_line("mesh_events_total 1");
    assert_null(strstr(body_of_answer(), "\nmesh_event_sent_bytes_total 0\n"));
    assert_null(strstr(body_of_answer(), "\nmesh_store_commit_seconds_count 0\n"));
    assert_null(strstr(body_of_answer(), "\nmesh_store_writes_total 0\n"));
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_node_tells_its_figures),
        CASE(followers_and_commits_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
