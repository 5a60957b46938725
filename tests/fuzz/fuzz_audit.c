/* SPDX-License-Identifier: Apache-2.0 */
/* A file of the audit log, which whoever owns the folder may have written. What is read
 * as good is good: it can be written again, and is read as the same. */
#include <stdlib.h>
#include <string.h>

#include "node/audit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct reading {
    struct audit_chain *chain;
    struct buffer again;
    struct audit_chain copy;
    size_t n;
};

static void check(int holds)
{
    if (!holds)
        abort();
}

static int each(void *arg, const struct audit_entry *e, enum audit_fault fault)
{
    struct reading *r = arg;
    struct audit_entry entry = *e;

    check(*audit_fault_sentence(fault) != '\0' || !fault);
    if (fault)
        return 0;
    check(e->number == r->chain->number && *e->verb && audit_verdict_name(e->verdict)
          && audit_way_name(e->way));
    r->n++;
    check(audit_write(&r->copy, &entry, &r->again) == 0);
    return 0;
}

static int count(void *arg, const struct audit_entry *e, enum audit_fault fault)
{
    check(!fault && e->number);
    ++*(size_t *)arg;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct audit_chain chain = { .number = 0 }, none = { .number = 0 };
    struct reading r = { .chain = &chain };
    struct audit_chain last;
    size_t n = 0;

    check(audit_write_head(&r.copy, &r.again) == 0);
    check(audit_read((const char *)data, len, &chain, each, &r) == 0);
    check(audit_read(r.again.data, r.again.len, &none, count, &n) == 0);
    check(n == r.n);
    audit_read_last((const char *)data, len, &last);
    buffer_release(&r.again);
    return 0;
}
