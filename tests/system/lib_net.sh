# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# lib_net.sh - N machines on one: network namespaces on a bridge, that is in one of its
# own, so that nothing of this machine's network is touched.
#
#     net_weather WORDS   before net_up: no bridge, but net_weather.py with these options
#     net_up N            $net is `namespaces`, or `loopback` where they cannot be had
#     net_address I       where node I is reached, without a port
#     net_run I COMMAND   runs it there
#     net_cut I J         packets from I do not reach J (one way)
#     net_heal            all do again
#     net_lose I PERCENT  so many of those that come to I are lost
#     net_rate I KBIT     what I sends goes at this rate
#     net_down            all of it is gone
#
# Needs iproute2; cuts and losses need nft; as root. MESH_NET=loopback does without.

net='' net_n=0 net_id='' net_weather='' net_weather_pid=''

net_name() # I: the namespace; 0 is the bridge's
{
    echo "mesh-$net_id-$1"
}

net_can_have()
{
    [ "${MESH_NET:-}" != loopback ] && [ "$(id -u)" = 0 ] && command -v ip >/dev/null &&
        ip netns add "mesh-$net_id-try" 2>/dev/null || return 1
    ip -n "mesh-$net_id-try" link add br0 type bridge 2>/dev/null
    net_code=$?
    ip netns del "mesh-$net_id-try"
    return $net_code
}

net_add() # I
{
    net_ns=$(net_name "$1")
    ip netns add "$net_ns" &&
        ip -n "$net_ns" link set lo up &&
        ip link add "eth0" netns "$net_ns" type veth peer name "v$1" netns "$(net_name 0)" &&
        ip -n "$(net_name 0)" link set "v$1" master br0 up &&
        ip -n "$net_ns" address add "10.77.$(($1 / 250)).$(($1 % 250 + 1))/16" dev eth0 &&
        ip -n "$net_ns" link set eth0 up
}

net_weather()
{
    net_weather=$*
}

# Whether packets can be carried by a program.
net_can_weather()
{
    [ "${MESH_NET:-}" != loopback ] && [ "$(id -u)" = 0 ] && command -v ip >/dev/null &&
        [ -c /dev/net/tun ]
}

net_up_weather()
{
    net_ends=
    net_i=0
    while [ $net_i -lt "$net_n" ]; do
        net_i=$((net_i + 1))
        ip netns add "$(net_name $net_i)" || return 1
        net_ends="$net_ends $(net_name $net_i) $(net_address $net_i)/16"
    done
    # shellcheck disable=SC2086 # lists of words
    python3 "$here/net_weather.py" $net_weather $net_ends >"$work/weather" 2>"$work/weather.err" &
    net_weather_pid=$!
    wait_for 'the network is up' grep -q ready "$work/weather"
}

net_up() # N
{
    net_n=$1 net_id=$$
    net=loopback
    net_can_have || return 0
    net=namespaces
    if [ -n "$net_weather" ]; then
        net_up_weather
        return
    fi
    ip netns add "$(net_name 0)" &&
        ip -n "$(net_name 0)" link add br0 type bridge &&
        ip -n "$(net_name 0)" link set br0 up || return 1
    net_i=0
    while [ $net_i -lt "$net_n" ]; do
        net_i=$((net_i + 1))
        net_add $net_i || return 1
    done
}

net_address() # I
{
    if [ "$net" = namespaces ]; then
        echo "10.77.$(($1 / 250)).$(($1 % 250 + 1))"
    else
        echo 127.0.0.1
    fi
}

# In place of this shell: not `ip netns exec`, which mounts a /sys of its own for each.
net_exec() # I COMMAND...
{
    net_there=$1
    shift
    [ "$net" != namespaces ] || set -- nsenter --net="/run/netns/$(net_name "$net_there")" "$@"
    exec "$@"
}

net_run() # I COMMAND...
{
    (net_exec "$@")
}

net_can_cut()
{
    [ "$net" = namespaces ] && command -v nft >/dev/null
}

net_table() # I: where its rules are
{
    net_run "$1" nft "add table inet mesh; add chain inet mesh in { type filter hook input priority 0; }"
}

net_cut() # FROM TO
{
    net_table "$2" && net_run "$2" nft add rule inet mesh in ip saddr "$(net_address "$1")" drop
}

net_lose() # I PERCENT
{
    net_table "$1" &&
        net_run "$1" nft add rule inet mesh in iifname eth0 numgen random mod 100 '<' "$2" drop
}

net_rate() # I KBIT
{
    net_run "$1" tc qdisc replace dev eth0 root tbf rate "${2}kbit" burst 64kb latency 200ms
}

net_heal()
{
    net_i=0
    while [ $net_i -lt "$net_n" ]; do
        net_i=$((net_i + 1))
        net_run $net_i nft delete table inet mesh 2>/dev/null
    done
    return 0
}

# Processes must be gone by then.
net_down()
{
    [ "$net" = namespaces ] || return 0
    if [ -n "$net_weather_pid" ]; then
        kill "$net_weather_pid" 2>/dev/null
        wait "$net_weather_pid" 2>/dev/null
        net_weather_pid=
    fi
    net_i=0
    while [ $net_i -le "$net_n" ]; do
        ip netns del "$(net_name $net_i)" 2>/dev/null
        net_i=$((net_i + 1))
    done
    net=
}
