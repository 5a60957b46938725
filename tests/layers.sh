#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# layers.sh SOURCE - who may include whom, and which foreign header lives where.
#
#     base <- flow, proto <- scheduler <- node core <- runtime -> store
#                                         api <- cli    simulations -> node core, store
set -eu
cd "$1"
folders=
for folder in base flow proto gossip scheduler store cloud node simulations; do
    [ -d $folder ] && folders="$folders $folder"
done

# Each line: a file, and what it includes with its quotes or brackets. All at once: a
# program for each of some hundred files would take longer than a build.
# shellcheck disable=SC2086 # a list of words
find $folders -name '*.[ch]' -exec grep -HE '^ *# *include *["<]' {} + |
    sed -E 's/^([^:]*):.*include *(["<][^">]*[">]).*/\1 \2/' | sort -u | awk '
BEGIN {
    # What lies in a folder may include only from these; the longest folder decides.
    may["base"] = "base"
    may["flow"] = "base flow"
    may["proto"] = "base proto"
    may["gossip"] = "base proto gossip"
    may["scheduler"] = "base flow proto scheduler"
    may["store"] = "base store"
    may["cloud"] = "base cloud"
    may["node"] = "base flow proto gossip scheduler store cloud node node/peers"
    may["node/api"] = "base flow proto scheduler store node node/api"
    may["node/peers"] = "base proto node node/peers"
    may["node/cli"] = "base flow proto scheduler store cloud node node/api node/peers node/cli"
    may["simulations"] = "base flow proto gossip scheduler store node simulations"

    # Headers, and the only files that may include them.
    lives("^lmdb[.]h$", "^store/lmdb[^/]*[.]c$")
    lives("[.]pb-c[.]h$|^protobuf-c/", "^proto/")
    lives("^microhttpd[.]h$", "^node/api/")
    lives("^sodium", "^(node|gossip|cloud)/")
    lives("^curl/", "^cloud/")
    lives("^zmq[.]h$", "^node/peers/")
    lives("^yaml[.]h$", "^flow/")
    lives("^uv[.]h$", "^(node|cloud)/")
    lives("^(sys/socket|sys/un|sys/epoll|pthread|time|sys/time|fcntl|unistd)[.]h$",
          "^(store|cloud|node|simulations)/")
    system_header = "^(uv|pthread|time|unistd|fcntl|sys/.*)[.]h$"
}

function lives(header, paths)
{
    homes[header] = paths
}

function blame(file, what)
{
    print file ": " what
    is_bad = 1
}

# The folder of a path, as the table names it.
function folder_of(path)
{
    if (path == "node/main.c")
        return "node/cli"
    if (match(path, "^node/(api|cli|peers)/"))
        return substr(path, 1, RLENGTH - 1)
    sub("/.*", "", path)
    return path
}

# node*.c, mesh*.c and fetch*.c decide and are driven by the simulator too: they must not
# see what stores, loops or talks.
function check_core(file, header, is_ours)
{
    if (is_ours && (header ~ "^store/" || (header ~ "^node/" && header !~ "^node/(node|mesh|fetch|witness)[^/]*[.]h$")))
        blame(file, "the core must not include " header)
    if (!is_ours && header ~ system_header)
        blame(file, "the core must not include headers of the system")
}

{
    file = $1
    header = substr($2, 2, length($2) - 2)
    is_ours = substr($2, 1, 1) == "\""
    n_includes++
    if (is_ours && header ~ "/" && header !~ "[.]pb-c[.]h$") {
        folder = folder_of(file)
        if (index(" " may[folder] " ", " " folder_of(header) " ") == 0)
            blame(file, folder "/ must not include " header)
        if (folder == "simulations" && header ~ "^node/runtime")
            blame(file, "the simulator is a runtime and must not include " header)
    }
    if (file ~ "^node/(node|mesh|fetch)[^/]*[.][ch]$")
        check_core(file, header, is_ours)
    for (foreign in homes)
        if (header ~ foreign && file !~ homes[foreign])
            blame(file, "must not include " header)
}

END {
    if (!n_includes)
        blame(".", "no sources found")
    exit is_bad
}'
