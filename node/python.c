/* SPDX-License-Identifier: Apache-2.0 */
#include "node/python.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "flow/parameters.h"
#include "flow/text.h"

/* MESH_PYTHON is one variable, and the system takes VARIABLE_BYTES_MAX of it. What does
 * not fit is asked for by the task that wants it. */
enum { PARAMETER_BYTES_MAX = 32 << 10, PARAMETERS_BYTES_MAX = 96 << 10 };

/* ---- the interpreter ---- */

char *python_find(const char *path)
{
    static const char *const names[] = { "python3", "python" };

    for (const char *dir = path; *dir;) {
        size_t len = strcspn(dir, ":");

        for (size_t i = 0; len && i < ARRAY_SIZE(names); i++) {
            char *found;

            if (asprintf(&found, "%.*s/%s", (int)len, dir, names[i]) < 0)
                return NULL;
            if (launch_is_program(found))
                return found;
            free(found);
        }
        dir += len + (dir[len] == ':');
    }
    return NULL;
}

char *python_folder(const char *program_dir)
{
    CLEANUP(freep) char *beside = NULL;
    CLEANUP(freep) char *installed = NULL;

    if (asprintf(&beside, "%s/python", program_dir) < 0) {
        beside = NULL;
        return NULL;
    }
    if (asprintf(&installed, "%s/../lib/mesh/python", program_dir) < 0) {
        installed = NULL;
        return NULL;
    }
    return access(beside, X_OK) < 0 && access(installed, X_OK) == 0 ? TAKE(installed)
                                                                    : TAKE(beside);
}

enum { ARGUMENTS = 3 };

void python_argv_free(char **argv)
{
    for (int i = 0; argv && i < ARGUMENTS; i++)
        free(argv[i]);
    free(argv);
}

static char **make_argv(const char *program, const char *script)
{
    char **argv = calloc(ARGUMENTS + 1, sizeof(*argv));

    if (!argv)
        return NULL;
    argv[0] = strdup(program);
    argv[1] = strdup("-c");
    argv[2] = strdup(script);
    if (argv[0] && argv[1] && argv[2])
        return argv;
    python_argv_free(argv);
    return NULL;
}

char **python_task_argv(const char *program)
{
    return make_argv(program, "from mesh._step import main; main()");
}

char **python_server_argv(const char *program)
{
    return make_argv(program, "from mesh._warm import main; main()");
}

/* ---- MESH_PYTHON ---- */

static void write_text(const char *key, const char *text, struct buffer *out)
{
    buffer_printf(out, ",\"%s\":", key);
    if (text)
        text_write_json(text, strlen(text), out);
    else
        buffer_puts(out, "null");
}

static void write_tags(char *const *tags, struct buffer *out)
{
    buffer_puts(out, ",\"tags\":[");
    for (size_t i = 0; tags[i]; i++) {
        if (i)
            buffer_putc(out, ',');
        text_write_json(tags[i], strlen(tags[i]), out);
    }
    buffer_putc(out, ']');
}

static void write_parameters(const struct run_context *c, struct buffer *out)
{
    const char *comma = "";

    buffer_puts(out, ",\"parameters\":{");
    for (size_t i = 0; i < c->flow->n_parameters; i++) {
        const struct parameter *p = &c->flow->parameters[i];
        CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;

        if (!c->values[i] || p->is_secret)
            continue;
        parameter_write_json(p, c->values[i], &value);
        if (value.len > PARAMETER_BYTES_MAX
            || out->len + value.len > PARAMETERS_BYTES_MAX)
            continue;
        buffer_puts(out, comma);
        text_write_json(p->name, strlen(p->name), out);
        buffer_printf(out, ":%s", buffer_text(&value));
        comma = ",";
    }
    buffer_putc(out, '}');
}

static int set_description(const struct run_context *c, const struct step *step,
                           struct variables *v)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    const struct foreach *f = &step->foreach;

    buffer_puts(&out, "MESH_PYTHON={\"file\":");
    text_write_json(step->python_file, strlen(step->python_file), &out);
    write_text("function", step->python_function, &out);
    write_text("flow", c->flow->name, &out);
    write_text("user", c->user, &out);
    write_tags(c->tags, &out);
    buffer_printf(&out, ",\"joins\":%s", step->has_inputs ? "true" : "false");
    write_text("foreach", f->kind == FOREACH_ARTIFACT ? f->artifact : NULL, &out);
    write_text("switch", step->switch_by, &out);
    write_parameters(c, &out);
    buffer_putc(&out, '}');
    return variables_set(v, buffer_take(&out));
}

int python_set_variables(const struct run_context *c, const struct step *step,
                         struct variables *v)
{
    const char *path = variables_find(v, "PYTHONPATH");
    int r = variables_printf(v, "PYTHONPATH=%s%s%s", c->python_dir,
                             path && *path ? ":" : "", path ? path : "");

    if (r == 0 && !variables_find(v, "PYTHONUNBUFFERED"))
        r = variables_set(v, strdup("PYTHONUNBUFFERED=1"));
    return r < 0 ? r : set_description(c, step, v);
}
