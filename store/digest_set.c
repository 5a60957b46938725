/* SPDX-License-Identifier: Apache-2.0 */
#include "store/digest_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MIN = 1024 };

static const struct digest zero;

void digest_set_release(struct digest_set *s)
{
    free(s->slots);
    *s = (struct digest_set){ .n_max = s->n_max };
}

/* A digest is as good as random: its first bytes are its hash. */
static size_t find_slot(const struct digest *slots, size_t n_slots,
                        const struct digest *id)
{
    uint64_t hash;
    size_t i;

    memcpy(&hash, id->bytes, sizeof(hash));
    i = (size_t)hash & (n_slots - 1);
    while (!digest_equal(&slots[i], &zero) && !digest_equal(&slots[i], id))
        i = (i + 1) & (n_slots - 1);
    return i;
}

static int grow(struct digest_set *s)
{
    size_t n_slots = s->n_slots ? 2 * s->n_slots : SLOTS_MIN;
    struct digest *slots = calloc(n_slots, sizeof(*slots));

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < s->n_slots; i++)
        if (!digest_equal(&s->slots[i], &zero))
            slots[find_slot(slots, n_slots, &s->slots[i])] = s->slots[i];
    free(s->slots);
    s->slots = slots;
    s->n_slots = n_slots;
    return 0;
}

int digest_set_add(struct digest_set *s, const struct digest *id)
{
    size_t i;

    if (digest_set_has(s, id))
        return 0;
    if (s->n_max && s->n >= s->n_max)
        return -E2BIG;
    if (digest_equal(id, &zero)) {
        s->has_zero = true;
        s->n++;
        return 1;
    }
    if (2 * (s->n + 1) > s->n_slots && grow(s) < 0)
        return -ENOMEM;
    i = find_slot(s->slots, s->n_slots, id);
    s->slots[i] = *id;
    s->n++;
    return 1;
}

bool digest_set_has(const struct digest_set *s, const struct digest *id)
{
    if (digest_equal(id, &zero))
        return s->has_zero;
    return s->n_slots
           && digest_equal(&s->slots[find_slot(s->slots, s->n_slots, id)], id);
}
