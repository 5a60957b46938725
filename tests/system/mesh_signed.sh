#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Nodes sign what they carried out, however it ended; whoever has the store can check it,
# also when the node has left; and what somebody changes afterwards is named.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"
alter=$(dirname "$MESH")/tests/system/alter_record

# Well, at the second try, by a choice, once more, with a width that the flow knows and one
# that it does not, killed, and with a choice of what there is not.
mkdir -p "$work/flow"
cat >"$work/flow/ends.mf" <<'FLOW'
mesh: 1
flow: Ends
steps:
  start:
    run: printf '["a", "b", "c", "d", "e", "f"]' >"$MESH_OUT/words"
    foreach: words
    next: word
  word:
    run: |
      printf '%s' "$MESH_INPUT" >"$MESH_OUT/word"
      [ "$MESH_ATTEMPT" = 1 ] || [ "$MESH_INPUT" != b ]
      sleep 0.1
    retry: {times: 2}
    next: words
  words:
    join: start
    run: 'true'
    foreach: {range: 6}
    next: number
  number:
    run: 'echo a log of some length; sleep 0.1'
    next: numbers
  numbers:
    join: words
    run: mesh next --case good
    switch:
      by: quality
      cases: {good: again, bad: end}
  again:
    run: |
      case $MESH_ATTEMPT in
      0) kill -9 $$ ;;
      1) mesh next --case ugly ;;
      *)
          mesh next --case "$(mesh artifact get way 2>/dev/null || echo again)"
          printf end >"$MESH_OUT/way"
          ;;
      esac
    retry: {times: 2}
    switch:
      by: choice
      cases: {again: again, end: end}
      max_iterations: 3
  end:
    run: 'true'
FLOW

sums_to() # JSON: all attempts that could be signed are, and well
{
    of '.n_damaged == 0 and (.signatures | .n_signed > 0 and .n_bad == 0
        and .n_unsigned == 0 and ([.signers[].n_signed] | add) == .n_signed)' <"$1"
}

mesh_start 3 --cpu 2
on 2 submit "$work/flow/ends.mf" --json >submit.out 2>submit.err || note_file submit.err
id=$(of .run <submit.out)
wait_for 'the run ends' has_ended "$id" 2
is "$(ask 2 GET "/v1/runs/$id" | of .outcome)" ok 'it ends well'
n_attempts=$(ask 2 GET "/v1/runs/$id" | of .attempts)
for i in 1 2 3; do
    run 0 "node $i verifies it" on $i verify "$id" --json
    is "$(sums_to "$out")" true "and finds that all is signed" || note_file "$out"
    is "$(of .signatures.n_signed <"$out")" "$n_attempts" 'each attempt'
done
is "$(of '[.signatures.signers[].name] | sort | join(" ")' <"$out")" 'n1 n2 n3' \
    'by all three nodes'
run 0 'in words too' on 1 verify "$id"
like "$out" "^$n_attempts attempts: $n_attempts signed[.]\$" 'it says how many'
like "$out" '^Signed by .*n3 [0-9]+' 'and who'
unlike n1.err 'attempt.refused' 'no attempt was refused'

# ---- the node has left ----

run 0 'a node leaves' on 1 leave n3 --wait
mesh_end 3
run 0 'what it signed is verified' on 1 verify "$id" --json
is "$(sums_to "$out")" true 'without it'
ok 'and it is named' sh -c 'jq -e ".signatures.signers[] | select(.name == \"n3\")" <"$1"' \
    sh "$out"
mesh_end 1
mesh_again 1 --cpu 2
run 0 'also when all has been started anew' on 1 verify "$id" --json
is "$(sums_to "$out")" true 'from what the store has'

# ---- somebody changes what is kept ----

mesh_end 2
for what in verdict output usage; do
    rm -rf "$work/changed"
    cp -r "$(mesh_dir 2)" "$work/changed"
    task=$("$alter" "$work/changed" "$id" 1 $what 2>alter.err) || note_file alter.err
    run 1 "another $what is found" "$MESH" verify "$id" --data "$work/changed" --json
    is "$(of '.damaged[] | select(.what == "signature") | .step + "/" + .task' <"$out")" \
        "word/$task" 'and the attempt is named'
    is "$(of .signatures.n_bad <"$out")" 1 'and no other one'
done
run 1 'in words' "$MESH" verify "$id" --data "$work/changed"
like "$out" 'signature +word/[0-9]+ .*it is not what its node signed' 'it says what it is'
rm -rf "$work/changed"
cp -r "$(mesh_dir 2)" "$work/changed"
task=$("$alter" "$work/changed" "$id" 3 unsigned 2>alter.err) || note_file alter.err
run 0 'a signature that is gone is no damage' \
    "$MESH" verify "$id" --data "$work/changed"
like "$out" ', 1 unsigned[.]$' 'but said'
like "$out" "^number/$task +0" 'with the attempt'

# ---- a node alone ----

run 0 'a node alone runs a flow' "$MESH" run "$work/flow/ends.mf" --data "$work/alone"
run 0 'and signs nothing' "$MESH" verify 1 --data "$work/alone"
like "$out" '^[0-9]+ attempts: 0 signed, [0-9]+ unsigned[.]$' 'which it says'

mesh_end 1
nothing_left 'no process is left'
finish
