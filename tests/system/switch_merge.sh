#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Branches: all, one of them, again and again; and what comes together behind them.
. "$(dirname "$0")/lib.sh"

cat >switch.mf <<'FLOW'
mesh: 1
flow: Switch
parameters:
  quality: {type: string, default: good}
steps:
  start:
    run: 'mesh next --case "$MESH_PARAM_QUALITY"'
    switch:
      by: quality
      cases: {good: keep, bad: drop}
  keep:
    run: 'echo kept'
    next: end
  drop:
    run: 'echo dropped'
    next: end
  end:
    run: 'echo over'
FLOW
run 0 'a switch' "$MESH" run switch.mf
like "$out" '\] kept$' 'takes the case that is chosen'
unlike "$out" 'dropped' 'and no other'
like "$out" '\] over$' 'and goes on behind it'
run 0 'the other case' "$MESH" run switch.mf --quality bad
like "$out" '\] dropped$' 'is taken'
unlike "$out" 'kept' 'and not the first'
run 1 'a case that is not there fails the task' "$MESH" run switch.mf --quality ugly
like "$out" 'ugly' 'and is named'

cat >artifact.mf <<'FLOW'
mesh: 1
flow: Artifact
steps:
  start:
    run: 'printf left >"$MESH_OUT/way"'
    switch:
      by: way
      cases: {left: l, right: r}
  l: {run: 'echo went left', next: end}
  r: {run: 'echo went right', next: end}
  end: {run: 'true'}
FLOW
run 0 'a switch by an artifact' "$MESH" run artifact.mf
like "$out" '\] went left$' 'takes the case it names'

cat >loop.mf <<'FLOW'
mesh: 1
flow: Loop
steps:
  start:
    run: 'echo 0 >"$MESH_OUT/count"'
    next: again
  again:
    run: |
      count=$(($(mesh artifact get count) + 1))
      echo "round $count"
      echo $count >"$MESH_OUT/count"
      if test $count -lt 5; then mesh next --case more; else mesh next --case enough; fi
    switch:
      by: choice
      cases: {more: again, enough: end}
      max_iterations: 10
  end:
    run: 'echo "counted to $(mesh artifact get count)"'
FLOW
run 0 'a step that goes back to itself' "$MESH" run loop.mf
like "$out" '\] round 5$' 'does so as often as it says'
unlike "$out" 'round 6' 'and not more often'
like "$out" '\] counted to 5$' 'with its artifacts'
sed 's/-lt 5/-lt 500/' loop.mf >endless.mf
run 1 'one that would go on for ever is stopped' "$MESH" run endless.mf
unlike "$out" 'round 12' 'by its bound'

cat >merge.mf <<'FLOW'
mesh: 1
flow: Merge
parameters:
  b: {type: string, default: same}
steps:
  start:
    run: 'echo first >"$MESH_OUT/origin"'
    next: [left, right]
  left:
    run: 'echo same >"$MESH_OUT/shared"; echo 1 >"$MESH_OUT/only_left"'
    next: both
  right:
    run: 'echo "$MESH_PARAM_B" >"$MESH_OUT/shared"; echo 2 >"$MESH_OUT/only_right"'
    next: both
  both:
    join: start
    merge: {}
    run: 'mesh inputs | wc -l'
    next: end
  end:
    run: 'for x in shared only_left only_right origin; do echo "$x=$(mesh artifact get $x)"; done'
FLOW
run 0 'branches merge' "$MESH" run merge.mf
like "$out" '\] 2$' 'the join has an input for each'
like "$out" '\] shared=same$' 'what is equal in both goes on'
like "$out" '\] only_left=1$' 'and what is in one'
like "$out" '\] only_right=2$' 'or in the other'
like "$out" '\] origin=first$' 'and what was there before'
run 1 'what differs' "$MESH" run merge.mf --b other
like "$out" 'shared' 'is an error that names it'
sed 's/merge: {}/merge: {exclude: [shared]}/; s/in shared only_left/in only_left/' \
    merge.mf >exclude.mf
run 0 'unless it is excluded' "$MESH" run exclude.mf --b other

cat >inside.mf <<'FLOW'
mesh: 1
flow: Inside
steps:
  start: {run: 'echo root >"$MESH_OUT/origin"', foreach: {range: 2}, next: work}
  work: {run: 'echo same >"$MESH_OUT/s"; echo "$MESH_INPUT" >"$MESH_OUT/d"', next: join}
  join:
    join: start
    merge: {exclude: [origin]}
    inputs: {s: s}
    run: |
      echo "as input $(cat "$MESH_IN/s"), asked $(mesh artifact get s)"
      mesh artifact get origin || echo "no origin: $?"
      mesh artifact get d || echo "no d: $?"
      echo own >"$MESH_OUT/d"
    next: end
  end: {run: 'echo "end $(mesh artifact get s) $(mesh artifact get d)"'}
FLOW
run 0 'a step that merges' "$MESH" run inside.mf
like "$out" '\] as input same, asked same$' 'sees itself what is equal'
like "$out" '\] no origin: 3$' 'not what it excludes'
like "$out" "\\] mesh: the branches differ in 'd'" 'and is told what differs'
like "$out" '\] end same own$' 'which it may settle'
sed 's/{s: s}/{d: d}/' inside.mf >differs.mf
run 1 'an input in which the branches differ' "$MESH" run differs.mf
like "$out" "input 'd': the branches differ in 'd'" 'is an error that says so'

cat >empty.mf <<'FLOW'
mesh: 1
flow: Empty
steps:
  start:
    run: 'printf "[]" | mesh artifact put items - --type json'
    foreach: items
    next: work
  work: {run: 'echo never', next: join}
  join:
    join: start
    run: 'echo "inputs $(mesh inputs | wc -l)"'
    next: end
  end: {run: 'true'}
FLOW
run 0 'an empty foreach' "$MESH" run empty.mf
unlike "$out" 'never' 'starts none'
like "$out" '\] inputs 0$' 'and goes to its join'
finish
