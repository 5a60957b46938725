/* SPDX-License-Identifier: Apache-2.0 */
#include "node/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/tree.h"

static const char file_scheme[] = "file://";

static int find_source(const struct artifacts *a, const struct flow *flow,
                       const struct run_id *run, const struct task_id *task,
                       const struct step_input *in, struct artifact *ret)
{
    struct task_id maker;

    if (in->step == FLOW_NONE)
        return artifacts_find(a, flow, run, task, in->artifact, false, ret, &maker);
    return artifacts_find_from(a, flow, run, task, in->step, NULL, in->artifact, ret,
                               &maker);
}

static int write_inline(const struct artifact *artifact, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = artifact->size ? write(fd, artifact->inline_data, artifact->size) : 0;
    close(fd);
    return n == (ssize_t)artifact->size ? 0 : -EIO;
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
    for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST) {
            *slash = '/';
            return -errno;
        }
        *slash = '/';
    }
    return 0;
}

static int lay_out_one(const struct artifacts *a, const struct flow *flow,
                       const struct run_id *run, const struct task_id *task,
                       const struct step_input *in, const char *path,
                       struct digest *ret_link, bool *ret_linked,
                       struct error *ret_error)
{
    CLEANUP(artifact_release) struct artifact artifact = { .name = NULL };
    int r;

    *ret_linked = false;
    if (in->url) {
        /* It stays where it is; the checker let only file: through. */
        const char *target = in->url + strlen(file_scheme);

        if (access(target, R_OK) < 0)
            return -errno;
        return symlink(target, path) < 0 ? -errno : 0;
    }
    r = find_source(a, flow, run, task, in, &artifact);
    if (r < 0)
        return r == -ENOENT ? fail(ret_error, r, "there is no artifact '%s'",
                                   in->artifact)
                            : r;
    if (artifact.encoding == ENCODING_TREE)
        return lay_out_tree(a, &artifact, path, ret_error);
    if (artifact.inline_data || artifact.size == 0)
        return write_inline(&artifact, path);
    *ret_link = artifact.id;
    return blobs_lay_out(a->blobs, &artifact.id, path, 0444, true, ret_linked);
}

static int lay_out_all(const struct artifacts *a, const struct flow *flow,
                       const struct run_id *run, const struct task_id *task,
                       const char *in_path, struct input_links *links,
                       struct error *ret_error)
{
    const struct step *s = &flow->steps[task->step];

    for (size_t i = 0; i < s->n_inputs; i++) {
        const struct step_input *in = &s->inputs[i];
        CLEANUP(freep) char *path = NULL;
        struct error why = { .text = "" };
        bool linked;
        int r;

        if (asprintf(&path, "%s/%s", in_path, in->as) < 0)
            return -ENOMEM;
        r = make_parents(path, strlen(in_path) + 1);
        if (r == 0)
            r = lay_out_one(a, flow, run, task, in, path, &links->all[links->n].id,
                            &linked, &why);
        if (r < 0)
            return fail(ret_error, r, "input '%s': %s", in->name,
                        why.text[0] ? why.text : strerror(-r));
        if (linked)
            links->all[links->n++].path = TAKE(path);
    }
    return 0;
}

int inputs_lay_out(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *task,
                   const char *in_path, struct input_links *ret_links,
                   struct error *ret_error)
{
    const struct step *s = &flow->steps[task->step];

    *ret_links = (struct input_links){ .all = calloc(s->n_inputs + 1,
                                                     sizeof(*ret_links->all)) };
    if (!ret_links->all)
        return -ENOMEM;
    if (mkdir(in_path, 0700) < 0)
        return fail(ret_error, -errno, "cannot make $MESH_IN: %s", strerror(errno));
    return lay_out_all(a, flow, run, task, in_path, ret_links, ret_error);
}

void input_links_release(struct input_links *links)
{
    for (size_t i = 0; i < links->n; i++)
        free(links->all[i].path);
    free(links->all);
    *links = (struct input_links){ .all = NULL };
}

int inputs_take_back(struct blobs *b, struct input_links *links)
{
    int r = 0;

    for (size_t i = 0; i < links->n; i++)
        if (blobs_is_intact(b, &links->all[i].id) == -ESTALE)
            r = -ESTALE;
        else
            blobs_remove_link(b, &links->all[i].id, links->all[i].path);
    input_links_release(links);
    return r;
}
