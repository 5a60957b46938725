#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What cmake --install puts into a folder runs from there, explains itself and completes.
. "$(dirname "$0")/lib.sh"

build=$(dirname "$MESH")
prefix=$work/prefix
cat >hello.mf <<'FLOW'
mesh: 1
flow: Hello
steps:
  start: {run: 'echo hello | mesh artifact put said - --type text'}
FLOW
cat >square.py <<'PYTHON'
def square(self):
    self.y = 7 ** 2
    print("squared", self.y)
PYTHON
cat >square.mf <<'FLOW'
mesh: 1
flow: Square
steps:
  start: {python: 'square.py:square'}
FLOW

run 0 'it is installed' cmake --install "$build" --prefix "$prefix"
(cd "$prefix" && find . -type f | sort) >installed
for file in bin/mesh lib/mesh/mesh-cloud.so lib/mesh/mesh-http.so share/bash-completion/completions/mesh \
    share/zsh/site-functions/_mesh share/fish/vendor_completions.d/mesh.fish; do
    ok "$file" test -s "$prefix/$file"
done

# The folder where it was built does not help: the program finds its module beside itself.
MESH=$prefix/bin/mesh
PATH=$prefix/bin:$PATH
export PATH
run 0 'a flow runs, whose task asks the node' "$MESH" run hello.mf
run 0 'what it made is read by a node that is started for it' "$MESH" artifact get 1/start said
is "$(cat "$out")" hello 'and is what it was'
run 0 'a Python step finds its package' "$MESH" run square.mf
like "$out" 'squared 49' 'and runs'

# The pages say what --help says, of each verb and each option.
if ! command -v scdoc >/dev/null; then
    skip 3 'there is no scdoc'
    finish
fi
"$MESH" help | sed -n '/^Verbs:/,/^$/s/^  \([a-z]*\) .*/\1/p' >verbs
ok 'there are verbs' test "$(wc -l <verbs)" -gt 15
words()
{
    LC_ALL=C.UTF-8 MANWIDTH=500 man -P cat -l "$1" | tr -s '[:space:]' '\n'
}
while read -r verb; do
    page=$prefix/share/man/man1/mesh-$verb.1
    [ -s "$page" ] || {
        echo "there is no page of $verb"
        continue
    }
    words "$page" | grep -oE -e '--[a-z-]+' | sort -u >in-page
    "$MESH" "$verb" --help | sed -n '/^Options:/,/^$/p' | grep -oE -e '--[a-z-]+' |
        sort -u | comm -23 - in-page | sed "s/^/$verb lacks /"
    words "$prefix/share/man/man1/mesh.1" | grep -qxF "mesh-$verb(1)" ||
        echo "mesh(1) does not name $verb"
done <verbs >lacking
is "$(cat lacking)" '' 'a page for each verb, with each of its options'
for page in mesh.1 mesh-flow.5 mesh-node.8; do
    LC_ALL=C.UTF-8 man --warnings -P cat -l "$prefix/share/man/man${page##*.}/$page"
done >/dev/null 2>complaints
is "$(cat complaints)" '' 'they are well set'
words "$prefix/share/man/man5/mesh-flow.5" >flow-words
ok 'mesh-flow(5) has what docs/flow-format.md has' grep -qx max_iterations flow-words
words "$prefix/share/man/man1/mesh-run.1" >run-words
ok 'a line that begins with a dot is not lost' grep -qx .gitignore run-words
finish
