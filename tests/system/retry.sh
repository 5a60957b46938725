#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What failed is tried again with the code of then; what was done is not done again.
. "$(dirname "$0")/lib.sh"

mkdir flow && cd flow || exit 1
cat >flow.mf <<'FLOW'
mesh: 1
flow: Retried
limits: {on_failure: finish}
parameters:
  trace: {type: string}
  world: {type: string}
steps:
  start:
    run: 'echo start >>"$MESH_PARAM_TRACE"'
    foreach: {range: 4}
    next: each
  each:
    run: 'echo "each $MESH_INDEX" >>"$MESH_PARAM_TRACE"; ./each.sh'
    next: join
  join:
    join: start
    run: 'echo join >>"$MESH_PARAM_TRACE"; mesh inputs | wc -l >"$MESH_OUT/n"'
    next: end
  end:
    run: 'echo end >>"$MESH_PARAM_TRACE"; echo "joined $(cat "$MESH_IN/n")"'
    inputs: {n: n}
FLOW
cat >each.sh <<'SCRIPT'
#!/bin/sh
case $MESH_INDEX in 1 | 2) test -e "$MESH_PARAM_WORLD" ;; esac
SCRIPT
chmod +x each.sh
traced()
{
    sort "$work/trace" | tr '\n' ,
}

run 1 'the world is wrong' "$MESH" run flow.mf --trace "$work/trace" --world "$work/world"
is "$(traced)" 'each 0,each 1,each 2,each 3,start,' 'two tasks fail'

# The code of now would do something else.
printf '#!/bin/sh\necho wrong code\nexit 9\n' >each.sh
: >"$work/trace"
run 1 'tried again, the world still wrong' "$MESH" retry 1
is "$(traced)" 'each 1,each 2,' 'only what failed is done'
unlike "$out" 'wrong code' 'with the code of then'
: >"$work/trace"
touch "$work/world"
run 0 'when the world is right' "$MESH" retry 2
is "$(traced)" 'each 1,each 2,end,join,' 'that and what is behind it is done'
like "$out" '\] joined 4$' 'with what the others had made'
like "$err" 'of the run before are taken over' 'and says so'

run 1 'nothing is left to try again' "$MESH" retry 3
like "$err" 'mesh retry 3/STEP' 'and what to write instead'
: >"$work/trace"
run 0 'a step of a run that was OK' "$MESH" retry 3/join
is "$(traced)" 'end,join,' 'is done again, and what is behind it'
: >"$work/trace"
run 1 'with the code of now' "$MESH" retry 1/each --code now
is "$(traced)" 'each 0,each 1,each 2,each 3,' 'all of the step is done again'
like "$out" 'wrong code' 'by other code'
run 3 'a step that is not there' "$MESH" retry 3/jion
run 3 'a run that is not there' "$MESH" retry 4711
run 2 'one task' "$MESH" retry 1/each/2
run 2 'another word for the code' "$MESH" retry 1 --code 'then'

# A run that goes on is not retried.
cd "$work" || exit 1
cat >gate.mf <<'FLOW'
mesh: 1
flow: Gate
parameters:
  gate: {type: string}
steps:
  start: {run: 'while [ ! -e "$MESH_PARAM_GATE" ]; do sleep 0.01; done', next: end}
  end: {run: 'true'}
FLOW
node n
number=$("$MESH" submit gate.mf --gate "$work/gate" --json | sed -n 's/.*"number": \([0-9]*\).*/\1/p')
run 1 'a run that is active' "$MESH" retry "$number"
like "$err" 'has not ended' 'is refused'
like "$err" 'cancel it' 'with a way out'
touch gate
run 1 'by a node, one that failed' "$MESH" retry 5
like "$err" 'of the run before' 'goes on there'
finish
