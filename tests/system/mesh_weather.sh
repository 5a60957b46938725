#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A run over a bad network: 50 ms and more each way, so that packets overtake each other,
# 2 % lost, 1 % twice, at 20 Mbit/s. Packets are carried by a program, which needs
# /dev/net/tun; where that cannot be had, or with MESH_NET=loopback, the same run goes over
# a network without any of this.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

patience=180
! net_can_weather || net_weather --delay-ms 50 --jitter-ms 15 --loss 2 --twice 1 --seed 7
mesh_start 3
is "$(mesh_alive 3)" 3 'all see each other'
if [ -n "$net_weather_pid" ]; then
    i=0
    while [ $i -lt 3 ]; do
        i=$((i + 1))
        net_rate $i 20000
    done
fi
trace_flow 40 0.2
run 0 'a run of 40 tasks' on 1 submit flow/trace.mf --follow
checked 1 40
ok 'tasks ran at several nodes' \
    test "$(awk '$1 == "begins" && $4 == "work" { print $7 }' trace | sort -u | wc -l)" -gt 1
is "$(mesh_alive 1)" 3 'and nobody was taken for dead'
if [ -n "$net_weather_pid" ]; then
    kill "$net_weather_pid"
    wait "$net_weather_pid"
    net_weather_pid=
    note "$(tail -n 1 weather)"
    ok 'packets were lost, came twice and overtook each other' \
        grep -Eq 'lost [1-9].* twice [1-9].* overtaken [1-9]' weather
else
    skip 1 'packets cannot be carried by a program here'
fi
mesh_end_all
nothing_left 'nothing is left'
finish
