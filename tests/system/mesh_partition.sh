#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The network breaks in two while a run goes on: two against three. Both sides go on as
# docs/guarantees.md says, and within 30 s of the healing there is one truth. Then a link
# that carries one way only.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

patience=120
seconds=10
[ -z "${MESH_LONG:-}" ] || seconds=60
tasks=80

mesh_start 5
net_can_cut || {
    skip 1 'no namespaces or no nft here'
    for i in 1 2 3 4 5; do mesh_end $i; done
    finish
}
trace_flow $tasks 0.5
begun()
{
    [ "$(grep -c "^begins .* work" trace)" -ge "$1" ]
}
sees() # I N
{
    [ "$(mesh_alive "$1")" = "$2" ]
}

on 3 submit flow/trace.mf --json >submitted
run=$(of .run <submitted)
wait_for 'tasks run' begun 8
for i in 1 2; do
    for j in 3 4 5; do
        mesh_cut $i $j
    done
done
wait_for 'two see two' sees 1 2 && pass 'two see two'
wait_for 'three see three' sees 3 3 && pass 'three see three'
# Reading goes on at both sides, within a bounded time.
run 0 'the three tell of the run' ask 4 GET "/v1/runs/$run"
run 0 'runs are listed by the two' on 2 runs
cut_until=$(($(date +%s) + seconds))
is_over()
{
    [ "$(date +%s)" -ge "$cut_until" ]
}
wait_for 'the cut lasts' is_over
mesh_heal
healed=$(date +%s)
patience=60
wait_for 'all see all again' mesh_settled 5 && pass 'all see all again'
note "after $(($(date +%s) - healed)) s"
wait_for 'the run ends' has_ended "$run" 3 && pass 'the run ends'
same_everywhere()
{
    for same_i in 1 2 3 4 5; do
        ask "$same_i" GET "/v1/runs/$run" | of '[.state, .outcome, .mesh.tentative // false] | tostring'
    done | sort -u | wc -l | grep -qx 1
}
wait_for 'all say the same of it' same_everywhere && pass 'all say the same of it'
checked "$run" $tasks 1
checked "$run" $tasks 5

# One way: n2 hears n4, n4 does not hear n2. Others can tell; nothing flaps for ever.
: >trace
mesh_cut 2 4 one-way
on 1 submit flow/trace.mf --json >submitted
run=$(of .run <submitted)
wait_for 'a run ends with a link that carries one way' has_ended "$run" 1 &&
    pass 'a run ends with a link that carries one way'
checked "$run" $tasks 1
mesh_heal
wait_for 'and all is well again' mesh_settled 5 && pass 'and all is well again'

# A tenth of all packets is lost at two nodes.
: >trace
net_lose 2 10
net_lose 3 10
on 2 submit flow/trace.mf --json >submitted
run=$(of .run <submitted)
wait_for 'a run ends though packets are lost' has_ended "$run" 2 &&
    pass 'a run ends though packets are lost'
checked "$run" $tasks 2
mesh_heal
for i in 1 2 3 4 5; do
    mesh_end $i
done
nothing_left 'nothing is left'
finish
