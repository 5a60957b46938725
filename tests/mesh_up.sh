#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mesh_up.sh - what ./dev mesh does: nodes of one mesh on this machine, to try things on.
# They go on in the background until --stop.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
MESH=${MESH:-$top/build/mesh}
. "$top/tests/system/lib_net.sh"

usage()
{
    cat <<'TEXT'
usage: ./dev mesh N [--namespaces | --loopback] [--data DIR] [--print-sockets]
       ./dev mesh --stop [--data DIR]
  N                nodes, n1 to nN; n1 founds the mesh
  --namespaces     each in a network of its own, on a bridge (as root; the default there)
  --loopback       all on 127.0.0.1
  --data DIR       their data, DIR/n1 ...; it stays (else build/nodes, which goes)
  --print-sockets  print the socket of each node on a line, and nothing else
  --stop           end them, and remove what was made for them
TEXT
}

die()
{
    echo "dev: $*" >&2
    exit 1
}

n='' data='' verb=start wanted=any has_sockets='' slots=''
while [ $# != 0 ]; do
    case $1 in
    --namespaces) wanted=namespaces ;;
    --loopback) wanted=loopback ;;
    --print-sockets) has_sockets=1 ;;
    --stop) verb=stop ;;
    --data)
        [ $# -gt 1 ] || die '--data wants a folder'
        data=$2
        shift
        ;;
    --slots)
        [ $# -gt 1 ] || die '--slots wants a number'
        slots=$2
        shift
        ;;
    -h | --help)
        usage
        exit 0
        ;;
    *[!0-9]* | '')
        usage >&2
        exit 2
        ;;
    *) n=$1 ;;
    esac
    shift
done
keep=$data
data=${data:-$top/build/nodes}
state=$data/dev-mesh

# ---- ending ----

# Whether this process is still the node: its number may be another's by now.
is_node() # PID I
{
    grep -qszxF "MESH_DEV_NODE=$data/n$2" "/proc/$1/environ"
}

each_node() # FUNCTION: with pid and number
{
    each_i=0
    for each_pid in $pids; do
        each_i=$((each_i + 1))
        "$1" "$each_pid" $each_i
    done
}

end_node()
{
    if is_node "$1" "$2"; then kill "$1" 2>/dev/null || :; fi
}

await_node()
{
    await_tries=0
    while is_node "$1" "$2" && [ $await_tries -lt 200 ]; do
        await_tries=$((await_tries + 1))
        sleep 0.05
    done
    if is_node "$1" "$2"; then kill -KILL "$1"; fi
}

stop()
{
    [ -f "$state" ] || die "nothing runs in $data"
    pids='' net_n=0 keep_data=''
    # shellcheck disable=SC1090 # written below
    . "$state"
    each_node end_node
    each_node await_node
    net_down
    rm -f "$state"
    [ -n "$keep_data" ] || rm -rf --one-file-system "$data"
}

# ---- starting ----

quietly()
{
    "$@" >"$data/said" 2>&1 || {
        cat "$data/said" >&2
        pids=${pids:-}
        save
        stop
        die "cannot: $*"
    }
}

save()
{
    cat >"$state" <<STATE
net=$net net_id=$net_id net_n=$net_n keep_data=$keep
pids='$pids'
STATE
}

port() { if [ "$net" = namespaces ]; then echo 8370; else echo 0; fi; }

answers()
{
    curl -fsS -m 5 --unix-socket "$data/n$1/mesh.sock" http://mesh/v1/node >/dev/null 2>&1
}

start_node() # I [OPTIONS]
{
    start_i=$1
    shift
    mkdir -p "$data/n$start_i"
    (net_exec "$start_i" env MESH_DEV_NODE="$data/n$start_i" setsid \
        "$MESH" node --data "$data/n$start_i" --name "n$start_i" \
        --peer-listen "$(net_address "$start_i"):$(port)" ${slots:+--slots "$slots"} "$@") \
        >"$data/n$start_i.out" 2>"$data/n$start_i.err" </dev/null &
    pids="$pids $!"
    save
}

await_up() # I
{
    up_tries=0
    until answers "$1"; do
        up_tries=$((up_tries + 1))
        [ $up_tries -lt 1200 ] || {
            tail -n 5 "$data/n$1.err" >&2
            stop
            die "node n$1 does not answer"
        }
        sleep 0.05
    done
}

sees_all()
{
    [ "$(MESH_HOME=$data/n$1 "$MESH" members --json |
        grep -c '"state": *"alive"')" = "$n" ]
}

await_all() # I
{
    all_tries=0
    until sees_all "$1" || [ $all_tries -ge 600 ]; do
        all_tries=$((all_tries + 1))
        sleep 0.05
    done
}

start()
{
    [ ! -f "$state" ] || die "nodes run in $data already: ./dev mesh --stop"
    mkdir -p "$data"
    data=$(cd "$data" && pwd)
    [ -z "$keep" ] || keep=$data
    state=$data/dev-mesh
    [ "$wanted" != loopback ] || MESH_NET=loopback
    pids=''
    net_up "$n" || die 'cannot make the networks'
    [ "$wanted" != namespaces ] || [ "$net" = namespaces ] ||
        die 'namespaces cannot be had here; they need root and iproute2'
    save
    [ -d "$data/n1" ] ||
        quietly "$MESH" init --name dev --node-name n1 --data "$data/n1"
    start_node 1
    await_up 1
    token=''
    i=1
    while [ $i -lt "$n" ]; do
        i=$((i + 1))
        if [ -d "$data/n$i" ]; then
            start_node $i
            continue
        fi
        [ -n "$token" ] ||
            token=$("$MESH" invite --roles worker,home --uses "$n" --data "$data/n1" 2>"$data/said")
        start_node $i --join "$token"
    done
    i=0
    while [ $i -lt "$n" ]; do
        i=$((i + 1))
        await_up $i
    done
    await_all 1
    rm -f "$data/said"
}

tell()
{
    i=0
    while [ $i -lt "$n" ]; do
        i=$((i + 1))
        if [ -n "$has_sockets" ]; then
            echo "$data/n$i/mesh.sock"
        else
            echo "n$i  $(net_address $i)  $data/n$i/mesh.sock"
        fi
    done
    [ -z "$has_sockets" ] || return 0
    cat <<TEXT

$n nodes of one mesh, $net. Ask any of them:
  export MESH_SOCKET=$data/n1/mesh.sock
  $MESH members
  $MESH submit examples/wide.mf --follow
  $MESH top
What they say is in $data/n*.err. End them: ./dev mesh --stop${keep:+ --data $keep}
TEXT
}

if [ "$verb" = stop ]; then
    [ -d "$data" ] && data=$(cd "$data" && pwd) && state=$data/dev-mesh
    stop
    exit 0
fi
if [ -z "$n" ] || [ "$n" = 0 ]; then
    usage >&2
    exit 2
fi
start
tell
