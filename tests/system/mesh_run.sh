#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Three nodes on loopback run a flow together: artifacts of all sizes go from whoever made
# them to whoever needs them, and the result is that of one node alone.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

python=$(python3 -c 'import sys; print(sys.executable)')
PATH=$(dirname "$python"):$PATH
export PATH

mkdir -p flow/steps
cat >flow/flow.mf <<'FLOW'
mesh: 1
flow: Sizes
parameters: {salt: {default: grain}}
steps:
  start:
    run: |
      printf small >"$MESH_OUT/small"
      seq 1 40000 >"$MESH_OUT/middle"
      seq 1 900000 >"$MESH_OUT/large"
      mkdir "$MESH_OUT/folder"
      seq 1 5 >"$MESH_OUT/folder/a"
      seq 1 3000 >"$MESH_OUT/folder/b"
      printf '["one", "two", "three", "four", "five", "six", "seven", "eight"]' >"$MESH_OUT/words"
    foreach: words
    next: work
  work:
    inputs:
      small: start.small
      middle: start.middle
      large: start.large
      folder: start.folder
    run: |
      cat "$MESH_IN/small" "$MESH_IN/middle" "$MESH_IN/large" "$MESH_IN/folder/b" |
          sha256sum >"$MESH_OUT/sum"
      printf '%s %s' "$MESH_INPUT" "$MESH_PARAM_SALT" >"$MESH_OUT/word"
      seq "$MESH_INDEX" 60000 >"$MESH_OUT/own"
      printf '"%s"' "${MESH_NODE:-alone}" | mesh artifact put where - --type json
      sleep 0.2
    next: again
  again:
    inputs: {own: work.own, word: work.word}
    run: |
      mesh artifact get own | cmp - "$MESH_IN/own"
      mesh artifact get large --from start | tail -n 1
      sha256sum <"$MESH_IN/own" >"$MESH_OUT/again"
      cat "$MESH_IN/word" >>"$MESH_OUT/again"
    next: join
  join:
    join: start
    python: "steps/join.py:join"
    next: end
  end:
    inputs: {all: join.all}
    run: sha256sum <"$MESH_IN/all" >"$MESH_OUT/result"
FLOW
cat >flow/steps/join.py <<'PYTHON'
def join(self, inputs):
    self.all = "".join(i.again if isinstance(i.again, str) else i.again.decode() for i in inputs)
    self.nodes = sorted({i.where for i in inputs})
PYTHON

# What a node alone makes of it.
run 0 'a node alone runs the flow' "$MESH" run flow/flow.mf --data "$work/alone"
alone=$("$MESH" artifact get 1/end result --data "$work/alone" 2>"$work/alone.err") ||
    note_file "$work/alone.err"

mesh_start 3 --cpu 2
on 2 submit "$work/flow/flow.mf" --json >submit.out 2>submit.err || note_file submit.err
id=$(of .run <submit.out)
wait_for 'the run ends' has_ended "$id" 2

is "$(ask 2 GET "/v1/runs/$id" | of .outcome)" ok 'it ends well'
for i in 1 2 3; do
    is "$(ask "$i" GET "/v1/runs/$id" | of .outcome)" ok "node $i knows the end"
    got=$(on "$i" artifact get "$id/end" result 2>"get.err") || note_file get.err
    is "$got" "$alone" "node $i has the result of a node alone"
    is "$(on "$i" artifact get "$id/start" large 2>get.err | tail -n 1)" 900000 \
        "node $i gets a large artifact, wherever it is" || note_file get.err
    is "$(on "$i" artifact get "$id/work/5" own 2>get.err | head -n 1)" 5 \
        "node $i gets what one task made" || note_file get.err
done
nodes=$(on 1 artifact get "$id/join" nodes 2>get.err | of length) || note_file get.err
is "$nodes" 3 'all three nodes took part'
on 3 logs "$id/again/3" >logs.out 2>&1
like logs.out '^900000$' 'a log is read at another node'

# ---- at a node that may not be a home of runs ----

token=$(on 1 invite --roles worker --uses 1 --expires 1h 2>invite.err) || note_file invite.err
mesh_node 4 --join "$token" --cpu 2
mesh_up 4
mesh_n=4
wait_for 'all see the worker' mesh_settled 4
mkdir gate
cat >gate/gate.mf <<FLOW
mesh: 1
flow: Gate
steps:
  start: {run: 'until test -e "$work/go"; do sleep 0.05; done', next: end}
  end: {run: 'true'}
FLOW
run 0 'it takes a run' on 4 submit "$work/gate/gate.mf" --json
id=$(of .run <"$out")
is_handed_over()
{
    ask 1 GET "/v1/runs/$id" | of '.mesh.homes | map(.name) | sort | join(" ")' |
        grep -qx 'n1 n2 n3'
}
wait_for 'and hands it to those that may' is_handed_over &&
    pass 'and hands it to those that may'
touch go
wait_for 'which ends' has_ended "$id" 4
is "$(ask 4 GET "/v1/runs/$id" | of .outcome)" ok 'well'

# ---- nothing is left behind ----

for i in 1 2 3 4; do
    mesh_end "$i"
done
nothing_left 'no process is left'
finish
