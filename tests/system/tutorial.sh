#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tutorial says what happens.
. "$(dirname "$0")/lib.sh"

run 0 'every command of the tutorial' python3 "$top/tests/run_tutorial.py" \
    --mesh "$MESH" --folder "$work/tutorial" "$top/docs/tutorial.md"
note_file "$out" 200
like "$out" '^[0-9]+ commands, 0 wrong$' 'does what the tutorial says'
finish
