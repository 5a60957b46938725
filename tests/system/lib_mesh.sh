# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2034,SC2154
# lib_mesh.sh - several nodes for a system test. Source lib.sh first.
#
#     mesh_start N [OPTIONS]   nodes 1 to N are members of one mesh, and know it
#     on I VERB...             the command line of node I
#     ask I METHOD PATH        its HTTP interface
#     mesh_kill I              SIGKILL, with all that it started: its machine is gone
#     mesh_stop I, mesh_cont I SIGSTOP, SIGCONT, likewise
#     mesh_end I               SIGTERM; it must end well
#     mesh_end_all             the same for all that live
#     mesh_again I [OPTIONS]   it is started again on its data
#     mesh_cut I J [one-way]   they do not hear each other; one-way: J does not hear I
#     mesh_heal                all do again
#     mesh_settled N           all that live see N alive
#     mesh_leader RUN [I]      which node leads the run, as node I (1) knows
#
# Node I has its data in $work/nI and its output in $work/nI.out and .err; $mesh_pid_I is
# its process. Where namespaces cannot be had all are on loopback, and a test that cuts
# asks net_can_cut first.

. "$here/lib_net.sh"

mesh_n=0
mesh_slots=${mesh_slots:-2}
at_leave="${at_leave:-} net_down"

mesh_dir()
{
    echo "$work/n$1"
}

mesh_pid()
{
    eval "echo \${mesh_pid_$1:-}"
}

on() # I VERB...
{
    on_i=$1
    shift
    MESH_HOME=$(mesh_dir "$on_i") "$MESH" "$@"
}

ask() # I METHOD PATH [curl arguments]
{
    ask_i=$1 ask_method=$2 ask_path=$3
    shift 3
    curl -sS --fail-with-body -m 60 -X "$ask_method" \
        --unix-socket "$(mesh_dir "$ask_i")/mesh.sock" "$@" "http://mesh$ask_path"
}

# of FILTER: what jq makes of JSON on standard input.
of()
{
    jq -r "$@"
}

# On machines of their own all listen at the same port, on one each at a free one.
mesh_port()
{
    if [ "$net" = namespaces ]; then echo 8370; else echo 0; fi
}

mesh_node() # I [OPTIONS]: start it, do not wait
{
    node_i=$1
    shift
    mkdir -p "$(mesh_dir "$node_i")"
    start "n$node_i" net_exec "$node_i" env MESH_HOME="$(mesh_dir "$node_i")" \
        MESH_TEST_NODE="$(mesh_dir "$node_i")" \
        "$MESH" node --data "$(mesh_dir "$node_i")" --name "n$node_i" \
        --peer-listen "$(net_address "$node_i"):$(mesh_port)" --slots "$mesh_slots" "$@"
    eval "mesh_pid_$node_i=$pid"
}

mesh_answers() # I
{
    ask "$1" GET /v1/node | grep -q '"is_inspect": *false'
}

mesh_up() # I: until it answers
{
    wait_for "node $1 answers" mesh_answers "$1" || note_file "$work/n$1.err"
}

mesh_again() # I [OPTIONS]
{
    mesh_node "$@"
    mesh_up "$1"
}

mesh_start() # N [OPTIONS of each node]
{
    mesh_n=$1
    shift
    net_up "$mesh_n" || {
        fail 'a network of the test'
        return 1
    }
    note "$mesh_n nodes, $net"
    on 1 init --node-name n1 >"$work/init.out" 2>"$work/init.err" || note_file "$work/init.err"
    mesh_node 1 "$@"
    mesh_up 1
    [ "$mesh_n" = 1 ] && return
    mesh_token=$(on 1 invite --roles worker,home --uses "$mesh_n" --expires 1h 2>"$work/invite.err")
    mesh_i=1
    while [ $mesh_i -lt "$mesh_n" ]; do
        mesh_i=$((mesh_i + 1))
        mesh_node $mesh_i --join "$mesh_token" "$@"
    done
    mesh_i=1
    while [ $mesh_i -lt "$mesh_n" ]; do
        mesh_i=$((mesh_i + 1))
        mesh_up $mesh_i
    done
    wait_for "all $mesh_n nodes see each other" mesh_settled "$mesh_n"
}

mesh_alive() # I: how many it sees alive
{
    ask "$1" GET /v1/members | of '[.members[] | select(.state == "alive")] | length'
}

mesh_settled() # N
{
    settled_i=0
    while [ $settled_i -lt "$mesh_n" ]; do
        settled_i=$((settled_i + 1))
        [ -n "$(mesh_pid $settled_i)" ] || continue
        [ "$(mesh_alive $settled_i)" = "$1" ] || return 1
    done
}

# All processes of a node: it, and what it started. A task's environment begins anew, but
# says whose data folder it belongs to. By the folder and not by the number: other tests
# that run meanwhile have nodes 1 to N too.
mesh_processes() # I
{
    processes_dir=$(mesh_dir "$1")
    set -- /proc/[0-9]*/environ
    grep -lszxF -e "MESH_TEST_NODE=$processes_dir" -e "MESH_DATA=$processes_dir" "$@" |
        sed 's,/proc/\([0-9]*\)/.*,\1,' | grep -vx $$
}

mesh_signal() # SIGNAL I
{
    # shellcheck disable=SC2046 # a list of ids
    kill "-$1" $(mesh_processes "$2") 2>/dev/null
}

# The node first: of a machine that is gone nobody says that its tasks died.
mesh_kill()
{
    kill -KILL "$(mesh_pid "$1")" 2>/dev/null
    mesh_signal KILL "$1"
    wait "$(mesh_pid "$1")" 2>/dev/null
    mesh_signal KILL "$1" # what was forked meanwhile
    eval "mesh_pid_$1="
}

# The node only: what it ran is left to itself.
mesh_kill_node()
{
    kill -KILL "$(mesh_pid "$1")" 2>/dev/null
    wait "$(mesh_pid "$1")" 2>/dev/null
    eval "mesh_pid_$1="
}

mesh_end() # I: SIGTERM; a failed check if it does not end well, or has ended before
{
    kill "$(mesh_pid "$1")" 2>/dev/null
    mesh_ended "$1"
}

mesh_ended() # I: it was told to end
{
    wait "$(mesh_pid "$1")" 2>/dev/null
    end_code=$?
    eval "mesh_pid_$1="
    [ $end_code = 0 ] && return
    fail "node $1 ends well (exit code $end_code)"
    note_file "$(mesh_dir "$1").err" 100
}

# All that live, at once: it takes as long as the slowest and not as all together.
mesh_end_all()
{
    end_i=0
    while [ $end_i -lt "$mesh_n" ]; do
        end_i=$((end_i + 1))
        [ -z "$(mesh_pid $end_i)" ] || kill "$(mesh_pid $end_i)" 2>/dev/null
    done
    end_i=0
    while [ $end_i -lt "$mesh_n" ]; do
        end_i=$((end_i + 1))
        [ -z "$(mesh_pid $end_i)" ] || mesh_ended $end_i
    done
}

mesh_stop()
{
    mesh_signal STOP "$1"
}

mesh_cont()
{
    mesh_signal CONT "$1"
}

mesh_cut() # I J [one-way]
{
    net_cut "$1" "$2"
    [ "${3:-}" = one-way ] || net_cut "$2" "$1"
}

mesh_heal()
{
    net_heal
}

mesh_leader() # RUN [I]: a number, or nothing
{
    ask "${2:-1}" GET "/v1/runs/$1" | of '.mesh.leader.name // ""' | tr -d n
}

run_state() # RUN [I]
{
    ask "${2:-1}" GET "/v1/runs/$1" | of .state
}

has_ended() # RUN [I]
{
    [ "$(run_state "$@")" = ended ]
}

# ---- a flow whose tasks leave traces, and what is checked of it ----

# trace_flow N SECONDS: N tasks of so many seconds between a start and a join, as
# flow/trace.mf, in a folder of its own: what lies beside a flow travels with it.
trace_flow()
{
    mkdir -p "$work/flow"
    cat >"$work/flow/trace.mf" <<FLOW
mesh: 1
flow: Trace
steps:
  start:
    run: 'true'
    foreach: {range: $1}
    next: work
  work:
    run: |
      sh "$work/trace.sh" begins
      sleep $2
      token=\$MESH_TASK/\$MESH_ATTEMPT/\$(cat /proc/sys/kernel/random/uuid)
      printf '"%s"' "\$token" | mesh artifact put token - --type json
      sh "$work/trace.sh" ends "\$token"
    next: join
  join:
    join: start
    run: mesh inputs >"\$MESH_OUT/all"
    next: end
  end:
    run: mesh artifact get all >"\$MESH_OUT/result"
FLOW
    cat >"$work/trace.sh" <<SH
# One line, by one write: lines of tasks that run at once do not mix.
printf '%s %s %s %s %s %s %s\n' "\$1" "\$(date +%s.%N)" "\$MESH_RUN_ID" "\$MESH_STEP" \
    "\$MESH_TASK" "\$MESH_ATTEMPT" "\${MESH_DATA##*/} \${2:-}" >>"$work/trace"
SH
    : >>"$work/trace"
}

# checked RUN N [I] [OPTIONS]: the checker, which shares no code with mesh, finds the run
# whole.
checked()
{
    checked_run=$1 checked_n=$2 checked_i=${3:-1}
    shift 2
    [ $# = 0 ] || shift
    ok "run $checked_run is whole: each of $checked_n tasks counts once" \
        python3 "$here/mesh_checker.py" --socket "$(mesh_dir "$checked_i")/mesh.sock" \
        --run "$checked_run" --trace "$work/trace" --tasks "$checked_n" "$@"
}
