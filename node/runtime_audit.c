/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_audit.h"

#include <errno.h>
#include <string.h>

#include "node/runtime_internal.h"

enum { SYNC_MS = 250, KEPT_SIZE = 8 + DIGEST_SIZE + 8 };

static const char kept_key[] = "audit";

/* ---- where the chain ends, in the store ---- */

static void put_number(uint8_t *bytes, uint64_t n)
{
    for (int i = 7; i >= 0; i--, n >>= 8)
        bytes[i] = (uint8_t)n;
}

static uint64_t get_number(const uint8_t *bytes)
{
    uint64_t n = 0;

    for (int i = 0; i < 8; i++)
        n = n << 8 | bytes[i];
    return n;
}

static struct audit_kept read_kept(struct runtime *rt)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct audit_kept kept = { .first = 0 };
    const uint8_t *bytes;

    if (writer_get(rt->writer, STORE_META,
                   (struct span){ kept_key, sizeof(kept_key) - 1 }, &value)
            < 0
        || value.len != KEPT_SIZE)
        return kept;
    bytes = (const uint8_t *)value.data;
    kept.last.number = get_number(bytes);
    memcpy(kept.last.digest.bytes, bytes + 8, DIGEST_SIZE);
    kept.first = get_number(bytes + 8 + DIGEST_SIZE);
    return kept;
}

static void write_kept(struct runtime *rt, const struct audit_kept *kept)
{
    uint8_t bytes[KEPT_SIZE];
    struct store_write write = { .table = STORE_META,
                                 .key = { kept_key, sizeof(kept_key) - 1 },
                                 .value = { bytes, sizeof(bytes) } };

    put_number(bytes, kept->last.number);
    memcpy(bytes + 8, kept->last.digest.bytes, DIGEST_SIZE);
    put_number(bytes + 8 + DIGEST_SIZE, kept->first);
    writer_put(rt->writer, &write, 1, false); /* without memory: the next time */
}

/* The writer syncs the file before it commits what comes after. */
static void on_sync(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;
    struct audit_kept kept;
    int fd;

    if (audit_log_fd(rt->audit.log, &fd, &kept) == 0
        && writer_sync_file(rt->writer, fd, NULL, NULL)) {
        write_kept(rt, &kept);
        audit_log_keep(rt->audit.log, &kept);
    }
}

/* ---- entries ---- */

struct audit_log *runtime_audit_log(struct runtime *rt)
{
    struct audit_kept kept;

    if (rt->audit.log)
        return rt->audit.log;
    kept = read_kept(rt);
    rt->audit.log = audit_log_new(rt->dir, &kept);
    uv_timer_init(&rt->loop, &rt->audit.sync);
    rt->audit.sync.data = rt;
    uv_unref((uv_handle_t *)&rt->audit.sync);
    return rt->audit.log;
}

static void add(struct runtime *rt, struct audit_entry *e)
{
    struct audit_log *log = runtime_audit_log(rt);
    int r = log ? audit_log_add(log, e) : -ENOMEM;

    if (r < 0 && !rt->audit.has_failed)
        runtime_log(rt, "audit.failed", "error=%s: who does what is not written down",
                    strerror(-r));
    rt->audit.has_failed = r < 0;
    if (r == 0 && !uv_is_active((uv_handle_t *)&rt->audit.sync))
        uv_timer_start(&rt->audit.sync, on_sync, SYNC_MS, 0);
}

void runtime_audit(struct runtime *rt, struct audit_entry *e)
{
    e->wall = runtime_wall();
    add(rt, e);
}

void runtime_audit_stranger(struct runtime *rt, struct audit_entry *e)
{
    if (audit_gate_pass(&rt->audit.gate, runtime_now(rt), &e->n_unsaid))
        runtime_audit(rt, e);
}
