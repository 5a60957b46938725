/* SPDX-License-Identifier: Apache-2.0 */
#include "node/package.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "node/ignore.h"
#include "store/tree.h"

enum { IGNORE_FILE_MAX = 1 << 20, DEPTH_MAX = 128 };

struct collect {
    const struct package_rules *rules;
    struct package *package;
    struct ignore ignore;
    struct ignore include, exclude;
    bool only_included; /* the walk looks for package.include and nothing else */
    bool has_data;
    dev_t data_dev;
    ino_t data_ino;
    struct buffer path; /* of the folder at hand, with its slash */
    struct error *error;
};

void package_release(struct package *p)
{
    for (size_t i = 0; i < p->n; i++)
        free(p->files[i].path);
    free(p->files);
    free(p->link_out);
    *p = (struct package){ .n = 0 };
}

/* ---- rules ---- */

static bool is_secret_name(const char *name)
{
    static const char *const patterns[] = { ".git", ".env*", "*.pem", "id_*", ".aws" };

    for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
        if (ignore_glob(patterns[i], name))
            return true;
    return false;
}

bool package_is_secret(const char *path)
{
    char name[256];

    for (;;) {
        size_t len = strcspn(path, "/");

        if (len < sizeof(name)) {
            memcpy(name, path, len);
            name[len] = '\0';
            if (is_secret_name(name))
                return true;
        }
        if (!path[len])
            return false;
        path += len + 1;
    }
}

/* A list of the flow's patterns as rules: then a folder's name stands for all in it. */
static int read_patterns(char *const *patterns, struct ignore *ret)
{
    int r = 0;

    for (; r == 0 && patterns && *patterns; patterns++)
        r = ignore_read(ret, "", *patterns, strlen(*patterns));
    return r;
}

/* Whether a file, or a folder it lies in, is named. */
static bool is_named(const struct ignore *names, const char *path)
{
    CLEANUP(freep) char *front = strdup(path);

    for (char *slash = front; slash && (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = '\0';
        if (ignore_matches(names, front, true))
            return true;
    }
    return ignore_matches(names, path, false);
}

/* A link's target must stay in the folder, with `..` only at its front. */
bool package_link_is_inside(const char *path, const char *target)
{
    size_t depth = 0;
    bool is_front = true;

    for (const char *p = path; *p; p++)
        depth += *p == '/';
    if (*target == '/' || *target == '\0')
        return false;
    while (*target) {
        size_t len = strcspn(target, "/");
        bool is_up = len == 2 && memcmp(target, "..", 2) == 0;

        if (is_up && (!is_front || depth-- == 0))
            return false;
        if (!is_up && len && !(len == 1 && *target == '.'))
            is_front = false;
        target += len + (target[len] == '/');
    }
    return true;
}

/* ---- the list ---- */

static int add_file(struct collect *c, const char *path, const struct stat *st)
{
    struct package *p = c->package;
    struct package_file *f;

    if (p->n == TREE_FILES_MAX)
        return fail(
            c->error, -E2BIG,
            "there are more than %d files in %s; put the flow in a folder of its "
            "own, or name what to leave out: package: {exclude: [PATTERN]}",
            TREE_FILES_MAX, c->rules->dir);
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 64;
        struct package_file *files = realloc(p->files, cap * sizeof(*files));

        if (!files)
            return -ENOMEM;
        p->files = files;
        p->cap = cap;
    }
    f = &p->files[p->n];
    *f = (struct package_file){ .path = strdup(path),
                                .size = (uint64_t)st->st_size,
                                .is_executable = (st->st_mode & 0100) != 0,
                                .is_link = S_ISLNK(st->st_mode) };
    if (!f->path)
        return -ENOMEM;
    p->n++;
    p->bytes += f->size;
    return 0;
}

static int skip_link(struct collect *c, const char *path)
{
    if (c->package->n_links_out++ == 0)
        c->package->link_out = strdup(path);
    return 0;
}

/* A file that was found: taken if it can be. */
static int consider(struct collect *c, int dir_fd, const char *name, const char *path,
                    const struct stat *st)
{
    char target[4096];
    ssize_t n;

    if (S_ISREG(st->st_mode))
        return add_file(c, path, st);
    if (!S_ISLNK(st->st_mode))
        return 0;
    n = readlinkat(dir_fd, name, target, sizeof(target) - 1);
    if (n < 0)
        return skip_link(c, path);
    target[n] = '\0';
    return package_link_is_inside(path, target) ? add_file(c, path, st)
                                                : skip_link(c, path);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct package_file *)a)->path,
                  ((const struct package_file *)b)->path);
}

static void sort_and_unite(struct package *p)
{
    size_t n = 0;

    if (p->n)
        qsort(p->files, p->n, sizeof(*p->files), compare_files);
    for (size_t i = 0; i < p->n; i++) {
        if (n && strcmp(p->files[n - 1].path, p->files[i].path) == 0) {
            p->bytes -= p->files[i].size;
            free(p->files[i].path);
        } else {
            p->files[n++] = p->files[i];
        }
    }
    p->n = n;
}

/* ---- the walk ---- */

static int read_small_file(int dir_fd, const char *name, struct buffer *ret)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    int r = 0;

    if (fd < 0)
        return 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= IGNORE_FILE_MAX) {
        size_t size = (size_t)st.st_size;
        char *at = buffer_reserve(ret, size);
        ssize_t n = at ? read(fd, at, size) : -1;

        ret->len += n > 0 ? (size_t)n : 0;
        r = at ? 0 : -ENOMEM;
    }
    close(fd);
    return r;
}

static int read_ignore_files(struct collect *c, int dir_fd)
{
    static const char *const names[] = { ".gitignore", ".meshignore" };
    int r = 0;

    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

        r = read_small_file(dir_fd, names[i], &text);
        if (r == 0 && text.len)
            r = ignore_read(&c->ignore, buffer_text(&c->path), text.data, text.len);
    }
    return r;
}

static int walk(struct collect *c, int take_fd, unsigned depth);

static int enter(struct collect *c, int dir_fd, const char *name, unsigned depth)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return fail(c->error, -errno, "cannot read the folder %s/%s: %s", c->rules->dir,
                    buffer_text(&c->path), strerror(errno));
    if (buffer_putc(&c->path, '/') < 0) {
        close(fd);
        return -ENOMEM;
    }
    return walk(c, fd, depth + 1);
}

static int walk_entry(struct collect *c, int dir_fd, const char *name, unsigned depth)
{
    size_t before = c->path.len;
    const char *path;
    struct stat st;
    bool is_folder;
    int r = 0;

    if (is_secret_name(name) || fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    is_folder = S_ISDIR(st.st_mode);
    if (is_folder && c->has_data && st.st_dev == c->data_dev
        && st.st_ino == c->data_ino)
        return 0;
    if (buffer_puts(&c->path, name) < 0)
        return -ENOMEM;
    path = buffer_text(&c->path);
    if (c->only_included ? !is_folder && !is_named(&c->include, path)
                         : ignore_matches(&c->ignore, path, is_folder)
                               || ignore_matches(&c->exclude, path, is_folder)) {
        r = 0;
    } else if (is_folder) {
        r = enter(c, dir_fd, name, depth);
    } else {
        r = consider(c, dir_fd, name, path, &st);
    }
    c->path.len = before;
    c->path.data[before] = '\0';
    return r;
}

static int walk(struct collect *c, int take_fd, unsigned depth)
{
    size_t rules_before = c->ignore.n;
    DIR *dir = fdopendir(take_fd);
    struct dirent *entry;
    int r;

    if (!dir) {
        close(take_fd);
        return -ENOMEM;
    }
    r = depth > DEPTH_MAX ? fail(c->error, -E2BIG,
                                 "folders are nested too deeply in %s", c->rules->dir)
                          : read_ignore_files(c, take_fd);
    while (r == 0 && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = walk_entry(c, take_fd, entry->d_name, depth);
    closedir(dir);
    ignore_cut(&c->ignore, rules_before);
    return r;
}

static int walk_top(struct collect *c)
{
    int fd = open(c->rules->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return fail(c->error, -errno, "cannot read the folder %s: %s", c->rules->dir,
                    strerror(errno));
    buffer_clear(&c->path);
    return buffer_puts(&c->path, "") < 0 ? -ENOMEM : walk(c, fd, 0);
}

/* ---- git ---- */

/* Whether a .git stands in the folder or above it. */
static bool has_repository(const char *dir)
{
    CLEANUP(freep) char *path = realpath(dir, NULL);

    while (path) {
        CLEANUP(freep) char *git = NULL;
        char *slash = strrchr(path, '/');

        if (asprintf(&git, "%s/.git", path) < 0) {
            git = NULL;
            return false;
        }
        if (access(git, F_OK) == 0)
            return true;
        if (!slash || path[1] == '\0')
            return false;
        slash[slash == path] = '\0';
    }
    return false;
}

static int read_all(int fd, struct buffer *ret)
{
    for (;;) {
        char *at = buffer_reserve(ret, 65536);
        ssize_t n = at ? read(fd, at, 65536) : -1;

        if (!at)
            return -ENOMEM;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        ret->len += (size_t)n;
    }
}

extern char **environ;

/* What `git ls-files -z` prints; -ENOENT when git is missing or does not like it. */
static int ask_git(const char *dir, struct buffer *ret)
{
    char *const args[] = { "git", "-C", (char *)dir, "ls-files", "-z", NULL };
    posix_spawn_file_actions_t actions;
    int pipe_fds[2], status = -1, r;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    r = -posix_spawnp(&pid, "git", &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[1]);
    if (r == 0) {
        r = read_all(pipe_fds[0], ret);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    close(pipe_fds[0]);
    return r == 0 && status != 0 ? -ENOENT : r;
}

static int take_tracked(struct collect *c, const struct buffer *list)
{
    int dir_fd = open(c->rules->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = dir_fd < 0 ? -errno : 0;

    for (size_t at = 0; r == 0 && at < list->len;) {
        const char *path = list->data + at;
        struct stat st;

        at += strlen(path) + 1;
        /* What git tracks may be gone from the folder, and a submodule is a folder. */
        if (!package_is_secret(path) && !is_named(&c->exclude, path)
            && fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
            r = consider(c, dir_fd, path, path, &st);
    }
    if (dir_fd >= 0)
        close(dir_fd);
    return r;
}

/* ---- all of it ---- */

static int take_default(struct collect *c)
{
    CLEANUP(buffer_release) struct buffer list = BUFFER_INIT;

    if (has_repository(c->rules->dir) && ask_git(c->rules->dir, &list) == 0) {
        c->package->is_git = true;
        return list.len ? take_tracked(c, &list) : 0;
    }
    return walk_top(c);
}

static int take_flow_file(struct collect *c)
{
    CLEANUP(freep) char *path = NULL;
    struct stat st;

    if (asprintf(&path, "%s/%s", c->rules->dir, c->rules->flow_name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    if (stat(path, &st) < 0 || package_is_secret(c->rules->flow_name)
        || package_find(c->package, c->rules->flow_name))
        return 0;
    return add_file(c, c->rules->flow_name, &st);
}

static int compare_sizes(const void *a, const void *b)
{
    const struct package_file *x = a, *y = b;

    return x->size < y->size ? 1 : x->size > y->size ? -1 : strcmp(x->path, y->path);
}

static int refuse_size(struct collect *c)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct package *p = c->package;

    qsort(p->files, p->n, sizeof(*p->files), compare_sizes);
    for (size_t i = 0; i < p->n && i < PACKAGE_LARGEST; i++)
        buffer_printf(&text, "%s%.60s (%.1f MiB)", i ? ", " : "", p->files[i].path,
                      (double)p->files[i].size / (1 << 20));
    return fail(c->error, -E2BIG,
                "the code beside the flow is %.1f MiB, more than %d; the largest: %s; "
                "leave them out by package: {exclude: [PATTERN]}",
                (double)p->bytes / (1 << 20), PACKAGE_BYTES_MAX >> 20,
                buffer_text(&text));
}

static int take_all(struct collect *c)
{
    struct stat st;
    int r = read_patterns(c->rules->include, &c->include);

    if (r == 0)
        r = read_patterns(c->rules->exclude, &c->exclude);
    c->has_data = c->rules->data_dir && stat(c->rules->data_dir, &st) == 0;
    if (c->has_data) {
        c->data_dev = st.st_dev;
        c->data_ino = st.st_ino;
    }
    if (r == 0)
        r = take_default(c);
    c->only_included = true;
    if (r == 0 && c->include.n)
        r = walk_top(c);
    if (r < 0)
        return r;
    sort_and_unite(c->package);
    r = take_flow_file(c);
    sort_and_unite(c->package);
    if (r == 0 && c->package->bytes > PACKAGE_BYTES_MAX)
        r = refuse_size(c);
    return r;
}

int package_collect(const struct package_rules *rules, struct package *ret,
                    struct error *ret_error)
{
    struct package package = { .n = 0 };
    struct collect c = { .rules = rules, .package = &package, .error = ret_error };
    int r = take_all(&c);

    buffer_release(&c.path);
    ignore_release(&c.ignore);
    ignore_release(&c.include);
    ignore_release(&c.exclude);
    if (r < 0) {
        package_release(&package);
        return r;
    }
    *ret = package;
    return 0;
}

const struct package_file *package_find(const struct package *p, const char *path)
{
    struct package_file key = { .path = (char *)path };

    return p->n ? bsearch(&key, p->files, p->n, sizeof(*p->files), compare_files)
                : NULL;
}

char **package_paths(const struct package *p)
{
    char **paths = calloc(p->n + 1, sizeof(*paths));

    for (size_t i = 0; paths && i < p->n; i++)
        paths[i] = p->files[i].path;
    return paths;
}
