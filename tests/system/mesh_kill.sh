#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A machine dies in a run, whichever it is: the run ends as if nothing had been, and
# nothing that counts is lost, missing or mixed. --long: 200 in a row.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

kills=4
[ -z "${MESH_LONG:-}" ] || kills=200
patience=120
tasks=60

# From 0 to $1 - 1; the seed can be given to have the same moments again.
random()
{
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    echo $((seed / 65536 % $1))
}
seed=${MESH_SEED:-$(date +%s)}
note "MESH_SEED=$seed"

mesh_start 5
trace_flow $tasks 0.2

# others I: the first node that is not I.
other_than()
{
    if [ "$1" = 1 ]; then echo 2; else echo 1; fi
}

begun()
{
    [ "$(grep -c "^begins .* work" trace)" -ge "$1" ]
}

round=0
while [ $round -lt $kills ]; do
    round=$((round + 1))
    : >trace
    on 1 submit flow/trace.mf --json >submitted 2>submit.err || {
        fail "round $round: the run is taken"
        note_file submit.err
        break
    }
    run=$(of .run <submitted)
    wait_for "round $round: tasks run" begun $((1 + $(random 30))) || break
    leader=$(mesh_leader "$run")
    # The first kills the leader, the second the submitter's node (the same one at first),
    # then any.
    case $round in
    1) victim=${leader:-1} ;;
    2) victim=1 ;;
    *) victim=$((1 + $(random 5))) ;;
    esac
    note "round $round: n$victim dies, n${leader:-?} leads"
    witness=$(other_than "$victim")
    mesh_kill "$victim"
    wait_for "round $round: the run ends without n$victim" has_ended "$run" "$witness" || {
        ask "$witness" GET "/v1/runs/$run" >about 2>&1
        note_file about
        for i in 1 2 3 4 5; do note_file "n$i.err" 5; done
        break
    }
    checked "$run" $tasks "$witness"
    mesh_again "$victim"
    wait_for "round $round: it is back" mesh_settled 5 || break
done
is $round $kills "$kills machines died"
for i in 1 2 3 4 5; do
    mesh_end $i
done
nothing_left 'nothing is left'
finish
