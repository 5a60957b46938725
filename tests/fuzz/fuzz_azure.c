/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever answers in Azure's place, and whatever stands in a connection string. */
#include <stdlib.h>
#include <string.h>

#include "cloud/azure_errors.h"
#include "cloud/azure_place.h"
#include "cloud/azure_token.h"
#include "cloud/azure_xml.h"
#include "cloud/shared_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fuzz_answers(const char *text, size_t len)
{
    CLEANUP(azure_blocks_release) struct azure_blocks blocks = { .n = 0 };
    CLEANUP(azure_list_release) struct azure_list list = { .n = 0 };
    const struct azure_asked asked = {
        .verb = "get", .account = "a", .container = "b", .auth = AZURE_AUTH_KEY
    };
    struct azure_refusal refusal;
    struct error error;

    if (azure_list_read(text, len, "", &list, &error) == 0)
        for (size_t i = 1; i < list.n; i++)
            if (strcmp(list.entries[i - 1].name, list.entries[i].name) > 0)
                abort();
    azure_blocks_read(text, len, &blocks, &error);
    azure_refusal_read(403, NULL, "id", text, len, &refusal);
    if (azure_refusal_fail(&refusal, &asked, &error) >= 0)
        abort();
}

static void fuzz_token(const char *text, size_t len)
{
    CLEANUP(azure_token_release) struct azure_token token = { .text = NULL };
    const struct azure_token_asked asked = { .from = "fuzz" };
    struct error error;

    if (azure_token_read(text, len, 1000, &token, &error) == 0
        && (token.expires_s <= 1000 || strpbrk(token.text, "\r\n ")))
        abort();
    azure_token_refused(401, text, len, &asked, &error);
}

static void fuzz_texts(const char *text)
{
    CLEANUP(azure_connection_release) struct azure_connection c = { .account = NULL };
    struct error error;
    struct sas sas;

    if (azure_connection_read(text, &c, &error) == 0 && !c.endpoint)
        abort();
    if (sas_read(text, &sas, &error) == 0 && strpbrk(text, "\r\n #"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(freep) char *text = strndup((const char *)data, len);

    fuzz_answers((const char *)data, len);
    fuzz_token((const char *)data, len);
    fuzz_texts(text);
    return 0;
}
