# SPDX-License-Identifier: Apache-2.0
# Bars of text; the longest is the first, because the words come ranked.
BEGIN { FS = "\t" }
{
    if (NR == 1)
        most = $2
    bar = ""
    for (i = 0; i < 40 * $2 / most; i++)
        bar = bar "#"
    printf "%-16s %7d %s\n", $1, $2, bar
}
