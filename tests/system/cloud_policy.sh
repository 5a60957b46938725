#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mesh policy s3|azure|gcs: what is allowed, on what, and nothing beside it.
. "$(dirname "$0")/lib.sh"

# allowed FILTER WORDS TEXT: what jq makes of the document, on one line
allowed()
{
    is "$(jq -r "$1" <out | sort | tr '\n' ' ' | sed 's/ $//')" "$2" "$3"
}

actions='.Statement[].Action | if type == "array" then .[] else . end'
run 0 'a policy of AWS' "$MESH" policy s3 --bucket lab --json
allowed '.Version' 2012-10-17 'in its language of today'
allowed "$actions" 's3:AbortMultipartUpload s3:DeleteObject s3:GetBucketLocation s3:GetObject s3:ListBucket s3:ListBucketMultipartUploads s3:ListMultipartUploadParts s3:PutObject s3:PutObjectTagging' \
    'what nodes do'
allowed '.Statement[].Resource' 'arn:aws:s3:::lab arn:aws:s3:::lab arn:aws:s3:::lab/*' 'on the bucket'
allowed '.Statement[].Effect' 'Allow Allow Allow' 'nothing is denied'
allowed '[.Statement[] | select(.Condition)] | length' 0 'under no condition'

run 0 'below a prefix' "$MESH" policy s3 --bucket lab --prefix mesh --json
allowed '.Statement[].Resource' \
    'arn:aws:s3:::lab arn:aws:s3:::lab arn:aws:s3:::lab/mesh/*' 'objects below it alone'
allowed '.Statement[].Condition | select(.).StringLikeIfExists["s3:prefix"][]' 'mesh/*' \
    'and lists of it'

run 0 'to read' "$MESH" policy s3 --bucket lab --read-only --json \
    --kms-key arn:aws-cn:kms:cn-north-1:1:key/a-b
allowed "$actions" 'kms:Decrypt s3:GetBucketLocation s3:GetObject s3:ListBucket' \
    'nothing that writes'
allowed '.Statement[3].Resource' 'arn:aws-cn:kms:cn-north-1:1:key/a-b' 'with the key'
allowed '.Statement[2].Resource' 'arn:aws-cn:s3:::lab/*' 'in the partition of the key'

run 0 'a role of Azure' "$MESH" policy azure --bucket runs --account labstore \
    --subscription 1-2 --resource-group lab --json
allowed '.assignment.scope' '/subscriptions/1-2/resourceGroups/lab/providers/Microsoft.Storage/storageAccounts/labstore/blobServices/default/containers/runs' \
    'for one container'
allowed '.role.DataActions[] | sub(".*/blobs/"; "")' 'add/action delete read tags/write write' \
    'on its blobs'
allowed '.assignment.condition' null 'under no condition'
run 0 'of Azure, below a prefix' "$MESH" policy azure --bucket runs --prefix a/b/ \
    --read-only --json
allowed '.role.DataActions[] | sub(".*/blobs/"; "")' read 'to read'
allowed '.assignment.condition | [scan("StringLike .a/b/[*].")] | length' 2 \
    'blobs and lists have the prefix'
allowed '.assignment.scope | contains("$ACCOUNT")' true 'a name that was not given is open'

run 0 'a role of Google' "$MESH" policy gcs --bucket runs --project lab --json
allowed '.role.includedPermissions[] | select(startswith("storage.objects"))' \
    'storage.objects.create storage.objects.delete storage.objects.get storage.objects.list' \
    'on objects'
allowed '.binding.role' projects/lab/roles/meshData 'of the project'
run 0 'of Google, below a prefix' "$MESH" policy gcs --bucket runs --prefix p --json
allowed '.binding.condition.expression' "resource.name.startsWith('projects/_/buckets/runs/objects/p/') || api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('p/')" \
    'objects and lists have the prefix'

for cloud in s3 azure gcs; do
    run 0 "what to do with it, $cloud" "$MESH" policy $cloud --bucket lab --prefix p
    like "$out" '^(aws|az|gcloud) ' "a command of $cloud"
    # The document stands between its name and the first empty line.
    ok 'with the document' sh -c "sed -n '/^{/,/^}/p' out | jq -es '.[0]'"
done

run 2 'no bucket' "$MESH" policy s3
like "$err" 'say which: --bucket NAME' 'is asked for'
run 2 'no such cloud' "$MESH" policy moon --bucket lab
run 2 'a name that is none' "$MESH" policy s3 --bucket 'lab/*'
run 2 'large letters' "$MESH" policy s3 --bucket Lab
run 2 'a prefix that means something else' "$MESH" policy s3 --bucket lab --prefix "a'*"
run 2 'an option of another cloud' "$MESH" policy gcs --bucket lab --account a
like "$err" '[-]-account is not of gcs' 'which is told'
is "$("$MESH" complete -- policy '' | sed 's/\t.*//' | sort | tr '\n' ' ')" 'azure gcs s3 ' \
    'the tab key knows the clouds'
is "$("$MESH" complete -- policy s3 --buc | sed 's/\t.*//')" --bucket 'and the options'
finish
