/* SPDX-License-Identifier: Apache-2.0 */
/* What a task says of its artifacts: whatever is taken has names in order, and its
 * bytes lie in what was given. */
#include <stdlib.h>
#include <string.h>

#include "node/declared.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct declared_list list = { .all = NULL };
    struct error why = { .text = "" };

    if (declared_parse(data, len, &list, &why) < 0) {
        if (!why.text[0])
            abort();
        return 0;
    }
    for (size_t i = 0; i < list.n; i++) {
        const struct declared *d = &list.all[i];

        if (declared_find(&list, d->name) != d || *d->name == '.'
            || strchr(d->name, '/') || (i && strcmp(d[-1].name, d->name) >= 0))
            abort();
        if (!d->is_file
            && (d->data < data || d->data > data + len
                || d->size >= len - (size_t)(d->data - data)))
            abort();
    }
    declared_release(&list);
    return 0;
}
