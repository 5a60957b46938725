#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# moto, which answers as STS, IAM and KMS, and checks signatures, policies of users and
# who may assume a role. As S3 it is too kind: minio.sh is for that. See lib.sh for how
# this is called, moto_server.py for who is known.
# shellcheck source=tests/counterparts/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
packages='moto[server,iam,kms,s3,sts]==5.2.5'

install()
{
    once moto-5.2.5 pip_into "$cache/moto" "$packages"
}

serve()
{
    port=$(free_port)
    endpoint=http://127.0.0.1:$port
    MESH_TEST_AWS_ID=AKIAMESHTESTUSER0001
    MESH_TEST_AWS_SECRET=$(head -c 24 /dev/urandom | base64)
    MESH_TEST_AWS_WEB_TOKEN=$(head -c 24 /dev/urandom | base64)
    export MESH_TEST_AWS_ID MESH_TEST_AWS_SECRET MESH_TEST_AWS_WEB_TOKEN
    start moto env MOTO_PORT="$port" INITIAL_NO_AUTH_ACTION_COUNT=0 \
        "$cache/moto/bin/python" "$here/moto_server.py" -H 127.0.0.1 -p "$port"
    ready "$endpoint/moto-api/data.json" 200
    export MESH_TEST_AWS_ENDPOINT="$endpoint"
    export MESH_TEST_AWS_ACCOUNT=123456789012
}

counterpart_main "$@"
