/* SPDX-License-Identifier: Apache-2.0 */
/* mf-check [-v] FILE... - prints `ok FILE` or `bad FILE` for each; with -v also why.
 * Without files, their names come from the standard input, a line each. */
#include "flow/read.h"

#include <stdio.h>
#include <string.h>

static int read_file(const char *path, struct buffer *ret)
{
    FILE *file = fopen(path, "rb");
    size_t n = 1;

    if (!file)
        return -1;
    while (n) {
        char *room = buffer_reserve(ret, 1 << 16);

        n = room ? fread(room, 1, 1 << 16, file) : 0;
        ret->len += n;
    }
    fclose(file);
    return buffer_failed(ret);
}

static bool check(const char *path, bool is_verbose)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer said = BUFFER_INIT;
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    int r;

    if (read_file(path, &text) < 0) {
        fprintf(stderr, "mf-check: %s cannot be read\n", path);
        exit(2);
    }
    r = flow_read(buffer_text(&text), text.len, &flow, &d);
    printf("%s %s\n", r ? "bad" : "ok", path);
    if (is_verbose && !diagnostics_print(&d, path, false, &said))
        fputs(buffer_text(&said), stdout);
    return !r;
}

int main(int argc, char **argv)
{
    bool is_verbose = argc > 1 && !strcmp(argv[1], "-v"), is_good = true;
    char line[4096];

    for (int i = is_verbose ? 2 : 1; i < argc; i++)
        is_good = check(argv[i], is_verbose) && is_good;
    if (argc == 1)
        while (fgets(line, sizeof(line), stdin)) {
            line[strcspn(line, "\n")] = '\0';
            is_good = check(line, false) && is_good;
        }
    return is_good ? 0 : 1;
}
