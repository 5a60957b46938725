/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/client.h"
#include "node/cli/tls.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { READ_BYTES = 64 << 10, CONNECT_TRIES = 200, CONNECT_PAUSE_NS = 5000000 };

struct client {
    char *place; /* as people name it: the socket's path, or HOST:PORT */
    char *token; /* NULL: the user's socket */
    struct address address;
    int fd;                                 /* -1: not connected */
    char fingerprint[TLS_FINGERPRINT_TEXT]; /* wanted of the node; only by TLS */
    const struct tls_module *module;        /* NULL: no TLS */
    struct tls *tls;                        /* while it is connected */
    bool is_used; /* an answer came over it: it may be closed by now */
};

/* ---- connections ---- */

static int connect_once(const struct address *a, int *ret_fd)
{
    int fd = socket(a->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    if (fd < 0)
        return -errno;
    /* A body goes behind its head at once, not when the head was acknowledged. */
    if (a->socket.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, (const struct sockaddr *)&a->socket, a->len) < 0) {
        int r = -errno;

        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

/* A full backlog is a queue, not a refusal. */
static int connect_to(const struct address *a, int *ret_fd)
{
    struct timespec pause = { .tv_nsec = CONNECT_PAUSE_NS };
    int r = connect_once(a, ret_fd);

    for (int i = 0; (r == -EAGAIN || r == -EINTR) && i < CONNECT_TRIES; i++) {
        nanosleep(&pause, NULL);
        r = connect_once(a, ret_fd);
    }
    return r;
}

static void disconnect(struct client *c)
{
    if (c->tls)
        c->module->end(TAKE(c->tls));
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->is_used = false;
}

static int start_tls(struct client *c, struct error *ret_error)
{
    char found[TLS_FINGERPRINT_TEXT];

    c->module = tls_load(ret_error);
    return c->module
               ? c->module->start(c->fd, c->fingerprint, &c->tls, found, ret_error)
               : -ENOENT;
}

static int reconnect(struct client *c, struct error *ret_error)
{
    int r = connect_to(&c->address, &c->fd);

    if (r == 0 && c->address.is_secure)
        r = start_tls(c, ret_error);
    if (r < 0)
        disconnect(c);
    return r;
}

static struct client *client_new(const char *place, const struct address *a)
{
    struct client *c = calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->place = strdup(place);
    c->address = *a;
    c->fd = -1;
    if (c->place)
        return c;
    client_close(c);
    return NULL;
}

int client_connect(const char *socket_path, struct client **ret)
{
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    struct address a = { .len = sizeof(name) };

    if (strlen(socket_path) >= sizeof(name.sun_path))
        return -ENAMETOOLONG;
    CLEANUP(client_closep) struct client *c = NULL;
    struct error none;
    int r;

    strcpy(name.sun_path, socket_path);
    memcpy(&a.socket, &name, sizeof(name));
    c = client_new(socket_path, &a);
    r = c ? reconnect(c, &none) : -ENOMEM;
    if (r == 0)
        *ret = TAKE(c);
    return r;
}

int client_connect_tcp(const struct address *a, const struct login *login,
                       struct client **ret, struct error *ret_error)
{
    CLEANUP(client_closep) struct client *c = NULL;
    char place[ADDRESS_TEXT_SIZE];
    int r;

    address_text(a, place);
    c = client_new(place, a);
    if (!c || !(c->token = strdup(login->token)))
        return -ENOMEM;
    memcpy(c->fingerprint, login->fingerprint, sizeof(c->fingerprint));
    r = reconnect(c, ret_error);
    if (r == 0)
        *ret = TAKE(c);
    return r;
}

bool client_is_own(const struct client *c)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return c->fd >= 0 && getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0
           && len == sizeof(peer) && peer.uid == geteuid();
}

void client_close(struct client *c)
{
    if (!c)
        return;
    disconnect(c);
    free(c->place);
    free(c->token);
    free(c);
}

int client_open_channel(struct client **ret)
{
    const char *path = getenv("MESH_CHANNEL"), *token = getenv("MESH_TOKEN");
    const char *dir = getenv("MESH_DATA");
    CLEANUP(client_closep) struct client *user = NULL;
    struct error error = { .text = "" };
    int r;

    if (!path || !token) {
        cli_say("this asks the node of a task, and here is no task");
        cli_hint(
            "it works in a step's script, where MESH_CHANNEL and MESH_TOKEN are set");
        return CLI_USAGE;
    }
    r = client_connect(path, ret);
    /* In a shell of mesh exec the node may have ended; any of its store does. */
    if ((r == -ECONNREFUSED || r == -ENOENT) && getenv("MESH_EXEC") && dir
        && client_look(dir, &user, &error) == 0)
        r = client_connect(path, ret);
    if (r == 0) {
        (*ret)->token = strdup(token);
        r = (*ret)->token ? 0 : -ENOMEM;
    }
    if (r < 0) {
        cli_say("the node of this task does not answer at %s: %s", path, strerror(-r));
        return CLI_NO_NODE;
    }
    return 0;
}

/* ---- sending ---- */

/* As the system's, but the errno is returned. */
static ssize_t send_some(struct client *c, const char *data, size_t len)
{
    ssize_t n;

    if (c->tls)
        return c->module->send(c->tls, data, len);
    n = send(c->fd, data, len, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

static ssize_t receive(struct client *c, char *data, size_t len)
{
    ssize_t n;

    if (c->tls)
        return c->module->receive(c->tls, data, len);
    n = recv(c->fd, data, len, 0);
    return n < 0 ? -errno : n;
}

static int send_all(struct client *c, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send_some(c, data, len);

        if (n < 0 && n != -EINTR)
            return (int)n;
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

static int send_file(struct client *c, int file, size_t len)
{
    CLEANUP(freep) char *piece = malloc(READ_BYTES);
    off_t at = 0;
    int r = piece ? 0 : -ENOMEM;

    while (r == 0 && len) {
        ssize_t n = pread(file, piece, min_size(len, READ_BYTES), at);

        if (n == 0)
            return -ESTALE;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 0)
            continue;
        r = send_all(c, piece, (size_t)n);
        at += n;
        len -= (size_t)n;
    }
    return r;
}

static int send_request(struct client *c, const struct request *q)
{
    CLEANUP(buffer_release) struct buffer head = BUFFER_INIT;
    int r;

    buffer_printf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", q->method, q->path,
                  c->address.socket.ss_family == AF_UNIX ? "mesh" : c->place);
    if (c->token)
        buffer_printf(&head, "Authorization: Bearer %s\r\n", c->token);
    if (q->header)
        buffer_printf(&head, "%s\r\n", q->header);
    if (q->content_type)
        buffer_printf(&head, "Content-Type: %s\r\n", q->content_type);
    if (q->body || q->has_body_fd || strcmp(q->method, "GET") != 0)
        buffer_printf(&head, "Content-Length: %zu\r\n", q->body_len);
    buffer_puts(&head, "\r\n");
    if (q->body && !q->has_body_fd)
        buffer_append(&head, q->body, q->body_len);
    if (buffer_failed(&head))
        return buffer_failed(&head);
    r = send_all(c, head.data, head.len);
    if (r == 0 && q->has_body_fd)
        r = send_file(c, q->body_fd, q->body_len);
    return r;
}

/* ---- the answer ---- */

struct exchange {
    struct client *c;
    const struct request *q;
    struct reply reply;
    struct answer *answer;
    struct error *error;
    sig_atomic_t signals;
    bool has_answer; /* a byte of it came */
};

static void fill_answer(struct exchange *x)
{
    const struct reply *r = &x->reply;

    x->answer->status = r->status;
    memcpy(x->answer->type, r->type, sizeof(r->type));
    memcpy(x->answer->artifact_type, r->artifact_type, sizeof(r->artifact_type));
    memcpy(x->answer->artifact_encoding, r->artifact_encoding,
           sizeof(r->artifact_encoding));
    memcpy(x->answer->artifact_id, r->artifact_id, sizeof(r->artifact_id));
}

static int take_body(void *arg, const char *data, size_t len)
{
    struct exchange *x = arg;

    if (!x->answer->status)
        fill_answer(x);
    if (x->q->on_body && x->reply.status < 300)
        return x->q->on_body(x->q->arg, data, len);
    x->answer->body.bytes_max = CLIENT_ANSWER_MAX;
    return buffer_append(&x->answer->body, data, len);
}

static int poll_both(struct exchange *x, struct pollfd p[2], int timeout)
{
    struct timespec t = { .tv_sec = timeout / 1000,
                          .tv_nsec = timeout % 1000 * 1000000L };
    sigset_t none, before;
    int n;

    if (!x->q->signals)
        return poll(p, 2, timeout);
    /* Who waits for signals blocks them elsewhere: none is missed. */
    sigemptyset(&none);
    n = ppoll(p, 2, timeout < 0 ? NULL : &t, &none);
    /* It takes none when something is ready, which may be so each time. */
    if (n > 0 && sigprocmask(SIG_SETMASK, &none, &before) == 0)
        sigprocmask(SIG_SETMASK, &before, NULL);
    return n;
}

static bool is_signalled(struct exchange *x)
{
    if (!x->q->signals || *x->q->signals == x->signals)
        return false;
    x->signals = *x->q->signals;
    return true;
}

/* *ret_is_readable: bytes of the answer are there. Returns what on_signal or on_wake
 * did, or an errno. */
static int wait_readable(struct exchange *x, bool *ret_is_readable)
{
    const struct client_beside *beside = x->q->beside;
    int timeout = x->q->timeout_ms ? x->q->timeout_ms : CLIENT_TIMEOUT_MS;
    int due = beside ? beside->due_ms(x->q->arg) : -1, n;
    struct pollfd p[2] = { { .fd = x->c->fd, .events = POLLIN },
                           { .fd = beside ? beside->fd(x->q->arg) : -1,
                             .events = POLLIN } };
    bool is_beside_first = due >= 0 && (timeout < 0 || due < timeout);

    *ret_is_readable = false;
    if (is_signalled(x))
        return x->q->on_signal(x->q->arg);
    if (due == 0)
        return beside->on_wake(x->q->arg);
    if (x->c->tls && x->c->module->pending(x->c->tls)) {
        *ret_is_readable = true;
        return 0;
    }
    n = poll_both(x, p, is_beside_first ? due : timeout);
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    if (n == 0 && !is_beside_first)
        return fail(x->error, -ETIMEDOUT, "the node does not answer");
    *ret_is_readable = p[0].revents != 0;
    return *ret_is_readable ? 0 : beside->on_wake(x->q->arg);
}

static int read_answer(struct exchange *x)
{
    CLEANUP(freep) char *piece = malloc(READ_BYTES);
    int r = piece ? 0 : -ENOMEM;

    while (r == 0 && x->reply.state != REPLY_DONE) {
        ssize_t n;
        bool is_readable;
        size_t used;

        r = wait_readable(x, &is_readable);
        if (r || !is_readable)
            continue;
        n = receive(x->c, piece, READ_BYTES);
        if (n < 0)
            r = n == -EINTR ? 0 : (int)n;
        else if (n == 0)
            r = reply_end(&x->reply);
        else
            r = reply_feed(&x->reply, piece, (size_t)n, take_body, x, &used, x->error);
        x->has_answer = x->has_answer || n > 0;
    }
    return r;
}

/* *ret_again: the connection was closed before it was used; ask on a new one. */
static int exchange(struct client *c, const struct request *q, struct answer *answer,
                    bool *ret_again, struct error *ret_error)
{
    struct exchange x = { .c = c, .q = q, .answer = answer, .error = ret_error };
    bool was_used = c->is_used;
    int sent, r;

    reply_init(&x.reply, strcmp(q->method, "HEAD") == 0);
    sent = send_request(c, q);
    /* A node that refuses may answer before it has read all, and close. */
    r = sent == 0 || sent == -EPIPE || sent == -ECONNRESET ? read_answer(&x) : sent;
    *ret_again = was_used && !x.has_answer && (r == -ECONNRESET || r == -EPIPE);
    fill_answer(&x);
    if (r != 0 || sent != 0 || x.reply.is_closing)
        disconnect(c);
    else
        c->is_used = true;
    reply_release(&x.reply);
    return r;
}

int client_request(struct client *c, const struct request *q, struct answer *ret,
                   struct error *ret_error)
{
    bool again = false;
    int r = c->fd < 0 ? reconnect(c, ret_error) : 0;

    *ret = (struct answer){ .status = 0 };
    if (r == 0)
        r = exchange(c, q, ret, &again, ret_error);
    if (again) {
        r = reconnect(c, ret_error);
        if (r == 0)
            r = exchange(c, q, ret, &again, ret_error);
    }
    if (r == -ECONNRESET || r == -EPIPE)
        fail(ret_error, r, "the node closed the connection");
    else if (r < 0 && !ret_error->text[0])
        fail(ret_error, r, "the node at %s cannot be asked: %s", c->place,
             strerror(-r));
    return r;
}

void answer_release(struct answer *a)
{
    buffer_release(&a->body);
}

/* ---- paths ---- */

static void escape(const char *text, struct buffer *out)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                "0123456789-._~";

    for (; *text; text++)
        if (strchr(plain, *text))
            buffer_putc(out, *text);
        else
            buffer_printf(out, "%%%02X", (unsigned char)*text);
}

char *client_path(const char *format, ...)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    va_list args;

    va_start(args, format);
    for (const char *at = format; *at; at++)
        if (at[0] == '%' && at[1] == 's') {
            escape(va_arg(args, const char *), &out);
            at++;
        } else if (at[0] == '%' && at[1] == 'u') {
            buffer_printf(&out, "%" PRIu64, va_arg(args, uint64_t));
            at++;
        } else {
            buffer_putc(&out, *at);
        }
    va_end(args);
    return buffer_take(&out);
}

char *client_node_path(const char *path, const struct options *o)
{
    CLEANUP(freep) char *format = NULL;

    if (!o->n_operands)
        return strdup(path);
    return asprintf(&format, "%s?node=%%s", path) < 0
               ? NULL
               : client_path(format, o->operands[0]);
}

/* ---- JSON ---- */

const char *json_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

bool json_is(const json_t *object, const char *key, const char *text)
{
    return strcmp(json_text(object, key), text) == 0;
}

uint64_t json_number(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (uint64_t)value : 0;
}

int json_print(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
    return ferror(stdout) ? CLI_FAILED : CLI_OK;
}

int client_lost(int code, const struct error *e)
{
    cli_say("%s", e->text[0] ? e->text : strerror(-code));
    return CLI_NO_NODE;
}

static void say_diagnostics(const json_t *list)
{
    size_t i;
    const json_t *d;

    json_array_foreach(list, i, d)
    {
        const char *hint = json_text(d, "hint");

        fprintf(stderr, "%" PRIu64 ":%" PRIu64 ": %s: %s%s%s\n", json_number(d, "line"),
                json_number(d, "column"), json_text(d, "severity"),
                json_text(d, "message"), *hint ? "; " : "", hint);
    }
}

int client_refused(const struct answer *a)
{
    CLEANUP(json_decrefp)
    json_t *json = json_loadb(buffer_text(&a->body), a->body.len, 0, NULL);
    const char *sentence = json_text(json, "error"), *hint = json_text(json, "hint");

    say_diagnostics(json_object_get(json, "diagnostics"));
    if (*sentence)
        cli_say("%s", sentence);
    else
        cli_say("the node refused with status %d", a->status);
    /* Some hints name requests, for programs. */
    if (*hint && !strstr(hint, "/v1/"))
        cli_hint("%s", hint);
    else if (a->status == 404)
        cli_hint("what there is: mesh runs, mesh status RUN, mesh artifact list RUN");
    return a->status == 404                       ? CLI_NOT_FOUND
           : a->status == 422 || a->status == 413 ? CLI_USAGE
           : a->status == 400                     ? CLI_USAGE
           : a->status == 503                     ? CLI_NO_NODE
                                                  : CLI_FAILED;
}

int client_json(struct client *c, const char *method, const char *path, json_t *body,
                int timeout_ms, json_t **ret_json)
{
    CLEANUP(freep)
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    struct request q = { .method = method,
                         .path = path,
                         .body = text,
                         .body_len = text ? strlen(text) : 0,
                         .timeout_ms = timeout_ms,
                         .content_type = text ? "application/json" : NULL };
    json_t *json;
    int r;

    if (!path || (body && !text))
        return cli_failed(-ENOMEM, NULL);
    r = client_request(c, &q, &a, &error);
    if (r < 0)
        return client_lost(r, &error);
    if (a.status >= 300)
        return client_refused(&a);
    if (!ret_json)
        return 0;
    json = json_loadb(buffer_text(&a.body), a.body.len, JSON_DECODE_ANY, NULL);
    if (!json) {
        cli_say("the node's answer is no JSON");
        return CLI_FAILED;
    }
    *ret_json = json;
    return 0;
}

int client_get_json(struct client *c, const char *path, json_t **ret_json)
{
    return client_json(c, "GET", path, NULL, 0, ret_json);
}
