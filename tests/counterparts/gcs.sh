#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Google Cloud Storage: fake-gcs-server, which checks no token, behind gcs_gate.py, which
# does. A stand-in: what Google itself answers is not shown by it.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
here=$(cd "$(dirname "$0")" && pwd)
python=$cache/gcs-gate-1.9.8/bin/python

install()
{
    go_install github.com/fsouza/fake-gcs-server@v1.56.1
    once gcs-gate-1.9.8 pip_into "$cache/gcs-gate-1.9.8" authlib==1.9.8 joserfc==1.8.0 cryptography==48.0.0
}

# key_file NAME KEY: a service account's, as the console gives it out.
key_file()
{
    "$python" -c 'import json, sys
print(json.dumps({
    "type": "service_account", "project_id": "mesh-test", "private_key_id": "k1",
    "private_key": open(sys.argv[1]).read(), "client_id": "1",
    "client_email": "mesh@mesh-test.iam.gserviceaccount.com",
    "token_uri": sys.argv[2] + "/token", "universe_domain": "googleapis.com"}))' \
        "$work/$2.pem" "$MESH_TEST_GCS" >"$work/$1.json"
}

serve()
{
    port=$(free_port)
    gate=$(free_port)
    export MESH_TEST_GCS="http://127.0.0.1:$gate" MESH_TEST_GCS_FOLDER="$work"
    for key in good other; do
        openssl genrsa -out "$work/$key.pem" 2048 2>/dev/null
        key_file "$key" "$key"
    done
    openssl rsa -in "$work/good.pem" -pubout -out "$work/good.pub" 2>/dev/null
    start fake-gcs fake-gcs-server -scheme http -host 127.0.0.1 -port "$port" \
        -backend memory -public-host "127.0.0.1:$gate" -external-url "$MESH_TEST_GCS"
    ready "http://127.0.0.1:$port/storage/v1/b?project=mesh-test" 200
    start gate "$python" "$here/gcs_gate.py" --port "$gate" --upstream "127.0.0.1:$port" \
        --public-key "$work/good.pub" --email mesh@mesh-test.iam.gserviceaccount.com
    ready "$MESH_TEST_GCS/-/ready" 204
    curl -sf -o /dev/null -H 'Content-Type: application/json' -d '{"name": "mesh-bucket"}' \
        "http://127.0.0.1:$port/storage/v1/b?project=mesh-test"
}

counterpart_main "$@"
