# SPDX-License-Identifier: Apache-2.0
# How often each word of four letters or more occurs, as a JSON object.
{
    line = tolower($0)
    gsub(/[^a-z]+/, " ", line)
    n = split(line, words, " ")
    for (i = 1; i <= n; i++)
        if (length(words[i]) >= 4)
            count[words[i]]++
}
END {
    printf "{"
    for (word in count) {
        printf "%s\"%s\":%d", separator, word, count[word]
        separator = ","
    }
    print "}"
}
