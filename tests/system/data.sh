#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mesh data between folders: many small objects, and what goes wrong. With `minio`, between
# folders and what counterparts/minio.sh started, with a large one that is cut off in the
# middle. DS-30, DS-31, DS-32.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

many()
{
    mkdir -p src/sub
    i=0
    while [ $i -lt 1000 ]; do
        echo "object $i" >"src/sub/f$i"
        i=$((i + 1))
    done
    printf 'odd' >'src/sp ace+%2F&=?#'
    : >src/empty
}


files()
{
    many
    run 0 'a folder is copied with all that is below' "$MESH" data put -r src/ "file://$work/copy/"
    like "$out" 'Copied 1002 objects' 'each of its files'
    ok 'they are the same' diff -r src copy
    ok 'nothing else is left there' test ! -e copy/.mesh-store
    run 0 'a folder itself' "$MESH" data get -r copy/sub back/
    ok 'keeps its name' diff -r src/sub back/sub
    run 0 'one file' "$MESH" data put src/empty "copy/sp ace"
    ok 'gets the name that is said' test -f 'copy/sp ace'
    run 1 'what is there is not overwritten when that is said' \
        "$MESH" data put --if-absent src/empty copy/empty
    run 2 'a folder without -r' "$MESH" data put src copy/
    like "$err" '[-]r' 'says how'

    run 0 'ls' "$MESH" data ls copy/
    like "$out" 'copy/sub/' 'shows a folder as one'
    run 0 'ls -r' "$MESH" data ls -r copy/ --json
    is "$(grep -c '"bytes"' "$out")" 1003 'shows all that is below'
    run 3 'ls of nothing' "$MESH" data ls copy/none
    run 3 'get of nothing' "$MESH" data get copy/none x
    ok 'leaves no file' test ! -e x

    find src -type f -exec touch -d '1 hour ago' {} +
    run 0 'sync' "$MESH" data sync src mirror
    like "$out" 'Changed 1002' 'copies all at first'
    run 0 'sync again' "$MESH" data sync src mirror
    like "$out" 'Changed 0' 'copies nothing'
    echo changed >src/sub/f1
    rm src/sub/f2
    run 0 'a dry run' "$MESH" data sync src mirror --delete --dry-run
    like "$out" 'would copy to mirror/sub/f1' 'tells what would be copied'
    like "$out" 'would remove mirror/sub/f2' 'and removed'
    ok 'and does nothing' test -f mirror/sub/f2
    run 0 'sync --delete' "$MESH" data sync src mirror --delete
    ok 'makes them equal' diff -r src mirror
    mkdir none
    run 2 'sync of an empty folder with --delete' "$MESH" data sync none mirror --delete
    ok 'does not empty the other' test -f mirror/sub/f1
    run 3 'sync of a folder that is not there' "$MESH" data sync nowhere mirror --delete
    ok 'neither' test -f mirror/sub/f1
    run 0 'rm -r' "$MESH" data rm -r mirror/
    ok 'removes all' test -z "$(ls -A mirror)"

    run 2 'a store that there is not' "$MESH" data ls ftp://x/y
    like "$err" 's3, gs, azure, file' 'is told with those that there are'
    run 2 'no datastore' "$MESH" data ls
    like "$err" 'mesh.conf' 'is told with how to have one'
    printf 'datastore: {root: %s/copy}\n' "$work" >mesh.conf
    run 0 'the datastore of mesh.conf' "$MESH" data ls datastore:sub/f1 --config mesh.conf
    printf 'datastore: {root: "s3://"}\n' >mesh.conf
    run 2 'a wrong one' "$MESH" data ls --config mesh.conf
    like "$err" 'bucket' 'is told with what is wrong'
    finish
}

minio()
{
    export METAFLOW_S3_ENDPOINT_URL="$MESH_TEST_S3_ENDPOINT" AWS_REGION="$MESH_TEST_S3_REGION"
    export AWS_ACCESS_KEY_ID="$MESH_TEST_S3_ID" AWS_SECRET_ACCESS_KEY="$MESH_TEST_S3_SECRET"
    export AWS_EC2_METADATA_DISABLED=true
    curl -sS --fail -X PUT --aws-sigv4 "aws:amz:$AWS_REGION:s3" \
        --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$MESH_TEST_S3_ENDPOINT/lab" ||
        fail 'a bucket is made'
    many
    run 0 'a thousand objects up' "$MESH" data put -r src/ s3://lab/many/
    like "$out" 'Copied 1002' 'all of them'
    run 0 'and down' "$MESH" data get -r s3://lab/many/ back/
    ok 'are the same' diff -r src back
    run 0 'ls' "$MESH" data ls s3://lab/
    like "$out" 's3://lab/many/' 'shows the folder'
    find src -type f -exec touch -d '1 hour ago' {} +
    run 0 'sync' "$MESH" data sync src s3://lab/many
    like "$out" 'Changed 0' 'has nothing to do'

    head -c 314572800 /dev/urandom >large
    "$MESH" data put large s3://lab/large >cut.out 2>&1 &
    pid=$!
    wait_for 'the upload has begun' sh -c 'ls "$MESH_HOME"/uploads/*.json'
    kill -9 "$pid"
    wait "$pid" 2>/dev/null
    run 3 'what was cut off' "$MESH" data ls s3://lab/large
    ok 'left what it can go on with' sh -c 'ls "$MESH_HOME"/uploads/*.json'
    run 0 'the same command goes on' "$MESH" data put large s3://lab/large
    ok 'and leaves nothing' sh -c '! ls "$MESH_HOME"/uploads/*.json'
    run 0 'down again' "$MESH" data get s3://lab/large large2
    ok 'it is the same' cmp large large2

    run 3 'no such object' "$MESH" data get s3://lab/none x
    run 3 'no such bucket' "$MESH" data get s3://no-such-bucket/none x
    ok 'leave no file' test ! -e x
    AWS_SECRET_ACCESS_KEY=wrong
    run 1 'a wrong key' "$MESH" data put -r src/ s3://lab/many/
    like "$err" 'SignatureDoesNotMatch' 'is told by the code of the service'
    is "$(wc -l <"$err")" 1 'once'
    AWS_SECRET_ACCESS_KEY=$MESH_TEST_S3_SECRET
    run 0 'rm -r' "$MESH" data rm -r s3://lab/many/
    run 3 'removes all' "$MESH" data ls -r s3://lab/many/
    finish
}

"${1:-files}"
