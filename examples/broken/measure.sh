#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Adds up the numbers that it is given. The bug: in the line below it should say `total`
# both times.
# shellcheck disable=SC2004,SC2154 # the bug
set -eu
total=0
while read -r number; do
    total=$(($totla + number))
done
echo "$total"
