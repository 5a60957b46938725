#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# layers.sh SOURCE - who may include whom, and which foreign header lives where.
#
#     base <- flow, proto <- scheduler <- node core <- runtime -> store
#                                         api <- cli    simulations -> node core, store
set -euo pipefail
cd "$1"
status=0

blame() {
    echo "$1: $2"
    status=1
}

# What lies in a folder may include only from these; the longest folder decides.
declare -A may=(
    [base]="base"
    [flow]="base flow"
    [proto]="base proto"
    [gossip]="base proto gossip"
    [scheduler]="base flow proto scheduler"
    [store]="base store"
    [cloud]="base cloud"
    [node]="base flow proto gossip scheduler store cloud node"
    [node/api]="base flow proto scheduler store node node/api"
    [node/cli]="base flow proto scheduler store node node/api node/cli"
    [simulations]="base flow proto gossip scheduler store node simulations"
)

folder_of() { # the folder of a path, as the table names it
    case $1 in
    node/api/* | node/cli/*) echo "${1%/*}" ;;
    node/main.c) echo node/cli ;;
    *) echo "${1%%/*}" ;;
    esac
}

ours_of() { sed -nE 's/^ *# *include *"([^"]+)".*/\1/p' "$1"; }
foreign_of() { sed -nE 's/^ *# *include *<([^>]+)>.*/\1/p' "$1"; }

# node.h and node*.c decide and are driven by the simulator too: they must not see what
# stores, loops or talks.
is_core() { [[ $1 =~ ^node/node[^/]*\.[ch]$ ]]; }

check_ours() {
    local file=$1 folder allowed header
    folder=$(folder_of "$file")
    allowed=" ${may[$folder]} "
    while read -r header; do
        [[ $header == *.pb-c.h || $header != */* ]] && continue
        [[ $allowed == *" $(folder_of "$header") "* ]] ||
            blame "$file" "$folder/ must not include $header"
        if is_core "$file" && { [[ $header == store/* ]] ||
            [[ $header == node/* && ! $header =~ ^node/node[^/]*\.h$ ]]; }; then
            blame "$file" "the core must not include $header"
        fi
        if [[ $folder == simulations && $header == node/runtime* ]]; then
            blame "$file" "the simulator is a runtime and must not include $header"
        fi
    done < <(ours_of "$file")
}

lives_in() { # PATTERN-OF-HEADER PATTERN-OF-PATHS
    local file header
    for file in "${files[@]}"; do
        while read -r header; do
            [[ $header =~ $1 && ! $file =~ $2 ]] && blame "$file" "must not include $header"
        done < <(foreign_of "$file"; ours_of "$file")
    done
    return 0
}

mapfile -t files < <(find "${!may[@]}" -name '*.[ch]' 2>/dev/null | sort -u)
for file in "${files[@]}"; do
    check_ours "$file"
done
lives_in '^lmdb\.h$' '^store/lmdb[^/]*\.c$'
lives_in '\.pb-c\.h$|^protobuf-c/' '^proto/'
lives_in '^microhttpd\.h$' '^node/api/'
lives_in '^curl/' '^cloud/'
lives_in '^zmq\.h$' '^node/runtime'
lives_in '^yaml\.h$' '^flow/'
lives_in '^uv\.h$' '^node/'
lives_in '^(sys/socket|sys/un|sys/epoll|pthread|time|sys/time|fcntl|unistd)\.h$' \
    '^(store|cloud|node|simulations)/'
for file in "${files[@]}"; do
    if is_core "$file" && foreign_of "$file" |
        grep -qE '^(uv|pthread|time|unistd|fcntl|sys/.*)\.h$'; then
        blame "$file" "the core must not include headers of the system"
    fi
done

[[ ${#files[@]} -gt 0 ]] || blame . "no sources found"
exit $status
