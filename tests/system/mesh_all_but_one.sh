#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All nodes die but one, with a run half done: it goes on, and says that this is
# tentative. When the others are back it is sealed.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

patience=150
tasks=24
mesh_start 4
trace_flow $tasks 0.5
# Some have ended: then the homes know that the run is decided, and not only what it is.
begun()
{
    [ "$(grep -c "^ends .* work" trace)" -ge 4 ]
}
on 1 submit flow/trace.mf --json >submitted
run=$(of .run <submitted)
wait_for 'tasks run' begun
# One that keeps the run survives: it has what was decided.
home=$(ask 1 GET "/v1/runs/$run" | of '[.mesh.homes[].name] | map(select(. != "n1")) | .[0]' | tr -d n)
note "n$home is left"
for i in 1 2 3 4; do
    [ "$i" = "$home" ] || mesh_kill $i
done
is_tentative()
{
    ask "$home" GET "/v1/runs/$run" | of .mesh.tentative | grep -qx true
}
wait_for 'the last one goes on tentatively' is_tentative && pass 'the last one goes on tentatively'
on "$home" status "$run" >said
like said 'tentative' 'and says so'
all_ran()
{
    [ "$(grep "^ends .* work" trace | cut -d' ' -f5 | sort -u | wc -l)" = "$tasks" ]
}
wait_for 'all of its tasks run there' all_ran && pass 'all of its tasks run there'
for i in 1 2 3 4; do
    [ "$i" = "$home" ] || mesh_again $i
done
is_sealed()
{
    ask "$home" GET "/v1/runs/$run" | of '[.state, .mesh.tentative // false] | tostring' |
        grep -qx '\["ended",false\]'
}
wait_for 'when the others are back it is sealed' is_sealed && pass 'when the others are back it is sealed'
checked "$run" $tasks "$home"
for i in 1 2 3 4; do
    mesh_end $i
done
nothing_left 'nothing is left'
finish
