#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Azurite, Microsoft's own emulator of Azure Blob, which checks Shared Key and SAS. Its
# account and key are those of every emulator. It does not have encryption scopes.
# See lib.sh for how this is called.
# shellcheck source=tests/counterparts/lib.sh
. "$(dirname "$0")/lib.sh"

install()
{
    npm_install azurite azurite@3.37.0
}

serve()
{
    port=$(free_port)
    endpoint=http://127.0.0.1:$port/devstoreaccount1
    start azurite env PATH="$cache/node/bin:$PATH" \
        "$cache/azurite/node_modules/.bin/azurite-blob" --blobHost 127.0.0.1 \
        --blobPort "$port" --location "$work/data" --silent --disableTelemetry
    ready "$endpoint?comp=list" 403
    export MESH_TEST_AZURE_ENDPOINT="$endpoint"
}

counterpart_main "$@"
