#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A run that failed goes on from there, with the code as it is now.
. "$(dirname "$0")/lib.sh"

mkdir flow && cd flow || exit 1
cat >flow.mf <<'FLOW'
mesh: 1
flow: Resumed
parameters:
  trace: {type: string}
  word: {type: string, default: first}
steps:
  start:
    run: 'echo start >>"$MESH_PARAM_TRACE"; seq 1 5 >"$MESH_OUT/items"; echo "$MESH_PARAM_WORD" >"$MESH_OUT/word"'
    next: each
    foreach: items
  each:
    run: 'echo "each $MESH_INPUT" >>"$MESH_PARAM_TRACE"; ./each.sh'
    next: join
  join:
    join: start
    run: 'echo join >>"$MESH_PARAM_TRACE"; mesh inputs | wc -l >"$MESH_OUT/n"'
    next: end
  end:
    run: 'echo end >>"$MESH_PARAM_TRACE"; echo "joined $(cat "$MESH_IN/n") as $MESH_PARAM_WORD"'
    inputs: {n: n}
FLOW
printf '#!/bin/sh\ntest "$MESH_INPUT" != 3\n' >each.sh
chmod +x each.sh
traced()
{
    sort "$work/trace" | tr '\n' ,
}

run 1 'it fails' "$MESH" run flow.mf --trace "$work/trace" --word second \
    --on-failure finish
like "$out" 'mesh resume 1' 'and says how to go on'
is "$(traced)" 'each 1,each 2,each 3,each 4,each 5,start,' 'having done what it could'

: >"$work/trace"
run 1 'unmended, it fails again' "$MESH" resume 1
is "$(traced)" 'each 3,' 'having tried only what had failed'

printf '#!/bin/sh\ntrue\n' >each.sh
: >"$work/trace"
run 0 'mended, it goes on' "$MESH" resume 1
is "$(traced)" 'each 3,end,join,' 'and does only what was not done'
like "$out" '\] joined 5 as second$' 'with all results and the parameters of then'
resumed=$(run_number "$out")
like "$err" '^mesh: [1-9][0-9]* tasks? of the run before (is|are) taken over$' 'and says so'
run 0 'the resumed run' "$MESH" status --json "$resumed"
like "$out" '"adopted": *[1-9]' 'tells what it adopted'
run 0 'adopted artifacts can be read' "$MESH" artifact get "$resumed/start" word
is "$(cat "$out")" second 'as if they were its own'
run 0 'adopted work is verified' "$MESH" verify "$resumed"

: >"$work/trace"
run 0 'from a step on' "$MESH" resume "$resumed" join
is "$(traced)" 'end,join,' 'that step and what is behind it run again'
run 3 'a step that is not there' "$MESH" resume "$resumed" jion
run 3 'a run that is not there' "$MESH" resume 4711
run 0 'a run that is done, resumed' "$MESH" resume "$resumed"
like "$err" '^mesh: nothing is left to do' 'says that nothing is left'

# Its node was killed: it has not ended, and there is no other to take its place.
mkdir gated
cat >gated/gate.mf <<'FLOW'
mesh: 1
flow: Gate
parameters:
  gate: {type: string}
  trace: {type: string}
steps:
  start: {run: 'echo start >>"$MESH_PARAM_TRACE"', next: wait}
  wait: {run: 'echo wait >>"$MESH_PARAM_TRACE"; while [ ! -e "$MESH_PARAM_GATE" ]; do sleep 0.01; done', next: end}
  end: {run: 'echo end >>"$MESH_PARAM_TRACE"'}
FLOW
: >"$work/trace"
start killed "$MESH" node --dev
killed=$pid
wait_for 'the node answers' http GET /v1/node
start told "$MESH" submit gated/gate.mf --gate "$work/gate" --trace "$work/trace" --follow
told=$pid
wait_for 'what is done is durable' grep -q 'start/0.*finished' "$work/told.out"
number=$(run_number "$work/told.out")
wait_for 'a task runs' grep -q wait "$work/trace"
kill -KILL "$killed"
wait "$killed" 2>/dev/null
ended "$told" 4 'who followed it is told'
run 4 'one that was interrupted is followed' "$MESH" follow "$number"
like "$err" "mesh resume $number" 'that tells how to go on'
run 1 'it is not resumed from a step' "$MESH" resume "$number" end
touch "$work/gate"
: >"$work/trace"
rm -r gated
run 0 'it goes on, also without its file' "$MESH" resume "$number"
is "$(traced)" 'end,wait,' 'with what it had not done'
run 0 'as the run that it was' "$MESH" follow "$number" --json
like "$out" '"event":"run_ended".*"time":"20' 'which has ended'
finish
