#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh FUZZER FOUND SEEDS - fuzz for MESH_FUZZ_SECONDS (5). What is found goes to the
# folder FOUND, never to the committed seeds; a crash is left there too.
set -eu
fuzzer=$1 found=$2 seeds=$3
mkdir -p "$found"
[ -d "$seeds" ] || seeds=
exec "$fuzzer" -max_total_time="${MESH_FUZZ_SECONDS:-5}" \
    -runs="${MESH_FUZZ_RUNS:-10000000}" -max_len=65536 -rss_limit_mb=1024 -timeout=10 \
    -artifact_prefix="$found/" "$found" ${seeds:+"$seeds"}
