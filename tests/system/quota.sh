#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# When the quota is full, what no run names goes; what a run names never does.
. "$(dirname "$0")/lib.sh"

cat >make.mf <<'FLOW'
mesh: 1
flow: Make
parameters:
  bytes: {type: int, default: 6000000}
steps:
  start:
    run: 'head -c $MESH_PARAM_BYTES /dev/urandom >"$MESH_OUT/noise"; head -c 70000 /dev/urandom >"$MESH_OUT/small"'
    next: end
  end:
    run: 'true'
FLOW
node n --quota 20
n_bytes()
{
    http GET /v1/node | sed -n 's/.*"store":{"n_blobs":[0-9]*,"bytes":\([0-9]*\).*/\1/p'
}
run 0 'a run' "$MESH" submit make.mf --follow
run 0 'another' "$MESH" submit make.mf --follow
run 0 'and one more' "$MESH" submit make.mf --follow
run 0 'they are seen' "$MESH" runs
run 1 'a fourth one does not fit' "$MESH" submit make.mf --follow
like "$out" 'quota|No space|full' 'and says so'
run 0 'nothing that is named was taken' "$MESH" verify 1
run 0 'from none' "$MESH" verify 3
run 0 'one is removed' "$MESH" rm 1
run 0 'then it fits, and nobody had to ask for gc' "$MESH" submit make.mf --follow
ok 'the quota is kept' test "$(n_bytes)" -le 20971520
for i in 2 3 5; do
    run 0 "run $i is whole" "$MESH" verify $i
done
run 0 'all but the newest go' "$MESH" rm --flow Make --keep 1
run 0 'then even a large one fits' "$MESH" submit make.mf --follow --bytes 12000000
run 0 'and is whole' "$MESH" verify 6
run 0 'as what stayed' "$MESH" verify 5
run 1 'what is larger than all' "$MESH" submit make.mf --follow --bytes 30000000
run 0 'takes nothing from the others' "$MESH" verify 6
stop "$pid"

# By a run without a node, whose own code is kept while room is made.
head -c 9000000 /dev/urandom >code.bin
run 0 'a last look' "$MESH" rm 5 7
run 0 'a run beside large code' "$MESH" run make.mf --quota 24 --bytes 1000
run 0 'has all its code' "$MESH" verify 8
finish
