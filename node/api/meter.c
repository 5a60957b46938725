/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/meter.h"

#include "base/macros.h"

void meter_release(struct meter *m)
{
    free(m->rows);
    *m = (struct meter){ .rows = NULL };
}

/* The rows are as many as routes were asked: a few, the busiest ones first in time. */
static struct meter_row *row_of(struct meter *m, const struct route *route)
{
    struct meter_row *rows;

    for (size_t i = 0; i < m->n_rows; i++)
        if (m->rows[i].route == route)
            return &m->rows[i];
    if (m->n_rows == m->cap_rows) {
        size_t cap = m->cap_rows ? 2 * m->cap_rows : 8;

        rows = realloc(m->rows, cap * sizeof(*rows));
        if (!rows)
            return NULL;
        m->rows = rows;
        m->cap_rows = cap;
    }
    m->rows[m->n_rows] = (struct meter_row){ .route = route };
    return &m->rows[m->n_rows++];
}

void meter_count(struct meter *m, const struct route *route, unsigned status,
                 time_us took)
{
    struct meter_row *row = row_of(m, route);
    size_t i = 0;

    if (!row)
        return;
    while (i < METER_STATUSES_MAX && row->statuses[i] && row->statuses[i] != status)
        i++;
    if (i == METER_STATUSES_MAX)
        return;
    row->statuses[i] = status;
    row->counts[i]++;
    histogram_add(&row->time, histogram_bounds, took);
}
