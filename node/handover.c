/* SPDX-License-Identifier: Apache-2.0 */
#include "node/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/close_range.h>

#include "base/macros.h"

enum { FDS_OF_SLOT = 4 };

static const char variable[] = "MESH_HANDOVER";

void handover_release(struct handover *h)
{
    for (size_t i = 0; h->owns && i < h->n_tasks; i++)
        if (h->tasks[i].slot) {
            slot_release(h->tasks[i].slot);
            free(h->tasks[i].slot);
        }
    for (size_t i = 0; h->owns && i < h->n_secrets; i++) {
        free(h->secrets[i].name);
        if (h->secrets[i].value)
            explicit_bzero(h->secrets[i].value, strlen(h->secrets[i].value));
        free(h->secrets[i].value);
    }
    free(h->tasks);
    free(h->secrets);
    if (h->owns) {
        free(h->dir);
        free(h->version);
        free(h->peer_listen);
    }
    *h = (struct handover){ .user_fd = -1, .task_fd = -1, .tcp_fd = -1 };
}

/* ---- writing: without memory a member is missing, and the whole is NULL ---- */

static void put(json_t *to, const char *key, json_t *value, bool *failed)
{
    if (json_object_set_new(to, key, value) < 0)
        *failed = true;
}

static void put_number(json_t *to, const char *key, uint64_t n, bool *failed)
{
    if (n)
        put(to, key, json_integer((json_int_t)n), failed);
}

static void put_true(json_t *to, const char *key, bool is_so, bool *failed)
{
    if (is_so)
        put(to, key, json_true(), failed);
}

static void put_text(json_t *to, const char *key, const char *text, bool *failed)
{
    if (text)
        put(to, key, json_string(text), failed);
}

static void put_bytes(json_t *to, const char *key, const void *data, size_t len,
                      bool *failed)
{
    CLEANUP(freep) char *text = malloc(2 * len + 1);

    if (text)
        hex_text(data, len, text);
    put(to, key, text ? json_string(text) : NULL, failed);
}

static json_t *write_types(const struct slot *s, bool *failed)
{
    json_t *types = json_array();

    /* The newest is first in the list, and is put in front again. */
    for (const struct output_type *t = s->types; t; t = t->next)
        if (json_array_insert_new(types, 0, json_pack("[ss]", t->name, t->type)) < 0)
            *failed = true;
    return types;
}

static json_t *write_links(const struct slot *s, bool *failed)
{
    json_t *links = json_array();
    char id[DIGEST_TEXT_SIZE];

    for (size_t i = 0; i < s->n_links; i++) {
        digest_text(&s->links[i].id, id);
        if (json_array_append_new(links, json_pack("[ss]", id, s->links[i].path)) < 0)
            *failed = true;
    }
    return links;
}

static json_t *write_log(const struct slot_log *log, bool *failed)
{
    json_t *to = json_object();

    put_number(to, "bytes", log->bytes, failed);
    put_number(to, "bytes_max", log->bytes_max, failed);
    put_true(to, "is_truncated", log->is_truncated, failed);
    put_true(to, "has_file", log->fd >= 0, failed);
    if (log->pieces.len)
        put_bytes(to, "pieces", log->pieces.data, log->pieces.len, failed);
    return to;
}

static json_t *write_group(const struct cgroup_slot *g, bool *failed)
{
    json_t *to = json_object();

    put_number(to, "generation", g->generation, failed);
    put_true(to, "was_killed", g->was_killed, failed);
    put_number(to, "memory_max", g->memory_max, failed);
    put_number(to, "oom_kills", g->oom_kills, failed);
    put_text(to, "v2", g->v2_path, failed);
    put_text(to, "v1", g->v1_path, failed);
    return to;
}

static json_t *write_guest(const struct mesh_guest *g, bool *failed)
{
    char leader[NODE_ID_TEXT_SIZE], ballot[NODE_ID_TEXT_SIZE];
    json_t *to = json_object();

    node_id_text(&g->leader, leader);
    node_id_text(&g->rank.ballot.node, ballot);
    put_number(to, "fence", g->fence, failed);
    put_number(to, "lease", g->lease, failed);
    put_number(to, "counter", g->counter, failed);
    put_number(to, "gpus", g->gpus, failed);
    put_number(to, "started", g->started, failed);
    put_true(to, "is_void", g->is_void, failed);
    if (g->has_witness)
        put_bytes(to, "witness", g->witness.bytes, sizeof(g->witness.bytes), failed);
    put_text(to, "leader", leader, failed);
    put_true(to, "is_sealed", g->rank.is_sealed, failed);
    put_number(to, "generation", g->rank.generation, failed);
    put_number(to, "ballot", g->rank.ballot.counter, failed);
    put_text(to, "ballot_node", ballot, failed);
    return to;
}

static void write_attempt(const struct slot *s, json_t *to, bool *failed)
{
    put_number(to, "slot", s->index, failed);
    put_number(to, "pid", (uint64_t)s->pid, failed);
    put_text(to, "token", s->token, failed);
    put_number(to, "gpus", s->gpus, failed);
    put_number(to, "fence", s->fence, failed);
    put_number(to, "guard", (uint64_t)s->guard_fd, failed);
    put_number(to, "permit_until", s->guard_fd > 0 ? s->permit_until : 0, failed);
    put_number(to, "generation", s->generation, failed);
    put_number(to, "ballot", s->ballot, failed);
    put_number(to, "started", s->started, failed);
    put_number(to, "started_wall", s->started_wall, failed);
    put_number(to, "kill_reason", s->kill_reason, failed);
    put_number(to, "owner", s->owner, failed);
    put_true(to, "is_guest", s->is_guest, failed);
    put_text(to, "choice", s->choice, failed);
    if (s->has_cache_key)
        put_bytes(to, "cache_key", s->cache_key.bytes, sizeof(s->cache_key.bytes),
                  failed);
}

static json_t *write_task(const struct handover_task *t, bool *failed)
{
    const struct slot *s = t->slot;
    struct record_key key = attempt_key(&t->run, &s->task, s->attempt);
    json_t *to = json_object();

    put_bytes(to, "attempt", key.bytes, key.len, failed);
    put_number(to, "n_files", t->n_files, failed);
    put(to, "pipes",
        json_pack("[iiii]", s->pipe_read[0], s->pipe_read[1], s->pipe_write[0],
                  s->pipe_write[1]),
        failed);
    write_attempt(s, to, failed);
    put(to, "types", write_types(s, failed), failed);
    put(to, "links", write_links(s, failed), failed);
    put(to, "log", write_log(&s->log, failed), failed);
    put(to, "group", write_group(&s->cgroup, failed), failed);
    if (t->has_guest)
        put(to, "guest", write_guest(&t->guest, failed), failed);
    return to;
}

static json_t *write_secrets(const struct handover *h, bool *failed)
{
    json_t *all = json_array();
    char run[RUN_ID_TEXT_SIZE];

    for (size_t i = 0; i < h->n_secrets; i++) {
        run_id_text(&h->secrets[i].run, run);
        if (json_array_append_new(all, json_pack("[sss]", run, h->secrets[i].name,
                                                 h->secrets[i].value))
            < 0)
            *failed = true;
    }
    return all;
}

int handover_encode(const struct handover *h, struct buffer *out)
{
    CLEANUP(json_decrefp) json_t *to = json_object();
    CLEANUP(freep) char *text = NULL;
    json_t *tasks = json_array();
    bool failed = false;

    put_number(to, "format", HANDOVER_FORMAT, &failed);
    put_text(to, "version", h->version, &failed);
    put_number(to, "pid", (uint64_t)h->pid, &failed);
    put_text(to, "dir", h->dir, &failed);
    put_number(to, "boot", h->boot, &failed);
    put_true(to, "is_draining", h->is_draining, &failed);
    put(to, "sockets", json_pack("[iii]", h->user_fd, h->task_fd, h->tcp_fd), &failed);
    put_number(to, "lock", (uint64_t)h->lock_fd, &failed);
    put_text(to, "peer_listen", h->peer_listen, &failed);
    put_number(to, "bulk_port", h->bulk_port, &failed);
    for (size_t i = 0; i < h->n_tasks; i++)
        if (json_array_append_new(tasks, write_task(&h->tasks[i], &failed)) < 0)
            failed = true;
    put(to, "tasks", tasks, &failed);
    put(to, "secrets", write_secrets(h, &failed), &failed);
    text = failed ? NULL : json_dumps(to, JSON_COMPACT);
    return text ? buffer_puts(out, text) : -ENOMEM;
}

/* ---- reading ---- */

static uint64_t number(const json_t *from, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(from, key));
}

static bool is_so(const json_t *from, const char *key)
{
    return json_is_true(json_object_get(from, key));
}

/* 0 also when it is not there. */
static int get_text(const json_t *from, const char *key, char **ret)
{
    const char *text = json_string_value(json_object_get(from, key));

    if (!text)
        return 0;
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}

/* Exactly so many. -ENOENT: it is not there. */
static int get_bytes(const json_t *from, const char *key, void *ret, size_t len)
{
    const char *text = json_string_value(json_object_get(from, key));

    if (!text)
        return -ENOENT;
    return hex_parse(text, len, ret) == 0 ? 0 : -EBADMSG;
}

static int get_fd(const json_t *list, size_t i)
{
    const json_t *one = json_array_get(list, i);

    return json_is_integer(one) ? (int)json_integer_value(one) : -1;
}

/* Two texts of each entry. */
static bool get_pair(const json_t *list, size_t i, const char **a, const char **b)
{
    const json_t *pair = json_array_get(list, i);

    *a = json_string_value(json_array_get(pair, 0));
    *b = json_string_value(json_array_get(pair, 1));
    return *a && *b;
}

static int read_types(const json_t *list, struct slot *s)
{
    const char *name, *type;

    for (size_t i = 0; i < json_array_size(list); i++) {
        struct output_type *t;

        if (!get_pair(list, i, &name, &type))
            return -EBADMSG;
        t = calloc(1, sizeof(*t));
        if (!t)
            return -ENOMEM;
        t->next = s->types;
        s->types = t;
        t->name = strdup(name);
        t->type = strdup(type);
        if (!t->name || !t->type)
            return -ENOMEM;
    }
    return 0;
}

static int read_links(const json_t *list, struct slot *s)
{
    const char *id, *path;

    s->links = calloc(json_array_size(list) + 1, sizeof(*s->links));
    if (!s->links)
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!get_pair(list, i, &id, &path)
            || digest_parse(id, &s->links[s->n_links].id) < 0)
            return -EBADMSG;
        s->links[s->n_links].path = strdup(path);
        if (!s->links[s->n_links].path)
            return -ENOMEM;
        s->n_links++;
    }
    return 0;
}

/* The file of a long one is opened by who has the slot's folder. */
static int read_log(const json_t *from, struct slot_log *log, bool *ret_has_file)
{
    const char *pieces = json_string_value(json_object_get(from, "pieces"));
    size_t len = pieces ? strlen(pieces) / 2 : 0;
    char *to;

    log->bytes = number(from, "bytes");
    log->bytes_max = number(from, "bytes_max");
    log->is_truncated = is_so(from, "is_truncated");
    *ret_has_file = is_so(from, "has_file");
    if (!len)
        return 0;
    to = buffer_reserve(&log->pieces, len);
    if (!to)
        return -ENOMEM;
    if (hex_parse(pieces, len, (uint8_t *)to) < 0)
        return -EBADMSG;
    log->pieces.len = len;
    return 0;
}

static int read_group(const json_t *from, struct cgroup_slot *g)
{
    int r;

    g->generation = (uint32_t)number(from, "generation");
    g->was_killed = is_so(from, "was_killed");
    g->memory_max = number(from, "memory_max");
    g->oom_kills = number(from, "oom_kills");
    r = get_text(from, "v2", &g->v2_path);
    return r < 0 ? r : get_text(from, "v1", &g->v1_path);
}

static int read_id(const json_t *from, const char *key, struct node_id *ret)
{
    const char *text = json_string_value(json_object_get(from, key));

    return text && node_id_parse(text, ret) == 0 ? 0 : -EBADMSG;
}

static int read_guest(const json_t *from, struct mesh_guest *g)
{
    int r = get_bytes(from, "witness", g->witness.bytes, sizeof(g->witness.bytes));

    g->has_witness = r == 0;
    if (r < 0 && r != -ENOENT)
        return r;
    g->fence = number(from, "fence");
    g->lease = number(from, "lease");
    g->counter = number(from, "counter");
    g->gpus = number(from, "gpus");
    g->started = number(from, "started");
    g->is_void = is_so(from, "is_void");
    g->rank.is_sealed = is_so(from, "is_sealed");
    g->rank.generation = number(from, "generation");
    g->rank.ballot.counter = number(from, "ballot");
    r = read_id(from, "ballot_node", &g->rank.ballot.node);
    return r < 0 ? r : read_id(from, "leader", &g->leader);
}

static int read_key(const json_t *from, struct handover_task *t)
{
    const char *text = json_string_value(json_object_get(from, "attempt"));
    struct record_key key;
    size_t len = text ? strlen(text) : 0;

    if (!len || len > 2 * sizeof(key.bytes) || hex_parse(text, len / 2, key.bytes) < 0)
        return -EBADMSG;
    return attempt_key_decode(key.bytes, len / 2, &t->run, &t->slot->task,
                              &t->slot->attempt);
}

/* 0: it has none. */
static int get_guard(const json_t *from)
{
    uint64_t fd = number(from, "guard");

    return fd > STDERR_FILENO && fd <= INT_MAX ? (int)fd : 0;
}

static int read_attempt(const json_t *from, struct slot *s)
{
    const char *token = json_string_value(json_object_get(from, "token"));
    const json_t *pipes = json_object_get(from, "pipes");
    int r;

    s->index = (uint32_t)number(from, "slot");
    s->pid = (pid_t)number(from, "pid");
    s->gpus = number(from, "gpus");
    s->fence = number(from, "fence");
    s->guard_fd = get_guard(from);
    s->permit_until = number(from, "permit_until");
    s->generation = number(from, "generation");
    s->ballot = number(from, "ballot");
    s->started = number(from, "started");
    s->started_wall = number(from, "started_wall");
    s->kill_reason = (enum reason)number(from, "kill_reason");
    s->owner = (uid_t)number(from, "owner");
    s->is_guest = is_so(from, "is_guest");
    for (int i = 0; i < 2; i++) {
        s->pipe_read[i] = get_fd(pipes, (size_t)i);
        s->pipe_write[i] = get_fd(pipes, (size_t)i + 2);
        if (s->pipe_read[i] < 0 || s->pipe_write[i] < 0)
            return -EBADMSG;
    }
    if (!token || strlen(token) != SLOT_TOKEN_SIZE - 1 || s->pid <= 1)
        return -EBADMSG;
    strcpy(s->token, token);
    r = get_bytes(from, "cache_key", s->cache_key.bytes, sizeof(s->cache_key.bytes));
    s->has_cache_key = r == 0;
    return r == -EBADMSG ? r : get_text(from, "choice", &s->choice);
}

static int read_task(const json_t *from, struct handover_task *t)
{
    const json_t *guest = json_object_get(from, "guest");
    struct slot *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    *s = SLOT_NONE;
    t->slot = s;
    t->n_files = number(from, "n_files");
    r = read_key(from, t);
    if (r == 0)
        r = read_attempt(from, s);
    if (r == 0)
        r = read_types(json_object_get(from, "types"), s);
    if (r == 0)
        r = read_links(json_object_get(from, "links"), s);
    if (r == 0)
        r = read_log(json_object_get(from, "log"), &s->log, &s->has_log_file);
    if (r == 0)
        r = read_group(json_object_get(from, "group"), &s->cgroup);
    if (r < 0 || !guest)
        return r;
    t->has_guest = true;
    r = read_guest(guest, &t->guest);
    t->guest.run = t->run;
    t->guest.task = s->task;
    t->guest.attempt = s->attempt;
    t->guest.slot = s->index;
    return r;
}

static int read_secret(const json_t *from, struct handover_secret *s)
{
    const char *run = json_string_value(json_array_get(from, 0));
    const char *name = json_string_value(json_array_get(from, 1));
    const char *value = json_string_value(json_array_get(from, 2));

    if (!run || !name || !value || run_id_parse(run, &s->run) < 0)
        return -EBADMSG;
    s->name = strdup(name);
    s->value = strdup(value);
    return s->name && s->value ? 0 : -ENOMEM;
}

static int read_lists(const json_t *from, struct handover *h)
{
    const json_t *tasks = json_object_get(from, "tasks");
    const json_t *secrets = json_object_get(from, "secrets");
    int r = 0;

    h->tasks = calloc(json_array_size(tasks) + 1, sizeof(*h->tasks));
    h->secrets = calloc(json_array_size(secrets) + 1, sizeof(*h->secrets));
    if (!h->tasks || !h->secrets)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < json_array_size(tasks); i++)
        r = read_task(json_array_get(tasks, i), &h->tasks[h->n_tasks++]);
    for (size_t i = 0; r == 0 && i < json_array_size(secrets); i++)
        r = read_secret(json_array_get(secrets, i), &h->secrets[h->n_secrets++]);
    return r;
}

int handover_decode(const char *text, size_t len, struct handover *ret)
{
    CLEANUP(json_decrefp) json_t *from = json_loadb(text, len, 0, NULL);
    const json_t *sockets = json_object_get(from, "sockets");
    int r;

    *ret = (struct handover){ .owns = true };
    ret->user_fd = get_fd(sockets, 0);
    ret->task_fd = get_fd(sockets, 1);
    ret->tcp_fd = get_fd(sockets, 2);
    if (!json_is_object(from))
        return -EBADMSG;
    if (number(from, "format") != HANDOVER_FORMAT)
        return -EPROTONOSUPPORT;
    ret->pid = (int)number(from, "pid");
    ret->lock_fd = (int)number(from, "lock");
    ret->boot = (uint32_t)number(from, "boot");
    ret->is_draining = is_so(from, "is_draining");
    ret->bulk_port = (uint16_t)number(from, "bulk_port");
    r = get_text(from, "dir", &ret->dir);
    if (r == 0)
        r = get_text(from, "version", &ret->version);
    if (r == 0)
        r = get_text(from, "peer_listen", &ret->peer_listen);
    return r < 0 ? r : read_lists(from, ret);
}

/* ---- from one program to the next ---- */

void handover_keep_files(void)
{
    syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
}

int handover_put(const struct buffer *text, int *ret_fd)
{
    char name[16];
    size_t done = 0;
    int fd = memfd_create("mesh-handover", MFD_CLOEXEC);

    if (fd < 0)
        return -errno;
    while (done < text->len) {
        ssize_t n = write(fd, text->data + done, text->len - done);

        if (n < 0 && errno != EINTR) {
            int r = -errno;

            close(fd);
            return r;
        }
        done += n > 0 ? (size_t)n : 0;
    }
    snprintf(name, sizeof(name), "%d", fd);
    if (setenv(variable, name, 1) < 0 || fcntl(fd, F_SETFD, 0) < 0) {
        close(fd);
        return -ENOMEM;
    }
    *ret_fd = fd;
    return 0;
}

void handover_forget(int take_fd)
{
    unsetenv(variable);
    close(take_fd);
}

bool handover_is_there(void)
{
    return getenv(variable) != NULL;
}

static int read_all(int fd, struct buffer *ret)
{
    struct stat st;
    char *to;

    if (fstat(fd, &st) < 0 || st.st_size <= 0 || st.st_size > HANDOVER_BYTES_MAX)
        return -EBADMSG;
    to = buffer_reserve(ret, (size_t)st.st_size);
    if (!to)
        return -ENOMEM;
    if (pread(fd, to, (size_t)st.st_size, 0) != st.st_size)
        return -EIO;
    ret->len = (size_t)st.st_size;
    return 0;
}

int handover_take(const char *dir, struct handover *ret)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(freep) char *full = realpath(dir, NULL);
    const char *name = getenv(variable);
    int fd = name ? (int)strtol(name, NULL, 10) : -1;
    int r;

    *ret = (struct handover){ .user_fd = -1, .task_fd = -1, .tcp_fd = -1 };
    unsetenv(variable);
    if (fd >= 3)
        handover_keep_files();
    if (fd < 3 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_GET_SEALS) < 0)
        return -ENOENT;
    r = read_all(fd, &text);
    close(fd);
    if (r == 0)
        r = handover_decode(text.data, text.len, ret);
    if (text.data)
        explicit_bzero(text.data, text.len);
    if (r == 0
        && (ret->pid != getpid() || !full || !ret->dir || strcmp(full, ret->dir) != 0))
        r = -ENOENT;
    return r;
}
