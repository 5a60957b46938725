/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/exposition.h"

#include <inttypes.h>

static void begin(struct exposition *x, const char *type, const char *name,
                  const char *help)
{
    x->family = name;
    buffer_printf(x->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void exposition_counter(struct exposition *x, const char *name, const char *help)
{
    begin(x, "counter", name, help);
}

void exposition_gauge(struct exposition *x, const char *name, const char *help)
{
    begin(x, "gauge", name, help);
}

void exposition_histogram(struct exposition *x, const char *name, const char *help)
{
    begin(x, "histogram", name, help);
}

static void put_value(struct buffer *out, const char *text)
{
    for (; *text; text++)
        if (*text == '\n')
            buffer_puts(out, "\\n");
        else if (*text == '"' || *text == '\\')
            buffer_printf(out, "\\%c", *text);
        else
            buffer_putc(out, *text);
}

/* `le` is the one label that we add ourselves; NULL: none. */
static void put_name(struct exposition *x, const char *suffix,
                     const char *const *labels, const char *le)
{
    char before = '{';

    buffer_printf(x->out, "%s%s", x->family, suffix);
    for (; labels && labels[0]; labels += 2) {
        buffer_printf(x->out, "%c%s=\"", before, labels[0]);
        put_value(x->out, labels[1]);
        buffer_putc(x->out, '"');
        before = ',';
    }
    if (le) {
        buffer_printf(x->out, "%cle=\"%s\"", before, le);
        before = ',';
    }
    buffer_puts(x->out, before == ',' ? "} " : " ");
}

void exposition_u64(struct exposition *x, const char *const *labels, uint64_t value)
{
    put_name(x, "", labels, NULL);
    buffer_printf(x->out, "%" PRIu64 "\n", value);
}

void exposition_real(struct exposition *x, const char *const *labels, double value)
{
    put_name(x, "", labels, NULL);
    buffer_printf(x->out, "%.15g\n", value);
}

static void put_bucket(struct exposition *x, const char *const *labels, const char *le,
                       uint64_t n)
{
    put_name(x, "_bucket", labels, le);
    buffer_printf(x->out, "%" PRIu64 "\n", n);
}

void exposition_spread(struct exposition *x, const char *const *labels,
                       const time_us *bounds, const struct histogram *h)
{
    CLEANUP(buffer_release) struct buffer le = BUFFER_INIT;
    uint64_t n = 0;

    for (size_t i = 0; i < HISTOGRAM_BOUNDS_MAX; i++) {
        n += h->counts[i];
        buffer_clear(&le);
        buffer_printf(&le, "%.15g", (double)bounds[i] / 1e6);
        put_bucket(x, labels, buffer_text(&le), n);
    }
    n += h->counts[HISTOGRAM_BOUNDS_MAX];
    put_bucket(x, labels, "+Inf", n);
    put_name(x, "_sum", labels, NULL);
    buffer_printf(x->out, "%.15g\n", (double)h->sum_us / 1e6);
    put_name(x, "_count", labels, NULL);
    buffer_printf(x->out, "%" PRIu64 "\n", n);
}
