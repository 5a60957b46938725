/* SPDX-License-Identifier: Apache-2.0 */
/* What Google's services answer; the first byte says which of them. */
#include <string.h>

#include "cloud/gcs_errors.h"
#include "cloud/gcs_json.h"
#include "cloud/gcs_url.h"
#include "cloud/google_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_headers(const char *text)
{
    uint32_t crc32c;
    uint64_t number;

    gcs_hash_header(text, &crc32c);
    gcs_range_held(text, &number);
    gcs_generation(text, &number);
    gcs_session(text);
}

static void read_page(const char *text, size_t len)
{
    CLEANUP(gcs_page_freep) struct gcs_page *page = NULL;

    if (gcs_page_read(text, len, "p/", &page, NULL) == 0)
        gcs_page_next(page);
}

static void read_file(const char *text, size_t len)
{
    CLEANUP(google_file_release) struct google_file file = { .token_uri = NULL };
    CLEANUP(buffer_release) struct buffer id = BUFFER_INIT, secret = BUFFER_INIT;

    google_file_read(text, len, "f", &file, NULL);
    google_boto_read(text, len, &id, &secret);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = NULL;
    struct gcs_refusal refusal;
    struct google_token token;
    struct gcs_object object;
    size_t len;

    if (!size || !(text = strndup((const char *)data + 1, size - 1)))
        return 0;
    len = strlen(text);
    switch (data[0] % 6) {
    case 0:
        gcs_json_object(text, len, &object, NULL);
        break;
    case 1:
        read_page(text, len);
        break;
    case 2:
        gcs_refusal_read(text, len, &refusal);
        break;
    case 3:
        google_token_read(text, len, 1, &token, NULL);
        break;
    case 4:
        read_file(text, len);
        break;
    default:
        read_headers(text);
    }
    return 0;
}
