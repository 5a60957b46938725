#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Planned restarts in a mesh of three, one node after the other, the leader too, while a
# run goes on: no task is started twice, none changes its process, the members' lives go
# on, and the checker finds the run whole.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

trace_flow 90 0.6
mesh_start 3 --cpu 2
on 2 submit "$work/flow/trace.mf" --json >submit.out 2>submit.err || note_file submit.err
id=$(of .run <submit.out)

# traced N: so many tasks have begun.
traced()
{
    [ "$(grep -c ^begins "$work/trace")" -ge "$1" ]
}

lives() # what all say of all: who is in which life
{
    ask 1 GET /v1/members | of '.members[] | "\(.name) \(.life)"' | sort
}

is_other_program() # I BEFORE
{
    [ "$(ask "$1" GET /v1/node | of .program_started_ms)" != "$2" ]
}

wait_for 'all nodes work' traced 8
lives >lives.before
run 0 'top shows all of them' on 3 top --once
like "$out" '^Mesh of 3 nodes' 'as one mesh'
like "$out" '^n[123] +alive +[12]/2' 'with what each runs'
like "$out" 'Trace +running' 'and the run, wherever it is led'
is "$(on 3 top --once --json | of '[.nodes[].name] | sort | join(" ")')" 'n1 n2 n3' 'also as JSON'
leader=$(mesh_leader "$id" 2)
note "node $leader leads the run"
for i in 1 2 3; do
    before=$(ask "$i" GET /v1/node | of .program_started_ms)
    pid=$(mesh_pid "$i")
    running=$(grep -c ^begins "$work/trace")
    run 0 "node $i restarts" on "$i" restart
    ok "node $i is another program" is_other_program "$i" "$before"
    is "$(ask "$i" GET /v1/node | of .pid)" "$pid" "node $i is the same process"
    wait_for "the run goes on behind node $i" traced $((running + 6))
done
wait_for 'the run ends' has_ended "$id" 2
is "$(ask 2 GET "/v1/runs/$id" | of .outcome)" ok 'it ends well'
is "$(grep -c ^begins "$work/trace")" 90 'no task was started twice'
is "$(grep -c ^ends "$work/trace")" 90 'and each one ended'
lives >lives.after
ok 'nobody is taken for another life of a node' cmp lives.before lives.after
wait_for 'all see each other' mesh_settled 3
checked "$id" 90 2

# ---- asked for at another node ----

before=$(ask 3 GET /v1/node | of .program_started_ms)
run 0 'a node restarts that another one is asked for' on 1 restart n3
ok 'it is another program' is_other_program 3 "$before"

for i in 1 2 3; do
    mesh_end "$i"
done
nothing_left 'no process is left'
finish
