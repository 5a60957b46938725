#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Steps that are functions: found before anything runs, fed, and their artifacts typed.
. "$(dirname "$0")/lib.sh"

# The interpreter itself, not a script of somebody's that finds it.
python=$(python3 -c 'import sys; print(sys.executable)')
PATH=$(dirname "$python"):$PATH
export PATH

# ---- a flow of functions ----

mkdir steps
cat >steps/all.py <<'PYTHON'
import os
import sys

class Point:
    def __init__(self, x):
        self.x = x

def start(self):
    self.whole = 49
    self.text = "a \"text\""
    self.raw = b"\0\1"
    self.nested = {"a": [1, None, True], "b": 0.5}
    self.point = Point(3)
    self.long = "x" * 5000
    self.large = b"y" * 3000000
    self.names = ["one", "two", "three"]
    print("alpha is", repr(self.alpha), "list is", self.list)

def each(self):
    self.length = len(self.input)
    print(self.foreach_stack())

def join(self, inputs):
    self.lengths = [i.length for i in inputs]
    self.merge_artifacts(inputs, include=["point"])
    self.verdict = "good"

def good(self):
    print("good:", self.lengths, self.point.x)

def bad(self):
    print("bad")

def end(self):
    print("in", os.path.basename(os.getcwd()), "by", os.path.basename(sys.executable))

def told(self):
    print("the hook ran")
PYTHON
cat >flow.mf <<'FLOW'
mesh: 1
flow: All
parameters: {alpha: {type: float, default: 1}, list: {separator: ',', default: 'a,b'}}
on_exit: {success: {python: "steps/all.py:told"}}
steps:
  start: {python: "steps/all.py:start", foreach: names, next: each}
  each: {python: "steps/all.py:each", next: join}
  join:
    python: "steps/all.py:join"
    join: start
    switch: {by: verdict, cases: {good: good, bad: bad}}
  good: {python: "steps/all.py:good", next: end}
  bad: {python: "steps/all.py:bad", next: end}
  end: {python: "steps/all.py:end", workdir: steps}
FLOW
run 0 'a flow of functions runs' "$MESH" run flow.mf
like "$out" "\\] alpha is 1\\.0 list is \\['a', 'b'\\]$" 'parameters have their types'
like "$out" "each/2 .*\\] \\[.*2.* 3.* .*'three'" 'a task knows where it stands'
like "$out" '\] good: \[3, 3, 5\] 3$' 'artifacts go along, joined, merged and chosen by'
unlike "$out" '\] bad' 'the other case is not taken'
like "$out" '\] in steps by ' 'the working folder is the step'"'s"
like "$out" '\] the hook ran$' 'a hook may be a function'

"$MESH" artifact list 1/start --json >list.json
cat >types.py <<'PYTHON'
import json
import sys

for attempt in json.load(open("list.json"))["attempts"]:
    for a in attempt["artifacts"]:
        print(a["name"], a["type"].rpartition(".")[2], a["encoding"], a["size"])
PYTHON
python3 types.py >types
like types '^whole int json 2$' 'an int is JSON'
like types '^text str json 12$' 'a text too'
like types '^raw bytes bytes 2$' 'bytes are as they are'
like types '^nested dict json ' 'a dict of such things is JSON'
like types '^point Point pickle ' 'an object is a pickle'
like types '^large bytes bytes 3000000$' 'a large one is a file of the store'
is "$("$MESH" artifact get 1/start whole)" 49 'any program can read JSON'
is "$("$MESH" artifact get 1/start large | wc -c)" 3000000 'and bytes'
"$MESH" artifact get 1/start point >point.pickle
ok 'a pickle can be kept' test "$(head -c 1 point.pickle | od -An -tx1 | tr -d ' ')" = 80
python3 -c 'import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)' \
    "$MESH" artifact get 1/start point >shown 2>&1
like shown 'is a Python pickle \(.*Point\), which is not for a terminal' 'a terminal gets a word about it'
ok 'what was kept is whole' "$MESH" verify 1

# ---- what is told of the flow ----

run 0 'show' "$MESH" show flow.mf
like "$out" 'start; foreach names; python steps/all\.py:start$' 'names the function'
run 0 'graph' "$MESH" graph flow.mf --format json
like "$out" '"python":"steps/all\.py","function":"start","warm":true' 'so does the graph'

cat >wrong.mf <<'FLOW'
mesh: 1
flow: Wrong
steps:
  start: {python: "steps/all.py:strat", next: middle}
  middle: {python: "steps/none.py:f", next: end}
  end: {python: "steps/all.py"}
FLOW
run 2 'a bad form is refused' "$MESH" check wrong.mf
like "$err" "^wrong\\.mf:6:17: error: 'python' in step 'end' must be FILE\\.py:FUNCTION" 'with its place'
sed -i '6s/all.py/all.py:end/' wrong.mf
run 2 'what is not there is refused' "$MESH" run wrong.mf
like "$err" "^wrong\\.mf:4:33: error: step 'start': steps/all\\.py has no function 'strat'" 'a function'
like "$err" "did you mean 'start'\\?" 'with the one that was meant'
like "$err" "^wrong\\.mf:5:21: error: step 'middle' runs 'steps/none\\.py', which is not in the package" 'a file'
is "$(last_run)" 1 'nothing was started'

# ---- which interpreter ----

mkdir -p env/bin
printf '#!/bin/sh\nMINE=yes exec %s "$@"\n' "$python" >env/bin/python
chmod +x env/bin/python
cat >which.py <<'PYTHON'
import os

def f(self):
    print("mine:", os.environ.get("MINE"))
PYTHON
cat >which.mf <<FLOW
mesh: 1
flow: Which
steps:
  start: {python: "which.py:f", environment: {PATH: '$work/env/bin:/usr/bin:/bin'}, next: end}
  end: {python: "which.py:f"}
FLOW
run 0 'an environment is chosen by PATH' "$MESH" run which.mf
like "$out" 'start/0 .*\] mine: yes$' 'its python is taken'
like "$out" 'end/0 .*\] mine: None$' 'for that step only'
cat >none.mf <<'FLOW'
mesh: 1
flow: None
steps:
  start: {python: "which.py:f", environment: {PATH: '/nowhere'}}
FLOW
run 1 'no interpreter' "$MESH" run none.mf
like "$out" "cannot run 'python3'" 'is named'

# ---- other languages may declare artifacts too ----

cat >declare.mf <<'FLOW'
mesh: 1
flow: Declare
steps:
  start:
    run: |
      printf '{"name":"n","type":"integer","encoding":"json","size":1}\n7\n{"choice":"b"}\n' >"$MESH_OUT/.mesh"
    switch: {by: none, cases: {a: left, b: right}}
  left: {run: 'echo left', next: end}
  right: {run: 'echo "right, n is $(mesh artifact get n)"', next: bad}
  bad:
    run: printf '{"name":"n"}\n' >"$MESH_OUT/.mesh"
    catch: true
    next: end
  end: {run: mesh artifact get failure}
FLOW
run 0 'a shell declares an artifact and a choice' "$MESH" run declare.mf
like "$out" '\] right, n is 7$' 'which are taken'
like "$out" '"reason":"output".*entry 1: it must have name, type and encoding' 'a malformed one fails the task'

finish
