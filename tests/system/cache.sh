#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A step with `cache` takes over what an equal task made, and runs when anything that it
# may depend on is another.
. "$(dirname "$0")/lib.sh"

mkdir flow
cat >flow/flow.mf <<'FLOW'
mesh: 1
flow: Cached
parameters:
  n: {type: int, default: 2}
defaults:
  cache: true
steps:
  fetch:
    run: sh ./fetch.sh
    next: split
  split:
    run: 'seq "$MESH_PARAM_N" >"$MESH_OUT/xs"'
    foreach: xs
    next: work
  work:
    run: 'echo "on $MESH_INPUT"; cp -r "$MESH_IN/rows" "$MESH_OUT/copy"'
    inputs: {rows: fetch.rows}
    next: join
  join:
    join: split
    run: 'mesh inputs >/dev/null; echo good >"$MESH_OUT/way"; date +%N >"$MESH_OUT/stamp"'
    switch: {by: way, cases: {good: show}}
  show:
    run: 'cat "$MESH_IN/stamp"'
    inputs: {stamp: join.stamp}
    cache: false
FLOW
cat >flow/fetch.sh <<'SCRIPT'
mkdir "$MESH_OUT/rows"
seq 800000 >"$MESH_OUT/rows/all"
SCRIPT
echo nothing >flow/notes

# taken RUN-ARGUMENTS...: how many tasks were taken over
taken()
{
    "$MESH" run flow/flow.mf "$@" >"$work/taken.out" 2>&1 ||
        cat "$work/taken.out" >&2
    grep -c 'Task was done before: taken over from run' "$work/taken.out"
}
is "$(taken)" 0 'the first run runs all'
is "$(taken)" 5 'the second none but the step without'
like "$work/taken.out" '^\[2/work/1\] Task was done before: taken over from run 1\.$' \
    'and says from where'
is "$("$MESH" artifact get 2/join stamp)" "$("$MESH" artifact get 1/join stamp)" \
    'what was made then is there'
is "$("$MESH" logs 2/work/1)" "$("$MESH" logs 1/work/1 | sed 's,^\[1/,[2/,')" \
    'what was printed then too'
run 0 'its artifacts are whole' "$MESH" verify 2
is "$(taken --n 3)" 0 'another parameter: all run'
echo more >flow/notes
is "$(taken --n 3)" 6 'a file that no step names changes nothing'
echo 'seq 800001 >"$MESH_OUT/rows/all"' >>flow/fetch.sh
is "$(taken --n 3)" 1 'one that a step names: it and those that take from it run'

# An entry whose blobs are gone is none.
is "$(taken --n 3)" 6 'with everything there all is taken over'
rm -f "$MESH_HOME"/blobs/[0-9a-f][0-9a-f]/*
is "$(taken --n 3)" 5 'with a large blob gone the task that made it runs, and makes it again'

cat >flow/secretive.mf <<'FLOW'
mesh: 1
flow: Undeclared
steps:
  start:
    run: 'echo 1 >"$MESH_OUT/x"'
    next: end
  end:
    run: 'mesh artifact get x'
    cache: true
FLOW
run 1 'an artifact that is no input is not given' "$MESH" run flow/secretive.mf
cat "$out" "$err" >both
like both "name it in the step's 'inputs'" 'and the hint says what to do'
finish
