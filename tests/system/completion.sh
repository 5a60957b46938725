#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tab key: verbs, options, files, and what the node knows, in each shell.
. "$(dirname "$0")/lib.sh"

cat >fit.mf <<'FLOW'
mesh: 1
flow: Fit
parameters:
  alpha: {type: float, default: 1, help: how fast}
steps:
  start:
    run: 'true'
    foreach: {items: [a, b]}
    next: train
  train:
    run: 'printf 1 >"$MESH_OUT/model"'
    next: end
  end:
    join: start
    run: 'true'
FLOW
mkdir -p folder
touch other.txt

# offers TEXT EXPECTED WORD...: the words that are offered, on one line
offers()
{
    offers_text=$1 offers_expected=$2
    shift 2
    is "$("$MESH" complete -- "$@" | sed 's/\t.*//' | sort -V | tr '\n' ' ' | sed 's/ $//')" \
        "$offers_expected" "$offers_text"
}

like_line()
{
    "$MESH" complete -- "$@" >out
}
like_line ''
like out "$(printf '^status\t.')" 'verbs, with what they do'
unlike out '^complete' 'what only programs ask is not offered'
offers 'an option' '--max-workers' run --max-w
offers 'a parameter of the flow' '--alpha' run fit.mf --alp
like_line run fit.mf --alp
like out "$(printf '\thow fast$')" 'with its help'
offers 'flow files are left to the shell' ':files mf' run ''
offers 'the value of an option' 'finish kill stop' run fit.mf --on-failure ''
offers 'when to use colour' 'always auto never' runs --color ''
offers 'the states of a run' 'failed' runs --state fa
offers 'a literal word' 'create list revoke' token ''
offers 'a folder' ':dirs' runs --data ''
offers 'shells' 'bash fish zsh' completion ''
offers 'what is done with data' 'get ls put rm sync' data ''
offers 'and files' ':files' data put ''
offers 'nothing without a node' '' status ''
is "$("$MESH" complete -- status '' 2>&1)" '' 'and not a word about it'
offers 'nothing for a verb that is none' '' nonsense ''

node n
for tags in red,warm red,cold; do
    "$MESH" submit fit.mf --tags "$tags" --follow >/dev/null 2>&1
done
offers 'runs' '1 2' status ''
offers 'the steps of a run' '1/end 1/start 1/train' logs 1/
offers 'the tasks of a step' '1/train/0 1/train/1' logs 1/train/
offers 'no steps where a run is wanted' '' cancel 1/
offers 'steps behind a run' 'start' resume 1 s
offers 'tags' 'cold red warm' submit fit.mf --tags ''
offers 'the last of a list of tags' 'red,warm' submit fit.mf --tags red,w
offers 'artifacts of a step' 'model' artifact get 1/train ''
offers 'the node of --socket' '1 2' status --socket "$MESH_HOME/mesh.sock" ''

# Asked while somebody types: the median of nine, with a node. Told and not asserted: how
# long it takes is the machine's as well.
i=0
while [ $i -lt 9 ]; do
    i=$((i + 1))
    before=$(date +%s%N)
    "$MESH" complete -- logs 1/ >/dev/null
    echo $((($(date +%s%N) - before) / 1000000))
done | sort -n | sed -n 5p >took
note "a completion took $(cat took) ms"

PATH=$(dirname "$MESH"):$PATH
export PATH
# tab SHELL TEXT TYPED WANTED
tab()
{
    case $1 in
    bash) setup='source <(mesh completion bash)' ;;
    zsh) setup='autoload -U compinit; compinit -u -D; source <(mesh completion zsh)' ;;
    fish) setup='mesh completion fish | source' ;;
    esac
    ok "$1: $2" python3 "$here/press_tab.py" "$1" "$setup" "$3" "$4"
}
for shell in bash zsh fish; do
    if ! command -v $shell >/dev/null; then
        skip 4 "there is no $shell"
        continue
    fi
    tab $shell 'a verb' 'mesh verif' 'mesh verify '
    tab $shell 'a flow file' 'mesh check fi' 'mesh check fit\.mf'
    tab $shell 'a step of a run' 'mesh logs 1/tr' 'mesh logs 1/train'
    tab $shell 'runs to choose from' 'mesh status ' '(?s)\b1\b[^/]*\b2\b'
done
finish
