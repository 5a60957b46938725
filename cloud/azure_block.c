/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/azure_block.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cloud/encode.h"

enum { RAW = 24 };

bool azure_is_content_type(const char *text)
{
    size_t len = strlen(text);

    for (; *text; text++)
        if ((unsigned char)*text < ' ' || (unsigned char)*text > 126)
            return false;
    return len > 0 && len <= AZURE_TYPE_MAX;
}

int azure_upload_name(const char *id, const char *content_type, struct buffer *out)
{
    return buffer_printf(out, "%s;%s", id, content_type);
}

int azure_upload_read(const char *name, char ret_id[AZURE_UPLOAD_ID + 1],
                      const char **ret_content_type)
{
    if (strspn(name, "0123456789abcdef") != AZURE_UPLOAD_ID
        || name[AZURE_UPLOAD_ID] != ';'
        || !azure_is_content_type(name + AZURE_UPLOAD_ID + 1))
        return -EINVAL;
    memcpy(ret_id, name, AZURE_UPLOAD_ID);
    ret_id[AZURE_UPLOAD_ID] = '\0';
    *ret_content_type = name + AZURE_UPLOAD_ID + 1;
    return 0;
}

void azure_block_id(const char *upload_id, uint32_t number,
                    char ret_id[AZURE_BLOCK_ID + 1])
{
    CLEANUP(buffer_release) struct buffer id = BUFFER_INIT;
    char raw[RAW + 1];

    assert(number <= 99999999);
    snprintf(raw, sizeof(raw), "%.16s%08u", upload_id, number);
    encode_base64(&id, raw, RAW);
    snprintf(ret_id, AZURE_BLOCK_ID + 1, "%s", buffer_text(&id));
}

uint32_t azure_block_number(const char *upload_id, const char *block_id)
{
    CLEANUP(buffer_release) struct buffer raw = BUFFER_INIT;

    if (strlen(block_id) != AZURE_BLOCK_ID
        || decode_base64(&raw, block_id, AZURE_BLOCK_ID) < 0 || raw.len != RAW
        || memcmp(raw.data, upload_id, AZURE_UPLOAD_ID) != 0
        || strspn(raw.data + AZURE_UPLOAD_ID, "0123456789") != RAW - AZURE_UPLOAD_ID)
        return 0;
    return (uint32_t)strtoul(raw.data + AZURE_UPLOAD_ID, NULL, 10);
}
