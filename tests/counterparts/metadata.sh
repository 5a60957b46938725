#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A stand-in for the metadata services of an instance (EC2) and a container (ECS, EKS),
# see metadata_server.py. See lib.sh for how this is called.
# shellcheck source=tests/counterparts/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)

install()
{
    :
}

serve()
{
    port=$(free_port)
    MESH_TEST_METADATA_TOKEN=$(head -c 24 /dev/urandom | base64)
    export MESH_TEST_METADATA_TOKEN
    start metadata python3 "$here/metadata_server.py" "$port"
    ready "http://127.0.0.1:$port/ready" 200
    export MESH_TEST_METADATA_ENDPOINT="http://127.0.0.1:$port"
}

counterpart_main "$@"
