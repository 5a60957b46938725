/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/conf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli/terminal.h"
#include "scheduler/gpus.h"

static const char system_path[] = "/etc/mesh/mesh.conf";

/* ---- the file ---- */

static int read_all(int fd, const char *path, struct buffer *ret_text)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0)
        return cli_usage("cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return cli_usage("%s is no plain file", path);
    do {
        char *at = buffer_reserve(ret_text, 4096);

        if (!at)
            return cli_failed(-ENOMEM, NULL);
        n = read(fd, at, 4096);
        if (n < 0)
            return cli_usage("cannot read %s: %s", path, strerror(errno));
        ret_text->len += (size_t)n;
    } while (n && ret_text->len <= CONF_BYTES_MAX);
    if (ret_text->len > CONF_BYTES_MAX)
        return cli_usage("%s is larger than %d KiB", path, CONF_BYTES_MAX >> 10);
    return 0;
}

/* What is not there is no error unless it was asked for. */
static int open_file(const char *path, bool is_wanted, int *ret_fd)
{
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*ret_fd >= 0 || (!is_wanted && (errno == ENOENT || errno == ENOTDIR)))
        return 0;
    return cli_usage("cannot read %s: %s", path, strerror(errno));
}

static int say_wrong(const char *path, const struct diagnostics *d)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (diagnostics_print(d, path, terminal_has_colour(STDERR_FILENO), &text) == 0)
        fputs(buffer_text(&text), stderr);
    return CLI_USAGE;
}

static int read_conf(int fd, const char *path, struct conf *c)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    int r = read_all(fd, path, &text);

    if (r)
        return r;
    r = conf_read(c, text.data, text.len, &d);
    if (r == -EINVAL)
        return say_wrong(path, &d);
    if (r < 0)
        return cli_failed(r, NULL);
    c->path = strdup(path);
    return c->path ? 0 : cli_failed(-ENOMEM, NULL);
}

/* Verbs that take a flow have no --config: flows have parameters of that name. */
static const char *asked_for(const struct options *o)
{
    const char *path = options_text(o, "config");

    if (!path)
        path = getenv("MESH_CONFIG");
    return path && *path ? path : NULL;
}

static int find_file(const struct options *o, const char *dir, struct conf *c)
{
    CLEANUP(freep) char *beside = NULL;
    const char *asked = asked_for(o), *path = asked;
    int fd = -1, r = 0;

    if (asked) {
        r = open_file(asked, true, &fd);
    } else {
        if (asprintf(&beside, "%s/mesh.conf", dir) < 0) {
            beside = NULL;
            return cli_failed(-ENOMEM, NULL);
        }
        path = beside;
        r = open_file(path, false, &fd);
        if (r == 0 && fd < 0) {
            path = system_path;
            r = open_file(path, false, &fd);
        }
    }
    if (fd >= 0) {
        r = read_conf(fd, path, c);
        close(fd);
    }
    return r;
}

/* ---- the options ---- */

static void set_number(uint64_t *value, struct conf_place *place, uint64_t given,
                       const char *option)
{
    if (!given)
        return;
    *value = given;
    place->option = option;
}

static int take_options(const struct options *o, struct conf *c, struct error *error)
{
    uint64_t cpu, memory, quota, slots, gpus;
    const char *resource;
    size_t at = 0;
    int r = 0;

    if (options_number(o, "slots", CONF_SLOTS_MAX, &slots, error) < 0
        || options_number(o, "gpus", GPUS_MAX, &gpus, error) < 0
        || options_milli(o, "cpu", &cpu, error) < 0
        || options_bytes(o, "memory", &memory, error) < 0
        || options_bytes(o, "quota", &quota, error) < 0)
        return -EINVAL;
    if (options_has(o, "slots") && !slots)
        return fail(error, -EINVAL, "--slots must be at least 1");
    set_number(&c->cpu_milli, &c->place.cpu, cpu, "--cpu");
    set_number(&c->memory_bytes, &c->place.memory, memory, "--memory");
    set_number(&c->quota_bytes, &c->place.quota, quota, "--quota");
    if (slots) {
        c->slots = (uint32_t)slots;
        c->place.slots.option = "--slots";
    }
    if (options_has(o, "gpus")) {
        c->n_gpus = (uint32_t)gpus;
        c->has_gpus = true;
        c->place.gpu.option = "--gpus";
    }
    while (r == 0 && (resource = options_next(o, "resource", &at)))
        r = conf_add_resource(c, resource, "--resource", error);
    return r;
}

int conf_file_open(const struct options *o, const char *dir, struct conf **ret_conf)
{
    CLEANUP(conf_unrefp) struct conf *c = conf_new();
    struct error error = { .text = "" };
    int r = c ? find_file(o, dir, c) : cli_failed(-ENOMEM, NULL);

    if (r)
        return r;
    r = take_options(o, c, &error);
    if (r < 0)
        return r == -EINVAL ? cli_usage("%s", error.text) : cli_failed(r, &error);
    *ret_conf = TAKE(c);
    return 0;
}
