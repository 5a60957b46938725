/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a log that is in memory: all that is not decided, and what was lately. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

static int copy_bytes(const uint8_t *from, size_t len, uint8_t **ret)
{
    uint8_t *bytes = malloc(len + 1);

    if (!bytes)
        return -ENOMEM;
    if (len)
        memcpy(bytes, from, len);
    *ret = bytes;
    return 0;
}

int log_entry_copy(const struct log_entry *from, struct log_entry *ret)
{
    struct log_entry copy = *from;

    copy.key = copy.value = NULL;
    if (copy_bytes(from->key, from->key_len, &copy.key) < 0)
        return -ENOMEM;
    if (copy_bytes(from->value, from->value_len, &copy.value) < 0) {
        free(copy.key);
        return -ENOMEM;
    }
    *ret = copy;
    return 0;
}

void log_entry_release(struct log_entry *e)
{
    free(e->key);
    free(e->value);
    e->key = e->value = NULL;
}

void entry_release(struct entry *e)
{
    log_entry_release(&e->log);
    free(e->tells);
    e->tells = NULL;
    asked_free(TAKE(e->asked));
}

void entries_release(struct entries *es)
{
    for (size_t i = 0; i < es->n + es->n_new; i++)
        entry_release(&es->all[i]);
    free(es->all);
    *es = (struct entries){ .all = NULL };
}

struct entry *entries_at(struct entries *es, uint64_t index)
{
    return index >= es->first && index - es->first < es->n ? &es->all[index - es->first]
                                                           : NULL;
}

static size_t size_of(const struct entry *e)
{
    return sizeof(*e) + e->log.key_len + e->log.value_len;
}

static int insert(struct entries *es, size_t at, struct entry *take_e)
{
    size_t n = es->n + es->n_new;

    if (mesh_grow(&es->all, n, &es->cap, sizeof(es->all[0])) < 0) {
        entry_release(take_e);
        return -ENOMEM;
    }
    memmove(&es->all[at + 1], &es->all[at], (n - at) * sizeof(es->all[0]));
    es->all[at] = *take_e;
    es->n_new++;
    es->bytes += size_of(take_e);
    return 0;
}

int entries_add(struct entries *es, struct entry *take_e, struct entry **ret_e)
{
    int error = insert(es, es->n + es->n_new, take_e);

    if (error == 0 && ret_e)
        *ret_e = &es->all[es->n + es->n_new - 1];
    return error;
}

int entries_add_numbered(struct entries *es, uint64_t index, struct entry *take_e)
{
    int error = insert(es, es->n, take_e);

    if (error == 0)
        entries_number(es, index);
    return error;
}

void entries_number(struct entries *es, uint64_t index)
{
    es->all[es->n++].index = index;
    es->n_new--;
}

int entries_add_tell(struct entry *e, const struct action *tell)
{
    struct action *tells = realloc(e->tells, (e->n_tells + 1) * sizeof(*tells));

    if (!tells)
        return -ENOMEM;
    e->tells = tells;
    e->tells[e->n_tells++] = *tell;
    return 0;
}

/* Nobody is told of what this home does not lead any more. */
void entries_forget_tells(struct entries *es)
{
    for (size_t i = 0; i < es->n; i++) {
        free(es->all[i].tells);
        es->all[i].tells = NULL;
        es->all[i].n_tells = 0;
        es->all[i].offerer = 0;
        asked_free(TAKE(es->all[i].asked));
    }
}

static void drop_from(struct entries *es, size_t at, size_t until)
{
    size_t n = es->n + es->n_new;

    if (at == until)
        return;
    for (size_t i = at; i < until; i++) {
        es->bytes -= size_of(&es->all[i]);
        entry_release(&es->all[i]);
    }
    memmove(&es->all[at], &es->all[until], (n - until) * sizeof(es->all[0]));
}

void entries_drop_new(struct entries *es)
{
    drop_from(es, es->n, es->n + es->n_new);
    es->n_new = 0;
}

void entries_cut(struct entries *es, uint64_t index)
{
    size_t keep = index <= es->first ? 0 : (size_t)(index - es->first);

    if (keep >= es->n)
        return;
    drop_from(es, keep, es->n);
    es->n = keep;
}

/* Half of them at once: they lie in one array. */
void entries_trim(struct entries *es, uint64_t decided)
{
    size_t n = 0, bytes = es->bytes;

    if (es->bytes <= ENTRIES_BYTES_MAX)
        return;
    while (n < es->n && es->all[n].index <= decided && bytes > ENTRIES_BYTES_MAX / 2)
        bytes -= size_of(&es->all[n++]);
    drop_from(es, 0, n);
    es->n -= n;
    es->first += n;
}
