/* SPDX-License-Identifier: Apache-2.0 */
/* The options that a flow names: values, also from files, and how --help shows them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flow/nearest.h"
#include "node/cli/flow_file.h"

enum { VALUE_BYTES_MAX = 16 << 20 };

static int read_to_end(int fd, struct buffer *ret)
{
    ret->bytes_max = VALUE_BYTES_MAX;
    for (;;) {
        size_t room = min_size(4096, VALUE_BYTES_MAX - ret->len);
        char *at = buffer_reserve(ret, room);
        ssize_t n = at && room ? read(fd, at, room) : -1;

        if (!at)
            return -ENOMEM;
        if (!room)
            return -E2BIG;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        ret->len += n > 0 ? (size_t)n : 0;
    }
}

/* A file's last newline is how files end, not part of a value; unless the value is the
 * file. */
static int read_value(const struct parameter *p, const char *path, char **ret_text,
                      struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    bool is_input = strcmp(path, "-") == 0;
    int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : read_to_end(fd, &b);

    if (fd >= 0 && !is_input)
        close(fd);
    if (r < 0)
        return fail(ret_error, r, "--%s: cannot read %s: %s", p->name, path,
                    strerror(-r));
    buffer_puts(&b, "");
    if (strlen(b.data) != b.len)
        return fail(ret_error, -EINVAL, "--%s: %s is no text: it has a NUL in it",
                    p->name, path);
    if (p->type != PARAMETER_FILE && b.len && b.data[b.len - 1] == '\n')
        b.data[--b.len] = '\0';
    *ret_text = buffer_take(&b);
    return *ret_text ? 0 : -ENOMEM;
}

int flow_file_value(const struct parameter *p, const char *given, char **ret_text,
                    struct error *ret_error)
{
    if (strcmp(given, "-") == 0 || (given[0] == '@' && given[1] && given[1] != '@'))
        return read_value(p, given + (given[0] == '@'), ret_text, ret_error);
    if (p->type == PARAMETER_FILE)
        return read_value(p, given, ret_text, ret_error);
    if (p->is_secret)
        return fail(ret_error, -EACCES,
                    "parameter '%s' is secret: others can read a "
                    "command line; give it as --%s @FILE or --%s -",
                    p->name, p->name, p->name);
    *ret_text = strdup(given + (given[0] == '@' && given[1] == '@'));
    return *ret_text ? 0 : -ENOMEM;
}

int flow_file_add_parameter(struct flow_file *s, const char *name, char *take_value)
{
    struct record_parameter *all =
        realloc(s->parameters, (s->n_parameters + 1) * sizeof(*all));
    char *copy = strdup(name);

    if (all)
        s->parameters = all;
    if (!all || !copy) {
        free(copy);
        free(take_value);
        return -ENOMEM;
    }
    all[s->n_parameters++] =
        (struct record_parameter){ .name = copy, .value = take_value };
    return 0;
}

static const struct parameter *find_parameter(const struct flow *f, const char *name)
{
    for (size_t i = 0; i < f->n_parameters; i++)
        if (strcmp(f->parameters[i].name, name) == 0)
            return &f->parameters[i];
    return NULL;
}

static int say_unknown(const struct flow_file *s, const struct options *o,
                       const char *name)
{
    struct nearest nearest = nearest_to(name);

    for (size_t i = 0; i < s->flow->n_parameters; i++)
        nearest_offer(&nearest, s->flow->parameters[i].name);
    for (size_t i = 0; o->specs[i].name; i++)
        nearest_offer(&nearest, o->specs[i].name);
    cli_say("neither mesh nor the flow '%s' has an option '--%.80s'", s->flow->name,
            name);
    if (nearest.best)
        cli_hint("did you mean '--%s'?", nearest.best);
    return CLI_USAGE;
}

static bool is_given(const struct flow_file *s, const char *name)
{
    for (size_t i = 0; i < s->n_parameters; i++)
        if (strcmp(s->parameters[i].name, name) == 0)
            return true;
    return false;
}

int flow_file_parameters(struct flow_file *s, const struct options *o)
{
    struct error error = { .text = "" };
    int r = 0;

    for (size_t i = 0; r == 0 && i < o->n_parameters; i++) {
        const struct parameter *p = find_parameter(s->flow, o->parameters[i].name);
        char *value = NULL;

        if (!p)
            return say_unknown(s, o, o->parameters[i].name);
        if (is_given(s, p->name))
            return cli_usage("--%s is given twice", p->name);
        r = flow_file_value(p, o->parameters[i].value, &value, &error);
        if (r == 0)
            r = flow_file_add_parameter(s, p->name, value);
    }
    if (r == 0)
        return 0;
    cli_failed(r, &error);
    return CLI_USAGE;
}

/* ---- help ---- */

static const char *type_name(enum parameter_type type)
{
    static const char *const names[] = {
        [PARAMETER_STRING] = "TEXT",   [PARAMETER_INT] = "INT",
        [PARAMETER_FLOAT] = "NUMBER",  [PARAMETER_BOOL] = "true|false",
        [PARAMETER_JSON] = "JSON",     [PARAMETER_FILE] = "FILE",
        [PARAMETER_DATETIME] = "TIME",
    };

    return (size_t)type < ARRAY_SIZE(names) && names[type] ? names[type] : "VALUE";
}

static void print_parameter(const struct parameter *p)
{
    CLEANUP(buffer_release) struct buffer front = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer about = BUFFER_INIT;
    const char *text;

    buffer_printf(&front, "    --%s %s", p->name,
                  p->is_secret ? "@FILE" : type_name(p->type));
    buffer_puts(&about, p->help ? p->help : "");
    for (char **c = p->choices; c && *c; c++)
        buffer_printf(&about, "%s%s%s", c == p->choices ? " (one of " : ", ", *c,
                      c[1] ? "" : ")");
    if (p->has_min || p->has_max)
        buffer_puts(&about, " (");
    if (p->has_min)
        buffer_printf(&about, "from %g%s", p->min, p->has_max ? " " : ")");
    if (p->has_max)
        buffer_printf(&about, "up to %g)", p->max);
    if (p->default_text && !p->is_secret)
        buffer_printf(&about, " [%s]", p->default_text);
    else if (p->is_required)
        buffer_puts(&about, " [must be given]");
    text = buffer_text(&about);
    text += *text == ' ';
    printf("  %-*s%s\n", *text ? 26 : 0, buffer_text(&front), text);
}

void flow_file_help(const struct options *o)
{
    CLEANUP(flow_file_release) struct flow_file s = { .path = NULL };

    if (o->n_operands == 0)
        return;
    fflush(stdout);
    if (flow_file_read(o->operands[0], &s) != 0 || s.flow->n_parameters == 0)
        return;
    printf("\nOptions of the flow %s (long values: @FILE, or - for standard input):\n",
           s.flow->name);
    for (size_t i = 0; i < s.flow->n_parameters; i++)
        print_parameter(&s.flow->parameters[i]);
}
