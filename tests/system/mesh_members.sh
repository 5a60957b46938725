#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who is here: nodes join by a token, are seen by all, die, come back, drain and leave.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

mesh_start 4
is "$(mesh_alive 3)" 4 'each sees all'
run 0 'members are listed' on 2 members
like "$out" '^n1 .*alive.*issuer' 'the one that made the mesh'
like "$out" '^n2 \* .*alive' 'and the one that was asked'
like "$out" '^n4 .* 0/2 ' 'with what they run'
ask 2 GET '/v1/members?detail=true' >detail
is "$(of '[.members[].node.pid] | sort | map(tostring) | join(" ")' <detail)" \
    "$(for i in 1 2 3 4; do mesh_pid $i; done | sort -n | tr '\n' ' ' | sed 's/ $//')" \
    'each tells its own pid'
is "$(on 3 status --json | of .mesh.n_live)" 4 'a node tells how many there are'
run 0 'one node is asked for another' ask 1 GET '/v1/node?node=n3'
is "$(of .mesh.name <"$out")" n3 'which answers'
is "$(of .pid <"$out")" "$(mesh_pid 3)" 'itself'
run 3 'one that is not there is not found' on 1 drain nobody
like "$err" "there is no member 'nobody'" 'and that is said'

# Killed: all that live see it.
mesh_kill 4
is_dead()
{
    for dead_i in 1 2 3; do
        ask "$dead_i" GET /v1/members |
            of '.members[] | select(.name == "n4" and .state == "dead") | .name' |
            grep -q n4 || return 1
    done
}
wait_for 'a node that is killed is dead to all' is_dead && pass 'a node that is killed is dead to all'
run 0 'the others are still listed' on 1 members
like "$out" '^n4 .*dead' 'with the dead one'
mesh_again 4
wait_for 'it comes back' mesh_settled 4 && pass 'it comes back'
is "$(ask 1 GET /v1/members | of '[.members[] | select(.name == "n4")] | length')" 1 \
    'as the one that it was'

# Stopped, and going on: suspected or dead, then alive again.
mesh_stop 3
not_alive()
{
    ask 1 GET /v1/members | of '.members[] | select(.name == "n3") | .state' | grep -qv alive
}
wait_for 'one that is stopped is missed' not_alive && pass 'one that is stopped is missed'
mesh_cont 3
wait_for 'and refutes it' mesh_settled 4 && pass 'and refutes it'

# Draining.
run 0 'a node drains' on 1 drain n2 --wait
like "$out" '^n2 runs nothing' 'and nothing runs there'
is_draining()
{
    [ "$(ask 3 GET /v1/members | of '.members[] | select(.name == "n2") | .draining')" = "$1" ]
}
wait_for 'all see it' is_draining true && pass 'all see it'
mkdir -p flow
cat >flow/many.mf <<FLOW
mesh: 1
flow: Many
steps:
  start: {run: 'true', foreach: {range: 30}, next: work}
  work: {run: 'sleep 0.05; basename "\$MESH_DATA" >>$work/where', next: join}
  join: {join: start, run: 'true', next: end}
  end: {run: 'true'}
FLOW
run 0 'work goes to the others' on 1 submit flow/many.mf --follow
unlike "$work/where" '^n2' 'and none to it'
run 0 'it works again' on 1 drain n2 --off
wait_for 'all see that' is_draining false && pass 'all see that'

# Leaving.
run 0 'a node leaves' on 2 leave n4 --wait
has_left()
{
    ask 1 GET /v1/members | of '.members[] | select(.name == "n4") | .state' | grep -q left
}
wait_for 'which all are told' has_left && pass 'which all are told'
wait_for 'its process ends' is_gone "$(mesh_pid 4)" && pass 'its process ends'
is "$(mesh_alive 1)" 3 'the others stay'
for i in 1 2 3; do
    mesh_end $i
done
nothing_left 'nothing is left'
finish
