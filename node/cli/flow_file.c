/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/flow_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flow/read.h"
#include "node/cli/terminal.h"

void flow_file_release(struct flow_file *s)
{
    for (size_t i = 0; i < s->n_parameters; i++) {
        free(s->parameters[i].name);
        if (s->parameters[i].value)
            explicit_bzero(s->parameters[i].value, strlen(s->parameters[i].value));
        free(s->parameters[i].value);
    }
    free(s->parameters);
    free(s->path);
    free(s->full_path);
    free(s->dir);
    free(s->name);
    free(s->text);
    flow_unref(s->flow);
    diagnostics_release(&s->diagnostics);
    package_release(&s->package);
    *s = (struct flow_file){ .path = NULL };
}

void flow_file_say(const struct flow_file *s, const struct diagnostics *d)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    diagnostics_print(d, s->path, terminal_has_colour(STDERR_FILENO), &out);
    fwrite(buffer_text(&out), 1, out.len, stderr);
}

/* ---- the file ---- */

static int read_file(int fd, size_t size, char **ret_text, size_t *ret_len)
{
    CLEANUP(freep) char *text = malloc(size + 1);
    size_t len = 0;

    if (!text)
        return -ENOMEM;
    while (len < size) {
        ssize_t n = read(fd, text + len, size - len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    text[len] = '\0';
    *ret_text = TAKE(text);
    *ret_len = len;
    return 0;
}

static int load(const char *path, char **ret_text, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    int r = 0;

    if (fd < 0 || fstat(fd, &st) < 0)
        r = cli_usage("cannot read %s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        r = cli_usage("%s is %s, not a flow file", path,
                      S_ISDIR(st.st_mode) ? "a folder" : "no plain file");
    else if (st.st_size > FLOW_TEXT_MAX)
        r = cli_usage("%s is %lld MiB; a flow file has at most %d", path,
                      (long long)st.st_size >> 20, FLOW_TEXT_MAX >> 20);
    else if (read_file(fd, (size_t)st.st_size, ret_text, ret_len) < 0)
        r = cli_usage("cannot read %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return r;
}

static int split_path(struct flow_file *s, const char *path)
{
    const char *slash = strrchr(path, '/');

    s->path = strdup(path);
    s->name = strdup(slash ? slash + 1 : path);
    s->dir =
        slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    s->full_path = realpath(path, NULL);
    if (!s->full_path)
        s->full_path = strdup(path);
    return s->path && s->name && s->dir && s->full_path ? 0 : -ENOMEM;
}

int flow_file_read_text(const char *path, char *take_text, size_t len,
                        struct flow_file *ret)
{
    struct flow_file s = { .text = take_text, .len = len };
    int r = split_path(&s, path);

    if (r == 0)
        r = flow_read(s.text, s.len, &s.flow, &s.diagnostics);
    if (s.path)
        flow_file_say(&s, &s.diagnostics);
    if (r < 0 && r != -EINVAL)
        cli_say("cannot read %s: %s", path, strerror(-r));
    *ret = s;
    return r == 0 ? 0 : r == -ENOMEM ? CLI_FAILED : CLI_USAGE;
}

int flow_file_read(const char *path, struct flow_file *ret)
{
    char *text = NULL;
    size_t len = 0;
    int r = load(path, &text, &len);

    return r ? r : flow_file_read_text(path, text, len, ret);
}

/* ---- scripts ---- */

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

static int check_scripts(struct flow_file *s)
{
    size_t before = diagnostics_errors(&s->diagnostics);

    for (uint32_t i = 0; i < s->flow->n_all_steps; i++) {
        if (s->flow->steps[i].workdir)
            check_workdir(s, i);
        if (names_script(&s->flow->steps[i]))
            check_script(s, i);
    }
    if (diagnostics_errors(&s->diagnostics) == before)
        return 0;
    diagnostics_excerpts(&s->diagnostics, s->text, s->len);
    flow_file_say(s, &s->diagnostics);
    return CLI_USAGE;
}

int flow_file_collect(struct flow_file *s, const char *data_dir)
{
    struct package_rules rules = { .dir = s->dir,
                                   .flow_name = s->name,
                                   .data_dir = data_dir,
                                   .include = s->flow->package_include,
                                   .exclude = s->flow->package_exclude };
    struct error error = { .text = "" };
    int r = package_collect(&rules, &s->package, &error);

    if (r < 0) {
        cli_failed(r, &error);
        return CLI_USAGE;
    }
    if (s->package.n_links_out)
        fprintf(stderr, "note: %zu link%s out of %s and %s not in the package: %s%s\n",
                s->package.n_links_out,
                s->package.n_links_out == 1 ? " leads" : "s lead", s->dir,
                s->package.n_links_out == 1 ? "is" : "are",
                s->package.link_out ? s->package.link_out : "?",
                s->package.n_links_out > 1 ? ", ..." : "");
    return check_scripts(s);
}

int flow_file_open(const char *path, const struct options *o, const char *data_dir,
                   struct flow_file *ret)
{
    int r = flow_file_read(path, ret);

    if (r == 0)
        r = flow_file_parameters(ret, o);
    return r ? r : flow_file_collect(ret, data_dir);
}
