/* SPDX-License-Identifier: Apache-2.0 */
#include "node/redact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int add(struct redact *r, const char *text, size_t len)
{
    char **secrets = realloc(r->secrets, (r->n + 1) * sizeof(*secrets));

    if (!secrets)
        return -ENOMEM;
    r->secrets = secrets;
    secrets[r->n] = strndup(text, len);
    return secrets[r->n] ? (r->n++, 0) : -ENOMEM;
}

/* A key of several lines is seldom printed by one write. */
static int add_lines(struct redact *r, const char *value)
{
    int error = 0;

    while (error == 0 && *value && r->n < REDACT_LINES_MAX) {
        size_t len = strcspn(value, "\r\n");

        if (len >= REDACT_BYTES_MIN)
            error = add(r, value, len);
        value += len;
        value += *value != '\0';
    }
    return error;
}

int redact_init(struct redact *r, const struct flow *flow, char *const *values)
{
    int error = 0;

    *r = (struct redact){ .n = 0 };
    for (size_t i = 0; error == 0 && i < flow->n_parameters; i++)
        if (flow->parameters[i].is_secret && values[i])
            error = add_lines(r, values[i]);
    if (error < 0)
        redact_release(r);
    return error;
}

void redact_release(struct redact *r)
{
    for (size_t i = 0; i < r->n; i++) {
        explicit_bzero(r->secrets[i], strlen(r->secrets[i]));
        free(r->secrets[i]);
    }
    free(r->secrets);
    *r = (struct redact){ .n = 0 };
}

void redact_bytes(const struct redact *r, char *data, size_t len)
{
    for (size_t i = 0; i < r->n; i++) {
        size_t size = strlen(r->secrets[i]);

        for (char *at = data, *found;
             (found = memmem(at, len - (size_t)(at - data), r->secrets[i], size));
             at = found + size)
            memset(found, '*', size);
    }
}
