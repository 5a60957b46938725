#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Many nodes as processes on one machine: all agree who is there, a run spreads over
# them, and each stays small. --long: 100 nodes and 5,000 tasks.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

nodes=12 tasks=200
[ -z "${MESH_LONG:-}" ] || nodes=100 tasks=5000
patience=240
MESH_NET=loopback
mesh_slots=1
mesh_start $nodes
is "$(mesh_alive $nodes)" $nodes "the last of $nodes sees all"
mkdir -p flow
cat >flow/many.mf <<FLOW
mesh: 1
flow: Many
steps:
  start: {run: 'true', foreach: {range: $tasks}, next: work}
  work: {run: 'echo "\${MESH_DATA##*/}" >>$work/where', next: join}
  join: {join: start, run: 'mesh inputs | wc -l >"\$MESH_OUT/n"', next: end}
  end: {run: 'true'}
FLOW
run 0 "a run of $tasks tasks" on 2 submit flow/many.mf --follow
is "$(wc -l <where)" $tasks 'each ran once'
note "on $(sort -u where | wc -l) of $nodes nodes"
ok 'on several nodes' test "$(sort -u where | wc -l)" -gt 1
# What is resident and its own; sanitizers need many times as much.
most=0
i=0
while [ $i -lt $nodes ]; do
    i=$((i + 1))
    own=$(awk '/^(RssAnon):/ { print $2 }' "/proc/$(mesh_pid $i)/status")
    [ "$own" -le "$most" ] || most=$own
done
note "the largest has $most KiB of its own"
if is_sanitized; then
    skip 1 'sanitizers need more memory'
else
    ok 'none is larger than 15 MiB' test "$most" -le 15360
fi
mesh_end_all
nothing_left 'nothing is left'
finish
