#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A blob is gone from the store while its run goes on, or before it is resumed: whoever
# made it makes it again. What is made otherwise than before makes what came of it stale.
. "$(dirname "$0")/lib.sh"

# Bytes of 6 MB lie in a file of their own. `middle` deletes those of `start` once.
flow() # WHAT-START-MAKES
{
    cat >lost.mf <<FLOW
mesh: 1
flow: Lost
steps:
  start:
    run: |
      echo start >>"$work/trace"
      $1 >"\$MESH_OUT/big"
    next: count
  count:
    inputs: {big: start.big}
    run: |
      echo count >>"$work/trace"
      cksum <"\$MESH_IN/big" >"\$MESH_OUT/sum"
    next: middle
  middle:
    run: |
      echo middle >>"$work/trace"
      [ ! -e "$work/broken" ] || exit 1
      [ -e "$work/deleted" ] || find "$MESH_HOME/blobs" -type f -delete
      : >"$work/deleted"
    next: end
  end:
    inputs: {big: start.big, sum: count.sum}
    run: |
      echo end >>"$work/trace"
      cksum <"\$MESH_IN/big" | cmp - "\$MESH_IN/sum" && echo equal >"\$MESH_OUT/result"
FLOW
    : >trace
    rm -f deleted
}
printf '*\n!*.mf\n' >.meshignore

steps()
{
    paste -sd ' ' trace
}

flow 'seq 1 900000'
run 0 'a run ends though a blob of it is deleted' timeout 60 "$MESH" run lost.mf
is "$(steps)" 'start count middle start end' 'only who made it runs again'
run 0 'explain tells' "$MESH" explain 1/start
like "$out" "made again because its output 'big' was lost from the store" 'why'
run 0 'verify finds the run whole' "$MESH" verify 1

flow 'head -c 6000000 /dev/urandom'
run 0 'a run ends though what is made again differs' timeout 60 "$MESH" run lost.mf
is "$(steps)" 'start count middle start count middle end' \
    'what had consumed it runs again, in order'
run 0 'its result is there' "$MESH" artifact get 2/end result
is "$(cat "$out")" equal 'and made from one history'
run 0 'explain tells' "$MESH" explain 2/count
like "$out" "made again because what 'start' made was lost, and came out otherwise" 'why'
run 0 'verify finds the run whole' "$MESH" verify 2

flow 'seq 1 900000'
touch broken
run 1 'a run fails' timeout 60 "$MESH" run lost.mf
find "$MESH_HOME/blobs" -type f -delete
rm -f broken
: >trace
touch deleted
run 0 'it is resumed though its blobs are gone' timeout 60 "$MESH" resume 3
is "$(steps)" 'middle start end' 'what it needs is made again'
run 0 'verify finds the run whole' "$MESH" verify 4

finish
