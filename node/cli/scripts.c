/* SPDX-License-Identifier: Apache-2.0 */
/* Whether what the steps run is in the package: scripts, functions, working folders. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "flow/python_source.h"
#include "node/cli/flow_file.h"

enum { SOURCE_READ_SIZE = 64 << 10, SOURCE_BYTES_MAX = 16 << 20 };

/* Where a step's script stands in the text: behind the step's own line, before the next
 * step's. */
static bool find_place(const struct flow_file *s, uint32_t step, const char *word,
                       uint32_t *ret_line, uint32_t *ret_column)
{
    uint32_t first = s->flow->steps[step].line, last = UINT32_MAX, line = 1;

    for (uint32_t i = 0; i < s->flow->n_all_steps; i++)
        if (s->flow->steps[i].line > first && s->flow->steps[i].line < last)
            last = s->flow->steps[i].line;
    for (const char *at = s->text; at && line < last; line++) {
        const char *newline = strchr(at, '\n');
        size_t len = newline ? (size_t)(newline - at) : strlen(at);
        const char *found = line >= first ? memmem(at, len, word, strlen(word)) : NULL;

        if (found) {
            *ret_line = line;
            *ret_column = (uint32_t)(found - at) + 1;
            return true;
        }
        at = newline ? newline + 1 : NULL;
    }
    return false;
}

/* `workdir/./a/../b` as the package names it; NULL when it leaves the package. */
static char *resolve(const char *workdir, const char *script)
{
    CLEANUP(freep) char *whole = NULL;
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    char *at, *part;

    if (asprintf(&whole, "%s/%s", workdir ? workdir : ".", script) < 0) {
        whole = NULL;
        return NULL;
    }
    buffer_puts(&out, "");
    for (at = whole; (part = strsep(&at, "/"));) {
        if (!*part || strcmp(part, ".") == 0)
            continue;
        if (strcmp(part, "..") == 0) {
            char *slash = strrchr(buffer_text(&out), '/');

            if (!out.len)
                return NULL;
            out.len = slash ? (size_t)(slash - out.data) : 0;
            out.data[out.len] = '\0';
            continue;
        }
        buffer_printf(&out, "%s%s", out.len ? "/" : "", part);
    }
    return buffer_take(&out);
}

static bool is_on_disk(const struct flow_file *s, const char *path, struct stat *ret)
{
    CLEANUP(freep) char *full = NULL;

    if (asprintf(&full, "%s/%s", s->dir, path) < 0) {
        full = NULL;
        return false;
    }
    return stat(full, ret) == 0;
}

static const char *hint_for_missing(const struct flow_file *s, const char *path)
{
    struct stat st;

    if (!is_on_disk(s, path, &st))
        return NULL;
    if (package_is_secret(path))
        return "it is there, but files of that name are never packed";
    return s->package.is_git
               ? "it is there, but git does not track it: git add it, or name it in "
                 "package: {include: [...]}"
               : "it is there, but it is ignored: name it in package: {include: [...]}";
}

static void check_script(struct flow_file *s, uint32_t step)
{
    const struct step *t = &s->flow->steps[step];
    const char *script = t->argv[0], *hint = NULL;
    CLEANUP(freep) char *path = resolve(t->workdir, script);
    const struct package_file *file = path ? package_find(&s->package, path) : NULL;
    uint32_t line = t->line, column = t->column, width = 0;
    const char *problem = NULL;
    struct stat st;

    if (!path)
        problem = "lies outside of the flow's folder";
    else if (!file)
        problem = "is not in the package";
    else if (!is_on_disk(s, path, &st) || !S_ISREG(st.st_mode))
        problem = "is no file";
    else if (!(st.st_mode & 0111))
        problem = "is not executable";
    if (!problem)
        return;
    if (path && !file)
        hint = hint_for_missing(s, path);
    else if (path && strcmp(problem, "is not executable") == 0)
        hint = "chmod +x it";
    if (find_place(s, step, script, &line, &column))
        width = (uint32_t)strlen(script);
    diagnostics_add(&s->diagnostics, SEVERITY_ERROR, line, column, width, hint,
                    "step '%s' runs '%s', which %s", t->name, script, problem);
}

/* ---- functions ---- */

/* A file that cannot be read tells of itself when it is packed. */
static bool read_source(const struct flow_file *s, const char *path, struct buffer *ret)
{
    CLEANUP(freep) char *full = NULL;
    FILE *file = NULL;
    size_t n = 1;

    if (asprintf(&full, "%s/%s", s->dir, path) < 0)
        full = NULL;
    file = full ? fopen(full, "re") : NULL;
    while (file && n) {
        char *room = buffer_reserve(ret, SOURCE_READ_SIZE);

        n = room ? fread(room, 1, SOURCE_READ_SIZE, file) : 0;
        ret->len += n;
    }
    if (file)
        fclose(file);
    return file && !buffer_failed(ret);
}

static void check_function(struct flow_file *s, uint32_t step, const char *path)
{
    const struct step *t = &s->flow->steps[step];
    CLEANUP(buffer_release) struct buffer source = { .bytes_max = SOURCE_BYTES_MAX };
    char near[PYTHON_NAME_SIZE] = "", hint[PYTHON_NAME_SIZE + 32];
    uint32_t line = t->line, column = t->column, width = 0;
    bool has_near;

    if (!read_source(s, path, &source)
        || python_source_may_define(buffer_text(&source), source.len,
                                    t->python_function))
        return;
    has_near = python_source_nearest(buffer_text(&source), source.len,
                                     t->python_function, near);
    snprintf(hint, sizeof(hint), "did you mean '%s'?", near);
    if (find_place(s, step, t->python_function, &line, &column))
        width = (uint32_t)strlen(t->python_function);
    diagnostics_add(&s->diagnostics, SEVERITY_ERROR, line, column, width,
                    has_near ? hint : NULL, "step '%s': %s has no function '%s'",
                    t->name, t->python_file, t->python_function);
}

static void check_python(struct flow_file *s, uint32_t step)
{
    const struct step *t = &s->flow->steps[step];
    CLEANUP(freep) char *path = resolve(NULL, t->python_file);
    const struct package_file *file = path ? package_find(&s->package, path) : NULL;
    uint32_t line = t->line, column = t->column, width = 0;

    if (file) {
        check_function(s, step, path);
        return;
    }
    if (find_place(s, step, t->python_file, &line, &column))
        width = (uint32_t)strlen(t->python_file);
    diagnostics_add(&s->diagnostics, SEVERITY_ERROR, line, column, width,
                    path ? hint_for_missing(s, path) : NULL,
                    "step '%s' runs '%s', which is not in the package", t->name,
                    t->python_file);
}

/* ---- folders ---- */

static bool has_folder(const struct package *p, const char *path)
{
    size_t len = strlen(path);

    for (size_t i = 0; i < p->n; i++)
        if (strncmp(p->files[i].path, path, len) == 0
            && (len == 0 || p->files[i].path[len] == '/'))
            return true;
    return len == 0;
}

static void check_workdir(struct flow_file *s, uint32_t step)
{
    const struct step *t = &s->flow->steps[step];
    CLEANUP(freep) char *path = resolve(t->workdir, ".");
    uint32_t line = t->line, column = t->column, width = 0;
    struct stat st;

    if (path && has_folder(&s->package, path))
        return;
    if (find_place(s, step, t->workdir, &line, &column))
        width = (uint32_t)strlen(t->workdir);
    diagnostics_add(&s->diagnostics, SEVERITY_ERROR, line, column, width,
                    path && is_on_disk(s, path, &st)
                        ? "it is there, but none of its files is packed"
                        : NULL,
                    "step '%s' works in '%s', which is no folder of the package",
                    t->name, t->workdir);
}

static bool names_script(const struct step *t)
{
    return t->action == STEP_RUN_ARGV && t->argv[0] && t->argv[0][0] != '/'
           && strchr(t->argv[0], '/') && !strstr(t->argv[0], "${{");
}

int flow_file_check_scripts(struct flow_file *s)
{
    size_t before = diagnostics_errors(&s->diagnostics);

    for (uint32_t i = 0; i < s->flow->n_all_steps; i++) {
        if (s->flow->steps[i].workdir)
            check_workdir(s, i);
        if (names_script(&s->flow->steps[i]))
            check_script(s, i);
        if (s->flow->steps[i].action == STEP_PYTHON)
            check_python(s, i);
    }
    if (diagnostics_errors(&s->diagnostics) == before)
        return 0;
    diagnostics_excerpts(&s->diagnostics, s->text, s->len);
    flow_file_say(s, &s->diagnostics);
    return CLI_USAGE;
}
