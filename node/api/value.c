/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/value.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* Compact, because a line of NDJSON must be one line. */
static bool emit_json(struct emit *e, const struct buffer *text)
{
    json_t *json = json_loadb(buffer_text(text), text->len, JSON_DECODE_ANY, NULL);
    char *compact = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    if (compact)
        emit_raw(e, "value", compact, strlen(compact));
    free(compact);
    json_decref(json);
    return compact != NULL;
}

int value_emit(const struct artifacts *artifacts, struct emit *e,
               const struct artifact *a)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    int error;

    if (a->encoding != ENCODING_JSON)
        return 0;
    error = artifacts_read(artifacts, a, 0, a->size, &text);
    return error < 0 ? error : emit_json(e, &text);
}

int value_or_bytes_emit(const struct artifacts *artifacts, struct emit *e,
                        const struct artifact *a)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int error;

    if (a->encoding == ENCODING_TREE)
        return 0;
    error = artifacts_read(artifacts, a, 0, a->size, &bytes);
    if (error < 0)
        return error;
    if (a->encoding != ENCODING_JSON || !emit_json(e, &bytes))
        emit_base64(e, "data_base64", bytes.data, bytes.len);
    return 0;
}
