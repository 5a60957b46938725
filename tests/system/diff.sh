#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What differs between two runs, told like diff: 0 the same, 1 they differ.
. "$(dirname "$0")/lib.sh"

mkdir code && cd code || exit 1
cat >flow.mf <<'FLOW'
mesh: 1
flow: Differ
parameters:
  word: {type: string, default: one}
steps:
  start:
    run: |
      sh ./make.sh
      echo "$MESH_PARAM_WORD" | mesh artifact put word - --type text
      echo '{"n": 1}' | mesh artifact put about - --type json
    next: end
  end:
    run: 'true'
FLOW
echo 'echo made >"$MESH_OUT/made"' >make.sh
printf 'a\0b' >binary

run 0 'a run' "$MESH" run flow.mf
run 0 'the same again' "$MESH" run flow.mf
run 0 'are the same: 0' "$MESH" diff 1 2
like "$out" '^from run 1 of Differ: ok, ' 'it names the one'
like "$out" '^to   run 2 of Differ: ok, ' 'and the other'
like "$out" '^  3 the same, 0 changed, 0 added, 0 removed$' 'and counts artifacts'
unlike "$out" '^(Parameters|Code)$' 'nothing else differs'

echo 'echo remade >"$MESH_OUT/made"; echo 1 >"$MESH_OUT/more"' >make.sh
printf 'a\0c' >binary
echo new >added.txt
run 0 'a run with other code and another word' "$MESH" run flow.mf --word "$(printf 'two\033[2J')"
run 1 'differs: 1' "$MESH" diff 2 3 --values
like "$out" '^  word: one -> two\\x1b\[2J$' 'by a parameter, which is escaped'
like "$out" '^  changed   make\.sh$' 'a file that changed'
like "$out" '^  added     added\.txt$' 'one that is new'
like "$out" '^  changed   start/0 made: made -> remade$' 'an artifact, with its value'
like "$out" '^  added     start/0 more: \(none\) -> 1$' 'one that is new'
like "$out" '^  1 the same, 2 changed, 1 added, 0 removed$' 'counted'
like "$out" '^start .*  3 artifacts$' 'by step'
unlike "$out" ' about:' 'what is the same is not listed'
run 1 'unless it is asked for' "$MESH" diff 2 3 --all --values
like "$out" '^  same      start/0 about: \{"n":1\} -> ' 'JSON too'
run 1 'with the code' "$MESH" diff 2 3 --code
like "$out" '^--- 2/make\.sh$' 'of each file'
like "$out" '^-echo made >"\$MESH_OUT/made"$' 'the line that was'
like "$out" '^\+echo remade >"\$MESH_OUT/made"; ' 'and the line that is'
like "$out" '^2/binary and 3/binary differ, and are no text$' 'what is no text is not shown'
like "$out" '^--- /dev/null$' 'a new file has nothing before it'

cat >>flow.mf <<'FLOW'
    environment: {A: b}
FLOW
sed -i 's/^  end:/  last:/; s/next: end/next: last/' flow.mf
run 0 'a run of another flow file' "$MESH" run flow.mf
run 1 'differs from the one before' "$MESH" diff 3 4 --code
like "$out" '^  changed   flow\.mf  \(the flow file\)$' 'by its flow file'
is "$(grep -c 'flow\.mf' "$out")" 3 'which is shown once'
like "$out" '^\+    environment: \{A: b\}$' 'line by line'
like "$out" '^last .* a new step$' 'a step that is new'
like "$out" '^end .* no longer a step$' 'one that is gone'

run 1 'the same as JSON' "$MESH" diff 2 3 --json
like "$out" '"is_same": false' 'for programs'
run 0 'a run and itself' "$MESH" diff 3 3 --json
like "$out" '"is_same": true' 'are the same'
run 3 'a run that is not there' "$MESH" diff 3 33
run 2 'only one run' "$MESH" diff 3

# Where there is no diff(1) the rest is still told.
mkdir "$work/empty"
run 1 'without diff' env PATH="$work/empty" "$MESH" diff 2 3 --code
like "$err" "there is no program 'diff'" 'it says so'

# What differs in many tasks is counted whole and listed in part.
cat >wide.mf <<'FLOW'
mesh: 1
flow: Wide
parameters:
  n: {type: int, default: 300}
steps:
  start:
    run: seq 1 "$MESH_PARAM_N" >"$MESH_OUT/items"
    foreach: items
    next: each
  each:
    run: echo $((MESH_INPUT * MESH_PARAM_N)) >"$MESH_OUT/y"
    next: end
  end:
    join: start
    run: 'true'
FLOW
run 0 'a wide run' "$MESH" run wide.mf --quiet
a=$(last_run)
run 0 'a wider one' "$MESH" run wide.mf --quiet --n 310
run 1 'differ' "$MESH" diff "$a" "$(last_run)"
like "$out" '^  0 the same, 301 changed, 10 added, 0 removed$' 'in all their tasks'
like "$out" '^  changed   each/48 y: ' 'in the order of indexes'
node served
http GET "/v1/runs/$a/diff/$(last_run)?limit=5" >"$work/answer"
is "$(python3 -c 'import json,sys; print(len(json.load(sys.stdin)["artifacts"]))' <"$work/answer")" 5 \
    'a program says how many'
run 22 'and nothing but true or false' http GET "/v1/runs/$a/diff/$a?values=maybe"
stop "$pid"
finish
