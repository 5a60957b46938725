#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A node that runs for long, and runs that are handed to it.
. "$(dirname "$0")/lib.sh"

cat >sum.mf <<'FLOW'
mesh: 1
flow: Sum
parameters:
  a: {type: int, default: 1}
  b: {type: int, default: 2}
steps:
  start:
    run: 'cat part.txt; echo $((MESH_PARAM_A + MESH_PARAM_B)) | mesh artifact put sum - --type json'
    next: end
  end:
    run: 'echo "sum $(mesh artifact get sum)"'
FLOW
echo 'from the package' >part.txt

run 4 'without a node submit says so' "$MESH" submit sum.mf
node n
node_pid=$pid
like n.out 'mesh\.sock' 'a node says where it listens'
is "$(stat -c %a "$MESH_HOME/mesh.sock")" 600 'to its owner only'

run 0 'submit and follow' "$MESH" submit sum.mf --a 20 --b 22 --follow
like "$out" '\] from the package$' 'its files came along'
like "$out" '\] sum 42$' 'and its parameters'
like "$out" '^Workflow ended: OK' 'and its end is told'
ok 'its attempts are told' http GET /v1/runs/1/tasks
like ok.out '"cpu_us": ?[1-9]' 'with what they used'
run 2 'a bad flow is refused' "$MESH" submit part.txt
run 2 'a bad parameter too' "$MESH" submit sum.mf --c 1

pids=
for i in 1 2 3 4 5 6 7 8; do
    start "s$i" "$MESH" submit sum.mf --a "$i" --b 100 --follow
    pids="$pids $pid"
done
i=0
for pid in $pids; do
    i=$((i + 1))
    ended "$pid" 0 "of eight at once, number $i"
    like "s$i.out" "\\] sum $((i + 100))\$" 'has its own result'
done
is "$("$MESH" runs --json | grep -o '"number": *[0-9]*' | sort -u | wc -l)" 9 \
    'each has a number of its own'

# Logs can be followed by somebody who comes later, to the end.
cat >gate.mf <<'FLOW'
mesh: 1
flow: Gate
parameters:
  gate: {type: string}
steps:
  start:
    run: 'echo early; until test -e "$MESH_PARAM_GATE"; do sleep 0.05; done; echo late'
    next: end
  end:
    run: 'true'
FLOW
start gate "$MESH" submit gate.mf --gate "$work/gate" --follow
wait_for 'it waits' grep -q 'early$' gate.out
gate=$pid
number=$(run_number gate.out)
start later "$MESH" logs "$number" -f
later=$pid
wait_for 'who comes later sees what was before' grep -q early later.out
touch gate
ended "$gate" 0 'the run ends'
ended "$later" 0 'and the one who follows'
like later.out 'late$' 'having seen the rest'

ok 'events are told' sh -c 'curl -sS -m 2 --unix-socket "$1/mesh.sock" \
    "http://mesh/v1/events?since=1" | grep -q "^event: "' sh "$MESH_HOME"

kill "$node_pid"
ended "$node_pid" 0 'the node ends when it is told to'
node again
node_pid=$pid
is "$("$MESH" runs --json | grep -o '"number": *[0-9]*' | sort -u | wc -l)" 10 \
    'the next one knows all runs'
run 0 'and goes on counting' "$MESH" submit sum.mf --follow
is "$(run_number "$out")" 11 'from there'
run 0 'submit and follow as JSON' "$MESH" submit sum.mf --a 20 --b 22 --follow --json
is "$(sed -n '1s/^{"event":"\([a-z_]*\)".*/\1/p; $s/^{"event":"\([a-z_]*\)".*/\1/p' "$out" |
    tr '\n' ' ')" 'run_started run_ended ' 'is a line for each event'
like "$out" '^{"event":"run_started".*"flow":"' 'and the first names the flow'
# A log beside the flow that grows while it is packed is sent as it was when it was seen.
head -c 16000000 /dev/zero >grows.log
start writer sh -c 'i=0; while [ $i -lt 2000000 ]; do echo "line $i"; i=$((i + 1)); done >>grows.log'
writer=$pid
wait_for 'a log grows' sh -c 'test "$(stat -c %s grows.log)" -gt 16000000'
for i in 1 2 3 4 5; do run 0 'a log that grows is packed' "$MESH" submit sum.mf; done
stop "$writer"
rm grows.log

printf 'mesh: 1\nflow: Fit\nsteps:\n  a: {run: "true", resources: {cpu: 9999}}\n' >fit.mf
run 1 'a step that fits no node' "$MESH" submit fit.mf --follow
like "$out" 'The reason: .*fits no node: it asks for 9999 cpu' 'is told why it was not started'
stop "$node_pid"

start looking "$MESH" node --inspect --data "$MESH_HOME"
looking=$pid
wait_for 'somebody looks' http GET /v1/node
printf '{"flow": "mesh: 1\\nflow: F\\nsteps:\\n  a: {run: \\"true\\"}\\n"}' >order.json
is "$(http POST /v1/runs --data @order.json -o refused -w '%{http_code}' 2>/dev/null)" 503 \
    'who only shows the store takes no run'
like refused 'only shows the store' 'and says so'
run 4 'to submit it is no node' "$MESH" submit sum.mf
ended "$looking" 0 'and it ends by itself'
finish
