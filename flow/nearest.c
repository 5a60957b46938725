/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/nearest.h"

#include "base/macros.h"

#include <ctype.h>
#include <string.h>

enum { NEAREST_LEN_MAX = 64 }; /* longer names are not compared */

struct nearest nearest_to(const char *wanted)
{
    size_t len = strnlen(wanted, NEAREST_LEN_MAX + 1);
    size_t near = len / 3 ? len / 3 : 1;

    return (struct nearest){ .wanted = wanted, .distance = near + 1 };
}

static char at(const char *text, size_t i)
{
    return (char)tolower((unsigned char)text[i]);
}

/* Optimal string alignment, in three rows. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
    size_t rows[3][NEAREST_LEN_MAX + 1];

    for (size_t j = 0; j <= n_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n_a; i++) {
        const size_t *before = rows[(i + 1) % 3], *above = rows[(i - 1) % 3];
        size_t *row = rows[i % 3];

        row[0] = i;
        for (size_t j = 1; j <= n_b; j++) {
            size_t replaced = above[j - 1] + (at(a, i - 1) != at(b, j - 1));

            row[j] = min_size(min_size(above[j], row[j - 1]) + 1, replaced);
            if (i > 1 && j > 1 && at(a, i - 1) == at(b, j - 2)
                && at(a, i - 2) == at(b, j - 1))
                row[j] = min_size(row[j], before[j - 2] + 1);
        }
    }
    return rows[n_a % 3][n_b];
}

void nearest_offer(struct nearest *n, const char *name)
{
    size_t n_a = strnlen(n->wanted, NEAREST_LEN_MAX + 1);
    size_t n_b = strnlen(name, NEAREST_LEN_MAX + 1);
    size_t apart = n_a > n_b ? n_a - n_b : n_b - n_a;
    size_t d;

    if (n_a > NEAREST_LEN_MAX || n_b > NEAREST_LEN_MAX || apart >= n->distance)
        return;
    d = distance(n->wanted, n_a, name, n_b);
    if (d < n->distance) {
        n->distance = d;
        n->best = name;
    }
}
