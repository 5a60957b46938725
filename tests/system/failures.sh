#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What goes wrong in a task stays in the task, and is named.
. "$(dirname "$0")/lib.sh"
export MESH_GRACE=1

# flow NAME SCRIPT [more keys of the step, one an argument]
flow()
{
    flow_name=$1 flow_script=$2
    shift 2
    {
        printf 'mesh: 1\nflow: %s\nsteps:\n  start:\n    run: |\n' "$flow_name"
        printf '%s\n' "$flow_script" | sed 's/^/      /'
        for flow_key in "$@"; do
            printf '    %s\n' "$flow_key"
        done
        printf "    next: end\n  end:\n    run: 'echo reached the end'\n"
    } >"$flow_name.mf"
}

flow Three 'echo before; exit 3'
run 1 'exit code 3 fails the run' "$MESH" run Three.mf
like "$out" '^\[[0-9]+/start/0 \(pid [0-9]+\)\] Task failed: exit code 3' 'and is named'
like "$out" '^Workflow ended: FAILED' 'so is the end'
unlike "$out" 'reached the end' 'the next step is not started'

flow Killed 'kill -SEGV $$'
run 1 'a task that dies by a signal fails' "$MESH" run Killed.mf
like "$out" 'Task failed: .*(SIGSEGV|signal 11|[Ss]egmentation)' 'and is named'

flow Missing 'no-such-command-here'
run 1 'a command that is not there fails' "$MESH" run Missing.mf
like "$out" 'no-such-command-here.*not found' 'and is named'

cat >NotExecutable.mf <<'FLOW'
mesh: 1
flow: NotExecutable
steps:
  start:
    run: [./plain.txt]
    next: end
  end:
    run: 'true'
FLOW
echo 'no program' >plain.txt
run 2 'a script that cannot be executed is refused' "$MESH" run NotExecutable.mf
like "$err" '^NotExecutable\.mf:5:.*plain\.txt' 'with its place'
cat >Program.mf <<'FLOW'
mesh: 1
flow: Program
steps:
  start:
    run: [no-such-program-here]
    next: end
  end:
    run: 'true'
FLOW
run 1 'a program that is in no PATH fails' "$MESH" run Program.mf
like "$out" 'no-such-program-here' 'and is named'

flow Retried 'echo "attempt $MESH_ATTEMPT"; test "$MESH_ATTEMPT" = 2' \
    'retry: {times: 3, delay: 0}'
run 0 'a task that fails twice is tried three times' "$MESH" run Retried.mf
like "$out" 'attempt 0$' 'attempts count from 0'
like "$out" 'attempt 2$' 'up to the one that succeeds'
unlike "$out" 'attempt 3$' 'and no further'
flow NoRetry 'echo "attempt $MESH_ATTEMPT"; exit 202' 'retry: {times: 3, delay: 0}'
run 1 'exit code 202 is not retried' "$MESH" run NoRetry.mf
unlike "$out" 'attempt 1$' 'not once'

flow Caught 'exit 5' 'catch: {var: problem}'
sed -i 's/echo reached the end/mesh artifact get problem/' Caught.mf
run 0 'a caught failure does not fail the run' "$MESH" run Caught.mf
like "$out" '"exit": *5' 'and is an artifact'

flow Flood 'head -c 3000000 /dev/zero | tr "\0" x; echo; echo the end of it'
sed -i '2a limits: {max_log_size: 1M}' Flood.mf
run 0 'a task that floods its log goes on' "$MESH" run Flood.mf --quiet
"$MESH" logs "$(last_run)/start" >flood.log
ok 'its log is cut' test "$(wc -c <flood.log)" -lt 1200000
ok 'but not short' test "$(wc -c <flood.log)" -gt 900000
like flood.log 'max_log_size|was cut|truncated|dropped' 'and says so'

flow Daemon 'setsid sleep 300 >/dev/null 2>&1 & echo "forked $!"'
run 0 'a task that leaves a daemon behind ends' "$MESH" run Daemon.mf
nothing_left 'and so does the daemon'
flow Holder '(sleep 300 &) ; echo "holds the pipe"'
run 0 'a child that holds the output open does not hold the task' "$MESH" run Holder.mf
like "$out" 'holds the pipe' 'what it said is there'

flow Closed 'exec >&- 2>&-; sleep 0.1; exit 0'
run 0 'a task may close its output' "$MESH" run Closed.mf
flow Input 'if read -r line; then echo "read $line"; else echo "no input"; fi'
run 0 'a task has no input' "$MESH" run Input.mf
like "$out" '\] no input$' 'and sees its end at once'

flow NoOutput 'true' 'outputs: {model: out/model.bin}'
run 1 'an output that was promised and not made fails the task' "$MESH" run NoOutput.mf
like "$out" 'out/model\.bin|model' 'and is named'
flow BigOutput 'head -c 20000000 /dev/zero >"$MESH_OUT/big"'
run 0 'an output of 20 MB is kept' "$MESH" run BigOutput.mf
"$MESH" artifact get "$(run_number "$out")/start" big -o big.got
is "$(wc -c <big.got)" 20000000 'whole'

cat >Altered.mf <<'FLOW'
mesh: 1
flow: Altered
steps:
  start:
    run: 'head -c 8000000 /dev/zero | tr "\0" a >"$MESH_OUT/data"'
    next: spoil
  spoil:
    inputs: {data: data}
    run: 'chmod u+w "$MESH_IN/data"; printf spoiled | dd of="$MESH_IN/data" conv=notrunc 2>/dev/null || echo "could not write"'
    next: end
  end:
    run: 'true'
FLOW
"$MESH" run Altered.mf >altered.out 2>&1
altered=$?
if [ $altered = 1 ]; then
    like altered.out 'input|alter|modif|chang' 'a task that alters an input fails, and is named'
else
    is $altered 0 'a task that writes to its own copy of an input is let be'
    "$MESH" artifact get "$(run_number altered.out)/start" data -o data.got
    ok 'the artifact is what it was' test "$(tr -d a <data.got | wc -c)" = 0
fi

flow Slow 'sleep 300' 'timeout: 1s'
run 1 'a timeout fails the task' "$MESH" run Slow.mf
like "$out" 'Task failed: .*time' 'and is named'
flow Deaf 'trap "" TERM; echo deaf; while :; do sleep 300; done' 'timeout: 1s'
began=$(date +%s)
run 1 'a task that ignores SIGTERM is killed' "$MESH" run Deaf.mf
ok 'after the grace' test $(($(date +%s) - began)) -lt $((patience / 2))
nothing_left 'with all that it started'

flow Noise 'printf "\033[2J\033[31mred\033[0m \007bell\n"; printf "\377\376 bytes\n"'
run 0 'control sequences' "$MESH" run Noise.mf
unlike "$out" "$(printf '\033')\\[2J" 'are escaped'
like "$out" 'x1b\[2J' 'and can be seen'

# A limit of memory needs a cgroup that this user may write to.
flow Hungry 'exec awk "BEGIN { s = \"x\"; while (1) s = s s }"' 'resources: {memory: 64}'
start hungry "$MESH" run Hungry.mf
ended "$pid" 1 'a task that takes too much memory fails'
if grep -Eqi 'memory|oom' hungry.out; then
    pass 'and the reason is named'
elif [ -w /sys/fs/cgroup/cgroup.procs ] && [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    fail 'and the reason is named'
    note_file hungry.out
else
    skip 1 'no writable cgroup with a memory controller'
fi

cat >Siblings.mf <<'FLOW'
mesh: 1
flow: Siblings
steps:
  start:
    run: 'true'
    foreach: {range: 6}
    next: work
  work:
    run: 'echo "$MESH_INDEX $MESH_ATTEMPT" >>"$MESH_PARAM_TRACE"; test "$MESH_INDEX" != 3 || test "$MESH_ATTEMPT" = 1'
    retry: {times: 1, delay: 0}
    next: join
  join:
    join: start
    run: 'true'
    next: end
  end:
    run: 'true'
parameters:
  trace: {type: string}
FLOW
run 0 'one of six is retried' "$MESH" run Siblings.mf --trace "$work/siblings"
is "$(sort siblings | tr '\n' ,)" '0 0,1 0,2 0,3 0,3 1,4 0,5 0,' \
    'and its siblings are not run again'

cat >hook.mf <<'FLOW'
mesh: 1
flow: Hook
on_exit:
  success: {run: 'exit 3'}
steps:
  start: {run: 'true'}
FLOW
run 0 'a hook that fails leaves the run OK' "$MESH" run hook.mf
like "$out" 'It is a hook: the outcome of the run stays' 'which is said'
like "$out" '^Workflow ended: OK in .*, 1 task; its on_exit hook failed\.$' 'also at the end'
finish
