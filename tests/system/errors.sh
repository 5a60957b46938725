#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a bad file or a bad command gets: exit code 2, the place, the reason, all errors
# at once, and nothing started.
. "$(dirname "$0")/lib.sh"

cat >typo.mf <<'FLOW'
mesh: 1
flow: Typo
steps:
  start:
    run: touch started
    next: inner_jion
    retyr: 3
  inner_join:
    run: 'true'
    next: end
  end:
    run: 'true'
FLOW
run 2 'a bad file is refused' "$MESH" run typo.mf
like "$err" '^typo\.mf:6:11: error: .*inner_jion' 'at its line and column'
like "$err" '^ +6 \| +next: inner_jion' 'with the line'
like "$err" '\^+ did you mean .inner_join.' 'and the nearest name'
like "$err" '^typo\.mf:7:5: error: .*retyr' 'and the other errors too'
ok 'nothing was started' test ! -e started
run 2 'check says the same' "$MESH" check typo.mf
like "$err" '^typo\.mf:6:11: error' 'with the place'

printf 'mesh: 1\nflow: X\nsteps:\n  start: [unclosed\n' >syntax.mf
run 2 'bad YAML is refused' "$MESH" run syntax.mf
like "$err" '^syntax\.mf:[0-9]+:[0-9]+: error' 'with the place'
printf 'a\0b' >nul.mf
run 2 'a NUL is refused' "$MESH" run nul.mf
printf 'mesh: 1\nflow: \377\n' >utf8.mf
run 2 'what is no UTF-8 is refused' "$MESH" run utf8.mf
: >empty.mf
run 2 'an empty file is refused' "$MESH" run empty.mf
run 2 'a folder is refused' "$MESH" run "$work"
run 2 'a file that is not there is refused' "$MESH" run nowhere.mf
like "$err" 'nowhere\.mf' 'by name'

mkdir huge
truncate -s 1G huge/huge.mf
began=$(date +%s)
run 2 'a file of 1 GiB is refused' "$MESH" run huge/huge.mf
ok 'without reading it' test $(($(date +%s) - began)) -lt 5
like "$err" 'huge\.mf' 'by name'
rm -r huge
head -c 20000 /dev/zero | tr '\0' '[' >deep.mf
run 2 '20,000 nested brackets are refused' "$MESH" run deep.mf
like "$err" '^deep\.mf:1:[0-9]+: error' 'with the place'
cat >bomb.mf <<'FLOW'
a: &a [x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b]
FLOW
run 2 'aliases are refused' "$MESH" run bomb.mf

cat >good.mf <<'FLOW'
mesh: 1
flow: Good
parameters:
  alpha: {type: float, default: 0.5, min: 0, max: 1}
  times: {type: int, default: 1}
  mode: {type: string, default: fast, choices: [fast, slow]}
steps:
  start:
    run: 'true'
    next: end
  end:
    run: 'true'
FLOW
run 0 'a good file checks' "$MESH" check good.mf
run 2 'an unknown parameter is refused' "$MESH" run good.mf --alpah 1
like "$err" 'alpah' 'by name'
like "$err" 'alpha' 'with the nearest'
run 2 'a value of the wrong type is refused' "$MESH" run good.mf --times many
like "$err" 'times' 'by name'
run 2 'a value out of range is refused' "$MESH" run good.mf --alpha 1.5
like "$err" '1(\.0*)?' 'with the bound'
run 2 'a value that is no choice is refused' "$MESH" run good.mf --mode fats
like "$err" 'fast' 'with the choices'
run 2 'a parameter without a value is refused' "$MESH" run good.mf --alpha

run 2 'a value that cannot be read is refused' "$MESH" run good.mf --times @nowhere
like "$err" '^mesh: --times: cannot read nowhere' 'with its parameter'
run 2 'an artifact without its name, outside of a task' "$MESH" artifact get 1/start
like "$err" 'mesh artifact get RUN/STEP' 'is told how to name it'
run 0 'a graph as JSON' "$MESH" graph good.mf --json
like "$out" '^\{"flow":"Good"' 'by either option'

cat >gpu.mf <<'FLOW'
mesh: 1
flow: Gpu
steps:
  start: {run: 'true', resources: {custom: {licence: 1}}}
FLOW
run 2 'a resource that the node has not is refused' "$MESH" run gpu.mf
like "$err" "step 'start' asks for the custom resource 'licence'" 'by name'

sed 's/custom: {licence: 1}/disk: 900T/' gpu.mf >disk.mf
run 2 'more disk than there is, too' "$MESH" run disk.mf
like "$err" "step 'start' asks for [0-9]+ MiB of disk, this node has [0-9]+$" 'with both sizes'

cat >script.mf <<'FLOW'
mesh: 1
flow: Script
steps:
  start:
    run: [./nowhere.sh]
    next: end
  end:
    run: 'true'
FLOW
run 2 'a script that is not there is refused' "$MESH" run script.mf
like "$err" '^script\.mf:5:[0-9]+: error.*nowhere\.sh' 'with the place'

mkdir -p empty
sed 's|\[./nowhere.sh\]|[/bin/true]|; s|    next: end|    workdir: empty\n    next: end|' \
    script.mf >workdir.mf
run 2 'a working folder that is not there is refused' "$MESH" check workdir.mf
like "$err" "^workdir\.mf:6:[0-9]+: error: step 'start' works in 'empty'" 'with the place'
like "$err" 'none of its files is packed' 'and why'

cat >later.mf <<'FLOW'
mesh: 1
flow: Later
steps:
  start:
    run: 'true'
    gang: 2
    next: end
  end:
    run: 'true'
FLOW
run 2 'a key that comes later is refused' "$MESH" run later.mf
like "$err" '^later\.mf:6:[0-9]+: error.*gang' 'and named'

run 2 'an unknown verb is refused' "$MESH" rnu good.mf
like "$err" 'run' 'with the nearest'
run 2 'no verb is refused' "$MESH"
run 0 'help helps' "$MESH" help
for verb in run node submit check show graph runs status logs artifact inputs next \
    resume cancel verify gc; do
    run 0 "$verb --help" "$MESH" "$verb" --help
done
run 3 'a run that is not there' "$MESH" status 4711
run 3 'logs of a run that is not there' "$MESH" logs 4711
is "$("$MESH" runs --json 2>/dev/null | grep -c '"number"')" 0 'nothing was started'
finish
