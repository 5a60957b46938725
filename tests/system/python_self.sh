#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Steps that are functions, from the file to the artifacts, forked and plain.
. "$(dirname "$0")/lib.sh"

mkdir -p flow/lib
cat >flow/steps.py <<'PY'
import os

from mesh import current

from lib import shapes


def start(self):
    self.names = ("a", "b", "c")
    self.common = shapes.Point(1, 2)
    self.table = [[1, 2], [3, 4]]
    self.word = "once"


def each(self):
    self.letters = [self.input * n for n in range(1, 3)]
    self.name = self.input
    self.common.x += self.index
    assert self.input == current.input == ["a", "b", "c"][self.index]


def inner(self):
    self.seen = [list(level) for level in self.foreach_stack()]
    self.length = len(self.input)


def gather(self, inputs):
    self.lengths = [one.length for one in inputs]
    self.seen = [one.seen for one in inputs]
    self.merge_artifacts(inputs, exclude=["length"])


def collect(self, inputs):
    assert [one.index for one in inputs] == [0, 1, 2]
    assert [one.name for one in inputs] == ["a", "b", "c"], "passed to what made none"
    self.all = [one.lengths for one in inputs]
    self.xs = [one.common.x for one in inputs]
    self.stack = inputs[2].seen[1]
    try:
        self.merge_artifacts(inputs)
    except Exception as error:
        print(type(error).__name__, error.artifact_names)
    self.merge_artifacts(inputs, include=["word", "table"])


def end(self):
    print(self.all, self.xs, self.stack, self.word, self.table)
    print(hasattr(self, "name"), hasattr(self, "common"), self.secret[::-1], self.long[-3:])
    with open(os.path.join(current.out_dir, "note"), "w") as file:
        file.write("a file beside")
PY
cat >flow/lib/shapes.py <<'PY'
class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y
PY
cat >flow/flow.mf <<'FLOW'
mesh: 1
flow: Steps
parameters:
  secret: {secret: true}
  long: {type: file}
steps:
  start: {python: steps.py:start, foreach: names, next: each}
  each: {python: steps.py:each, foreach: letters, next: inner}
  inner: {python: steps.py:inner, next: gather}
  gather: {python: steps.py:gather, join: each, next: collect}
  collect: {python: steps.py:collect, join: start, next: end}
  end: {python: steps.py:end}
FLOW
sed 's/\(python: [^,}]*\)/\1, warm: false/' flow/flow.mf >flow/plain.mf
printf 'geheim' >secret
{ seq 1 20000; printf 'end'; } >long

run 0 'a flow of functions' "$MESH" run flow/flow.mf --secret @secret --long @long
forked=$(run_number "$out")
like "$out" '\] \[\[1, 2\], \[1, 2\], \[1, 2\]\] \[1, 2, 3\] \[\[2, 3, .c.\], \[1, 2, .cc.\]\] once \[\[1, 2\], \[3, 4\]\]$' \
    'what was set comes through foreachs and joins'
like "$out" "\\] UnhandledInMergeArtifactsException \\['common', 'letters', 'name', 'seen'\\]\$" \
    'what inputs differ in is named'
like "$out" '\] False False mieheg end$' 'secret and long parameters are there when asked for'
is "$("$MESH" artifact get "$forked/end" note)" 'a file beside' 'files and attributes mix'
is "$("$MESH" artifact get "$forked/start" names)" '["a","b","c"]' 'a tuple is made a list'

run 0 'the same in plain processes' \
    "$MESH" run flow/plain.mf --secret @secret --long @long
plain=$(run_number "$out")
for run in "$forked" "$plain"; do
    "$MESH" artifact list "$run" >"$work/list.$run"
done
ok 'keeps the same, to the byte' cmp "$work/list.$forked" "$work/list.$plain"
is "$(wc -l <"$work/list.$forked")" 55 'which is all that was set or merged, and no more'

# ---- choices, caught failures, other shapes of flow ----

mkdir shapes
cat >shapes/a.py <<'PY'
from mesh import current


def guess(self):
    self.n = getattr(self, "n", 0) + 1 if current.iteration else 1
    self.state = self.n >= 3
    print("guess", self.n, current.task_id)


def fail(self):
    self.x = 1 / self.index


def join(self, inputs):
    print([(one.ok, one.x if one.ok else one.failure["reason"]) for one in inputs])


def left(self):
    self.x = self.y = 1


def right(self):
    self.x, self.y = 1, 2


def meet(self, inputs):
    print(inputs.left.y, inputs.right.y, self.x)


def needs(self, inputs):
    print(inputs.left.x, hasattr(self, "x"))
PY
cat >shapes/switch.mf <<'FLOW'
mesh: 1
flow: Switch
steps:
  start: {python: a.py:guess, switch: {by: state, cases: {'true': end, 'false': start}}}
  end: {run: 'echo "it took $(mesh artifact get n)"'}
FLOW
run 0 'a switch by what a function says' "$MESH" run shapes/switch.mf
like "$out" '\] guess 3 0~2$' 'goes round with what it made before'
like "$out" '\] it took 3$' 'and out'

cat >shapes/caught.mf <<'FLOW'
mesh: 1
flow: Caught
steps:
  start: {run: 'true', foreach: {range: 2}, next: work}
  work: {python: a.py:fail, catch: true, next: end}
  end: {python: a.py:join, join: start}
FLOW
run 0 'a failure that is caught' "$MESH" run shapes/caught.mf
like "$out" "\\] \\[\\(False, 'exit'\\), \\(True, 1\\.0\\)\\]\$" 'is seen by the join'

cat >shapes/merge.mf <<'FLOW'
mesh: 1
flow: Merge
steps:
  start: {run: 'true', next: [left, right]}
  left: {python: a.py:left, next: end}
  right: {python: a.py:right, next: end}
  end: {python: a.py:meet, join: start, merge: {exclude: [y]}}
FLOW
run 0 'a merge of the flow' "$MESH" run shapes/merge.mf
like "$out" '\] 1 2 1$' 'is seen on self'

cat >shapes/needs.mf <<'FLOW'
mesh: 1
flow: Needs
steps:
  left: {python: a.py:left, needs: []}
  right: {python: a.py:right, needs: []}
  end: {python: a.py:needs, needs: [left, right]}
FLOW
run 0 'a flow written with needs' "$MESH" run shapes/needs.mf
like "$out" '\] 1 False$' 'has its inputs by name'
finish
