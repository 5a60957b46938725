/* SPDX-License-Identifier: Apache-2.0 */
#include "node/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/launch.h"
#include "node/merge.h"
#include "store/digest.h"
#include "store/tree.h"

static const char file_scheme[] = "file://";

static int find_source(const struct artifacts *a, const struct flow *flow,
                       const struct run_id *run, const struct task_id *task,
                       const struct step_input *in, struct artifact *ret,
                       struct error *ret_error)
{
    struct task_id maker;
    int r;

    if (in->step == FLOW_NONE) {
        r = artifacts_find(a, flow, run, task, in->artifact, false, ret, &maker);
        return r != -ENOENT ? r
                            : merge_find(a, flow, run, task, in->artifact, ret, &maker,
                                         ret_error);
    }
    return artifacts_find_from(a, flow, run, task, in->step, NULL, in->artifact, ret,
                               &maker);
}

int inputs_find(const struct artifacts *a, const struct flow *flow,
                const struct run_id *run, const struct task_id *task,
                const struct step_input *in, struct artifact *ret)
{
    struct error ignored = { .text = "" };

    return find_source(a, flow, run, task, in, ret, &ignored);
}

/* NULL: no such parameter, or it has no value. */
static const char *find_parameter(const struct slot *s, const char *name)
{
    for (size_t i = 0; i < s->flow->n_parameters; i++)
        if (strcmp(s->flow->parameters[i].name, name) == 0)
            return s->run->values[i];
    return NULL;
}

static int write_bytes(const void *data, size_t len, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    int r = 0;

    if (fd < 0)
        return -errno;
    for (size_t done = 0; r == 0 && done < len;) {
        ssize_t n = write(fd, (const char *)data + done, len - done);

        if (n < 0 && errno != EINTR)
            r = -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return r;
}

static int lay_out_tree(const struct artifacts *a, const struct artifact *artifact,
                        const char *path, struct error *ret_error)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    int r = tree_get(a->blobs, &artifact->id, &t);

    return r < 0 ? r : tree_lay_out(a->blobs, &t, path, false, ret_error);
}

/* The folders between in_path and the file, for an `as` with slashes. */
static int make_parents(char *path, size_t from)
{
    for (char *slash = strchr(path + from, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            *slash = '/';
            return -errno;
        }
        *slash = '/';
    }
    return 0;
}

/* An artifact; or, in *ret_value, a parameter, which what came along the edge hides. */
static int find_input(const struct artifacts *a, const struct slot *s,
                      const struct step_input *in, struct artifact *ret,
                      const char **ret_value, struct error *ret_error)
{
    int r = find_source(a, s->flow, &s->run->id, &s->task, in, ret, ret_error);

    *ret_value = NULL;
    if (r == -ENOENT && in->step == FLOW_NONE && !ret_error->text[0]) {
        *ret_value = find_parameter(s, in->artifact);
        if (*ret_value)
            return 0;
    }
    if (r == -ENOENT && !ret_error->text[0])
        return fail(ret_error, r, "there is no artifact '%s'", in->artifact);
    if (r == -EINVAL && in->step != FLOW_NONE)
        return fail(ret_error, r, "step '%s' cannot be seen from here",
                    s->flow->steps[in->step].name);
    return r;
}

static int lay_out_one(const struct artifacts *a, const struct slot *s,
                       const struct step_input *in, const char *path, bool may_link,
                       struct digest *ret_link, bool *ret_linked,
                       struct error *ret_error)
{
    CLEANUP(artifact_release) struct artifact artifact = { .name = NULL };
    const char *value;
    int r;

    *ret_linked = false;
    if (in->url) {
        /* It stays where it is; the checker let only file: through. */
        const char *target = in->url + strlen(file_scheme);

        if (access(target, R_OK) < 0)
            return fail(ret_error, -errno, "%s: %s", target, strerror(errno));
        return symlink(target, path) < 0 ? -errno : 0;
    }
    r = find_input(a, s, in, &artifact, &value, ret_error);
    if (r < 0)
        return r;
    if (value)
        return write_bytes(value, strlen(value), path);
    if (artifact.encoding == ENCODING_TREE)
        return lay_out_tree(a, &artifact, path, ret_error);
    if (artifact.inline_data || artifact.size == 0)
        return write_bytes(artifact.inline_data, artifact.size, path);
    *ret_link = artifact.id;
    return blobs_lay_out(a->blobs, &artifact.id, path, 0444, may_link, ret_linked);
}

/* A task that had no inputs may have made the folder itself. */
static int make_in_folder(const char *path)
{
    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    remove_tree(path);
    return mkdir(path, 0700) < 0 ? -errno : 0;
}

static int lay_out_input(const struct artifacts *a, const struct step_input *in,
                         struct slot *s, bool may_link, struct error *ret_error)
{
    CLEANUP(freep) char *path = NULL;
    struct error why = { .text = "" };
    struct digest id;
    bool linked;
    int r;

    if (asprintf(&path, "%s/%s", s->in_path, in->as) < 0)
        return -ENOMEM;
    r = make_parents(path, strlen(s->in_path) + 1);
    if (r == 0)
        r = lay_out_one(a, s, in, path, may_link, &id, &linked, &why);
    if (r < 0)
        return fail(ret_error, r, "input '%s': %s", in->name,
                    why.text[0] ? why.text : strerror(-r));
    if (linked)
        s->links[s->n_links++] = (struct input_link){ .id = id, .path = TAKE(path) };
    return 0;
}

int inputs_lay_out(const struct artifacts *a, struct slot *s, bool may_link,
                   struct error *ret_error)
{
    const struct step *step = &s->flow->steps[s->task.step];
    int r = make_in_folder(s->in_path);

    if (r < 0)
        return fail(ret_error, r, "cannot make $MESH_IN: %s", strerror(-r));
    s->links = calloc(step->n_inputs + 1, sizeof(*s->links));
    if (!s->links)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < step->n_inputs; i++)
        r = lay_out_input(a, &step->inputs[i], s, may_link, ret_error);
    return r;
}

/* A file that stays where it is, by what a change of it changes. */
static int identify_file(const char *path, struct digest *ret_id)
{
    struct stat st;
    char text[128];
    int n;

    if (stat(path, &st) < 0)
        return -errno;
    n = snprintf(text, sizeof(text), "%jd %jd.%09ld", (intmax_t)st.st_size,
                 (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    *ret_id = digest_memory(text, (size_t)n);
    return 0;
}

int inputs_identify(const struct artifacts *a, const struct slot *s,
                    const struct step_input *in, struct input_identity *ret,
                    struct error *ret_error)
{
    CLEANUP(artifact_release) struct artifact artifact = { .name = NULL };
    struct error why = { .text = "" };
    const char *value = NULL;
    int r;

    *ret = (struct input_identity){ .encoding = ENCODING_BYTES };
    if (in->url)
        r = identify_file(in->url + strlen(file_scheme), &ret->id);
    else
        r = find_input(a, s, in, &artifact, &value, &why);
    if (r < 0)
        return fail(ret_error, r, "input '%s': %s", in->name,
                    why.text[0] ? why.text : strerror(-r));
    if (value)
        ret->id = digest_memory(value, strlen(value));
    else if (!in->url)
        *ret = (struct input_identity){ artifact.encoding, artifact.id };
    return 0;
}

int inputs_check(const struct artifacts *a, const struct slot *s)
{
    for (size_t i = 0; i < s->n_links; i++)
        if (blobs_is_intact(a->blobs, &s->links[i].id) < 0)
            return -ESTALE;
    return 0;
}

int inputs_remove(const struct artifacts *a, const struct slot *s)
{
    for (size_t i = 0; i < s->n_links; i++)
        blobs_remove_link(a->blobs, &s->links[i].id, s->links[i].path);
    return slot_clear_path(s->in_path);
}
