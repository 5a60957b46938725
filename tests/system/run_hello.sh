#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The first thing anybody does: what the console says, line by line.
. "$(dirname "$0")/lib.sh"

# What differs from run to run: process ids and times.
plain()
{
    sed -e 's/(pid [0-9]*)/(pid N)/' -e 's/ in [0-9.]* m\{0,1\}s,/ in T s,/' "$1"
}

cat >basic.mf <<'FLOW'
mesh: 1
flow: BasicFlow
steps:
  start:
    run: 'echo "Mesh says: Hi!"'
    next: end
  end:
    run: 'echo "My flow is all done."'
FLOW
run 0 'a flow of two steps runs' "$MESH" run basic.mf
cat >wanted <<'TEXT'
Workflow starting (run-id 1):
[1/start/0 (pid N)] Task is starting.
[1/start/0 (pid N)] Mesh says: Hi!
[1/start/0 (pid N)] Task finished successfully.
[1/end/0 (pid N)] Task is starting.
[1/end/0 (pid N)] My flow is all done.
[1/end/0 (pid N)] Task finished successfully.
TEXT
is "$(plain "$out" | head -n 7)" "$(cat wanted)" 'its console says so line by line'
like "$out" '^Workflow ended: OK in [0-9.]+ m?s, 2 tasks\.$' 'and how it ended'
is "$(wc -l <"$out")" 8 'and nothing else'
is "$(cat "$err")" '' 'nothing is on standard error'

run 0 'the committed hello runs' "$MESH" run "$top/examples/hello.mf"
like "$out" '^Workflow starting \(run-id 2\):$' 'runs are counted'
like "$out" '^\[2/start/0 \(pid [0-9]+\)\] Mesh says: Hi!$' 'the first step prints'
like "$out" '^\[2/end/0 \(pid [0-9]+\)\] \["This","is","a","list"\]$' \
    'the second step prints what the first one made'

run 0 'the artifact can be read when all is over' \
    "$MESH" artifact get 2/start dataset
is "$(cat "$out")" '["This","is","a","list"]' 'byte by byte'
run 0 'logs can be read when all is over' "$MESH" logs 2/start
like "$out" 'Mesh says: Hi!' 'and hold what the step printed'
run 0 'runs lists' "$MESH" runs
like "$out" 'Hello' 'the second run'
like "$out" 'BasicFlow' 'and the first'
run 0 'status shows one' "$MESH" status 2
like "$out" 'start' 'with its steps'

is "$(stat -c %a "$MESH_HOME")" 700 'the data folder is for its owner only'
nothing_left 'no process is left'

run 0 'mesh is in the PATH of a task wherever it was called from' \
    env -i PATH=/usr/bin:/bin HOME="$work" MESH_HOME="$work/other" \
    MESH_TEST_WORK="$work" "$MESH" run "$top/examples/hello.mf"

cat >params.mf <<'FLOW'
mesh: 1
flow: Params
parameters:
  alpha: {type: float, default: 0.5}
  date: {type: string, default: "2024-01-01"}
steps:
  start:
    run: 'echo "alpha=$MESH_PARAM_ALPHA date=$MESH_PARAM_DATE"'
    next: end
  end:
    run: [echo, "alpha is ${{ params.alpha }}"]
FLOW
run 0 'defaults' "$MESH" run params.mf
like "$out" '\] alpha=0\.5 date=2024-01-01$' 'reach the task'
run 0 'options' "$MESH" run params.mf --alpha 0.25 --date='a "b" $c'
like "$out" '\] alpha=0\.25 date=a "b" \$c$' 'reach the task unharmed'
like "$out" '\] alpha is 0\.25$' 'and are put into a list'
run 0 'who runs it' env -u USER -u LOGNAME "$MESH" run "$top/examples/hello.mf"
is "$("$MESH" runs --limit 1 | awk 'NR == 2 { print $NF }')" "$(id -un)" 'is known by name'

run 0 'a run as JSON' "$MESH" run "$top/examples/hello.mf" --json
ok 'is lines of JSON' python3 -c '
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
names = [line["event"] for line in lines]
assert names[0] == "run_started" and lines[0]["data"]["number"], names
assert names.count("task_started") == names.count("task_ended") == 2, names
assert "log" in names and lines[-1]["data"]["outcome"] == "ok", lines[-1]
' "$out"
finish
