/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a terminal sends, each key takes some of its bytes and no others. */
#include <stdlib.h>

#include "node/cli/keys.h"
#include "node/cli/terminal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void fuzz_keys(const char *bytes, size_t len)
{
    for (size_t at = 0, used; at < len; at += used) {
        used = 0;
        key_read(bytes + at, len - at, &used);
        if (used < 1 || used > len - at)
            abort();
    }
}

/* What was made safe to show stays as it is when it is made safe again, and fits. */
static void fuzz_text(const char *bytes, size_t len)
{
    CLEANUP(buffer_release) struct buffer once = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer twice = BUFFER_INIT;
    size_t columns;

    terminal_escape(bytes, len, &once);
    terminal_escape(buffer_text(&once), once.len, &twice);
    if (once.len != twice.len)
        abort();
    columns = terminal_columns(buffer_text(&once));
    if (terminal_fit(buffer_text(&once), columns) > once.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_keys((const char *)data, len);
    fuzz_text((const char *)data, len);
    return 0;
}
