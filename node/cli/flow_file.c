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
    return flow_file_check_scripts(s);
}

int flow_file_open(const char *path, const struct options *o, const char *data_dir,
                   struct flow_file *ret)
{
    int r = flow_file_read(path, ret);

    if (r == 0)
        r = flow_file_parameters(ret, o);
    return r ? r : flow_file_collect(ret, data_dir);
}
