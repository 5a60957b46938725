#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# MinIO, which checks signatures, bodies, clocks and regions as S3 does. Buckets and
# users are made by the tests themselves. See lib.sh for how this is called.
# shellcheck source=tests/counterparts/lib.sh
. "$(dirname "$0")/lib.sh"

install()
{
    go_install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
}

serve()
{
    port=$(free_port)
    endpoint=http://127.0.0.1:$port
    start minio env MINIO_ROOT_USER=meshroot MINIO_ROOT_PASSWORD=meshrootsecret \
        MINIO_REGION=eu-test-1 MINIO_UPDATE=off MINIO_BROWSER=off \
        MINIO_KMS_SECRET_KEY="mesh-key:$(head -c 32 /dev/urandom | base64)" \
        minio server --quiet --address "127.0.0.1:$port" "$work/data"
    ready "$endpoint/minio/health/ready" 200
    export MESH_TEST_S3_ENDPOINT="$endpoint"
    export MESH_TEST_S3_REGION=eu-test-1
    export MESH_TEST_S3_ID=meshroot
    export MESH_TEST_S3_SECRET=meshrootsecret
    export MESH_TEST_S3_KMS_KEY=mesh-key
}

counterpart_main "$@"
