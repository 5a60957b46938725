#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A task with `effect: exclusive` while its machines die and stand still: no two attempts
# of it ever run at once, and each has a greater fence than the one before. The task
# appends its fence to a file outside, time and again, and so do its children: as lines
# stand in the order in which they were written, a fence that comes after a greater one
# is an attempt that outlived its time.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

patience=120

cat >"$work/beat.sh" <<'SH'
# beat.sh LOG ENOUGH: a child in a session of its own does the same.
beat()
{
    while [ ! -e "$2" ]; do
        echo "$MESH_FENCE $3 $MESH_NODE" >>"$1"
        sleep 0.05
    done
}
beat "$1" "$2" parent &
setsid sh -c "while [ ! -e '$2' ]; do echo \"\$MESH_FENCE child \$MESH_NODE\" >>'$1'; sleep 0.05; done" &
wait
SH
mkdir flow
cat >flow/flow.mf <<FLOW
mesh: 1
flow: Exclusive
steps:
  start:
    run: 'true'
    next: only
  only:
    effect: exclusive
    retry: {times: 0, lost: 20}
    resources: {custom: {tool: 1}}
    run: sh "$work/beat.sh" "$work/log" "$work/enough"
    next: end
  end:
    run: echo "\$MESH_FENCE" >"\$MESH_OUT/fence"
FLOW
: >log

last_fence()
{
    tail -n 1 log | cut -d ' ' -f 1
}
node_of_last()
{
    tail -n 1 log | cut -d ' ' -f 3 | tr -d n
}
is_beyond() # FENCE
{
    [ "$(last_fence)" -gt "$1" ]
}
has_begun()
{
    [ -s log ]
}

mesh_start 4 --cpu 2
for i in 2 3 4; do
    mesh_end $i
    mesh_again $i --cpu 2 --resource tool=1
done
wait_for 'all see all again' mesh_settled 4

on 1 submit flow/flow.mf --json >submitted 2>submit.err || note_file submit.err
run=$(of .run <submitted)
wait_for 'the task runs' has_begun && pass 'the task runs'

# ---- its node is killed, and nothing else ----

fence=$(last_fence)
first=$(node_of_last)
mesh_kill_node "$first"
wait_for 'another one runs it' is_beyond "$fence" && pass 'another one runs it'
mesh_again "$first" --cpu 2 --resource tool=1
wait_for 'the first is back' mesh_settled 4

# ---- its node stands still, and nothing else ----

fence=$(last_fence)
second=$(node_of_last)
kill -STOP "$(mesh_pid "$second")"
wait_for 'a third attempt runs' is_beyond "$fence" && pass 'a third attempt runs'
kill -CONT "$(mesh_pid "$second")"
wait_for 'the second is back' mesh_settled 4

# ---- who leads is killed, then who leads stands still ----

mesh_kill 1
has_leader()
{
    [ -n "$(mesh_leader "$run" 2)" ] && [ "$(mesh_leader "$run" 2)" != 1 ]
}
wait_for 'another one leads' has_leader && pass 'another one leads'
mesh_again 1 --cpu 2
wait_for 'the leader is back' mesh_settled 4
leader=$(mesh_leader "$run" 1)
kill -STOP "$(mesh_pid "$leader")"
other=$((leader % 4 + 1))
has_other_leader()
{
    [ -n "$(mesh_leader "$run" "$other")" ] && [ "$(mesh_leader "$run" "$other")" != "$leader" ]
}
wait_for 'one more leads' has_other_leader && pass 'one more leads'
lines=$(wc -l <log)
goes_on()
{
    [ "$(wc -l <log)" -gt $((lines + 40)) ]
}
wait_for 'the task goes on, or runs again' goes_on
kill -CONT "$(mesh_pid "$leader")"
wait_for 'all are back' mesh_settled 4

# ---- the end ----

touch enough
wait_for 'the run ends' has_ended "$run" "$other" && pass 'the run ends'
is "$(ask "$other" GET "/v1/runs/$run" | of .outcome)" ok 'it ends well'
cut -d ' ' -f 1 log >fences
ok 'no attempt outlived its time: fences never fall' sort -n -c fences
ok 'at least three attempts ran' test "$(uniq fences | wc -l)" -ge 3
note "fences: $(uniq fences | tr '\n' ' ')"
ask "$other" GET "/v1/runs/$run/tasks?limit=100" >tasks
is "$(of '[.attempts[] | select(.step == "only" and .verdict == "done")][0].fence' <tasks)" \
    "$(last_fence)" 'the attempt that counts has the last fence'
is "$(on "$other" artifact get "$run/end" fence 2>get.err)" 0 'other tasks have none'

for i in 1 2 3 4; do
    mesh_end $i
done
nothing_left 'no process is left'
finish
