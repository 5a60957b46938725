#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A suspended run starts nothing, whatever happens to its node.
. "$(dirname "$0")/lib.sh"

cat >two.mf <<'FLOW'
mesh: 1
flow: Two
parameters:
  gate: {type: string}
  trace: {type: string}
steps:
  start:
    run: |
      echo start >>"$MESH_PARAM_TRACE"
      while [ ! -e "$MESH_PARAM_GATE" ]; do sleep 0.01; done
    next: end
  end:
    run: 'echo end >>"$MESH_PARAM_TRACE"'
FLOW
state()
{
    "$MESH" status "$1" --json | sed -n 's/^  "state": "\(.*\)",/\1/p'
}
traced()
{
    tr '\n' , <"$work/trace"
}
is_state()
{
    [ "$(state "$1")" = "$2" ]
}
has_traced()
{
    [ "$(traced)" = "$1" ]
}

node n
first=$pid
start follower "$MESH" submit two.mf --gate "$work/gate" --trace "$work/trace" --follow
wait_for 'its first task runs' test -s trace
run 0 'it is suspended' "$MESH" suspend 1
like "$out" 'to go on: mesh unsuspend 1' 'and told how to go on'
wait_for 'who follows it is told' grep -q 'Run 1 is suspended' follower.out
is "$(state 1)" suspended 'which is its state'
run 0 'twice is once' "$MESH" suspend 1 --json
touch gate
wait_for 'its task is finished' sh -c "! '$MESH' status 1 --json | grep -q '\"running\": 1'"
run 0 'its status' "$MESH" status 1
like "$out" 'suspended: the run starts nothing' 'says why nothing goes on'
like "$out" 'mesh unsuspend 1' 'and what to do'
is "$(traced)" 'start,' 'nothing was started'

kill -KILL "$first"
wait "$first" 2>/dev/null
run 0 'without a node' "$MESH" status 1
like "$out" 'interrupted' 'it is interrupted'
like "$out" 'It is suspended' 'and suspended'
node n2
is "$(state 1)" suspended 'the next node does not go on with it'
is "$(traced)" 'start,' 'and starts nothing'
run 0 'it is let go on' "$MESH" unsuspend 1
wait_for 'it ends' is_state 1 ended
is "$(traced)" 'start,end,' 'and only what was left was done'
run 1 'a run that has ended' "$MESH" suspend 1
like "$err" 'run 1 has ended' 'cannot be suspended'
run 3 'nor one that is not there' "$MESH" suspend 4711
run 2 'nor nothing' "$MESH" suspend

# A run that no node runs is suspended, and cancelled, in the store alone.
rm gate trace
"$MESH" submit two.mf --gate "$work/gate" --trace "$work/trace" >/dev/null
wait_for 'its first task runs' test -s trace
kill -KILL "$pid"
wait "$pid" 2>/dev/null
run 0 'an interrupted run is suspended' "$MESH" suspend 2
is "$(state 2)" interrupted 'no node goes on with it for that'
node n3
is "$(state 2)" suspended 'nor does the next one'
is "$(traced)" 'start,' 'which starts nothing'
stop "$pid"
run 0 'an interrupted run is cancelled' "$MESH" cancel 2
is "$("$MESH" status 2 --json | sed -n 's/^  "outcome": "\(.*\)",/\1/p')" cancelled \
    'and has ended at once'
node n4
is "$(state 2)" ended 'it stays so'
is "$(traced)" 'start,' 'and started nothing more'
run 1 'a second time' "$MESH" cancel 2
like "$err" 'run 2 has ended' 'says that it has ended'

# Two followers of one event stream see it too.
"$MESH" submit two.mf --gate "$work/gate2" --trace "$work/trace" >/dev/null
"$MESH" suspend 3 >/dev/null
"$MESH" cancel 3 >/dev/null
wait_for 'a suspended run can be cancelled' is_state 3 ended
http GET '/v1/events?run=3&since=1' -N -m 2 >events 2>/dev/null
like events '^event: run_suspended' 'the stream tells of it'
finish
