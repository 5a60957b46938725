/* SPDX-License-Identifier: Apache-2.0 */
/* stamp - writes the monotonic clock, in microseconds, to the file it is given, else to
 * $MESH_OUT/stamp: when a task really began, by its own reading. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <time.h>

int main(int argc, char **argv)
{
    const char *out = getenv("MESH_OUT");
    struct timespec t;
    FILE *f;

    clock_gettime(CLOCK_MONOTONIC, &t);
    if (argc != 2 && (!out || chdir(out) < 0))
        return 1;
    f = fopen(argc == 2 ? argv[1] : "stamp", "w");
    if (!f)
        return 1;
    fprintf(f, "%lld\n", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
    return fclose(f) != 0;
}
