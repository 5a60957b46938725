#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What goes wrong in a Python step looks the same whether its process was forked from one
# that had imported its file or is an interpreter of its own.
. "$(dirname "$0")/lib.sh"
export MESH_GRACE=1

# The interpreter itself, not a script of somebody's that finds it.
PATH=$(dirname "$(python3 -c 'import sys; print(sys.executable)')"):$PATH
export PATH

# Of a run's events: what became of each task, and what each one wrote.
cat >tell.py <<'PYTHON'
import json
import re
import sys

ends, logs = {}, {}
for line in open(sys.argv[1]):
    event = json.loads(line)
    data = event["data"]
    key = data.get("step"), data.get("task"), data.get("attempt")
    if event["event"] == "log":
        logs.setdefault((*key, data["stream"]), []).append(data["text"])
    elif event["event"] == "task_ended":
        ends[key] = [data[k] for k in ("verdict", "reason", "exit_code", "signal", "message")]
    elif event["event"] == "run_ended":
        print("run", data["outcome"])
for key, end in sorted(ends.items()):
    print(*key, *end)
for key, pieces in sorted(logs.items()):
    text = re.sub(r"0x[0-9a-f]+", "0x", "".join(pieces))
    print(*key, re.sub(r"/code/[0-9a-f]+/", "/code/RUN/", text), sep="\n")
PYTHON

# What runs before the step in question: by its end the fork server is there.
cat >calm.py <<'PYTHON'
def nothing(self):
    pass

def join(self, inputs):
    pass
PYTHON

# flow NAME FUNCTION [more keys of the step, one an argument]
flow()
{
    flow_name=$1 flow_function=$2
    shift 2
    {
        cat <<FLOW
mesh: 1
flow: $flow_name
defaults: {warm: WARM}
steps:
  start: {python: "calm.py:nothing", foreach: {range: 4}, next: warm}
  warm: {python: "calm.py:nothing", resources: {cpu: 0.1}, next: join}
  join: {python: "calm.py:join", join: start, next: fault}
  fault:
    python: "$flow_function"
    next: end
FLOW
        for flow_key in "$@"; do
            printf '    %s\n' "$flow_key"
        done
        printf '  end: {python: "calm.py:nothing"}\n'
    } >"$flow_name.mf"
}

# both NAME CODE TEXT: the same outcome either way, which $told shows; $warm is the
# forked run's number.
both()
{
    for both_warm in true false; do
        sed "s/WARM/$both_warm/" "$1.mf" >"$1-$both_warm.mf"
        "$MESH" run "$1-$both_warm.mf" --json >"$1.json" 2>"$1.err" </dev/null
        both_code=$?
        [ $both_warm = false ] || warm=$(last_run)
        python3 tell.py "$1.json" >"$1-$both_warm.told"
        is $both_code "$2" "$3 (warm: $both_warm)" || note_file "$1.err"
    done
    told=$1-true.told
    if cmp -s "$1-true.told" "$1-false.told"; then
        pass "$3: the same either way"
    else
        fail "$3: the same either way"
        diff "$1-false.told" "$1-true.told" | head -n 20 | sed 's/^/#   /'
    fi
}

# ---- is it forked at all? ----

cat >which.py <<'PYTHON'
import sys

def tell(self):
    print("forked" if "mesh._warm" in sys.modules else "plain")
PYTHON
flow Which which.py:tell
sed 's/WARM/true/' Which.mf >which-true.mf
sed 's/WARM/false/' Which.mf >which-false.mf
run 0 'a warm step runs' "$MESH" run which-true.mf
like "$out" '\] forked$' 'in a process that was forked'
run 0 'a plain step runs' "$MESH" run which-false.mf
like "$out" '\] plain$' 'in an interpreter of its own'
nothing_left 'no server outlives its run'

# ---- imports ----

cat >broken.py <<'PYTHON'
raise RuntimeError("broken while imported")
def f(self):
    pass
PYTHON
flow Broken broken.py:f
both Broken 1 'a file that fails when it is imported'
like "$told" 'RuntimeError: broken while imported' 'its own error is shown'
is "$(grep -c '^Traceback' "$told")" 1 'once'

cat >threads.py <<'PYTHON'
import threading, time
state = {"n": 0}
def count():
    while True:
        state["n"] += 1
        time.sleep(0.001)
threading.Thread(target=count, daemon=True).start()
def f(self):
    before = state["n"]
    while state["n"] == before:
        time.sleep(0.001)
    print("the thread runs")
PYTHON
flow Threads threads.py:f
both Threads 0 'a file that starts a thread'
like "$told" 'the thread runs' 'it runs in the task'

cat >forks.py <<'PYTHON'
import os, time
if os.fork() == 0:
    time.sleep(300)
    os._exit(0)
def f(self):
    print("the parent goes on")
PYTHON
flow Forks forks.py:f
both Forks 0 'a file that forks when it is imported'
like "$told" 'the parent goes on' 'its parent is the task'
nothing_left 'and nothing is left'

cat >moves.py <<'PYTHON'
import os
os.chdir("/")
def f(self):
    print("in", os.getcwd())
PYTHON
flow Moves moves.py:f
both Moves 0 'a file that changes the working folder'
like "$told" '^in /$' 'finds itself there'

cat >seeded.py <<'PYTHON'
import random
random.seed(7)
def f(self):
    print(random.random(), random.random())
PYTHON
flow Seeded seeded.py:f
both Seeded 0 'a file that seeds random'
like "$told" '^0\.3238' 'draws what it would draw'

cat >draws.py <<'PYTHON'
import random, hashlib, uuid
def f(self):
    self.drawn = random.random()
def join(self, inputs):
    drawn = {i.drawn for i in inputs}
    print(len(drawn), "different")
PYTHON
cat >Draws.mf <<'FLOW'
mesh: 1
flow: Draws
defaults: {warm: WARM}
steps:
  start: {python: "calm.py:nothing", foreach: {range: 20}, next: draw}
  draw: {python: "draws.py:f", next: fault}
  fault: {python: "draws.py:join", join: start}
FLOW
both Draws 0 'tasks that draw random numbers'
like "$told" '^20 different' 'draw different ones'

# ---- in the task ----

cat >faults.py <<'PYTHON'
import ctypes, os, signal, subprocess, sys, threading, time

def chdir(self):
    os.chdir("/tmp")
    self.where = os.getcwd()

def closed(self):
    self.kept = 1
    os.closerange(0, 256)

def exit_now(self):
    self.lost = 1
    print("before")
    sys.stdout.flush()
    os._exit(3)

def exit_quietly(self):
    self.lost = 1
    os._exit(0)

def leave(self):
    print("leaving")
    sys.exit(4)

def leave_with_text(self):
    sys.exit("no more of this")

def raises(self):
    def deep():
        raise KeyError("missing")
    deep()

def segfault(self):
    ctypes.string_at(0)

def killed(self):
    os.kill(os.getpid(), signal.SIGKILL)

def interrupted(self):
    raise KeyboardInterrupt

def large(self):
    whole = []
    while True:
        whole.append(bytearray(8 << 20))

def daemon(self):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(300)
        os._exit(0)
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
    print("left some behind")

def others(self, inputs):
    """Of this run, beside this task and the server."""
    run = b"MESH_RUN_ID=" + os.environb[b"MESH_RUN_ID"]
    n = -1 if "mesh._warm" in sys.modules else 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            n += int(pid) != os.getpid() and run in open(f"/proc/{pid}/environ", "rb").read()
        except OSError:
            pass
    print("others:", n)

def holds(self):
    self.handle = open(__file__)

class Local:
    def __reduce__(self):
        raise TypeError("it will not be written")

def unwilling(self):
    self.fine = 1
    self.stubborn = Local()

def slow(self):
    print("waits", flush=True)
    time.sleep(300)

def unset(self):
    print(self.nothing_of_this_name)
PYTHON

flow Chdir faults.py:chdir
both Chdir 0 'a function that changes the working folder'
flow Closed faults.py:closed
both Closed 0 'a function that closes every descriptor'
is "$("$MESH" artifact get "$warm/fault" kept)" 1 'its artifacts are kept'
flow ExitNow faults.py:exit_now
both ExitNow 1 'os._exit(3)'
like "$told" '^fault 0 0 failed exit 3 0' 'is its exit code'
flow ExitQuietly faults.py:exit_quietly
both ExitQuietly 0 'os._exit(0)'
run 3 'keeps no artifact' "$MESH" artifact get "$warm/fault" lost
flow Leave faults.py:leave
both Leave 1 'sys.exit(4)'
like "$told" '^fault 0 0 failed exit 4 0' 'is its exit code'
flow LeaveText faults.py:leave_with_text
both LeaveText 1 'sys.exit(text)'
like "$told" '^no more of this' 'shows the text'
flow Raises faults.py:raises
both Raises 1 'an exception'
like "$told" "^KeyError: 'missing'" 'is shown'
is "$(grep -c '^Traceback' "$told")" 1 'once'
unlike "$told" 'mesh/_|frozen' 'without a frame of ours'
flow Segfault faults.py:segfault
both Segfault 1 'a segmentation fault'
like "$told" '^fault 0 0 failed signal 0 11' 'is told as the signal'
flow KilledItself faults.py:killed
both KilledItself 1 'SIGKILL to itself'
like "$told" '^fault 0 0 failed signal 0 9' 'is told as the signal'
flow Interrupted faults.py:interrupted
both Interrupted 1 'KeyboardInterrupt'
like "$told" '^fault 0 0 failed signal 0 2' 'ends by SIGINT, as python does'
flow Large faults.py:large 'resources: {memory: 100M}'
both Large 1 'more memory than was asked for'
flow Daemon faults.py:daemon
both Daemon 0 'processes and threads left behind'
nothing_left 'go with the task'
flow Holds faults.py:holds
both Holds 1 'an artifact that cannot be written'
like "$told" "'handle'.*TextIOWrapper" 'is named, with its type'
flow Unwilling faults.py:unwilling
both Unwilling 1 'an artifact that refuses to be written'
like "$told" "'stubborn'.*Local" 'is named, with its type'
run 3 'nothing of the task is kept' "$MESH" artifact get "$warm/fault" fine
flow Slow faults.py:slow 'timeout: 1s'
both Slow 1 'a timeout'
like "$told" '^fault 0 0 failed timeout 0 15' 'is told'
flow Unset faults.py:unset
both Unset 1 'an artifact that nobody made'
like "$told" 'nothing_of_this_name' 'is named'

# Without a cgroup v2 a task's processes are found by its token, which a forked one has
# from its server.
cat >without.sh <<'SHELL'
at=$(sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - cgroup2 .*/\1/p' /proc/self/mountinfo)
umount -l "$at" && exec "$@"
SHELL
cat >Survivors.mf <<'FLOW'
mesh: 1
flow: Survivors
steps:
  start: {python: "calm.py:nothing", foreach: {range: 4}, next: warm}
  warm: {python: "calm.py:nothing", resources: {cpu: 0.1}, next: join}
  join: {python: "calm.py:join", join: start, foreach: {range: 20}, next: leave}
  leave: {python: "faults.py:daemon", next: end}
  end: {python: "faults.py:others", join: join}
FLOW
if unshare -m sh without.sh true 2>/dev/null; then
    start survivors unshare -m sh without.sh "$MESH" run Survivors.mf
    ended "$pid" 0 'without a cgroup v2 too'
    like survivors.out '\] others: 0' 'all go with their task'
    nothing_left 'and nothing is left'
else
    skip 3 'cgroups cannot be hidden here'
fi

# ---- tasks that would be each other's ----

cat >tokens.py <<'PYTHON'
import hashlib, os, re

def tokens():
    """Whatever in our memory looks like one."""
    found = set()
    with open("/proc/self/mem", "rb", 0) as memory, open("/proc/self/maps") as maps:
        for line in maps:
            area = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if not area:
                continue
            first, last = (int(n, 16) for n in area.groups())
            memory.seek(first)
            try:
                found |= set(re.findall(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])",
                                        memory.read(last - first)))
            except OSError:
                pass
    return found

def look(self):
    own = hashlib.sha256(os.environb[b"MESH_TOKEN"]).hexdigest()
    seen = os.environ["SEEN"]
    others = set(open(seen).read().split()) - {own} if os.path.exists(seen) else set()
    foreign = [t for t in tokens() if hashlib.sha256(t).hexdigest() in others]
    with open(seen, "a") as file:
        file.write(own + "\n")
    print("tokens of others:", len(foreign))
PYTHON
cat >Tokens.mf <<FLOW
mesh: 1
flow: Tokens
defaults: {warm: WARM}
environment: {SEEN: '$work/seen'}
steps:
  start: {python: "calm.py:nothing", foreach: {range: 12}, next: look}
  look: {python: "tokens.py:look", concurrency: 2, next: join}
  join: {python: "calm.py:join", join: start}
FLOW
both Tokens 0 'tasks that search their memory'
unlike "$told" 'tokens of others: [1-9]' "find no other's token"
is "$(wc -l <"$work/seen")" 24 'and all have looked'

cat >hidden.py <<'PYTHON'
def f(self):
    print(len(self.password), len(self.long))
PYTHON
cat >Hidden.mf <<'FLOW'
mesh: 1
flow: Hidden
defaults: {warm: WARM}
parameters: {password: {secret: true}, long: {}}
steps:
  start: {python: "calm.py:nothing", foreach: {range: 4}, next: read}
  read: {python: "hidden.py:f", next: join}
  join: {python: "calm.py:join", join: start}
FLOW
printf 'open sesame' >password
head -c 150000 /dev/zero | tr '\0' y >long
for which in true false; do
    sed "s/WARM/$which/" Hidden.mf >hidden-$which.mf
    run 0 "secret and long parameters (warm: $which)" \
        "$MESH" run hidden-$which.mf --password @password --long @long
    is "$(grep -c '\] 11 150000$' "$out")" 4 'are read by each task'
done

# ---- the fork server itself ----

# The step runs one task at a time, so whoever else was started as a server is it.
cat >kills.py <<'PYTHON'
import os, signal

def servers():
    run = b"MESH_RUN_ID=" + os.environb[b"MESH_RUN_ID"]
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            args = open(f"/proc/{pid}/cmdline", "rb").read()
            environ = open(f"/proc/{pid}/environ", "rb").read()
        except OSError:
            continue
        if b"mesh._warm" in args and run in environ and int(pid) != os.getpid():
            yield int(pid)

def f(self):
    if self.input in (3, 4, 9, 12):
        for pid in servers():
            os.kill(pid, signal.SIGKILL)
    self.y = self.input

def join(self, inputs):
    print(sum(i.y for i in inputs))
PYTHON
cat >Kills.mf <<'FLOW'
mesh: 1
flow: Kills
defaults: {warm: WARM}
steps:
  start: {python: "calm.py:nothing", foreach: {range: 4}, next: warm}
  warm: {python: "calm.py:nothing", resources: {cpu: 0.1}, next: join}
  join: {python: "calm.py:join", join: start, foreach: {range: 20}, next: kill}
  kill: {python: "kills.py:f", concurrency: 1, next: count}
  count: {python: "kills.py:join", join: join}
FLOW
both Kills 0 'tasks that kill the fork server, four times'
like "$told" '^190$' 'every task was done once'

# One that leaks is replaced: the file makes the server larger at each fork.
cat >leaks.py <<'PYTHON'
import os

kept = []
os.register_at_fork(after_in_parent=lambda: kept.append(bytearray(os.urandom(2 << 20))))

def f(self):
    pass
PYTHON
cat >leaks.mf <<'FLOW'
mesh: 1
flow: Leaks
steps:
  start: {python: "calm.py:nothing", foreach: {range: 150}, next: leak}
  leak: {python: "leaks.py:f", next: join}
  join: {python: "calm.py:join", join: start}
FLOW
sed 's/WARM/true/' Kills.mf >kills-true.mf
sed 's/WARM/true/' Threads.mf >threads-true.mf
MESH_HOME="$work/leaks"
node n
run 0 'a run whose server leaks' "$MESH" submit --follow leaks.mf
like n.err '^python\.grown run=1 ' 'the node has noticed'
run 0 'a run whose servers are killed' "$MESH" submit --follow kills-true.mf
is "$(grep -c '^python\.lost run=2 ' n.err)" 3 'three were started'
like n.err '^python\.lost run=2 .*once too often' 'and no fourth'
run 0 'a run that cannot be forked' "$MESH" submit --follow threads-true.mf
like n.err '^python\.says run=3 .*started threads' 'the server says why'
like n.err '^python\.plain run=3 ' 'and is not asked again'
stop "$pid"
nothing_left 'a node that is stopped leaves nothing'
MESH_HOME="$work/home"

# ---- the node ----

flow Long faults.py:slow
sed 's/WARM/true/' Long.mf >long.mf
start long "$MESH" run long.mf
long=$pid
wait_for 'the task waits' grep -q '\] waits' "$work/long.out"
kill -KILL "$long"
wait "$long" 2>/dev/null
nothing_left 'a node that is killed takes servers and tasks along'

start cancelled "$MESH" run long.mf --data "$work/second"
wait_for 'the task waits' grep -q '\] waits' "$work/cancelled.out"
kill -TERM "$pid"
ended "$pid" 130 'a run with a forked task is cancelled'
like "$work/cancelled.out" 'fault/0 .*Task failed: cancelled' 'as any other'
nothing_left 'and nothing is left'

finish
