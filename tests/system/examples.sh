#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every committed example runs and gives the right result.
. "$(dirname "$0")/lib.sh"
examples=$top/examples

run 0 'words runs' "$MESH" run "$examples/words/words.mf" --files 12 --top 5
like "$out" '\] 12 files, [0-9]+ words, [0-9]+ different$' 'all 12 files are counted'
words=$(run_number "$out")
"$MESH" artifact get "$words/sum" words >words.got
find -L /usr/share/common-licenses /usr/share/doc -maxdepth 2 -type f \
    \( -path '*/common-licenses/*' -o -name copyright \) -readable 2>/dev/null |
    sort | head -n 12 | xargs cat | tr 'A-Z' 'a-z' | LC_ALL=C tr -c 'a-z' '\n' |
    grep -E '^.{4,}$' | LC_ALL=C sort | uniq -c | LC_ALL=C sort -k1,1nr -k2 | head -n 5 |
    awk '{ print $2 "\t" $1 }' >words.wanted
is "$(cat words.got)" "$(cat words.wanted)" 'the counts are those of sort and uniq'
"$MESH" artifact get "$words/chart" svg >chart.svg
ok 'the picture is XML with a bar for each word' python3 -c '
import sys, xml.dom.minidom
assert len(xml.dom.minidom.parse("chart.svg").getElementsByTagName("rect")) == 5'
like "$out" '\] license +[0-9]+ #+$|\] [a-z]+ +[0-9]+ #{40}$' 'the last step prints the bars'

run 0 'nested runs' "$MESH" run "$examples/nested/nested.mf"
wanted=$(cd /usr/share/common-licenses && for family in $(ls | sed 's/-[0-9.]*$//' |
    sort -u); do
    for file in "$family" "$family"-[0-9]*; do
        test ! -f "$file" || wc -l <"$file"
    done
done | awk '{ n += $1 } END { print n }')
like "$out" "\\] $wanted lines in all\$" 'its sum is right'

python3 "$examples/dag/make.py" >dag.made
ok 'the committed graph is what its program makes' cmp dag.made "$examples/dag/dag.mf"
run 0 'a graph of a thousand steps runs' \
    "$MESH" run "$examples/dag/dag.mf" --quiet --order "$work/order"
is "$(wc -l <order)" 1000 'each step once'
ok 'none before one it needs' \
    python3 "$examples/dag/make.py" --check "$work/order"

cp -r "$examples/broken" .
run 1 'broken fails' "$MESH" run broken/broken.mf --trace "$work/trace"
broken=$(run_number "$out")
like "$out" "^\\[$broken/measure/0 \\(pid [0-9]+\\)\\] .*totla" 'its log says why'
like "$out" 'mesh resume' 'the end says how to go on'
sort trace >trace.before
sed -i 's/totla/total/' broken/measure.sh
: >trace
run 0 'mended, it is resumed' "$MESH" resume "$broken"
like "$out" '\] the squares add up to 30$' 'and right'
is "$(sort trace | tr '\n' ' ')" 'end measure ' 'what was done is not done again'

cat >small.awk <<'AWK'
{ sub(/range: 100000/, "range: " range); print }
AWK
wide=2000
[ -z "${MESH_LONG:-}" ] || wide=100000
awk -v range=$wide -f small.awk "$examples/wide.mf" >wide.mf
run 0 'wide runs, narrowed' "$MESH" run wide.mf --quiet
run 0 'and status shows its tasks' "$MESH" status --json "$(last_run)"
run 0 'show' "$MESH" show "$examples/words/words.mf"
like "$out" 'Counts words over the licence texts' 'tells what the flow is for'
like "$out" 'The list of files, one a line' 'and what a step is for'
for flow in hello.mf wide.mf words/words.mf nested/nested.mf dag/dag.mf broken/broken.mf; do
    ok "$flow checks" "$MESH" check "$examples/$flow"
done
finish
