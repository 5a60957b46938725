#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A step with `effect: exclusive` on a node alone: each attempt of a task has a greater
# fence than the one before, over retries and over the death of the node, and what the
# dead node left behind is ended before the next attempt begins.
. "$(dirname "$0")/lib.sh"

cat >flow.mf <<FLOW
mesh: 1
flow: Exclusive
steps:
  start:
    foreach: {range: 2}
    run: 'true'
    next: only
  only:
    effect: exclusive
    retry: {times: 3, delay: 0}
    concurrency: 1
    run: |
      echo "\$MESH_INDEX \$MESH_FENCE begins" >>"$work/log"
      [ "\$MESH_ATTEMPT" -ge 2 ] || exit 1
      while [ ! -e "$work/enough" ]; do
        echo "\$MESH_INDEX \$MESH_FENCE goes on" >>"$work/log"
        sleep 0.02
      done
    next: join
  join:
    join: start
    run: echo "\${MESH_FENCE:-none}" >"\$MESH_OUT/fence"
FLOW
: >log

fence_is_beyond() # FENCE
{
    [ "$(tail -n 1 log | cut -d ' ' -f 2)" -gt "$1" ]
}
goes_on()
{
    grep -q 'goes on' log
}

node n
run 0 'the run is taken' "$MESH" submit flow.mf --json
id=$(jq -r .run "$out")
wait_for 'the third attempt runs' goes_on
fence=$(tail -n 1 log | cut -d ' ' -f 2)
kill -KILL "$pid"
wait "$pid" 2>/dev/null
node n
wait_for 'the next attempt runs' fence_is_beyond "$fence" && pass 'the next attempt runs'
touch enough
run 0 'the run ends well' "$MESH" follow "$id"
for index in 0 1; do
    grep "^$index " log | cut -d ' ' -f 2 >"fences.$index"
    ok "task $index: fences never fall" sort -n -c "fences.$index"
    ok "task $index: each attempt has its own" \
        test "$(grep -c "^$index .* begins" log)" = "$(uniq "fences.$index" | wc -l)"
done
is "$("$MESH" artifact get "$id/join" fence)" none 'other steps have none'
run 0 'explain tells them' "$MESH" explain "$id/only/0"
like "$out" 'FENCE' 'in a column'
kill "$pid"
wait "$pid" 2>/dev/null
nothing_left 'no process is left'
finish
