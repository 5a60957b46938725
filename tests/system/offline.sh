#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No network is needed and none is listened to: in a namespace without any route, where
# even loopback is down, flows run and a node serves; and no port is open there.
. "$(dirname "$0")/lib.sh"

if ! unshare -rn true 2>/dev/null; then
    skip 1 'a namespace of its own is not to be had here'
    finish
fi
cat >hold.mf <<'FLOW'
mesh: 1
flow: Hold
parameters:
  gate: {type: string}
steps:
  start: {run: 'echo 42 | mesh artifact put answer - --type json', next: hold}
  hold: {run: 'touch "$MESH_PARAM_GATE.here"; until test -e "$MESH_PARAM_GATE"; do sleep 0.02; done', next: end}
  end: {run: 'mesh artifact get answer --from start'}
FLOW
# Ports that somebody listens to, or has open, in the namespace of a process.
open_ports() # PID
{
    for table in tcp tcp6 udp udp6 raw raw6; do
        tail -q -n +2 "/proc/$1/net/$table" 2>/dev/null
    done
}

start run unshare -rn "$MESH" run hold.mf --gate "$work/a"
wait_for 'a task runs' test -e "$work/a.here"
is "$(tail -q -n +2 "/proc/$pid/net/route")" '' 'there is no route'
is "$(open_ports "$pid")" '' 'a run listens on nothing but its socket'
is "$(sed -n 's/^Max core file size *\([0-9]*\) *\([0-9]*\) .*/\1 \2/p' "/proc/$pid/limits")" \
    '1 1' 'and leaves no core dump, where secrets would be'
touch "$work/a"
ok 'it ends well' wait "$pid"
like run.out 'ended: OK' 'without any network'

start n unshare -rn "$MESH" node --dev
wait_for 'a node answers' "$MESH" status
run 0 'a run is submitted' "$MESH" submit hold.mf --gate "$work/b"
wait_for 'it runs' test -e "$work/b.here"
is "$(open_ports "$pid")" '' 'a node listens on nothing but its sockets'
touch "$work/b"
wait_for 'it ends' sh -c "'$MESH' status 2 | grep -q OK"
run 0 'what it made is there' "$MESH" artifact get 2/start answer
is "$(cat "$out")" 42 'as it was made'
finish
