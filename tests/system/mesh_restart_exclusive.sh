#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Planned restarts while a task with `effect: exclusive` runs: of the node that has it, and
# of the one that leads its run. It goes on in the same process, with its first fence, and
# its guard still ends it when the node dies.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

mkdir flow
cat >flow/alone.mf <<FLOW
mesh: 1
flow: Alone
steps:
  only:
    effect: exclusive
    run: |
      echo "\$MESH_NODE \$MESH_FENCE \$\$" >>"$work/trace"
      until [ -e "$work/go" ]; do sleep 0.05; done
      echo "ends \$MESH_FENCE" >>"$work/trace"
FLOW

begins()
{
    grep -vc '^ends' "$work/trace"
}

has_begun() # N
{
    [ "$(begins)" -ge "$1" ]
}

is_other_program() # I BEFORE
{
    [ "$(ask "$1" GET /v1/node | of .program_started_ms)" != "$2" ]
}

restart() # I
{
    before=$(ask "$1" GET /v1/node | of .program_started_ms)
    run 0 "node $1 restarts" on "$1" restart
    ok "node $1 is another program" is_other_program "$1" "$before"
}

# More than a permit lasts: by then the guard has heard from the next program.
permits_went_on()
{
    [ "$(date +%s)" -gt "$(($1 + 12))" ] && kill -0 "$task"
}

: >trace
mesh_start 3 --cpu 2
id=$(on 2 submit flow/alone.mf --json 2>submit.err | of .run)
wait_for 'the task runs' has_begun 1
task=$(awk '{ print $3 }' trace)
at=$(sed -n 's/^n\([0-9]\) .*/\1/p' trace)
note "it runs at node $at, node $(mesh_leader "$id" 2) leads"
# One after the other: without a majority for as long as a permit lasts the task has to end.
for i in "$at" $((at % 3 + 1)) $(((at + 1) % 3 + 1)); do
    restart "$i"
    wait_for "it is permitted behind the restart of $i" permits_went_on "$(date +%s)"
done
is "$(begins)" 1 'it was not started again'
ok 'it is the same process' kill -0 "$task"

# ---- the guard is the node's still ----

mesh_kill_node "$at"
is_gone()
{
    ! kill -0 "$task" 2>/dev/null
}
wait_for 'the task ends with its node' is_gone
touch go
other=$((at % 3 + 1))
wait_for 'the run ends' has_ended "$id" "$other"
is "$(ask $other GET "/v1/runs/$id" | of .outcome)" ok 'and well'
is "$(begins)" 2 'by a second attempt'
mesh_end_all
finish
