#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs are removed, whole or not at all, and nothing that others need.
. "$(dirname "$0")/lib.sh"

cat >make.mf <<'FLOW'
mesh: 1
flow: Make
parameters:
  fails: {type: bool, default: false}
  n: {type: int, default: 3}
steps:
  start:
    run: 'seq 1 $MESH_PARAM_N >"$MESH_OUT/items"; head -c 50000 /dev/urandom >"$MESH_OUT/noise"'
    foreach: items
    next: each
  each:
    run: 'head -c 20000 /dev/urandom >"$MESH_OUT/noise"'
    next: join
  join:
    join: start
    run: 'test "$MESH_PARAM_FAILS" = false'
    next: end
  end:
    run: 'true'
FLOW
sed 's/flow: Make/flow: Other/' make.mf >other.mf
runs()
{
    "$MESH" runs --json | sed -n 's/.*"number": \([0-9]*\),*/\1/p' | tr '\n' ' '
}
for _ in 1 2 3; do "$MESH" run make.mf >/dev/null 2>&1; done
"$MESH" run make.mf --fails true >/dev/null 2>&1
"$MESH" run other.mf >/dev/null 2>&1
is "$(runs)" '5 4 3 2 1 ' 'there are five runs'

run 2 'all of them' "$MESH" rm
like "$err" 'which runs' 'are not removed by a slip'
run 2 'named and chosen' "$MESH" rm 1 --flow Make
run 2 'an age that is none' "$MESH" rm --older-than soon
run 2 'a state that is none' "$MESH" rm --state ok-ish
run 0 'a dry run' "$MESH" rm --flow Make --keep 2 --dry-run
like "$out" 'Would remove 2 runs: 2 \(Make\), 1 \(Make\)' 'tells which would go'
is "$(runs)" '5 4 3 2 1 ' 'and removes none'
run 0 'those of a day ago' "$MESH" rm --older-than 1d
like "$out" 'no such run' 'are none'
run 0 'those that failed' "$MESH" rm --state failed --json
like "$out" '"number": 4' 'go'
like "$out" '"attempts": 5' 'with all their attempts'
is "$(runs)" '5 3 2 1 ' 'and no others'
run 3 'a removed run' "$MESH" status 4
run 3 'has no logs' "$MESH" logs 4/start
run 3 'and cannot be removed again' "$MESH" rm 4
run 0 'by name, and what it made' "$MESH" rm 1 --gc
like "$out" 'Freed [0-9]+ blobs' 'is freed'
run 0 'the others are whole' "$MESH" verify 2
run 0 'each of them' "$MESH" verify 5
is "$(last_run)" 5 'the newest is the newest'
run 0 'but the newest of a flow' "$MESH" rm --flow Make --keep 1 --yes
is "$(runs)" '5 3 ' 'all go'
run 0 'a new run' "$MESH" run make.mf
is "$(run_number "$out")" 6 'gets a new number'

# What was taken over stays when it is removed where it was made.
cat >fails.mf <<'FLOW'
mesh: 1
flow: Fails
parameters:
  world: {type: string}
steps:
  start:
    run: 'head -c 2000000 /dev/urandom >"$MESH_OUT/noise"; seq 1 20 >"$MESH_OUT/items"'
    foreach: items
    next: each
  each:
    run: 'head -c 5000 /dev/urandom >"$MESH_OUT/part"; test $MESH_INPUT != 7 || test -e "$MESH_PARAM_WORLD"'
    next: join
  join:
    join: start
    run: 'mesh inputs | wc -l >"$MESH_OUT/n"'
    next: end
  end:
    run: 'true'
FLOW
run 1 'a run that fails' "$MESH" run fails.mf --world "$work/world" --on-failure finish
touch world
run 0 'is tried again' "$MESH" retry 7
run 0 'and removed' "$MESH" rm 7 --gc
run 0 'what was taken over' "$MESH" verify 8
ok 'can be read' sh -c '"$1" artifact get 8/start noise | wc -c | grep -q 2000000' sh "$MESH"
run 0 'and taken over again' "$MESH" retry 8/join

# Active runs are refused; interrupted ones go.
cat >gate.mf <<'FLOW'
mesh: 1
flow: Gate
parameters:
  gate: {type: string}
  trace: {type: string}
steps:
  start: {run: 'echo x >>"$MESH_PARAM_TRACE"; while [ ! -e "$MESH_PARAM_GATE" ]; do sleep 0.01; done', next: end}
  end: {run: 'true'}
FLOW
node n
"$MESH" submit gate.mf --gate "$work/gate" --trace "$work/trace" >/dev/null
wait_for 'its task runs' test -s trace
run 1 'an active run' "$MESH" rm 10
like "$err" 'run 10 is active' 'is refused'
like "$err" 'cancel it' 'with a way out'
kill -KILL "$pid"
wait "$pid" 2>/dev/null
run 0 'an interrupted run' "$MESH" rm 10
node n2
second=$pid
run 3 'does not come back' "$MESH" status 10
is "$(wc -l <trace)" 1 'and starts nothing'

# A crash in the middle: the next node finishes what was begun.
n_kept()
{
    "$MESH" gc --json | sed -n 's/.*"n_kept": \([0-9]*\).*/\1/p'
}
kept=$(n_kept)
run 0 'a large run' "$MESH" submit make.mf --n 5000 --follow --quiet
number=$(last_run)
start removing "$MESH" rm "$number"
removing=$pid
is_unknown()
{
    "$MESH" status "$number"
    [ $? = 3 ]
}
wait_for 'it is gone for who looks' is_unknown
kill -KILL "$second"
wait "$second" 2>/dev/null
wait "$removing"
run 0 'after a crash of the node' "$MESH" gc --json
run 3 'it is gone' "$MESH" status "$number"
node n3
is "$(http GET /v1/runs?limit=1 | grep -c "\"number\":$number,")" 0 'also for the next node'
has_kept()
{
    [ "$(n_kept)" = "$1" ]
}
wait_for 'all that it named is given back' has_kept "$kept"
run 0 'the others are whole still' "$MESH" verify 8
finish
