#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# MinIO behind fault_proxy.py with the rules of faults.json, and a bucket mesh-faults in it.
case ${1:-} in
run)
    shift
    exec "$(dirname "$0")/minio.sh" run "$0" through "$@"
    ;;
through)
    shift
    set -- run "$@"
    ;;
esac
# shellcheck source=tests/counterparts/lib.sh
. "$(dirname "$0")/lib.sh"

install()
{
    "$(dirname "$0")/minio.sh" install
}

serve()
{
    here=$(dirname "$0")
    echo "user = \"$MESH_TEST_S3_ID:$MESH_TEST_S3_SECRET\"" | curl -fsS -K - -X PUT \
        --aws-sigv4 "aws:amz:$MESH_TEST_S3_REGION:s3" \
        -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$MESH_TEST_S3_ENDPOINT/mesh-faults"
    port=$(free_port)
    start fault_proxy "$here/fault_proxy.py" --port "$port" \
        --to "$MESH_TEST_S3_ENDPOINT" --rules "$here/faults.json"
    ready "http://127.0.0.1:$port/.fault/counts" 200
    export MESH_TEST_S3_ENDPOINT="http://127.0.0.1:$port"
}

counterpart_main "$@"
