#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A node that is killed at any moment loses nothing that it had told, runs nothing twice
# that it had told was done, and leaves nothing running.
#
# Each task appends its name to a file outside of the mesh. A task is told done when the
# node that stands up again lists it so; at every kill that list is taken, and no task in
# it may append again.
. "$(dirname "$0")/lib.sh"

kills=20
[ -z "${MESH_LONG:-}" ] || kills=200

cat >chain.mf <<'FLOW'
mesh: 1
flow: Chain
parameters:
  trace: {type: string}
steps:
  start:
    run: 'echo "start begins" >>"$MESH_PARAM_TRACE"; seq 1 40 >"$MESH_OUT/numbers"'
    foreach: numbers
    next: work
  work:
    run: |
      echo "work/$MESH_INDEX begins" >>"$MESH_PARAM_TRACE"
      sleep 0.05
      echo $((MESH_INPUT * 2)) | mesh artifact put double - --type json
    next: sum
  sum:
    join: start
    run: |
      echo "sum begins" >>"$MESH_PARAM_TRACE"
      mesh inputs | sed 's/.*"value": *\([0-9]*\).*/\1/' | awk '{ n += $1 } END { print n }' \
          >"$MESH_OUT/sum"
    next: end
  end:
    run: 'echo "end begins" >>"$MESH_PARAM_TRACE"; echo "sum $(mesh artifact get sum)"'
FLOW

# Done tasks as step/task, from the interface of the node that is up.
done_tasks()
{
    http GET "/v1/runs/$1/tasks?limit=1000" | python3 -c '
import json, sys
for attempt in json.load(sys.stdin)["attempts"]:
    if attempt["verdict"] == "done":
        print(attempt["step"] if attempt["step"] != "work"
              else "work/" + attempt["task"])' | sort
}

run_state()
{
    http GET "/v1/runs/$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])'
}

has_ended()
{
    [ "$(run_state "$1")" = ended ]
}

random()
{
    # From 0 to $1 - 1; the seed can be given to have the same moments again.
    seed=$(((seed * 1103515245 + 12345) % 2147483648))
    echo $((seed / 65536 % $1))
}

seed=${MESH_SEED:-$(date +%s)}
note "MESH_SEED=$seed"
: >trace
twice=0
lost=0
n_killed=0
number=
: >done.before
while [ $n_killed -lt $kills ]; do
    cp trace trace.at_start
    node "n$n_killed" || break
    if [ -z "$number" ] || has_ended "$number"; then
        [ -z "$number" ] || rounds="${rounds:-} $number"
        : >trace
        : >trace.at_start
        : >done.before
        "$MESH" submit chain.mf --trace "$work/trace" --json >submitted 2>submit.err || {
            fail 'a node that stands up takes a run'
            note_file submit.err
            break
        }
        number=$(sed -n 's/.*"number": *\([0-9]*\).*/\1/p' submitted | head -n 1)
    fi
    done_tasks "$number" >done.now
    # What was told done before the kill is still done.
    lost=$((lost + $(comm -23 done.before done.now | wc -l)))
    mv done.before done.last
    # At a moment of its own: a number of begun tasks, then a few milliseconds.
    goal=$(($(wc -l <trace) + $(random 9)))
    tries=0
    while [ "$(wc -l <trace)" -lt $goal ] && [ $tries -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.01
    done
    done_tasks "$number" >done.before
    sleep "0.0$(random 10)"
    kill -KILL "$pid"
    wait "$pid" 2>/dev/null
    n_killed=$((n_killed + 1))
    # Nothing that the life before had told done was begun again in this one.
    tail -n "+$(($(wc -l <trace.at_start) + 1))" trace | sed 's/ begins$//' | sort -u >begun
    twice=$((twice + $(comm -12 done.last begun | wc -l)))
done
is $n_killed $kills "the node was killed $kills times"
is $lost 0 'what was told done stays done'
is $twice 0 'and is not run again'

node last
wait_for 'the run ends after all' has_ended "$number"
for round in ${rounds:-} "$number"; do
    is "$("$MESH" artifact get "$round/sum" sum)" 1640 "run $round has the right result"
done
is "$("$MESH" artifact get "$number/sum" sum)" 1640 'the last one too'
ok 'nothing kept is damaged' "$MESH" verify "$number"
stop "$pid"

# Orphans: tasks of a killed node are ended by the next one on its store.
cat >sleeper.mf <<'FLOW'
mesh: 1
flow: Sleeper
parameters:
  trace: {type: string}
steps:
  start:
    run: |
      echo "begins $MESH_ATTEMPT" >>"$MESH_PARAM_TRACE"
      test "$(wc -l <"$MESH_PARAM_TRACE")" -gt 1 || { setsid sleep 1000 & sleep 1000; }
    next: end
  end:
    run: 'true'
FLOW
: >trace
start sleeper "$MESH" run sleeper.mf --trace "$work/trace"
wait_for 'the sleeper sleeps' grep -q begins trace
sleepers()
{
    for sleepers_pid in $(mine); do
        tr '\0' ' ' <"/proc/$sleepers_pid/cmdline" 2>/dev/null | grep -x 'sleep 1000 '
    done
}
two_sleep()
{
    [ "$(sleepers | wc -l)" = 2 ]
}
wait_for 'and its daemon' two_sleep
kill -KILL "$pid"
wait "$pid" 2>/dev/null
node again
wait_for 'the run is taken up and ends' has_ended "$(run_number sleeper.out)"
is "$(wc -l <trace)" 2 'the task that was running is run again, once'
is "$(sleepers)" '' 'its orphans are gone'
stop "$pid"
nothing_left 'nothing is left'
finish
