#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A task that has ended is laid out again, for somebody who looks into it.
. "$(dirname "$0")/lib.sh"

mkdir flow flow/sub && cd flow || exit 1
cat >flow.mf <<'FLOW'
mesh: 1
flow: Look
parameters:
  word: {type: string, default: "it's"}
  key: {type: string, secret: true, required: false}
environment: {OF_FLOW: flow}
steps:
  start:
    run: |
      seq 11 13 >"$MESH_OUT/items"
      echo hello >"$MESH_OUT/greeting"
      head -c 5000000 /dev/zero >"$MESH_OUT/large"
    foreach: items
    next: each
  each:
    inputs: {greeting: greeting, large: large}
    environment: {OF_STEP: step}
    workdir: sub
    run: |
      echo "$MESH_INPUT $(cat "$MESH_IN/greeting") $(mesh artifact get greeting)"
      ./work.sh
    next: join
  join:
    join: start
    run: 'mesh inputs | wc -l'
    next: end
  end:
    run: 'no-such-program'
FLOW
printf '#!/bin/sh\ntest "$MESH_INPUT" != 12\n' >sub/work.sh
chmod +x sub/work.sh
printf 'of the secret' >"$work/secret"
TEST_OF_NODE=node
export TEST_OF_NODE
run 1 'a run fails' "$MESH" run flow.mf --key "@$work/secret" --on-failure finish
rm -r sub
work_at()
{
    "$MESH" exec "$@"
}

run 0 'its failed task is looked into' work_at 1/each -- sh -c \
    'echo "$MESH_STEP/$MESH_TASK#$MESH_ATTEMPT"; pwd; ls; env'
like "$out" '^each/1#0$' 'which is the first that failed'
like "$out" "^$MESH_HOME/exec/[0-9a-f]{8}/code/sub$" 'in its folder'
like "$out" '^work.sh$' 'with the code of then'
like "$out" '^MESH_INPUT=12$' 'its item'
like "$out" "^MESH_PARAM_WORD=it's$" 'its parameters'
like "$out" '^OF_FLOW=flow$' 'the environment of the flow'
like "$out" '^OF_STEP=step$' 'and of the step'
like "$out" '^TEST_OF_NODE=node$' 'and what a task inherits'
unlike "$out" 'MESH_PARAM_KEY' 'but no secret'
run 0 'its inputs' work_at 1/each -- sh -c 'cat "$MESH_IN/greeting"; wc -c <"$MESH_IN/large"'
is "$(cat "$out")" "hello
5000000" 'are there'
run 0 'a large one' work_at 1/each -- sh -c 'chmod u+w "$MESH_IN/large"; echo changed >"$MESH_IN/large"'
run 0 'is a copy' "$MESH" verify 1
run 0 'its channel' work_at 1/each -- sh -c \
    'mesh artifact get greeting; echo 1 | mesh artifact put made -; mesh artifact get made'
is "$(cat "$out")" "hello
1" 'answers'
run 0 'what was put' sh -c '! "$1" artifact get 1/each/1 made 2>/dev/null' sh "$MESH"
run 1 'what it ran' work_at 1/each -- sh -c '"$MESH_RERUN"'
like "$out" '^12 hello hello$' 'runs again'
run 0 'another task' work_at 1/each/2 -- sh -c '"$MESH_RERUN"'
like "$out" '^13 hello hello$' 'does what it did'
run 7 'the exit code' work_at 1/each -- sh -c 'exit 7'
run 127 'of a command that is not there' work_at 1/each -- no-such-command
is "$(ls "$MESH_HOME/exec")" '' 'all is removed each time'

# A shell on a terminal.
cat >"$work/talk.py" <<'PYTHON'
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], [sys.argv[1], "exec", "1/each"])
text, end = b"", time.monotonic() + 30
def expect(what):
    global text
    while what not in text:
        if time.monotonic() > end or not select.select([fd], [], [], 1)[0]:
            if time.monotonic() > end:
                sys.exit("no %r in %r" % (what, text))
            continue
        text += os.read(fd, 4096)
    text = text[text.index(what) + len(what):]
expect(b"[1/each/1] ")
os.write(fd, b"tty >/dev/null && echo is-$((6*7))\n")
expect(b"is-42")
expect(b"[1/each/1] ")
os.write(fd, b"sh -c 'echo up-$((6*7)); exec sleep 60'\n")
expect(b"up-42")
os.write(fd, b"\x03")
expect(b"[1/each/1] ")
os.write(fd, b"exit 5\n")
sys.exit(0 if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5 else "another exit code")
PYTHON
ok 'a shell on a terminal says where it is, and Ctrl-C is its own' \
    python3 "$work/talk.py" "$MESH"
is "$(ls "$MESH_HOME/exec")" '' 'and leaves nothing'
run 0 'told' sh -c 'echo exit | "$1" exec 1/each' sh "$MESH"
like "$err" "the secret 'key' was not kept" 'that a secret is not there'
like "$err" 'MESH_RERUN' 'and how to run it again'

run 0 'printed' work_at 1/each --print
like "$out" "^cd '$MESH_HOME/exec/" 'is where it would be'
like "$out" "^export MESH_PARAM_WORD='it'" 'and what it would be given'
run 0 'the same' work_at 1/each --print --json
like "$out" '"verdict": "failed"' 'for programs'
run 0 'kept' work_at 1/each --keep "$work/kept" -- touch made-here
ok 'the folder stays' test -f "$work/kept/code/sub/made-here" -a -f "$work/kept/in/greeting"
is "$(ls "$MESH_HOME/exec")" '' 'where it was asked for'
run 2 'not over another' work_at 1/each --keep "$work/kept" -- true

run 3 'a task that is not there' work_at 1/each/9 -- true
run 3 'a task that did not run' work_at 1/join -- true
run 3 'an attempt that was not' work_at 1/each --attempt 4 -- true
run 3 'a step that is not there' work_at 1/ech -- true
run 3 'a run that is not there' work_at 4711/each -- true
run 2 'no step' work_at 1 -- true

# By a node, beside a run that goes on; and by the next node when that one dies.
cd "$work" || exit 1
cat >gate.mf <<'FLOW'
mesh: 1
flow: Gate
limits: {on_failure: finish}
parameters:
  gate: {type: string}
steps:
  start: {run: 'echo 5 >"$MESH_OUT/five"', next: [fails, waits]}
  fails: {run: 'mesh artifact get five; exit 1', next: join}
  waits: {run: 'while [ ! -e "$MESH_PARAM_GATE" ]; do sleep 0.01; done', next: join}
  join: {run: 'true'}
FLOW
node n
run 0 'a run' "$MESH" submit gate.mf --gate "$work/gate"
wait_for 'one of its tasks fails' sh -c "'$MESH' status 2 --json | grep -q '\"failed\": 1'"
run 0 'while it runs' work_at 2/fails -- sh -c 'mesh artifact get five'
is "$(cat "$out")" 5 'its failed task is looked into'
start shell "$MESH" exec 2/fails -- sh -c "
    touch '$work/is-there'
    while [ ! -e '$work/go' ]; do sleep 0.01; done
    mesh artifact get five"
shell=$pid
wait_for 'somebody is there' test -e is-there
node_pid=$(http GET /v1/node | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p')
kill -KILL "$node_pid"
wait "$node_pid" 2>/dev/null
touch go
ended "$shell" 0 'without that node'
is "$(cat shell.out)" 5 'the channel answers all the same'

# A shell does not keep the store from others, and its channel comes back by itself.
rm is-there go
touch gate # the run of before goes on with the next node
start shell "$MESH" exec 2/fails -- sh -c "
    touch '$work/is-there'
    while [ ! -e '$work/go' ]; do sleep 0.01; done
    mesh artifact get five"
shell=$pid
wait_for 'somebody is there' test -e is-there
run 1 'another run beside the shell' "$MESH" run gate.mf --gate "$work/gate"
like "$out" 'Workflow ended: FAILED' 'has the store for itself'
touch go
ended "$shell" 0 'the shell goes on'
is "$(cat shell.out)" 5 'and so does its channel'

# What somebody who was killed has left is removed later.
start shell "$MESH" exec 1/start -- sh -c "touch '$work/is-there-too'; exec sleep 300"
wait_for 'somebody is there' test -e is-there-too
kill -KILL "$pid"
wait_for 'it is gone' is_gone "$pid"
left=$(ls "$MESH_HOME/exec")
ok 'something is left' test -n "$left"
find "$MESH_HOME/exec" -name session -exec touch -d '1 hour ago' {} +
run 0 'the next look' work_at 1/each -- true
is "$(ls "$MESH_HOME/exec")" '' 'removes it'

# A step whose command is not there can be looked into too.
cd flow && mkdir sub && printf '#!/bin/sh\ntrue\n' >sub/work.sh && chmod +x sub/work.sh
sed -i "s/run: 'no-such-program'/run: [no-such-program, x]/" flow.mf
run 1 'a step cannot start' "$MESH" run flow.mf --key "@$work/secret"
run 0 'told' sh -c 'echo pwd | "$1" exec 4/end' sh "$MESH"
like "$err" 'its command cannot be run: .*no-such-program' 'why'
finish
