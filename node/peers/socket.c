/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of a node's peers, and how they join the loop.
 *
 * A ZeroMQ socket has a descriptor that becomes readable when something changed, once,
 * and not again before everything was read; a send may take that sign away too. So
 * before the loop sleeps all sockets are read until they have nothing; while there is
 * more, or something was sent since, an idle handle keeps it from sleeping. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node/peers/peers_internal.h"

enum {
    IO_THREADS = 2, /* one for each line */
    BACKLOG = 4096,
    CURVE_OVERHEAD = 256, /* what encryption adds to a frame, and more */
    EVENT_SIZE = 6,
};

static const int bytes_max[LINES] = { MESSAGE_BYTES_MAX, PEERS_BULK_BYTES_MAX };
static const int receive_max[LINES] = { PEERS_QUEUE_MAX, PEERS_QUEUE_BULK_MAX };
static const char *const domains[LINES] = { "control", "bulk" };

int socket_option(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* ---- making them ---- */

void *socket_new(void *context, int type)
{
    static const struct {
        int option, value;
    } options[] = {
        { ZMQ_LINGER, 0 },
        { ZMQ_IPV6, 1 },
        { ZMQ_BACKLOG, BACKLOG },
        { ZMQ_HEARTBEAT_IVL, 2000 },
        { ZMQ_HEARTBEAT_TIMEOUT, 6000 },
        { ZMQ_HEARTBEAT_TTL, 6000 },
        { ZMQ_HANDSHAKE_IVL, 5000 },
        { ZMQ_CONNECT_TIMEOUT, 3000 },
        { ZMQ_RECONNECT_IVL, -1 }, /* dial.c dials again */
    };
    void *socket = zmq_socket(context, type);

    for (size_t i = 0; socket && i < ARRAY_SIZE(options); i++)
        if (socket_option(socket, options[i].option, options[i].value) < 0) {
            zmq_close(socket);
            return NULL;
        }
    return socket;
}

static void *router_new(struct peers *p, int line)
{
    void *socket = socket_new(p->context, ZMQ_ROUTER);

    if (!socket)
        return NULL;
    if (socket_option(socket, ZMQ_ROUTER_MANDATORY, 1) < 0
        || socket_option(socket, ZMQ_RCVHWM, receive_max[line]) < 0
        || zmq_setsockopt(socket, ZMQ_MAXMSGSIZE,
                          &(int64_t){ bytes_max[line] + CURVE_OVERHEAD },
                          sizeof(int64_t))
               != 0
        || zmq_setsockopt(socket, ZMQ_AFFINITY, &(uint64_t){ 1u << line },
                          sizeof(uint64_t))
               != 0) {
        zmq_close(socket);
        return NULL;
    }
    return socket;
}

static int make_in(struct peers *p, struct line *l, int line)
{
    l->in = router_new(p, line);
    if (!l->in)
        return -EMFILE;
    if (socket_option(l->in, ZMQ_CURVE_SERVER, 1) < 0
        || zmq_setsockopt(l->in, ZMQ_CURVE_SECRETKEY,
                          identity_curve_secret(p->identity), CURVE_KEY_SIZE)
               != 0
        || zmq_setsockopt(l->in, ZMQ_ZAP_DOMAIN, domains[line], strlen(domains[line]))
               != 0)
        return -ENOTSUP;
    return 0;
}

static int make_out(struct peers *p, struct line *l, int line)
{
    l->out = router_new(p, line);
    if (!l->out)
        return -EMFILE;
    /* queue.h bounds what waits, by bytes too. */
    if (socket_option(l->out, ZMQ_SNDHWM, 0) < 0
        || zmq_setsockopt(l->out, ZMQ_CURVE_SECRETKEY,
                          identity_curve_secret(p->identity), CURVE_KEY_SIZE)
               != 0
        || zmq_setsockopt(l->out, ZMQ_CURVE_PUBLICKEY, identity_curve_key(p->identity),
                          CURVE_KEY_SIZE)
               != 0)
        return -ENOTSUP;
    return 0;
}

static int watch(struct peers *p, void *socket, const char *name, int line, void **ret)
{
    char endpoint[32];

    snprintf(endpoint, sizeof(endpoint), "inproc://%s-%d", name, line);
    if (zmq_socket_monitor(socket, endpoint, ZMQ_EVENT_ALL) != 0)
        return -errno;
    *ret = zmq_socket(p->context, ZMQ_PAIR);
    if (!*ret)
        return -EMFILE;
    socket_option(*ret, ZMQ_LINGER, 0);
    socket_option(*ret, ZMQ_RCVHWM, 0); /* what is missed here is never known */
    return zmq_connect(*ret, endpoint) == 0 ? 0 : -errno;
}

/* The port that it was bound to. */
static uint32_t port_of(void *socket)
{
    char endpoint[ENDPOINT_SIZE] = "";
    size_t size = sizeof(endpoint);
    const char *colon;

    if (zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
        return 0;
    colon = strrchr(endpoint, ':');
    return colon ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
}

static int bind_at(struct line *l, const char *host, int host_len, unsigned long port,
                   struct error *ret_error)
{
    char endpoint[ENDPOINT_SIZE], number[24] = "*";

    if (port)
        snprintf(number, sizeof(number), "%lu", port);
    snprintf(endpoint, sizeof(endpoint), "tcp://%.*s:%s", host_len, host, number);
    if (zmq_bind(l->in, endpoint) != 0)
        return fail(ret_error, -errno, "cannot listen for other nodes at %.*s:%s: %s",
                    host_len, host, number, zmq_strerror(errno));
    l->port = port_of(l->in);
    return 0;
}

static int bind_all(struct peers *p, const struct peers_config *config,
                    struct error *ret_error)
{
    const char *colon = strrchr(config->listen, ':');
    unsigned long port;
    char *end;
    int r, host_len;

    if (!colon || colon - config->listen > MEMBER_ADDRESS_MAX - 8)
        return fail(ret_error, -EINVAL, "'%.80s' is no HOST:PORT", config->listen);
    port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end || port > UINT16_MAX)
        return fail(ret_error, -EINVAL, "'%.80s' is no HOST:PORT", config->listen);
    host_len = (int)(colon - config->listen);
    r = bind_at(&p->lines[CONTROL], config->listen, host_len, port, ret_error);
    if (r == 0)
        r = bind_at(&p->lines[BULK], config->listen, host_len, config->bulk_port,
                    ret_error);
    if (r < 0)
        return r;
    if (config->advertise)
        snprintf(p->address, sizeof(p->address), "%.50s:%u", config->advertise,
                 p->lines[CONTROL].port);
    else
        snprintf(p->address, sizeof(p->address), "%.*s:%u", host_len, config->listen,
                 p->lines[CONTROL].port);
    return 0;
}

static int make_zap(struct peers *p)
{
    p->zap = zmq_socket(p->context, ZMQ_REP);
    if (!p->zap)
        return -EMFILE;
    socket_option(p->zap, ZMQ_LINGER, 0);
    return zmq_bind(p->zap, "inproc://zeromq.zap.01") == 0 ? 0 : -errno;
}

static int make_line(struct peers *p, int line)
{
    struct line *l = &p->lines[line];
    int r = make_in(p, l, line);

    if (r == 0)
        r = make_out(p, l, line);
    if (r == 0)
        r = watch(p, l->in, "in", line, &l->in_events);
    return r < 0 ? r : watch(p, l->out, "out", line, &l->out_events);
}

static int make_all(struct peers *p)
{
    int r;

    p->context = zmq_ctx_new();
    if (!p->context)
        return -ENOMEM;
    zmq_ctx_set(p->context, ZMQ_IO_THREADS, IO_THREADS);
    zmq_ctx_set(p->context, ZMQ_BLOCKY, 0);
    r = make_zap(p); /* before anybody can connect */
    for (int line = 0; r == 0 && line < LINES; line++)
        r = make_line(p, line);
    return r;
}

/* ---- reading ---- */

void parts_close(zmq_msg_t *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        zmq_msg_close(&parts[i]);
}

static int read_part(void *socket, zmq_msg_t *ret)
{
    zmq_msg_init(ret);
    for (;;) {
        if (zmq_msg_recv(ret, socket, ZMQ_DONTWAIT) >= 0)
            return 0;
        if (errno != EINTR)
            break;
    }
    zmq_msg_close(ret);
    return -errno;
}

static void skip_rest(void *socket)
{
    zmq_msg_t part;
    int has_more = 1;

    while (has_more && read_part(socket, &part) == 0) {
        has_more = zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
}

int socket_read(void *socket, zmq_msg_t *parts, size_t max, size_t *ret_n)
{
    size_t n = 0;
    int has_more = 1;

    while (has_more && n < max) {
        int r = read_part(socket, &parts[n]);

        if (r < 0) {
            parts_close(parts, n);
            return r;
        }
        has_more = zmq_msg_more(&parts[n++]);
    }
    if (has_more) {
        skip_rest(socket);
        parts_close(parts, n);
        return -EBADMSG;
    }
    *ret_n = n;
    return 0;
}

static bool read_user_id(zmq_msg_t *part, uint8_t ret[CURVE_KEY_SIZE])
{
    const char *text = zmq_msg_gets(part, "User-Id");

    return text && hex_parse(text, CURVE_KEY_SIZE, ret) == 0;
}

static int read_in(struct peers *p, int line)
{
    uint8_t curve_key[CURVE_KEY_SIZE];
    zmq_msg_t parts[2];
    size_t n;
    int r = socket_read(p->lines[line].in, parts, ARRAY_SIZE(parts), &n);

    if (r < 0) {
        p->counters.garbage += r == -EBADMSG;
        return r;
    }
    if (n == 2 && read_user_id(&parts[1], curve_key))
        talk_on_in(p, line, curve_key, zmq_msg_get(&parts[1], ZMQ_SRCFD), &parts[0],
                   &parts[1]);
    else
        p->counters.garbage++;
    parts_close(parts, n);
    return 0;
}

static int read_out(struct peers *p, int line)
{
    zmq_msg_t parts[2];
    size_t n;
    int r = socket_read(p->lines[line].out, parts, ARRAY_SIZE(parts), &n);

    if (r < 0) {
        p->counters.garbage += r == -EBADMSG;
        return r;
    }
    if (n == 2)
        talk_on_out(p, line, &parts[0], &parts[1]);
    parts_close(parts, n);
    return 0;
}

static int read_event(struct peers *p, int line, bool is_out)
{
    struct line *l = &p->lines[line];
    char endpoint[ENDPOINT_SIZE];
    zmq_msg_t parts[2];
    uint16_t event;
    int32_t value;
    size_t n;
    int r = socket_read(is_out ? l->out_events : l->in_events, parts, ARRAY_SIZE(parts),
                        &n);

    if (r < 0)
        return r;
    assert(n == 2 && zmq_msg_size(&parts[0]) == EVENT_SIZE);
    memcpy(&event, zmq_msg_data(&parts[0]), sizeof(event));
    memcpy(&value, (char *)zmq_msg_data(&parts[0]) + sizeof(event), sizeof(value));
    snprintf(endpoint, sizeof(endpoint), "%.*s", (int)zmq_msg_size(&parts[1]),
             (char *)zmq_msg_data(&parts[1]));
    parts_close(parts, n);
    if (is_out)
        dial_on_event(p, line, event, endpoint);
    else
        guest_on_event(p, line, event, value);
    return 0;
}

/* ---- the loop ---- */

static bool has_input(void *socket)
{
    int events = 0;
    size_t size = sizeof(events);

    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0
           && (events & ZMQ_POLLIN);
}

/* Whether there is more. Connections come and go before what they say. */
static bool drain(struct peers *p)
{
    bool has_more = false;
    int n;

    for (n = 0; n < READ_BATCH && has_input(p->zap); n++)
        zap_answer(p);
    has_more |= n == READ_BATCH;
    for (int line = 0; line < LINES; line++) {
        struct line *l = &p->lines[line];

        for (n = 0; n < READ_BATCH && read_event(p, line, true) != -EAGAIN; n++)
            ;
        has_more |= n == READ_BATCH;
        for (n = 0; n < READ_BATCH && read_event(p, line, false) != -EAGAIN; n++)
            ;
        has_more |= n == READ_BATCH;
        for (n = 0; n < READ_BATCH && read_in(p, line) != -EAGAIN; n++)
            ;
        has_more |= n == READ_BATCH;
        for (n = 0; n < READ_BATCH && read_out(p, line) != -EAGAIN; n++)
            ;
        has_more |= n == READ_BATCH || has_input(l->in);
    }
    return has_more;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

void sockets_stir(struct peers *p)
{
    if (!p->is_stopping)
        uv_idle_start(&p->idle, on_idle);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct peers *p = prepare->data;

    uv_idle_stop(&p->idle);
    if (drain(p))
        sockets_stir(p);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events; /* it woke the loop, which is enough */
}

static int poll_socket(struct peers *p, void *socket)
{
    uv_poll_t *poll = &p->polls[p->n_polls];
    int fd, r;
    size_t size = sizeof(fd);

    if (zmq_getsockopt(socket, ZMQ_FD, &fd, &size) != 0)
        return -errno;
    r = uv_poll_init(p->loop, poll, fd);
    if (r < 0)
        return r;
    poll->data = p;
    p->n_polls++;
    p->n_handles++;
    return uv_poll_start(poll, UV_READABLE, on_readable);
}

static int join_loop(struct peers *p)
{
    int r = poll_socket(p, p->zap);

    for (int line = 0; r == 0 && line < LINES; line++) {
        struct line *l = &p->lines[line];

        r = poll_socket(p, l->in);
        if (r == 0)
            r = poll_socket(p, l->out);
        if (r == 0)
            r = poll_socket(p, l->in_events);
        if (r == 0)
            r = poll_socket(p, l->out_events);
    }
    return r < 0 ? r : uv_prepare_start(&p->prepare, on_prepare);
}

int sockets_open(struct peers *p, const struct peers_config *config,
                 struct error *ret_error)
{
    int r = make_all(p);

    if (r < 0)
        return fail(ret_error, r, "cannot make the sockets for other nodes: %s",
                    zmq_strerror(-r));
    r = bind_all(p, config, ret_error);
    if (r < 0)
        return r;
    r = join_loop(p);
    return r < 0 ? fail(ret_error, r, "cannot watch the sockets for other nodes: %s",
                        uv_strerror(r))
                 : 0;
}

static void close_socket(void **socket)
{
    if (*socket)
        zmq_close(*socket);
    *socket = NULL;
}

void sockets_close(struct peers *p)
{
    for (int line = 0; line < LINES; line++) {
        struct line *l = &p->lines[line];

        if (l->in)
            zmq_socket_monitor(l->in, NULL, 0);
        if (l->out)
            zmq_socket_monitor(l->out, NULL, 0);
        close_socket(&l->in);
        close_socket(&l->out);
        close_socket(&l->in_events);
        close_socket(&l->out_events);
    }
    close_socket(&p->zap);
    while (p->context && zmq_ctx_term(p->context) != 0 && errno == EINTR)
        ;
    p->context = NULL;
}

/* ---- to who asked ---- */

bool guest_send(struct peers *p, const struct guest *g, const struct message *m)
{
    CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;
    void *socket = p->lines[CONTROL].in;

    if (message_encode(m, &frame) < 0)
        return false;
    sockets_stir(p);
    if (zmq_send(socket, g->route, g->route_len, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return false;
    return zmq_send(socket, frame.data, frame.len, ZMQ_DONTWAIT) >= 0;
}
