#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Tags of a run are changed while it runs and when it has ended.
. "$(dirname "$0")/lib.sh"

cat >one.mf <<'FLOW'
mesh: 1
flow: One
steps:
  start: {run: 'true', next: end}
  end: {run: 'true'}
FLOW
tags()
{
    "$MESH" tag "$1" | tr '\n' ,
}
run 0 'a run with tags' "$MESH" run one.mf --tags nightly,old
run 0 'one without' "$MESH" run one.mf
is "$(tags 1)" 'nightly,old,' 'its tags are listed'
is "$(tags 2)" '' 'or that there are none'
run 0 'they are added' "$MESH" tag 1 add best 'for the paper' nightly
is "$(tags 1)" 'nightly,old,best,for the paper,' 'each once'
run 0 'and removed' "$MESH" tag 1 remove old never
is "$(tags 1)" 'nightly,best,for the paper,' 'where they are there'
run 0 'runs are found' "$MESH" runs --tag 'for the paper' --json
like "$out" '"number": 1' 'by a tag they were given'
unlike "$out" '"number": 2' 'and others are not'
run 0 'a tag that is gone' "$MESH" runs --tag old
like "$out" '^No run is like that' 'finds none'
run 0 'runs are found by state' "$MESH" runs --state ok --json
like "$out" '"number": 2' 'those that are in it'
run 0 'a state that none is in' "$MESH" runs --state failed --user "$(id -un)"
like "$out" '^No run is like that' 'finds none'
run 2 'a state that there is not' "$MESH" runs --state bogus
run 4 'a folder that is not there' "$MESH" runs --data "$work/nowhere"
ok 'is not made' test ! -e "$work/nowhere"
run 0 'they are seen' "$MESH" status 1
like "$out" 'tags +nightly, best, for the paper' 'in the status'
run 0 'all are set' "$MESH" tag 1 set a b
is "$(tags 1)" 'a,b,' 'to these'
run 0 'or to none' "$MESH" tag 1 set
is "$(tags 1)" '' 'which is none of those at the start either'
run 2 'a word that is none' "$MESH" tag 1 ad x
run 2 'nothing to add' "$MESH" tag 1 add
run 2 'an empty tag' "$MESH" tag 1 add ''
run 3 'a run that is not there' "$MESH" tag 4711 add x

node n
patch()
{
    http PATCH /v1/runs/2/tags -H 'Content-Type: application/json' -d "$1"
}
ok 'a change of what was seen' patch '{"add": ["x"], "if_match": []}'
ok 'is refused when it has changed' sh -c '! curl -sS --fail -X PATCH --unix-socket \
    "$1/mesh.sock" -d "{\"add\": [\"y\"], \"if_match\": []}" http://mesh/v1/runs/2/tags' \
    sh "$MESH_HOME"
is "$(tags 2)" 'x,' 'and changes nothing'
kill -KILL "$pid"
wait "$pid" 2>/dev/null
is "$(tags 2)" 'x,' 'what was answered is kept'

# Of a run that is going on; its end keeps them.
cat >gate.mf <<'FLOW'
mesh: 1
flow: Gate
parameters:
  gate: {type: string}
steps:
  start: {run: 'while [ ! -e "$MESH_PARAM_GATE" ]; do sleep 0.01; done', next: end}
  end: {run: 'true'}
FLOW
start busy "$MESH" run gate.mf --gate "$work/gate" --tags first
wait_for 'a run starts' grep -q 'Task is starting' busy.out
run 0 'it is tagged while it runs' "$MESH" tag 3 add second
touch gate
ended "$pid" 0 'it ends'
is "$(tags 3)" 'first,second,' 'and has the tags'
finish
