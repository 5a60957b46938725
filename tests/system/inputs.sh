#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a task is given: items, indexes, inputs, and the results of those before it.
. "$(dirname "$0")/lib.sh"

mkdir flow flow/data && cd flow || exit 1
printf 'a\n' >data/one.csv
printf 'bb\n' >data/two.csv
cat >items.mf <<'FLOW'
mesh: 1
flow: Items
steps:
  start:
    run: 'true'
    foreach: {items: [plain, "two words", 3, {k: v}]}
    next: show
  show:
    run: 'echo "item $MESH_INDEX <$MESH_INPUT> $MESH_INPUTS"'
    next: join
  join:
    join: start
    run: 'mesh inputs'
    next: end
  end: {run: 'true'}
FLOW
run 0 'listed items' "$MESH" run items.mf
like "$out" '\] item 0 <plain> \["plain"\]$' 'a string is its text'
like "$out" '\] item 1 <two words> \["two words"\]$' 'with its blanks'
like "$out" '\] item 2 <3> \[3\]$' 'a number is a number'
like "$out" '\] item 3 <\{"k":"v"\}> \[\{"k":"v"\}\]$' 'the rest is JSON'

cat >kinds.mf <<'FLOW'
mesh: 1
flow: Kinds
steps:
  start: {run: 'true', foreach: {glob: 'data/*.csv'}, next: file}
  file: {run: 'echo "file $MESH_INPUT $(cat "$MESH_INPUT")"', next: files}
  files: {join: start, run: 'true', foreach: {matrix: {lr: [0.1, 0.2], fold: [1, 2]}}, next: cell}
  cell: {run: 'echo "cell $MESH_INPUT"', next: cells}
  cells: {join: files, run: 'printf "x\ny\n" >"$MESH_OUT/lines"', foreach: lines, next: line}
  line: {run: 'echo "line $MESH_INPUT"', next: end}
  end: {join: cells, run: 'true'}
FLOW
run 0 'the other kinds' "$MESH" run kinds.mf
like "$out" '\] file data/one\.csv a$' 'files of the package'
like "$out" '\] file data/two\.csv bb$' 'each'
is "$(grep -c '\] cell {' "$out")" 4 'combinations'
like "$out" '\] cell \{"lr":0\.1,"fold":2\}$' 'each of them'
like "$out" '\] line y$' 'lines of a text'

cat >order.mf <<'FLOW'
mesh: 1
flow: Order
steps:
  start: {run: 'true', foreach: {range: 30}, next: work}
  work:
    run: 'sleep "0.0$(((MESH_INDEX * 7) % 10))"; printf "%s" "$MESH_INDEX" | mesh artifact put n - --type json'
    next: join
  join:
    join: start
    run: |
      mesh inputs >all
      sed 's/.*"index": *\([0-9]*\).*/\1/' all | tr '\n' ' '; echo
      sed 's/.*"value": *\([0-9]*\).*/\1/' all | tr '\n' ' '; echo
      echo "seventh $(mesh artifact get n --from work --index 7)"
    next: end
  end: {run: 'true'}
FLOW
run 0 'a join' "$MESH" run order.mf
wanted=$(seq 0 29 | tr '\n' ' ')
is "$(grep -c "\\] $wanted\$" "$out")" 2 'sees its inputs in split order'
like "$out" '\] seventh 7$' 'and can pick one'

cat >from.mf <<'FLOW'
mesh: 1
flow: From
steps:
  start: {run: 'echo zero >"$MESH_OUT/x"', next: middle}
  middle: {run: 'echo one >"$MESH_OUT/x"', next: last}
  last:
    inputs: {old: start.x, new: x, named: {from: middle.x, as: sub.txt}, disk: {url: "file:///etc/hostname", as: host}}
    run: |
      echo "old $(cat "$MESH_IN/old") new $(cat "$MESH_IN/new") named $(cat "$MESH_IN/sub.txt")"
      cmp "$MESH_IN/host" /etc/hostname && echo 'the file of the disk'
      echo "get $(mesh artifact get x) $(mesh artifact get x --from start)"
    next: end
  end: {run: 'true'}
FLOW
run 0 'inputs by name' "$MESH" run from.mf
like "$out" '\] old zero new one named one$' 'are laid out'
like "$out" '\] the file of the disk$' 'also files of the disk'
like "$out" '\] get one zero$' 'and can be asked for'

cat >needs.mf <<'FLOW'
mesh: 1
flow: Needs
steps:
  a: {run: 'echo 1 >"$MESH_OUT/n"'}
  b: {run: 'echo 2 >"$MESH_OUT/n"'}
  c:
    needs: [a, b]
    inputs: {x: a.n, y: b.n}
    run: 'echo "sum $(($(cat "$MESH_IN/x") + $(cat "$MESH_IN/y")))"'
FLOW
run 0 'a graph by needs' "$MESH" run needs.mf
like "$out" '\] sum 3$' 'has the inputs it names'

cat >environment.mf <<'FLOW'
mesh: 1
flow: Environment
environment: {LEVEL: flow, ONLY: flow}
steps:
  start:
    workdir: data
    shell: bash
    environment: {LEVEL: step}
    run: |
      echo "$LEVEL $ONLY $(ls | tr '\n' ' ')"
      false | true || echo 'a pipe that fails is a failure'
      echo "$MESH_RUN $MESH_STEP $MESH_TASK $MESH_ATTEMPT"
      for d in "$MESH_OUT" "$MESH_TEMPDIR" "$MESH_CODE"; do test -d "$d" || exit 1; done
    next: end
  end: {run: 'true'}
FLOW
run 0 'the environment' "$MESH" run environment.mf
like "$out" '\] step flow one\.csv two\.csv $' 'the folder and the variables'
like "$out" '\] a pipe that fails is a failure$' 'the shell'
like "$out" '\] [0-9a-zA-Z]+ start 0 0$' 'and what the task is'

python3 - <<'PY' >long.mf
print("mesh: 1\nflow: Long\nsteps:\n  start:")
print("    run: \"python3 -c 'import json; print(json.dumps([chr(120) * 300000]))'"
      " | mesh artifact put items - --type json\"")
print("    foreach: items\n    next: work\n  work:")
print("    run: 'mesh artifact get input | wc -c'\n    next: end")
print("  end: {join: start, run: 'true'}")
PY
run 0 'an item that is too long for a variable' "$MESH" run long.mf
like "$out" '\] 30000[0-9]$' 'can be read'

cat >parameters.mf <<'FLOW'
mesh: 1
flow: Parameters
parameters: {alpha: {default: 0.5}, table: {type: file}}
steps:
  start:
    inputs: {alpha: alpha, rows: {from: table, as: rows.csv}}
    run: 'echo "first $(cat "$MESH_IN/alpha") $(wc -c <"$MESH_IN/rows.csv") ${MESH_PARAM_TABLE-unset}"'
    next: [a, b]
  a: {run: 'true', next: end}
  b: {run: 'true', next: end}
  end: {join: start, inputs: {alpha: alpha}, run: 'echo "last $(cat "$MESH_IN/alpha")"'}
FLOW
head -c 200000 /dev/zero | tr '\0' x >"$work/table"
run 0 'parameters as inputs' "$MESH" run parameters.mf --table "$work/table"
like "$out" '\] first 0\.5 200000 unset$' 'are files, also one too long for a variable'
like "$out" '\] last 0\.5$' 'and behind a join'
sed 's|file:///etc/hostname|file:///nowhere/at/all|' from.mf >nowhere.mf
run 1 'a file that is not on the disk' "$MESH" run nowhere.mf
like "$out" "input 'disk': /nowhere/at/all: No such file" 'is named'

cat >asked.mf <<'FLOW'
mesh: 1
flow: Asked
parameters:
  alpha: {default: 0.5}
  word: {default: two words}
  list: {type: json, default: [1, "a"]}
  day: {type: datetime}
steps:
  start:
    run: |
      echo "alpha $(mesh artifact get alpha), word $(mesh artifact get word)"
      mesh artifact get list -o "$MESH_TEMPDIR/list"
      echo "list $(cat "$MESH_TEMPDIR/list")"
      mesh artifact get day || echo "code $?"
      printf mine >"$MESH_OUT/word"
    foreach: {glob: '*.nowhere'}
    next: each
  each: {run: 'true', next: end}
  end: {join: start, run: 'mesh artifact get word --from start'}
FLOW
run 0 'a task asks for parameters' "$MESH" run asked.mf
like "$out" '\] alpha 0\.5, word two words$' 'which are texts and numbers'
like "$out" '\] list \[1,"a"\]$' 'or JSON, into a file too'
like "$out" '\] code 3$' 'and one without a value is not there'
like "$out" '\] mine$' 'an artifact of that name is another thing'
like "$err" "asked.mf:9:3: note: no file matches the glob '\*.nowhere'" 'an empty glob is noted'
finish
