#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One store has one node. Who comes second asks it, or is told who has it.
. "$(dirname "$0")/lib.sh"

cat >gate.mf <<'FLOW'
mesh: 1
flow: Gate
parameters:
  gate: {type: string}
steps:
  start:
    run: 'echo waiting; until test -e "$MESH_PARAM_GATE"; do sleep 0.05; done; echo open'
    next: end
  end:
    run: 'true'
FLOW

start first "$MESH" run gate.mf --gate "$work/gate1"
first=$pid
wait_for 'the first run waits' grep -q 'waiting$' first.out
start second "$MESH" run gate.mf --gate "$work/gate2"
second=$pid
wait_for 'a second mesh run becomes a client' grep -q 'waiting$' second.out
like second.out '^Workflow starting \(run-id 2\):$' 'and has a run of its own'
run 0 'status of the first, while it runs' "$MESH" status 1
like "$out" 'running|start' 'shows it'
run 0 'the log of the second, while it runs' "$MESH" logs 2/start
like "$out" 'waiting' 'shows it'

run 4 'a second node is refused' "$MESH" node --dev --data "$MESH_HOME"
like "$err" "$first" 'and told who has the store'

touch gate1
wait_for 'the first run ends' grep -q '^Workflow ended: OK' first.out
ok 'the node lives until its last run ended' kill -0 "$first"
touch gate2
ended "$second" 0 'the client ends with the result of its run'
like second.out '^Workflow ended: OK' 'and says so'
ended "$first" 0 'then the node ends'

run 0 'the store can be looked at without a node' "$MESH" runs
like "$out" 'Gate' 'and shows the runs'
nothing_left 'whoever served that is gone'

# The client's result is its own run's.
start third "$MESH" run gate.mf --gate "$work/gate3"
third=$pid
wait_for 'a third run waits' grep -q 'waiting$' third.out
cat >fails.mf <<'FLOW'
mesh: 1
flow: Fails
steps:
  start:
    run: exit 7
    next: end
  end:
    run: 'true'
FLOW
run 1 'a client whose run fails ends with 1' "$MESH" run fails.mf
like "$out" 'exit code 7' 'and says why'
run 2 'a client with a bad parameter ends with 2' "$MESH" run gate.mf --gaet x
touch gate3
ended "$third" 0 'the node ends with the result of its own run'
finish
