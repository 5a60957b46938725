#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One of three nodes is killed while they run a flow: a worker, then the node that was
# given the run and leads it. The run ends as if nothing had happened.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

mkdir flow # what lies beside it travels with it, and must not be written to
cat >flow/flow.mf <<'FLOW'
mesh: 1
flow: Killed
steps:
  start:
    run: seq 1 30000 >"$MESH_OUT/middle"
    foreach: {range: 24}
    next: work
  work:
    inputs: {middle: start.middle}
    run: |
      sleep 0.5
      sha256sum <"$MESH_IN/middle" >"$MESH_OUT/sum"
      seq "$MESH_INDEX" 20000 >"$MESH_OUT/own"
    next: join
  join:
    join: start
    run: |
      mesh inputs | wc -l >"$MESH_OUT/count"
    next: end
  end:
    inputs: {count: join.count}
    run: cat "$MESH_IN/count" >"$MESH_OUT/result"
FLOW

some_done() # RUN N [I]: so many of its tasks are done
{
    [ "$(ask "${3:-1}" GET "/v1/runs/$1" | of .tasks.done)" -ge "$2" ]
}

mesh_start 3 --cpu 2

submit() # I: its id in $id
{
    run 0 "node $1 takes a run" on "$1" submit "$work/flow/flow.mf" --json
    id=$(of .run <"$out")
}

check_end() # I TEXT
{
    wait_for "$2: the run ends" has_ended "$id" "$1"
    outcome=$(ask "$1" GET "/v1/runs/$id" | of .outcome)
    is "$outcome" ok "$2: it ends well"
    [ "$outcome" = ok ] || note "$(on "$1" explain "$id" 2>&1; on "$1" logs "$id" 2>&1 | tail)"
    is "$(on "$1" artifact get "$id/end" result 2>get.err | tr -d ' ')" 24 \
        "$2: the result is whole" || note_file get.err
}

# ---- a worker ----

submit 1
wait_for 'some tasks are done' some_done "$id" 4
mesh_kill 3
check_end 1 'a worker is killed'
mesh_again 3 --cpu 2
wait_for 'it is back' mesh_settled 3

# ---- who leads, and was given the run ----

submit 2
wait_for 'some tasks are done' some_done "$id" 4 2
mesh_kill 2
check_end 1 'the leader is killed'
mesh_again 2 --cpu 2
wait_for 'the leader is back' mesh_settled 3
wait_for 'and knows the end' has_ended "$id" 2
is "$(ask 2 GET "/v1/runs/$id" | of .outcome)" ok 'which is the same'

for i in 1 2 3; do
    mesh_end "$i"
done
nothing_left 'no process is left'
finish
