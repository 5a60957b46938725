#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Why a task ran or was taken over, why it waits, and why it failed.
. "$(dirname "$0")/lib.sh"

# explained NAME: the value of a key of the last answer in JSON.
explained()
{
    python3 -c '
import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."):
    value = value[int(key)] if key.isdigit() else value[key]
print(value)' "$out" "$1"
}

mkdir code && cd code || exit 1
cat >flow.mf <<'FLOW'
mesh: 1
flow: Why
parameters:
  word: {type: string, default: one}
steps:
  start:
    run: 'seq 1 3 >"$MESH_OUT/items"; echo "$MESH_PARAM_WORD" >"$MESH_OUT/word"'
    foreach: items
    next: fit
  fit:
    run: ./fit.sh
    next: join
  join:
    join: start
    run: 'mesh inputs | wc -l >"$MESH_OUT/n"'
    next: end
  end:
    run: 'cat "$MESH_IN/n"'
    inputs: {n: n}
FLOW
printf '#!/bin/sh\necho fitting\n[ "$MESH_INPUT" != 3 ] || exec no-such-command\necho $MESH_INPUT >"$MESH_OUT/y"\n' >fit.sh
chmod +x fit.sh
echo 1 >beside.txt

# ---- why it failed ----

run 1 'a run that fails' "$MESH" run flow.mf --on-failure finish
run 0 'is explained' "$MESH" explain 1
like "$out" '^1/fit/2 failed$' 'which task failed'
like "$out" 'a command was not found \(exit code 127\) \(reason: exit\)' 'and how'
like "$out" '^  - .*environment: \{PATH:' 'with what to do'
like "$out" '^    .*no-such-command: not found$' 'and what it printed last'
run 0 'one task of it' "$MESH" explain 1/fit/2
like "$out" '^1/fit/2 failed\.$' 'is named'
like "$out" 'its run is a new one' 'ran because its run is new'
like "$out" '^ *0  failed  exit ' 'with its attempts'
run 0 'the same in words' "$MESH" explain 1 fit 2 --json
is "$(explained state) $(explained failure.reason) $(explained why.cause)" \
    'failed exit new_run' 'is the same'
is "$(explained attempts.0.exit_code)" 127 'as JSON it has all of each attempt'
run 0 'a task that was never started' "$MESH" explain 1/join
like "$out" '^1/join/0 was not started: failed: the run ended before it: ' 'says so'
run 0 'a task that is done' "$MESH" explain 1/fit/0
like "$out" '^1/fit/0 is done\.$' 'says so'
unlike "$out" 'Why it failed' 'and of no failure'
run 3 'no such run' "$MESH" explain 17
run 3 'no such step' "$MESH" explain 1/fitt
run 3 'no such task' "$MESH" explain 1/fit/x
run 2 'no such name' "$MESH" explain 1/fit/2/0

# ---- why it ran again ----

printf '#!/bin/sh\necho $MESH_INPUT >"$MESH_OUT/y"\n' >fit.sh
echo 2 >beside.txt
run 0 'mended, it goes on' "$MESH" resume 1
run 0 'the run that goes on' "$MESH" explain 2
like "$out" '^start +- +1 +- +it was done in run 1 and its results are used again$' \
    'took over what was done'
like "$out" '^fit +1 +2 +- +it did not end well in run 1: exit; changed: fit\.sh$' \
    'ran what failed, by a file that changed'
like "$out" '^join +1 +- +- +run 1 ended before it was started$' 'and what was not done'
run 0 'the task that failed' "$MESH" explain 2/fit/2 --json
is "$(explained why.cause)" failed 'ran because it failed'
is "$(explained changes.0.name) $(explained changes.0.own)" 'beside.txt False' \
    'a file beside it changed'
is "$(explained changes.1.name) $(explained changes.1.own)" 'fit.sh True' \
    'and one that its step names'
run 0 'its sibling' "$MESH" explain 2/fit/1
like "$out" '^2/fit/1 was taken over\.$' 'was taken over'
like "$out" 'fit\.sh: changed, and the step names it$' 'though its file changed'
like "$out" 'To make them anew: mesh resume 2 fit$' 'and says how to make it anew'

run 0 'that is done' "$MESH" resume 2 fit
run 0 'the step asked for' "$MESH" explain 3/fit/1 --json
is "$(explained why.cause)" asked 'was asked for'
is "$(explained n_changes)" 0 'and nothing changed since'
run 0 'the step behind it' "$MESH" explain 3/join
like "$out" "'fit', which it builds on, ran again" 'ran because of it'

# ---- against a run that it does not go on from ----

sed -i 's/wc -l/wc -l | tr -d " "/' flow.mf
run 0 'another run' "$MESH" run flow.mf --word two
run 0 'a task of it' "$MESH" explain 4/join --against 3
like "$out" '^  step +run: changed$' 'its command changed'
like "$out" '^  parameter +word: one -> two$' 'and a parameter'
run 0 'a task whose input differs' "$MESH" explain 4/fit/0 --against 3 --json
is "$(explained changes.0.kind) $(explained changes.0.name)" 'parameter word' \
    'has the parameter'
is "$(explained changes.1.kind) $(explained changes.1.name)" 'input start/0 word' \
    'and the artifact that was made of it'
run 3 'against a run that is not there' "$MESH" explain 4/fit/0 --against 44

# ---- what an equal task made before ----

cat >cached.mf <<'FLOW'
mesh: 1
flow: Cached
steps:
  start:
    run: 'echo 1 >"$MESH_OUT/x"'
    cache: true
    next: end
  end:
    run: 'true'
FLOW
run 0 'a step with cache' "$MESH" run cached.mf
cached=$(last_run)
run 0 'again' "$MESH" run cached.mf
run 0 'it did not run' "$MESH" explain "$(last_run)/start"
like "$out" "^  an equal task of run $cached was done, " 'because an equal one was done'
run 0 'the run' "$MESH" explain "$(last_run)"
like "$out" '^start +- +1 +- +an equal task was done' 'says so'

# ---- a step in Python ----

mkdir "$work/python" && cd "$work/python" || exit 1
printf 'mesh: 1\nflow: Snake\nsteps:\n  start:\n    python: snake.py:start\n' >snake.mf
printf 'def start(self):\n    raise ValueError("no such colour")\n' >snake.py
echo '# beside' >beside.py
run 1 'a step in Python fails' "$MESH" run snake.mf
snake=$(last_run)
run 0 'it is explained' "$MESH" explain "$snake/start"
like "$out" '^    ValueError: no such colour$' 'with the last line of its traceback'
printf 'def start(self):\n    self.y = 1\n' >snake.py
echo '# changed' >beside.py
run 0 'mended, it goes on' "$MESH" resume "$snake"
run 0 'it is explained' "$MESH" explain "$(last_run)/start"
like "$out" '^  code +snake\.py: changed, and the step names it$' 'by its file'
like "$out" '^  code +1 file that the step does not name' 'and not by others'
cd "$work/code" || exit 1

# ---- each way to fail ----

# failing NAME 'keys of the step' 'script': a flow of one step that fails.
failing()
{
    printf 'mesh: 1\nflow: %s\nsteps:\n  start:\n    run: |\n      %s\n%s' \
        "$1" "$3" "${2:+    $2
}" >"$1.mf"
    run 1 "$1 fails" "$MESH" run "$1.mf"
    run 0 "$1 is explained" "$MESH" explain "$(last_run)/start"
}

failing Late 'timeout: 1s' 'exec sleep 60'
like "$out" 'it was ended at its timeout, after [0-9]' 'a timeout'
like "$out" '^  In the flow file, at step start:  timeout: 30s$' 'with a longer one'
failing Crash '' 'kill -SEGV $$'
like "$out" 'signal 11 \(SIGSEGV\) ended it \(reason: signal\)' 'a crash'
failing Killed '' 'sh -c "kill -KILL \$\$"; exit $?'
like "$out" 'a command of it was ended by signal 9, SIGKILL \(exit code 137\)' \
    'a command that was killed'
failing Mode '' 'echo true >"$MESH_TEMPDIR/x"; "$MESH_TEMPDIR/x"'
like "$out" 'a file could not be executed \(exit code 126\)' 'a file that is no program'
failing Promise 'outputs: {model: model.bin}' 'true'
like "$out" 'reason: output' 'an output that is missing'
failing Plain '' 'echo alas; exit 3'
like "$out" 'it ended with exit code 3 ' 'any other exit code'
like "$out" '^    alas$' 'with its last words'
failing Tries 'retry: {times: 1, delay: 0}' 'exit 4'
like "$out" '^ *1  failed  exit ' 'each attempt'

if "$MESH" doctor --json | grep -q 'memory by cgroup'; then
    failing Hungry 'resources: {memory: 64M}' 'exec awk "BEGIN { s = \"x\"; while (1) s = s s }"'
    like "$out" 'killed it at its memory limit of 64 MiB' 'want of memory'
    like "$out" 'In the flow file, at step start:  resources: \{memory: 1[0-9]*M\}$' \
        'with more of it'
else
    skip 4 'no cgroup for memory here'
fi

# A terminal is never handed what a task wrote.
failing Rude '' "printf 'a\\\\033[2Jb\\\\n'; exit 1"
unlike "$out" "$(printf '\033')" 'control sequences of a task are escaped'

# ---- why it waits ----

mkfifo "$work/gate"
cat >wait.mf <<'FLOW'
mesh: 1
flow: Wait
parameters:
  gate: {type: string}
steps:
  start:
    run: 'true'
    foreach: {range: 2}
    next: one
  one:
    run: 'read -r _ <"$MESH_PARAM_GATE"'
    concurrency: 1
    next: all
  all:
    join: start
    run: 'true'
FLOW
node waiting
run 0 'a flow that waits' "$MESH" submit wait.mf --gate "$work/gate"
waiting=$(last_run)
is_running()
{
    "$MESH" explain "$waiting/one/0" | grep -q "is running"
}
wait_for 'its first task runs' is_running
run 0 'the first task' "$MESH" explain "$waiting/one/0"
like "$out" "^$waiting/one/0 is running\.$" 'runs'
run 0 'the second task' "$MESH" explain "$waiting/one/1"
like "$out" "^$waiting/one/1 waits: concurrency: 1 run, which is its limit\.$" \
    'waits for the first one'
run 0 'the join' "$MESH" explain "$waiting/all"
like "$out" "^$waiting/all/0 waits: upstream: it waits for 'one'\.$" 'waits for both'
run 0 'the whole run' "$MESH" explain "$waiting"
like "$out" '^all .*upstream: ' 'says the same'
run 0 'it is suspended' "$MESH" suspend "$waiting"
run 0 'the second task' "$MESH" explain "$waiting/one/1"
like "$out" "^$waiting/one/1 waits: suspended: " 'waits for that then'
run 0 'it is cancelled' "$MESH" cancel "$waiting"
stop "$pid"
finish
