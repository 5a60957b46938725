# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034
# lib.sh - what the system tests share. A test sources it, says what must hold, and ends
# with `finish`. It prints TAP and exits non-zero unless everything held.
#
# Each test has a folder of its own, $work, and a data folder there, $MESH_HOME. Nothing
# waits by sleeping for a guessed time: wait_for polls something that can be observed and
# gives up at a deadline. Only processes of the test are ended: those whose environment
# names $work.
set -u

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
MESH=${MESH:-$top/build/mesh}
case $MESH in
/*) ;;
*) MESH=$PWD/$MESH ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/mesh-test.XXXXXX") || exit 1
export MESH_HOME="$work/home" MESH_TEST_WORK="$work" NO_COLOR=1 LC_ALL=C.UTF-8
unset MESH_SOCKET MESH_CHANNEL MESH_TOKEN MESH_RUN
patience=${MESH_PATIENCE:-60} # seconds that a condition may take, on a loaded machine

n=0
n_failed=0
is_finished=
mounted= # file systems of the test, unmounted at the end
at_leave= # functions that are called when its processes are gone
trap 'leave $?' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
cd "$work" || exit 1

[ -x "$MESH" ] || {
    echo "Bail out! there is no $MESH"
    exit 1
}

pass()
{
    n=$((n + 1))
    echo "ok $n - $*"
}

fail()
{
    n=$((n + 1))
    n_failed=$((n_failed + 1))
    echo "not ok $n - $*"
}

note()
{
    printf '%s\n' "$*" | sed 's/^/# /'
}

# note_file FILE: the end of it, for whoever looks for the reason.
note_file()
{
    [ -f "$1" ] && tail -n "${2:-30}" "$1" | tr -cd '\11\12\40-\176' | sed 's/^/#   /'
}

# ok TEXT COMMAND...: the command succeeds.
ok()
{
    ok_text=$1
    shift
    if "$@" >"$work/ok.out" 2>&1; then
        pass "$ok_text"
    else
        fail "$ok_text"
        note "exit code $? of: $*"
        note_file "$work/ok.out"
    fi
}

# is GOT WANTED TEXT
is()
{
    if [ "$1" = "$2" ]; then
        pass "$3"
    else
        fail "$3"
        note "   got: $1"
        note "wanted: $2"
    fi
}

# like FILE EXTENDED-REGULAR-EXPRESSION TEXT: some line matches.
like()
{
    if grep -Eq -e "$2" "$1"; then
        pass "$3"
    else
        fail "$3"
        note "no line matches: $2"
        note_file "$1"
    fi
}

unlike()
{
    if grep -Eq -e "$2" "$1"; then
        fail "$3"
        note "a line matches: $2"
        grep -E -e "$2" "$1" | head -n 5 | sed 's/^/#   /'
    else
        pass "$3"
    fi
}

# skip N TEXT: this machine cannot do what N checks need, and says why.
skip()
{
    skipped=0
    while [ $skipped -lt "$1" ]; do
        n=$((n + 1))
        skipped=$((skipped + 1))
        echo "ok $n # SKIP $2"
    done
}

# run CODE TEXT COMMAND...: ends with this exit code; what it said is in $out and $err.
run()
{
    run_code=$1 run_text=$2
    shift 2
    "$@" >"$work/out" 2>"$work/err"
    code=$?
    out=$work/out err=$work/err
    if [ "$code" = "$run_code" ]; then
        pass "$run_text"
    else
        fail "$run_text"
        note "exit code $code, wanted $run_code: $*"
        note_file "$out"
        note_file "$err"
    fi
}

# wait_for TEXT COMMAND...: until the command succeeds; a failed check at the deadline.
wait_for()
{
    wait_text=$1
    shift
    wait_end=$(($(date +%s) + patience))
    until "$@" >/dev/null 2>&1; do
        if [ "$(date +%s)" -ge $wait_end ]; then
            fail "$wait_text (waited $patience s)"
            return 1
        fi
        sleep 0.02
    done
}

# The program looks for its own faults, which takes memory and time.
is_sanitized()
{
    grep -qs 'MESH_SANITIZE:STRING=.' "$(dirname "$MESH")/CMakeCache.txt"
}

# start NAME COMMAND...: in the background, $NAME.out and $NAME.err; its id is in $pid.
start()
{
    start_name=$1
    shift
    "$@" >"$work/$start_name.out" 2>"$work/$start_name.err" </dev/null &
    pid=$!
}

# ended PID CODE TEXT: it ends by itself before the deadline, with this code.
ended()
{
    wait_for "$3: it ends" is_gone "$1" || return 1
    wait "$1"
    is $? "$2" "$3"
}

# A child that was not waited for is a zombie: its command line is empty.
is_gone()
{
    ! tr -d '\0' 2>/dev/null <"/proc/$1/cmdline" | grep -q .
}

# mine: the processes that carry this test's folder in their environment. They are listed
# before grep starts, so that it does not find itself.
mine()
{
    set -- /proc/[0-9]*/environ
    grep -lsF -e "$work" "$@" | sed 's,/proc/\([0-9]*\)/.*,\1,' | grep -vx $$
}

# nothing_left TEXT: soon. What a process started may end a moment after it.
nothing_left()
{
    if wait_for "$1" is_alone; then
        pass "$1"
    else
        for left_pid in $(mine); do
            note "$left_pid: $(tr '\0' ' ' <"/proc/$left_pid/cmdline")"
        done
    fi
}

is_alone()
{
    [ -z "$(mine)" ]
}

# node NAME [arguments]: a node on $MESH_HOME that answers; its id is in $pid.
node()
{
    node_name=$1
    shift
    start "$node_name" "$MESH" node --dev --data "$MESH_HOME" "$@"
    wait_for "node $node_name answers" node_answers || note_file "$work/$node_name.err"
}

# One that runs things, not one that somebody's look at the store has started.
node_answers()
{
    http GET /v1/node | grep -q '"is_inspect": *false'
}

# http METHOD PATH [curl arguments]: over the user's socket.
http()
{
    http_method=$1 http_path=$2
    shift 2
    curl -sS --fail-with-body -m 30 -X "$http_method" --unix-socket "$MESH_HOME/mesh.sock" \
        "$@" "http://mesh$http_path"
}

stop()
{
    kill "$1" 2>/dev/null
    wait "$1" 2>/dev/null
}

# run_number FILE: of the first run that a console printed.
run_number()
{
    sed -n 's/^Workflow starting (run-id \([0-9]*\)).*/\1/p' "$1" | head -n 1
}

# last_run: the number of the newest one.
last_run()
{
    "$MESH" runs --limit 1 --json | sed -n 's/.*"number": *\([0-9]*\).*/\1/p' | head -n 1
}

finish()
{
    is_finished=1
    echo "1..$n"
    [ "$n_failed" = 0 ] && [ "$n" != 0 ]
    exit
}

leave()
{
    trap - EXIT
    # By $work and not by number: the number of one that has ended may be another's now.
    for leave_pid in $(mine); do
        kill "$leave_pid" 2>/dev/null
    done
    leave_try=0
    while [ -n "$(mine)" ] && [ $leave_try -lt 100 ]; do
        leave_try=$((leave_try + 1))
        sleep 0.02
    done
    for leave_pid in $(mine); do
        kill -KILL "$leave_pid" 2>/dev/null
    done
    cd /
    for leave_function in $at_leave; do
        $leave_function
    done
    for leave_mount in $mounted; do
        leave_try=0
        until umount "$leave_mount" 2>/dev/null || [ $leave_try -ge 250 ]; do
            leave_try=$((leave_try + 1))
            sleep 0.02
        done
    done
    if [ -n "${MESH_KEEP:-}" ]; then
        echo "# kept $work"
    else
        chmod -R u+w "$work" 2>/dev/null
        rm -rf --one-file-system "$work"
    fi
    [ -n "$is_finished" ] || {
        echo "Bail out! the test itself ended early"
        exit 1
    }
    exit "$1"
}
