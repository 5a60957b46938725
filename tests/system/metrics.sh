#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a node tells Prometheus is what happened, in a form that promtool finds no fault in.
. "$(dirname "$0")/lib.sh"

promtool=$(command -v promtool || echo "${XDG_CACHE_HOME:-$HOME/.cache}/mesh/promtool")
mkdir flow
cat >flow/counts.mf <<'FLOW'
mesh: 1
flow: Counts
parameters:
  gate: {type: string}
steps:
  start:
    run: 'test "$MESH_ATTEMPT" != 0'
    retry: {times: 2, delay: 0s}
    foreach: {items: [a, b, c]}
    next: hold
  hold:
    run: 'echo twelve bytes; until test -e "$MESH_PARAM_GATE"; do sleep 0.1; done'
    resources: {cpu: 0.5, memory: 64}
    next: end
  end:
    join: start
    run: 'true'
FLOW

figures()
{
    http GET /metrics >figures
}

# has NAME{LABELS} VALUE TEXT
has()
{
    is "$(sed -n "s/^$1 //p" figures)" "$2" "$3"
}

node n --cpu 4 --memory 1G
figures
has mesh_slots_used 0 'nothing runs at first'
has 'mesh_runs{state="running"}' 0 'no run is active'
start follower "$MESH" submit flow/counts.mf --follow --gate "$work/gate"
follower=$pid
all_hold()
{
    figures && grep -qx 'mesh_slots_used 3' figures &&
        grep -qx 'mesh_event_followers 1' figures &&
        grep -qx 'mesh_task_log_bytes_total 39' figures
}
wait_for 'three tasks hold' all_hold
has 'mesh_runs{state="running"}' 1 'a run is active'
has 'mesh_tasks{state="running"}' 3 'three tasks run'
has mesh_cpus_claimed 1.5 'what they claim of the processors is told'
has mesh_memory_claimed_bytes 201326592 'and of the memory'
has mesh_task_starts_total 5 'a failed start, its retry and three tasks were started'
has mesh_task_retries_total 1 'one was retried'
has 'mesh_task_ends_total{verdict="failed",reason="exit"}' 1 'its failure is counted'
has mesh_event_followers 1 'the follower is counted'
ok 'there is a promtool: ./dev test gets it' test -x "$promtool"
run 0 'promtool reads it and has no advice' sh -c '"$1" check metrics <figures' sh \
    "$promtool"
is "$(cat "$out" "$err")" '' 'not a word'
touch gate
ended "$follower" 0 'the run ends'
figures
has 'mesh_runs_ended_total{outcome="ok"}' 1 'its end is counted'
has mesh_slots_used 0 'the slots are free'
has mesh_cpus_claimed 0 'and the processors'
has mesh_task_seconds_count 6 'the time of each attempt is told'
ok 'commits were timed' sh -c 'test "$(sed -n "s/^mesh_store_commit_seconds_count //p" figures)" -gt 0'
like figures '^mesh_http_requests_total\{method="POST",route="/v1/runs",status="201"\} 1$' \
    'requests are told by route and status'
like figures '^process_start_time_seconds [0-9]{10}' 'and the process itself'

# Each figure stands in the page that explains them.
sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' figures >names
while read -r name; do
    grep -q "\`$name\`" "$top/docs/operations-metrics.md" || echo "$name"
done <names >unexplained
is "$(cat unexplained)" '' 'docs/operations-metrics.md explains each'
finish
