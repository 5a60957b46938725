/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/package.h"
#include "store/digest.h"
#include "store/tree.h"

enum { TARGET_MAX = 4095 };

static bool is_empty(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    bool result = d != NULL;

    while (d && result && (e = readdir(d)))
        result = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    if (d)
        closedir(d);
    return result;
}

/* The folders of a path, of which some may be there. */
static int make_parents(int dir_fd, const char *path)
{
    CLEANUP(freep) char *front = strdup(path);

    for (char *slash = front; slash && (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        if (mkdirat(dir_fd, front, 0777) < 0 && errno != EEXIST)
            return -errno;
    }
    return front ? 0 : -ENOMEM;
}

struct file_sink {
    int fd;
    struct digest_stream *digest;
};

static int write_piece(void *arg, const char *data, size_t len)
{
    struct file_sink *s = arg;
    int r = digest_stream_add(s->digest, data, len);

    while (r == 0 && len) {
        ssize_t n = write(s->fd, data, len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return r;
}

static int get_blob(struct client *c, const struct digest *id, client_body_fn *on_body,
                    void *arg, struct answer *ret, struct error *e)
{
    CLEANUP(freep) char *path = NULL;
    char text[DIGEST_TEXT_SIZE];
    int r;

    digest_text(id, text);
    path = client_path("/v1/blobs/%s", text);
    if (!path)
        return -ENOMEM;
    r = client_request(c,
                       &(struct request){ .method = "GET",
                                          .path = path,
                                          .on_body = on_body,
                                          .arg = arg },
                       ret, e);
    if (r == 0 && ret->status >= 300)
        r = fail(e, -ENOENT, "the store has not all of it");
    return r;
}

static int get_file(struct client *c, int dir_fd, const struct tree_entry *entry,
                    struct error *e)
{
    CLEANUP(digest_stream_freep) struct digest_stream *digest = digest_stream_new();
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct file_sink sink = { .digest = digest };
    struct digest got;
    int r;

    sink.fd = openat(dir_fd, entry->path,
                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                     entry->mode == 0755 ? 0777 : 0666);
    if (sink.fd < 0 || !digest) {
        r = sink.fd < 0 ? -errno : -ENOMEM;
    } else {
        r = get_blob(c, &entry->id, write_piece, &sink, &a, e);
        got = digest_stream_end(digest);
        if (r == 0 && !digest_equal(&got, &entry->id))
            r = fail(e, -EBADMSG, "its bytes are damaged; see mesh verify");
    }
    if (sink.fd >= 0 && close(sink.fd) < 0 && r == 0)
        r = -errno;
    return r;
}

static int get_link(struct client *c, int dir_fd, const struct tree_entry *entry,
                    struct error *e)
{
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    int r = get_blob(c, &entry->id, NULL, NULL, &a, e);
    const char *target = buffer_text(&a.body);

    if (r < 0)
        return r;
    if (a.body.len > TARGET_MAX || strlen(target) != a.body.len
        || !package_link_is_inside(entry->path, target))
        return fail(e, -EBADMSG, "it is a link that leaves the folder");
    return symlinkat(target, dir_fd, entry->path) < 0 ? -errno : 0;
}

/* Files first: no path of a file leads through a link then. */
static int lay_out(struct client *c, int dir_fd, const struct tree *t)
{
    for (int links = 0; links < 2; links++)
        for (size_t i = 0; i < t->n; i++) {
            const struct tree_entry *entry = &t->entries[i];
            struct error e = { .text = "" };
            int r;

            if ((entry->mode == 0) != links)
                continue;
            r = make_parents(dir_fd, entry->path);
            if (r == 0)
                r = links ? get_link(c, dir_fd, entry, &e)
                          : get_file(c, dir_fd, entry, &e);
            if (r < 0) {
                cli_say("%s: %s", entry->path, e.text[0] ? e.text : strerror(-r));
                return CLI_FAILED;
            }
        }
    return CLI_OK;
}

int folder_lay_out(struct client *c, const struct buffer *manifest, const char *dir)
{
    CLEANUP(tree_release) struct tree t = { .n = 0 };
    int dir_fd, r = tree_decode(buffer_text(manifest), manifest->len, &t);

    if (r < 0) {
        cli_say("the folder's list is damaged: %s", strerror(-r));
        return CLI_FAILED;
    }
    if (mkdir(dir, 0777) < 0 && (errno != EEXIST || !is_empty(dir))) {
        cli_say("cannot make the folder %s: %s", dir,
                errno == EEXIST || errno == 0 ? "it is there and not empty"
                                              : strerror(errno));
        return CLI_FAILED;
    }
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return cli_failed(-errno, NULL);
    r = lay_out(c, dir_fd, &t);
    close(dir_fd);
    return r;
}
