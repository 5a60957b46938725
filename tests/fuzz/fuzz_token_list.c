/* SPDX-License-Identifier: Apache-2.0 */
/* The file of tokens, and what strangers send before they are known: the first byte
 * says which. A list that is read comes back as the same bytes once it was written. */
#include <stdlib.h>
#include <string.h>

#include "node/address.h"
#include "node/api/etag.h"
#include "node/api/host.h"
#include "node/api/token_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void read_list(const char *text, size_t len)
{
    CLEANUP(token_list_release) struct token_list list = { .n = 0 }, again = { .n = 0 };
    CLEANUP(buffer_release) struct buffer first = BUFFER_INIT, second = BUFFER_INIT;
    struct error why = { .text = "" };

    if (token_list_read(text, len, &list, &why) < 0)
        return;
    check(list.n <= TOKENS_MAX);
    check(token_list_write(&list, &first) == 0);
    check(token_list_read(first.data, first.len, &again, &why) == 0);
    check(token_list_write(&again, &second) == 0);
    check(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
}

static void read_address(const char *text)
{
    struct error why = { .text = "" };
    struct address_parts p;

    if (address_split(text, &p, &why) < 0)
        return;
    check(p.host[0] && strlen(p.host) < sizeof(p.host));
    check(!(p.is_plain && p.is_secure));
}

static void compare_hosts(const char *text)
{
    bool is_ours = host_is_ours(text, "127.0.0.1:80");

    /* Nothing with a letter but localhost. */
    if (is_ours && strpbrk(text, "bdefgijkmnpqruvwxyz"))
        check(0);
    origin_is_ours(text, "127.0.0.1:80", false);
    origin_is_ours(text, "127.0.0.1:80", true);
    etag_is_among("\"x\"", text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text;

    if (len == 0)
        return 0;
    text = strndup((const char *)data + 1, len - 1);
    if (!text)
        abort();
    switch (data[0] % 3) {
    case 0:
        read_list((const char *)data + 1, len - 1);
        break;
    case 1:
        read_address(text);
        break;
    case 2:
        compare_hosts(text);
        break;
    }
    free(text);
    return 0;
}
