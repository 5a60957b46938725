/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/router.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/macros.h"

enum {
    SEGMENT_COMPARED_MAX = 32, /* longer words are not near anything */
    NEAREST_COST_MAX = 12,
    MISSING_COST = 4,
};

struct segment {
    const char *data;
    size_t len;
};

static const char *const method_names[] = {
    [METHOD_GET] = "GET",     [METHOD_PUT] = "PUT",       [METHOD_POST] = "POST",
    [METHOD_PATCH] = "PATCH", [METHOD_DELETE] = "DELETE",
};

enum method method_parse(const char *name)
{
    if (strcmp(name, "HEAD") == 0)
        return METHOD_GET;
    for (int m = METHOD_GET; m < METHODS_END; m++)
        if (strcmp(name, method_names[m]) == 0)
            return (enum method)m;
    return (enum method)0;
}

const char *method_name(enum method m)
{
    return method_names[m];
}

/* The segment at *at, which is moved behind it; false at the end. */
static bool next_segment(const char **at, struct segment *ret)
{
    if (**at != '/')
        return false;
    ret->data = *at + 1;
    ret->len = strcspn(ret->data, "/");
    *at = ret->data + ret->len;
    return true;
}

static bool is_parameter(const struct segment *s)
{
    return s->len && s->data[0] >= 'A' && s->data[0] <= 'Z';
}

static bool segment_equal(const struct segment *a, const struct segment *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool match(const char *pattern, const char *path, struct route_match *m)
{
    struct segment want, have;

    m->n_params = 0;
    while (next_segment(&pattern, &want)) {
        if (!next_segment(&path, &have))
            return false;
        if (!is_parameter(&want)) {
            if (!segment_equal(&want, &have))
                return false;
            continue;
        }
        if (have.len == 0 || have.len > ROUTE_PARAM_BYTES_MAX
            || m->n_params == ROUTE_PARAMS_MAX)
            return false;
        m->params[m->n_params].data = have.data;
        m->params[m->n_params++].len = have.len;
    }
    return *path == '\0';
}

/* ---- what may have been meant ---- */

static size_t min3(size_t a, size_t b, size_t c)
{
    return min_size(min_size(a, b), c);
}

/* Levenshtein's distance. */
static size_t distance(const struct segment *a, const struct segment *b)
{
    size_t row[SEGMENT_COMPARED_MAX + 1];

    if (a->len > SEGMENT_COMPARED_MAX || b->len > SEGMENT_COMPARED_MAX)
        return SEGMENT_COMPARED_MAX;
    for (size_t j = 0; j <= b->len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a->len; i++) {
        size_t corner = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b->len; j++) {
            size_t above = row[j];

            row[j] = min3(above + 1, row[j - 1] + 1,
                          corner + (a->data[i - 1] != b->data[j - 1]));
            corner = above;
        }
    }
    return row[b->len];
}

static size_t cost(const char *pattern, const char *path)
{
    struct segment want, have;
    size_t sum = 0;

    for (;;) {
        bool wants = next_segment(&pattern, &want), has = next_segment(&path, &have);

        if (!wants && !has)
            return sum;
        if (wants != has)
            sum += MISSING_COST;
        else if (!is_parameter(&want))
            sum += distance(&want, &have);
        else if (have.len == 0)
            sum++;
        if (sum > NEAREST_COST_MAX)
            return sum;
    }
}

static const char *nearest(const struct route *routes, size_t n, const char *path)
{
    const char *best = NULL;
    size_t best_cost = NEAREST_COST_MAX + 1;

    for (size_t i = 0; i < n; i++) {
        size_t c = cost(routes[i].pattern, path);

        if (c < best_cost) {
            best = routes[i].pattern;
            best_cost = c;
        }
    }
    return best;
}

/* How many parameters the most literal of the patterns takes: /v1/blobs/missing is not
 * the blob of that name, whatever the method. */
static size_t fewest_params(const struct route *routes, size_t n, const char *path)
{
    size_t fewest = ROUTE_PARAMS_MAX;

    for (size_t i = 0; i < n; i++) {
        struct route_match m;

        if (match(routes[i].pattern, path, &m))
            fewest = min_size(fewest, m.n_params);
    }
    return fewest;
}

int router_find(const struct route *routes, size_t n, enum method method,
                const char *path, struct route_match *ret)
{
    size_t n_params = fewest_params(routes, n, path);
    struct route_match m = { .route = NULL };

    for (size_t i = 0; i < n; i++) {
        if (!match(routes[i].pattern, path, &m) || m.n_params != n_params)
            continue;
        if (routes[i].method == method) {
            m.route = &routes[i];
            *ret = m;
            return 0;
        }
        m.allowed |= 1u << routes[i].method;
    }
    if (!m.allowed)
        m.nearest = nearest(routes, n, path);
    *ret = m;
    return m.allowed ? -EOPNOTSUPP : -ENOENT;
}

enum role route_role(const struct route *route)
{
    if (route->role)
        return route->role;
    return route->method == METHOD_GET ? ROLE_VIEWER : ROLE_OPERATOR;
}

bool word_is_among(const char *name, const char *words)
{
    size_t len = strlen(name);

    while (words && *words) {
        size_t n = strcspn(words, " ");

        if (n == len && memcmp(words, name, n) == 0)
            return true;
        words += n + (words[n] == ' ');
    }
    return false;
}
