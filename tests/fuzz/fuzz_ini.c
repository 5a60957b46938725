/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a config file of AWS: read, or complained about with the line. */
#include "cloud/ini.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = { .text = "" };
    struct ini ini;
    int r = ini_read((const char *)data, size, "config", &ini, &error);

    assert(r == 0 || r == -EINVAL);
    assert((r < 0) == (error.text[0] != '\0'));
    if (r < 0)
        return 0;
    for (size_t i = 0; i < ini.n_entries; i++) {
        const struct ini_entry *e = &ini.entries[i];
        const char *value = e->key ? ini_get(&ini, e->section, e->key) : NULL;

        assert(*e->section && ini_has(&ini, e->section));
        assert(!e->key || *e->key);
        assert(!value || strlen(value) <= size);
    }
    ini_release(&ini);
    return 0;
}
