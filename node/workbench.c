/* SPDX-License-Identifier: Apache-2.0 */
#include "node/workbench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "flow/parameters.h"
#include "node/inputs.h"
#include "node/remove.h"
#include "store/tree.h"

enum {
    NAME_LEN = 8,         /* of the token's front, which names the folder */
    UNLOCKED_MAX_S = 120, /* from its making until somebody works there */
};

static const char exec_folder[] = "exec";

void workbench_release(struct workbench *b)
{
    free(b->dir);
    free(b->work_path);
    free(b->code_path);
    free(b->rerun);
    free(b->problem);
    for (char **a = b->argv; a && *a; a++)
        free(*a);
    free(b->argv);
    variables_release(&b->env);
    *b = (struct workbench){ .dir = NULL };
}

static char *join(const char *dir, const char *name)
{
    char *path;

    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int make_folder(const char *path)
{
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* ---- the session ---- */

void workbench_session_release(struct workbench_session *s)
{
    free(s->step);
    free(s->task);
    free(s->out_dir);
    *s = (struct workbench_session){ .attempt = 0 };
}

static int write_session(const struct workbench_order *order, const char *dir,
                         const char *token)
{
    CLEANUP(freep) char *path = join(dir, "session");
    char run[RUN_ID_TEXT_SIZE], task[TASK_TEXT_SIZE];
    json_t *json;
    int r;

    run_id_text(&order->record->run, run);
    task_id_text(&order->task, task);
    json = json_pack("{s:s, s:s, s:s, s:s, s:I}", "token", token, "run", run, "step",
                     order->flow->steps[order->task.step].name, "task", task, "attempt",
                     (json_int_t)order->attempt);
    r = path && json && json_dump_file(json, path, JSON_COMPACT) == 0 ? 0 : -EIO;
    json_decref(json);
    return r;
}

static int read_session(const char *dir, struct workbench_session *ret)
{
    CLEANUP(workbench_session_release) struct workbench_session s = { .attempt = 0 };
    CLEANUP(freep) char *path = join(dir, "session");
    const char *token, *run, *step, *task;
    json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
    json_int_t attempt;
    int r = -EACCES;

    if (json
        && json_unpack(json, "{s:s, s:s, s:s, s:s, s:I}", "token", &token, "run", &run,
                       "step", &step, "task", &task, "attempt", &attempt)
               == 0
        && strlen(token) == SLOT_TOKEN_SIZE - 1 && run_id_parse(run, &s.run) == 0) {
        memcpy(s.token, token, SLOT_TOKEN_SIZE);
        s.attempt = (uint32_t)attempt;
        s.step = strdup(step);
        s.task = strdup(task);
        s.out_dir = join(dir, "out");
        r = s.step && s.task && s.out_dir ? 0 : -ENOMEM;
    }
    json_decref(json);
    if (r < 0)
        return r;
    *ret = s;
    s = (struct workbench_session){ .attempt = 0 };
    return 0;
}

int workbench_find(const char *data_dir, const char *token,
                   struct workbench_session *ret)
{
    CLEANUP(freep) char *dir = NULL;

    if (strlen(token) != SLOT_TOKEN_SIZE - 1
        || strspn(token, "0123456789abcdef") != SLOT_TOKEN_SIZE - 1)
        return -EACCES;
    if (asprintf(&dir, "%s/%s/%.*s", data_dir, exec_folder, NAME_LEN, token) < 0) {
        dir = NULL;
        return -ENOMEM;
    }
    return read_session(dir, ret);
}

/* ---- making ---- */

static int make_token(char ret_token[SLOT_TOKEN_SIZE])
{
    uint8_t random[(SLOT_TOKEN_SIZE - 1) / 2];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    hex_text(random, sizeof(random), ret_token);
    return 0;
}

/* The task's slot, as far as laying out and the environment need it. */
static int make_places(struct slot *s, const char *dir)
{
    s->out.path = join(dir, "out");
    s->tmp.path = join(dir, "tmp");
    s->in_path = join(dir, "in");
    if (!s->out.path || !s->tmp.path || !s->in_path)
        return -ENOMEM;
    if (make_folder(s->out.path) < 0 || make_folder(s->tmp.path) < 0)
        return -errno;
    return 0;
}

static void places_release(struct slot *s)
{
    free(s->out.path);
    free(s->tmp.path);
    free(s->in_path);
    for (size_t i = 0; i < s->n_links; i++)
        free(s->links[i].path);
    free(s->links);
}

static int lay_out_code(const struct workbench_order *order, const char *path,
                        struct error *ret_error)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    struct blobs *blobs = order->artifacts->blobs;
    int r = tree_get(blobs, &order->record->package, &t);

    if (r == 0)
        r = tree_lay_out(blobs, &t, path, false, ret_error);
    if (r < 0 && !ret_error->text[0])
        return fail(ret_error, r, "the code package cannot be laid out: %s",
                    strerror(-r));
    return r;
}

/* What the step would run; one that cannot be run leaves a folder to look into. */
static int find_command(struct run_context *c, uint32_t step, struct step_launch *other,
                        struct step_launch **ret_step, struct workbench *b)
{
    struct error why = { .text = "" };
    int r = launch_step(c, step, ret_step, &why);

    if (r == 0 || r == -ENOMEM)
        return r;
    b->problem = strdup(why.text[0] ? why.text : strerror(-r));
    if (!b->problem || variables_copy(&c->env, &other->env) < 0
        || variables_printf(&other->env, "MESH_STEP=%s", c->flow->steps[step].name) < 0)
        return -ENOMEM;
    other->work_path = c->code_path;
    *ret_step = other;
    return 0;
}

static int copy_argv(char *const *argv, char ***ret)
{
    size_t n = 0;

    while (argv && argv[n])
        n++;
    *ret = calloc(n + 1, sizeof(**ret));
    for (size_t i = 0; *ret && i < n; i++) {
        (*ret)[i] = strdup(argv[i]);
        if (!(*ret)[i])
            return -ENOMEM;
    }
    return *ret ? 0 : -ENOMEM;
}

static int copy_environment(char *const *envp, struct variables *ret)
{
    for (; *envp; envp++) {
        int r = variables_set(ret, strdup(*envp));

        if (r < 0)
            return r;
    }
    return 0;
}

/* Their values were not kept: better no variable than an empty one. */
static int drop_secrets(const struct flow *f, struct variables *env)
{
    for (size_t i = 0; i < f->n_parameters; i++) {
        CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
        int r;

        if (!f->parameters[i].is_secret)
            continue;
        r = parameter_variable(f->parameters[i].name, &name);
        if (r < 0)
            return r;
        variables_unset(env, buffer_text(&name));
    }
    return 0;
}

static void put_quoted(struct buffer *out, const char *text)
{
    buffer_putc(out, '\'');
    for (; *text; text++)
        if (*text == '\'')
            buffer_puts(out, "'\\''");
        else
            buffer_putc(out, *text);
    buffer_putc(out, '\'');
}

static int write_rerun(struct workbench *b, const char *program)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    FILE *file;
    int r;

    b->rerun = join(b->dir, "rerun");
    if (!b->rerun)
        return -ENOMEM;
    buffer_puts(&text, "#!/bin/sh\n# What the task ran, in its folder.\ncd ");
    put_quoted(&text, b->work_path);
    buffer_puts(&text, " && exec ");
    put_quoted(&text, program);
    for (char **a = b->argv + 1; b->argv[0] && *a; a++) {
        buffer_putc(&text, ' ');
        put_quoted(&text, *a);
    }
    buffer_putc(&text, '\n');
    if (buffer_failed(&text))
        return buffer_failed(&text);
    file = fopen(b->rerun, "we");
    if (!file)
        return -errno;
    r = fwrite(text.data, 1, text.len, file) == text.len ? 0 : -EIO;
    if (fchmod(fileno(file), 0700) < 0)
        r = -errno;
    return fclose(file) == 0 ? r : -errno;
}

static int fill(struct workbench *b, const struct step_launch *l, char *const *envp,
                const struct flow *f)
{
    int r;

    b->work_path = strdup(l->work_path);
    if (!b->work_path)
        return -ENOMEM;
    r = copy_environment(envp, &b->env);
    if (r == 0)
        r = drop_secrets(f, &b->env);
    if (r == 0)
        r = copy_argv(l->argv, &b->argv);
    return r == 0 && l->path ? write_rerun(b, l->path) : r;
}

static int lay_out(const struct workbench_order *order, struct run_context *c,
                   struct slot *s, struct workbench *b, struct error *ret_error)
{
    CLEANUP(launch_scratch_release) struct launch_scratch scratch = { .cap = 0 };
    CLEANUP(items_release) struct items items = { .clock = 0 };
    struct step_launch other = { .is_ready = true }, *l;
    char **envp;
    int r = make_places(s, b->dir);

    if (r == 0)
        r = lay_out_code(order, b->code_path, ret_error);
    if (r == 0)
        r = inputs_lay_out(order->artifacts, s, false, ret_error);
    if (r == 0)
        r = find_command(c, order->task.step, &other, &l, b);
    if (r == 0)
        r = launch_environment(&scratch, c, l, s, &items, order->artifacts, &envp);
    if (r == 0)
        r = fill(b, l, envp, order->flow);
    variables_release(&other.env);
    return r;
}

static int make_in(const struct workbench_order *order, struct slot *s,
                   struct workbench *b, struct error *ret_error)
{
    struct launch_config config = *order->config;
    struct run_context *c;
    int r;

    b->code_path = join(b->dir, "code");
    config.code_path = b->code_path;
    if (!b->code_path)
        return -ENOMEM;
    r = run_context_new(&config, order->record, order->flow, order->take_values, &c);
    if (r < 0)
        return r;
    s->run = c;
    r = lay_out(order, c, s, b, ret_error);
    run_context_free(c);
    return r < 0 ? r : write_session(order, b->dir, s->token);
}

int workbench_make(const struct workbench_order *order, struct workbench *ret,
                   struct error *ret_error)
{
    CLEANUP(workbench_release) struct workbench b = { .dir = NULL };
    CLEANUP(freep) char *all = join(order->config->data_dir, exec_folder);
    CLEANUP(places_release)
    struct slot s = { .flow = order->flow,
                      .task = order->task,
                      .attempt = order->attempt };
    int r = all ? make_token(s.token) : -ENOMEM;

    if (r == 0)
        r = make_folder(all);
    if (r == 0 && asprintf(&b.dir, "%s/%.*s", all, NAME_LEN, s.token) < 0) {
        b.dir = NULL;
        r = -ENOMEM;
    }
    if (r == 0 && mkdir(b.dir, 0700) < 0)
        r = -errno;
    if (r < 0) {
        parameters_free(order->flow, order->take_values);
        return r;
    }
    r = make_in(order, &s, &b, ret_error);
    if (r < 0) {
        remove_tree(b.dir);
        return r;
    }
    *ret = b;
    b = (struct workbench){ .dir = NULL };
    return 0;
}

/* ---- removing ---- */

static bool is_in_use(const char *dir)
{
    CLEANUP(freep) char *path = join(dir, "session");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    struct stat st;
    bool is_used;

    if (fd < 0 && (!path || errno != ENOENT))
        return true; /* nothing is known of it */
    /* Being made: the session comes last. */
    if (fd < 0)
        return stat(dir, &st) == 0 && time(NULL) - st.st_mtime < UNLOCKED_MAX_S;
    is_used = flock(fd, LOCK_EX | LOCK_NB) < 0
              || (fstat(fd, &st) == 0 && time(NULL) - st.st_mtime < UNLOCKED_MAX_S);
    close(fd);
    return is_used;
}

void workbench_sweep(const char *data_dir)
{
    CLEANUP(freep) char *all = join(data_dir, exec_folder);
    DIR *dir = all ? opendir(all) : NULL;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        CLEANUP(freep) char *path = NULL;

        if (entry->d_name[0] == '.')
            continue;
        path = join(all, entry->d_name);
        if (path && !is_in_use(path))
            remove_tree(path);
    }
    if (dir)
        closedir(dir);
}
