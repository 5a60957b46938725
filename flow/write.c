/* SPDX-License-Identifier: Apache-2.0 */
/* A flow for other programs and for people: dot, JSON, text. */
#include "flow/read.h"

#include "flow/text.h"

#include <string.h>

static const char *foreach_word(enum foreach_kind kind)
{
    static const char *const words[] = { "",      "artifact", "items",
                                         "range", "glob",     "matrix" };

    return words[kind];
}

static const char *edge_word(enum edge_kind kind)
{
    static const char *const words[] = { "", "same", "down", "close" };

    return words[kind];
}

static const char *type_word(enum parameter_type type)
{
    static const char *const words[] = { "",     "string", "int",  "float",
                                         "bool", "json",   "file", "datetime" };

    return words[type];
}

/* The cases that lead from a switch to a step, with commas between them. */
static void write_cases(const struct step *step, uint32_t target, struct buffer *out)
{
    const char *comma = "";

    for (uint32_t k = 0; k < step->n_cases; k++)
        if (step->cases[k].target == target) {
            buffer_printf(out, "%s%s", comma, step->cases[k].name);
            comma = ", ";
        }
    if (step->switch_default == target)
        buffer_printf(out, "%sdefault", comma);
}

/* ---- dot ---- */

/* A name of a case may be any text; the others are identifiers. */
static void write_dot_text(const char *text, struct buffer *out)
{
    buffer_putc(out, '"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_putc(out, '\\');
        buffer_putc(out, (unsigned char)*text < 0x20 ? ' ' : *text);
    }
    buffer_putc(out, '"');
}

static void write_dot_edge(const struct flow *f, const struct step *from, uint32_t to,
                           struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer label = BUFFER_INIT;

    if (from->foreach.kind)
        buffer_puts(&label, "foreach");
    if (from->switch_by)
        write_cases(from, to, &label);
    buffer_printf(out, "  \"%s\" -> \"%s\"", from->name, f->steps[to].name);
    if (label.len) {
        buffer_puts(out, " [label=");
        write_dot_text(buffer_text(&label), out);
        buffer_putc(out, ']');
    }
    buffer_puts(out, ";\n");
}

static bool returns(const struct flow *f, const struct step *step)
{
    uint32_t self = (uint32_t)(step - f->steps);

    for (uint32_t k = 0; k < step->n_cases; k++)
        if (step->cases[k].target == self)
            return true;
    return step->switch_by && step->switch_default == self;
}

static const char *dot_shape(const struct step *step)
{
    if (step->switch_by)
        return "diamond";
    if (step->closes != FLOW_NONE)
        return "invtrapezium";
    return step->foreach.kind ? "trapezium" : "box";
}

int flow_write_dot(const struct flow *f, struct buffer *out)
{
    buffer_printf(out, "digraph \"%s\" {\n  rankdir=LR;\n", f->name);
    for (uint32_t i = 0; i < f->n_steps; i++)
        buffer_printf(out, "  \"%s\" [shape=%s];\n", f->steps[i].name,
                      dot_shape(&f->steps[i]));
    for (uint32_t i = 0; i < f->n_steps; i++) {
        const struct step *step = &f->steps[i];

        for (uint32_t k = 0; k < step->n_after; k++)
            write_dot_edge(f, step, step->after[k], out);
        if (returns(f, step))
            write_dot_edge(f, step, i, out);
    }
    buffer_puts(out, "}\n");
    return buffer_failed(out);
}

/* ---- JSON ---- */

static void write_member(const char *name, const char *text, struct buffer *out)
{
    buffer_printf(out, ",\"%s\":", name);
    if (text)
        text_write_json(text, strlen(text), out);
    else
        buffer_puts(out, "null");
}

static void write_step_member(const struct flow *f, const char *name, uint32_t step,
                              struct buffer *out)
{
    write_member(name, step == FLOW_NONE ? NULL : f->steps[step].name, out);
}

static void write_foreach(const struct foreach *foreach, struct buffer *out)
{
    buffer_printf(out, ",\"foreach\":{\"kind\":\"%s\",\"scope\":%u",
                  foreach_word(foreach->kind), foreach->scope);
    if (foreach->artifact)
        write_member(foreach->kind == FOREACH_GLOB ? "pattern" : "artifact",
                     foreach->artifact, out);
    if (foreach->kind != FOREACH_ARTIFACT && foreach->kind != FOREACH_GLOB)
        buffer_printf(out, ",\"width\":%llu", (unsigned long long)foreach->width);
    buffer_putc(out, '}');
}

static void write_switch(const struct flow *f, const struct step *step,
                         struct buffer *out)
{
    buffer_puts(out, ",\"switch\":{\"by\":");
    text_write_json(step->switch_by, strlen(step->switch_by), out);
    buffer_puts(out, ",\"cases\":{");
    for (uint32_t k = 0; k < step->n_cases; k++) {
        const struct switch_case *branch = &step->cases[k];

        if (k)
            buffer_putc(out, ',');
        text_write_json(branch->name, strlen(branch->name), out);
        buffer_printf(out, ":\"%s\"", f->steps[branch->target].name);
    }
    buffer_putc(out, '}');
    write_step_member(f, "default", step->switch_default, out);
    if (returns(f, step))
        buffer_printf(out, ",\"max_iterations\":%u", step->iterations_max);
    buffer_putc(out, '}');
}

static void write_json_step(const struct flow *f, const struct step *step,
                            struct buffer *out)
{
    buffer_printf(out, "{\"name\":\"%s\",\"scope\":%u,\"line\":%u", step->name,
                  step->scope, step->line);
    if (step->description)
        write_member("description", step->description, out);
    if (step->is_hook)
        buffer_puts(out, ",\"hook\":true");
    if (step->action == STEP_PYTHON) {
        write_member("python", step->python_file, out);
        write_member("function", step->python_function, out);
        buffer_printf(out, ",\"warm\":%s", step->is_warm ? "true" : "false");
    }
    if (step->foreach.kind)
        write_foreach(&step->foreach, out);
    if (step->joins != FLOW_NONE)
        write_step_member(f, "join", step->joins, out);
    if (step->switch_by)
        write_switch(f, step, out);
    buffer_putc(out, '}');
}

static void write_json_edges(const struct flow *f, struct buffer *out)
{
    const char *comma = "";

    for (uint32_t i = 0; i < f->n_steps; i++)
        for (uint32_t k = 0; k < f->steps[i].n_after; k++) {
            uint32_t to = f->steps[i].after[k];

            buffer_printf(out, "%s{\"from\":\"%s\",\"to\":\"%s\",\"kind\":\"%s\"}",
                          comma, f->steps[i].name, f->steps[to].name,
                          edge_word(flow_edge_kind(f, i, to)));
            comma = ",";
        }
}

static void write_json_scopes(const struct flow *f, struct buffer *out)
{
    for (uint32_t s = 0; s < f->n_scopes; s++) {
        const struct scope *scope = &f->scopes[s];

        buffer_printf(out, "%s{\"depth\":%u,\"parent\":", s ? "," : "", scope->depth);
        if (scope->parent == FLOW_NONE)
            buffer_puts(out, "null");
        else
            buffer_printf(out, "%u", scope->parent);
        write_step_member(f, "opener", scope->opener, out);
        write_step_member(f, "closer", scope->closer, out);
        buffer_putc(out, '}');
    }
}

static void write_json_parameters(const struct flow *f, struct buffer *out)
{
    for (size_t i = 0; i < f->n_parameters; i++) {
        const struct parameter *p = &f->parameters[i];

        buffer_printf(out, "%s{\"name\":\"%s\",\"type\":\"%s\"", i ? "," : "", p->name,
                      type_word(p->type));
        write_member("default", p->default_text, out);
        write_member("separator", p->separator, out);
        write_member("help", p->help, out);
        buffer_printf(out, ",\"required\":%s,\"secret\":%s}",
                      p->is_required ? "true" : "false",
                      p->is_secret ? "true" : "false");
    }
}

int flow_write_json(const struct flow *f, struct buffer *out)
{
    buffer_printf(out, "{\"flow\":\"%s\"", f->name);
    write_member("description", f->description, out);
    buffer_printf(out, ",\"edges_by\":\"%s\"", f->is_needs ? "needs" : "next");
    write_step_member(f, "start", f->start, out);
    write_step_member(f, "end", f->end, out);
    buffer_puts(out, ",\"parameters\":[");
    write_json_parameters(f, out);
    buffer_puts(out, "],\"steps\":[");
    for (uint32_t i = 0; i < f->n_all_steps; i++) {
        if (i)
            buffer_putc(out, ',');
        write_json_step(f, &f->steps[i], out);
    }
    buffer_puts(out, "],\"scopes\":[");
    write_json_scopes(f, out);
    buffer_puts(out, "],\"edges\":[");
    write_json_edges(f, out);
    buffer_puts(out, "]}\n");
    return buffer_failed(out);
}

/* ---- text ---- */

static void write_parameters(const struct flow *f, struct buffer *out)
{
    if (f->n_parameters)
        buffer_puts(out, "\nparameters\n");
    for (size_t i = 0; i < f->n_parameters; i++) {
        const struct parameter *p = &f->parameters[i];

        buffer_printf(out, "  --%s %s", p->name, type_word(p->type));
        if (p->default_text)
            buffer_printf(out, " (%s)", p->default_text);
        if (p->is_required)
            buffer_puts(out, ", required");
        if (p->is_secret)
            buffer_puts(out, ", secret");
        if (p->help)
            buffer_printf(out, ": %s", p->help);
        buffer_putc(out, '\n');
    }
}

static void write_split(const struct step *step, struct buffer *out)
{
    const struct foreach *foreach = &step->foreach;

    switch (foreach->kind) {
    case FOREACH_NONE:
        break;
    case FOREACH_ARTIFACT:
        buffer_printf(out, "; foreach %s", foreach->artifact);
        break;
    case FOREACH_GLOB:
        buffer_printf(out, "; foreach file %s", foreach->artifact);
        break;
    case FOREACH_ITEMS:
    case FOREACH_RANGE:
    case FOREACH_MATRIX:
        buffer_printf(out, "; foreach, %llu tasks", (unsigned long long)foreach->width);
        break;
    }
}

static void write_text_step(const struct flow *f, const struct step *step,
                            struct buffer *out)
{
    size_t indent = 2 + 2 * (size_t)f->scopes[step->scope].depth;

    for (size_t i = 0; i < indent; i++)
        buffer_putc(out, ' ');
    buffer_puts(out, step->name);
    for (uint32_t k = 0; k < step->n_before; k++)
        buffer_printf(out, "%s%s", k ? ", " : " after ",
                      f->steps[step->before[k]].name);
    if (step->joins != FLOW_NONE)
        buffer_printf(out, "; joins %s", f->steps[step->joins].name);
    write_split(step, out);
    if (step->switch_by)
        buffer_printf(out, "; switch by %s", step->switch_by);
    for (uint32_t k = 0; k < step->n_cases; k++)
        buffer_printf(out, "%s%s: %s", k ? ", " : " (", step->cases[k].name,
                      f->steps[step->cases[k].target].name);
    if (step->switch_default != FLOW_NONE)
        buffer_printf(out, ", default: %s", f->steps[step->switch_default].name);
    if (step->n_cases)
        buffer_putc(out, ')');
    if (step->action == STEP_PYTHON)
        buffer_printf(out, "; python %s:%s", step->python_file, step->python_function);
    if (step->description)
        buffer_printf(out, "\n%*s%s", (int)indent + 4, "", step->description);
    buffer_putc(out, '\n');
}

int flow_write_text(const struct flow *f, struct buffer *out)
{
    buffer_puts(out, f->name);
    if (f->description)
        buffer_printf(out, ": %s", f->description);
    buffer_puts(out, "\n\nsteps\n");
    for (uint32_t i = 0; i < f->n_steps; i++)
        write_text_step(f, &f->steps[i], out);
    if (f->n_all_steps > f->n_steps)
        buffer_puts(out, "\nhooks\n");
    for (uint32_t i = f->n_steps; i < f->n_all_steps; i++)
        buffer_printf(out, "  %s\n", f->steps[i].name);
    write_parameters(f, out);
    return buffer_failed(out);
}
