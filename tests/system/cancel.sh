#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A run can be ended, in person and from afar, and nothing of it stays behind.
. "$(dirname "$0")/lib.sh"
export MESH_GRACE=2

cat >wait.mf <<'FLOW'
mesh: 1
flow: Wait
parameters:
  mark: {type: string, default: /dev/null}
steps:
  start:
    run: 'trap "echo tidied up; exit 9" TERM; echo waiting; echo waits >"$MESH_PARAM_MARK"; while :; do sleep 0.05; done'
    next: end
  end:
    run: 'true'
FLOW
cat >deaf.mf <<'FLOW'
mesh: 1
flow: Deaf
parameters:
  mark: {type: string, default: /dev/null}
steps:
  start:
    run: 'trap "" TERM INT; setsid sh -c "trap \"\" TERM; while :; do sleep 1; done" & echo waiting; echo waits >"$MESH_PARAM_MARK"; while :; do sleep 1; done'
    next: end
  end:
    run: 'true'
FLOW

start ctrl_c "$MESH" run wait.mf
wait_for 'it waits' grep -q 'waiting$' ctrl_c.out
kill -INT "$pid"
ended "$pid" 130 'Ctrl-C cancels'
like ctrl_c.out 'tidied up$' 'the task may tidy up'
cat ctrl_c.out ctrl_c.err >both
like both 'mesh resume 1' 'how to go on is told'
like ctrl_c.out '^Workflow ended: CANCELLED' 'and the end'
nothing_left 'nothing is left'

export MESH_GRACE=600
start twice "$MESH" run deaf.mf
wait_for 'a deaf task waits' grep -q 'waiting$' twice.out
kill -INT "$pid"
wait_for 'the first Ctrl-C is heard' grep -Eqi 'cancel' twice.out twice.err
kill -INT "$pid"
ended "$pid" 130 'the second Ctrl-C does not wait for the grace'
nothing_left 'and takes the deaf along'
export MESH_GRACE=1

node n
run 0 'submit' "$MESH" submit wait.mf --mark "$work/mark" --json
number=$(sed -n 's/.*"number": *\([0-9]*\).*/\1/p' "$out" | head -n 1)
wait_for 'the submitted run waits' test -s mark
run 0 'cancel from afar' "$MESH" cancel "$number"
has_ended()
{
    "$MESH" status --json "$1" | grep -Eq '"state": *"ended"'
}
wait_for 'it ends' has_ended "$number"
run 0 'status tells' "$MESH" status --json "$number"
like "$out" '"outcome": *"cancelled"' 'how'
run 1 'an ended run cannot be cancelled' "$MESH" cancel "$number"
run 3 'nor one that is not there' "$MESH" cancel 4711

run 0 'submit a deaf one' "$MESH" submit deaf.mf --mark "$work/mark2" --json
number=$(sed -n 's/.*"number": *\([0-9]*\).*/\1/p' "$out" | head -n 1)
wait_for 'it waits' test -s mark2
run 0 'cancel' "$MESH" cancel "$number"
wait_for 'it is killed after the grace' has_ended "$number"
kill "$pid"
ended "$pid" 0 'the node ends when it is told to'
nothing_left 'nothing is left'

# A follower that is cancelled by somebody else says so.
node n2
node_pid=$pid
start follower "$MESH" submit wait.mf --follow
wait_for 'a follower waits' grep -q 'waiting$' follower.out
ok 'it is cancelled' "$MESH" cancel "$(run_number follower.out)"
ended "$pid" 130 'and ends with 130'
stop "$node_pid"

# A cancel that was taken is not forgotten with the node.
export MESH_GRACE=600
node before
node_pid=$pid
run 0 'submit another deaf one' "$MESH" submit deaf.mf --mark "$work/mark3" --json
number=$(sed -n 's/.*"number": *\([0-9]*\).*/\1/p' "$out" | head -n 1)
wait_for 'it is deaf' test -s mark3
run 0 'it is cancelled' "$MESH" cancel "$number"
kill -KILL "$node_pid"
wait "$node_pid" 2>/dev/null
export MESH_GRACE=1
node after
wait_for 'after a restart it ends' has_ended "$number"
run 0 'and tells' "$MESH" status --json "$number"
like "$out" '"outcome": *"cancelled"' 'that it was cancelled'
stop "$pid"
finish
