#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The interface against clients that are many, slow, wrong, or hostile: it answers what
# it should, harms nobody else, and runs keep going.
. "$(dirname "$0")/lib.sh"

cat >beat.mf <<'FLOW'
mesh: 1
flow: Beat
parameters:
  gate: {type: string}
steps:
  start:
    run: 'until test -e "$MESH_PARAM_GATE"; do sleep 0.1; done'
    next: end
  end:
    run: 'echo went on'
FLOW
node n
node_pid=$pid
start follower "$MESH" submit beat.mf --follow --gate "$work/gate"
follower=$pid
wait_for 'a run runs' grep -q 'is starting' follower.out

run 0 'the abuse' python3 "$here/http_abuse.py" "$MESH_HOME/mesh.sock"
sed -n 's/^/# /p' "$out"
for what in many slow cut oversized malformed json fields blobs events; do
    like "$out" "^$what ok\$" "$what"
done
ok 'the node still lives' kill -0 "$node_pid"
ok 'and answers' node_answers
touch gate
ended "$follower" 0 'the run was not harmed'
like follower.out 'went on$' 'and its follower saw all of it'
idle()
{
    awk '{ print $14 + $15 }' "/proc/$node_pid/stat"
}
before=$(idle)
wait_for 'no connection is left' sh -c \
    '[ "$(ls -l "/proc/$1/fd" | grep -c socket)" -lt 12 ]' sh "$node_pid"
# Half a second is the span that is measured, not something that is waited for.
before=$(idle)
sleep 0.5
ok 'and it is idle' test $(($(idle) - before)) -le 1
stop "$node_pid"
finish
