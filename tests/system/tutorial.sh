#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tutorial says what happens, in each of its chapters.
. "$(dirname "$0")/lib.sh"

for chapter in "$top"/docs/tutorial*.md; do
    name=$(basename "$chapter" .md)
    run 0 "every command of $name" python3 "$top/tests/run_tutorial.py" \
        --mesh "$MESH" --folder "$work/$name" "$chapter"
    note_file "$out" 200
    like "$out" '^[0-9]+ commands, 0 wrong$' "$name does what it says"
done
finish
