#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mesh.conf: what a node gives away, where each value comes from, and what is wrong in it.
. "$(dirname "$0")/lib.sh"

mkdir -p "$MESH_HOME"
conf=$MESH_HOME/mesh.conf

# setting NAME FILE: what mesh config says of it, as VALUE|FROM.
setting()
{
    sed -n "s/^$1   *//p" "$2" | sed 's/   *\([^ ]*\)$/|\1/'
}

run 0 'without a file all is the machine'"'"'s' "$MESH" config
like "$out" '^cpu +[0-9.]+ +the machine$' 'the processors'
like "$out" '^shared_uid +no +default$' 'and nobody else may submit'

cat >"$conf" <<'CONF'
# what this node gives away
resources: {cpu: 1.5, memory: 2G, gpu: 2,
            licence: 3}
quota: 10G
slots: 7
default_user: {max_tasks: 100}
users:
  ann: {weight: 2, max_cpu: 1}
  ben: {max_memory: 1G, max_gpu: 0.5}
CONF
run 0 'the file beside the store is read' "$MESH" config
is "$(setting cpu "$out")" "1.5|$conf:2" 'cpu, and where it stands'
is "$(setting licence "$out")" "3|$conf:3" 'a resource of its own'
is "$(setting quota "$out")" "10.0 GiB|$conf:4" 'quota'
is "$(setting users.ben "$out")" \
    "weight 1, max_memory 1.0 GiB, max_gpu 0.5|$conf:9" 'a user'
run 0 'options win' "$MESH" config --cpu 1 --gpus 0 --resource licence=5 --resource tape=1
is "$(setting cpu "$out")" '1|--cpu' 'over the file'
is "$(setting licence "$out")" '5|--resource' 'one by one'
is "$(setting tape "$out")" '1|--resource' 'and more of them can be given'
run 2 'no slots at all' "$MESH" config --slots 0
like "$err" '^mesh: --slots must be at least 1' 'are refused'
run 0 'as JSON' "$MESH" config --json
ok 'it can be read' python3 - "$out" <<'PYTHON'
import json, sys
told = json.load(open(sys.argv[1]))
of = {s["name"]: s["value"] for s in told["settings"]}
assert told["path"].endswith("/mesh.conf"), told["path"]
assert of["cpu"] == 1.5 and of["memory"] == 2 << 30 and of["licence"] == 3, of
assert of["users.ann"] == {"weight": 2, "max_cpu": 1.0}, of
PYTHON

sed 's/1.5/0.5/' "$conf" >other.conf
run 0 'a file that is named is read instead' "$MESH" config --config other.conf
is "$(setting cpu "$out")" '0.5|other.conf:2' 'by --config'
run 0 'also by the environment' env MESH_CONFIG=other.conf "$MESH" config
is "$(setting cpu "$out")" '0.5|other.conf:2' 'by MESH_CONFIG'
run 2 'one that is not there is an error' "$MESH" config --config nowhere.conf
like "$err" 'cannot read nowhere.conf: No such file' 'that names it'

cat >bad.conf <<'CONF'
resources: {cpu: many, cpus: 4, memroy: 8G}
users:
  ann: {weight: 0, max_task: 3}
default_user: 7
shared_uid: perhaps
slotz: 3
CONF
run 2 'all that is wrong is told at once' "$MESH" config --config bad.conf
is "$(grep -c ': error: ' "$err")" 8 'each of the eight'
like "$err" "^bad.conf:1:24: error: unknown resource 'cpus'" 'with line and column'
like "$err" "did you mean 'max_tasks'" 'and what was meant'
cat >ok.mf <<'FLOW'
mesh: 1
flow: Ok
steps:
  start: {run: 'true'}
FLOW
cp bad.conf "$conf"
run 2 'and nothing is started' "$MESH" run ok.mf
unlike "$out" 'Workflow' 'not even a run'
run 0 'a store can be looked at all the same' "$MESH" runs
rm "$conf"
run 2 'a bad --resource' "$MESH" config --resource cpus=4
like "$err" 'did you mean --cpu' 'says what was meant'

# ---- resources of the node ----

cat >asks.mf <<'FLOW'
mesh: 1
flow: Asks
steps:
  start:
    run: 'true'
    resources: {gpu: 2, custom: {licence: 2}}
FLOW
run 2 'what the node has not is refused before anything starts' "$MESH" run asks.mf
like "$err" "the custom resource 'licence', and this node has none" 'a custom resource'
like "$err" 'asks for gpu: 2, and this node has 0' 'a GPU'
run 2 'nor is there enough of it' "$MESH" run asks.mf --gpus 1 --resource licence=1
like "$err" "asks for 2 of the custom resource 'licence', and this node has 1" 'it says'
run 0 'with them it runs' "$MESH" run asks.mf --gpus 2 --resource licence=2

cat >gpus.mf <<'FLOW'
mesh: 1
flow: Gpus
environment: {CUDA_VISIBLE_DEVICES: '9'}
steps:
  start:
    run: 'true'
    foreach: {range: 6}
    next: work
  work:
    run: 'echo "$CUDA_VISIBLE_DEVICES" >>"$GATE/$MESH_GPUS"; until test -e "$GATE/open"; do sleep 0.02; done'
    resources: {cpu: 0.01, gpu: 0.5}
    environment: {GATE: '${{ params.gate }}'}
    next: end
  end:
    join: start
    run: 'echo "[$MESH_GPUS$CUDA_VISIBLE_DEVICES]"'
parameters: {gate: {type: string}}
FLOW
mkdir gate
start gpus "$MESH" run gpus.mf --gate "$work/gate" --gpus 2
four()
{
    [ "$(cat gate/* | wc -l)" = 4 ]
}
wait_for 'four halves run on two GPUs' four
is "$(sort gate/0 | tr '\n' ' ')$(sort gate/1 | tr '\n' ' ')" '0 0 1 1 ' \
    'two on each, which CUDA is told'
run 0 'what has which GPU, while it runs' "$MESH" status 1 --json
http GET "/v1/runs/$(last_run)/tasks?state=running" >running.json
is "$(grep -o '"gpus": *\[[0-9]\]' running.json | tr -d ' ' | sort | tr '\n' ' ')" \
    '"gpus":[0] "gpus":[0] "gpus":[1] "gpus":[1] ' 'is told'
run 0 'why the others wait' "$MESH" status "$(last_run)"
like "$out" 'not enough gpu is free' 'is told too'
touch gate/open
ended "$pid" 0 'all six run'
like gpus.out '\[\]$' 'a task that asked for none sees none'
finish
