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

# ---- Python ----

# Debian's Python has the packages that the examples name.
PATH=/usr/bin:$PATH

run 0 'parameters runs' "$MESH" run "$examples/parameters/flow.mf"
like "$out" '\] 60 payments, split among Ada, Grace$' 'numbers are numbers, and lists lists'
like "$out" '\] the loan costs 915\.05 EUR$' 'its shell step has what Python computed'
echo 'a remark' >remark
run 0 'with others' "$MESH" run "$examples/parameters/flow.mf" --currency CHF --years 1 \
    --monthly true --extra '[[3, 2000]]' --first 2024-01-31 --remark @remark
like "$out" '\] 2024-02-29	849\.22	' 'a JSON and a date count'
like "$out" '\] a remark$' 'and a file is its text'
run 2 'one that is no choice' "$MESH" run "$examples/parameters/flow.mf" --currency DEM
like "$err" 'EUR' 'is refused with those that are'

if /usr/bin/python3 -c 'import sklearn, matplotlib' 2>"$work/sklearn"; then
    run 0 'digits runs' "$MESH" run "$examples/digits/flow.mf"
    digits=$(run_number "$out")
    is "$(grep -c '] Task is starting' "$out")" 104 'all fits and joins'
    like "$out" '\] best: 0\.99[0-9]+ vectors \{' 'the best of three is found'
    like "$out" '\] vectors \{.*\} reads 99\.[0-9]+% of new digits right$' 'and tested'
    "$MESH" artifact get "$digits/end" confusion.png >picture
    is "$(head -c 8 picture | od -An -c | tr -d ' ')" '211PNG\r\n032\n' \
        'the picture is a PNG'
    "$MESH" artifact get "$digits/end" accuracy >accurate
    like accurate '^0\.99' 'numbers are JSON, for every language'
    "$MESH" artifact get "$digits/start" images >images.npy
    ok 'arrays are .npy' /usr/bin/python3 -c '
import numpy
assert numpy.load("images.npy").shape == (1347, 64)'
else
    note "$(tail -n 1 "$work/sklearn")"
    skip 7 'no python3-sklearn, python3-matplotlib'
fi

if command -v Rscript >/dev/null; then
    run 0 'languages runs' "$MESH" run "$examples/languages/flow.mf"
    languages=$(run_number "$out")
    n_packages=$(dpkg-query -W -f '${db:Status-Status} ${Installed-Size}\n' |
        grep -c '^installed [0-9]')
    like "$out" "\\] Half of the $n_packages packages take less than" \
        'Perl, R and Python agree'
    "$MESH" artifact get "$languages/sections" sections.pdf >drawing
    is "$(head -c 5 drawing)" '%PDF-' 'and R drew'
else
    skip 3 'no r-base-core'
fi

# ---- a mistake ----

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
for flow in hello.mf wide.mf words/words.mf nested/nested.mf dag/dag.mf broken/broken.mf \
    digits/flow.mf parameters/flow.mf languages/flow.mf; do
    ok "$flow checks" "$MESH" check "$examples/$flow"
done
finish
