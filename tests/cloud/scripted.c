/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/cloud/scripted.h"

#include <arpa/inet.h>
#include <assert.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 256, REQUESTS_MAX = 1024, STEPS_MAX = 16, CHUNK = 64 << 10 };

struct connection {
    struct scripted *server;
    pthread_t thread;
    int fd;
    gnutls_session_t tls; /* NULL: plain */
    char in[CHUNK];
    size_t n_in;
};

struct scripted {
    struct scripted_step steps[STEPS_MAX];
    size_t n_steps;
    bool is_tls, is_proxy;
    int fd, port;
    pthread_t thread;
    gnutls_certificate_credentials_t key;
    char ca_file[64];
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t changed;
    bool is_open, is_ended;
    struct connection *connections[CONNECTIONS_MAX];
    size_t n_connections, n_requests, n_now, n_at_once;
    struct scripted_request requests[REQUESTS_MAX];
};

/* ---- an authority, and what it signs ---- */

static gnutls_x509_privkey_t new_key(void)
{
    gnutls_x509_privkey_t key;

    assert(gnutls_x509_privkey_init(&key) == 0);
    assert(
        gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                     GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1),
                                     0)
        == 0);
    return key;
}

static gnutls_x509_crt_t new_certificate(const char *name, gnutls_x509_privkey_t key)
{
    gnutls_x509_crt_t crt;
    const unsigned char serial = 1;

    assert(gnutls_x509_crt_init(&crt) == 0);
    gnutls_x509_crt_set_version(crt, 3);
    gnutls_x509_crt_set_serial(crt, &serial, 1);
    gnutls_x509_crt_set_activation_time(crt, time(NULL) - 3600);
    gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400);
    gnutls_x509_crt_set_key(crt, key);
    gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                  (unsigned)strlen(name));
    return crt;
}

static void write_ca(struct scripted *s, gnutls_x509_crt_t ca)
{
    gnutls_datum_t pem;
    int fd;

    strcpy(s->ca_file, "/tmp/mesh-test-ca.XXXXXX");
    fd = mkstemp(s->ca_file);
    assert(fd >= 0 && gnutls_x509_crt_export2(ca, GNUTLS_X509_FMT_PEM, &pem) == 0);
    assert(write(fd, pem.data, pem.size) == (ssize_t)pem.size);
    close(fd);
    gnutls_free(pem.data);
}

static void make_certificates(struct scripted *s)
{
    static const unsigned char loopback[] = { 127, 0, 0, 1 };
    gnutls_x509_privkey_t ca_key = new_key(), key = new_key();
    gnutls_x509_crt_t ca = new_certificate("scripted authority", ca_key);
    gnutls_x509_crt_t crt = new_certificate("scripted", key);

    gnutls_x509_crt_set_basic_constraints(ca, 1, -1);
    gnutls_x509_crt_set_key_usage(ca, GNUTLS_KEY_KEY_CERT_SIGN);
    assert(gnutls_x509_crt_sign2(ca, ca, ca_key, GNUTLS_DIG_SHA256, 0) == 0);
    gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, loopback, 4, 0);
    assert(gnutls_x509_crt_sign2(crt, ca, ca_key, GNUTLS_DIG_SHA256, 0) == 0);
    write_ca(s, ca);
    assert(gnutls_certificate_allocate_credentials(&s->key) == 0);
    assert(gnutls_certificate_set_x509_key(s->key, &crt, 1, key) >= 0);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_crt_deinit(ca);
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_privkey_deinit(ca_key);
}

/* ---- bytes ---- */

static ssize_t receive(struct connection *c, void *to, size_t len)
{
    return c->tls ? gnutls_record_recv(c->tls, to, len) : recv(c->fd, to, len, 0);
}

static bool send_all(struct connection *c, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = c->tls ? gnutls_record_send(c->tls, data, len)
                           : send(c->fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool send_body(struct connection *c, size_t len)
{
    char chunk[4096];

    for (size_t at = 0; at < len;) {
        size_t n = len - at < sizeof(chunk) ? len - at : sizeof(chunk);

        for (size_t i = 0; i < n; i++)
            chunk[i] = scripted_byte(at + i);
        if (!send_all(c, chunk, n))
            return false;
        at += n;
    }
    return true;
}

/* Until the other side has closed. */
static void drain(struct connection *c)
{
    while (receive(c, c->in, sizeof(c->in)) > 0)
        ;
}

static bool start_tls(struct connection *c)
{
    int r;

    assert(gnutls_init(&c->tls, GNUTLS_SERVER) == 0);
    gnutls_set_default_priority(c->tls);
    gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, c->server->key);
    gnutls_transport_set_int(c->tls, c->fd);
    do {
        r = gnutls_handshake(c->tls);
    } while (r < 0 && !gnutls_error_is_fatal(r));
    return r == 0;
}

/* ---- requests ---- */

/* What came with the head stays in c->in. */
static bool read_head(struct connection *c, char *head, size_t size)
{
    const char *end;
    size_t len;

    while (!(end = memmem(c->in, c->n_in, "\r\n\r\n", 4))) {
        ssize_t n = receive(c, c->in + c->n_in, sizeof(c->in) - c->n_in);

        if (n <= 0)
            return false;
        c->n_in += (size_t)n;
    }
    len = (size_t)(end - c->in) + 4;
    snprintf(head, size, "%.*s", (int)len, c->in);
    c->n_in -= len;
    memmove(c->in, c->in + len, c->n_in);
    return true;
}

static uint64_t body_length(const char *head)
{
    const char *at = strcasestr(head, "\r\nContent-Length:");

    return at ? strtoull(at + 17, NULL, 10) : 0;
}

static bool read_body(struct connection *c, uint64_t len, struct scripted_request *r)
{
    r->is_body_right = true;
    if (strcasestr(r->head, "\r\nExpect: 100-continue"))
        send_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    while (r->body_bytes < len) {
        ssize_t n = c->n_in > 0 ? (ssize_t)c->n_in : receive(c, c->in, sizeof(c->in));

        if (n <= 0)
            return false;
        for (ssize_t i = 0; i < n; i++)
            if (c->in[i] != scripted_byte(r->body_bytes + (uint64_t)i))
                r->is_body_right = false;
        r->body_bytes += (uint64_t)n;
        c->n_in = 0;
    }
    return true;
}

static bool answer(struct connection *c, const struct scripted_step *step, size_t sent,
                   bool is_head)
{
    char head[1024];

    snprintf(head, sizeof(head), "HTTP/1.1 %d x\r\n%sContent-Length: %zu\r\n\r\n",
             step->code, step->headers ? step->headers : "", step->body_bytes);
    return send_all(c, head, strlen(head)) && (is_head || send_body(c, sent));
}

static void wait_gate(struct scripted *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->is_open && !s->is_ended)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

static void reset(struct connection *c)
{
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

/* Whether the connection goes on. */
static bool act(struct connection *c, const struct scripted_step *step, bool is_head)
{
    switch (step->act) {
    case SCRIPTED_GATE:
        wait_gate(c->server);
        return answer(c, step, step->body_bytes, is_head);
    case SCRIPTED_ANSWER:
        return answer(c, step, step->body_bytes, is_head);
    case SCRIPTED_EARLY:
        answer(c, step, step->body_bytes, is_head);
        return false;
    case SCRIPTED_CUT:
        answer(c, step, step->body_bytes / 2, is_head);
        return false;
    case SCRIPTED_STALL_BODY:
        answer(c, step, step->body_bytes / 2, is_head);
        drain(c);
        return false;
    case SCRIPTED_STALL:
        drain(c);
        return false;
    case SCRIPTED_UNREAD:
        wait_gate(c->server);
        return false;
    case SCRIPTED_GARBAGE:
        send_all(c, "220 mail ready\r\n", 16);
        return false;
    case SCRIPTED_RESET:
        reset(c);
        return false;
    case SCRIPTED_CLOSE:
        return false;
    }
    return false;
}

/* ---- threads ---- */

static size_t begin_request(struct scripted *s, struct scripted_step *ret_step)
{
    size_t i;

    pthread_mutex_lock(&s->lock);
    i = s->n_requests++;
    assert(i < REQUESTS_MAX);
    *ret_step = s->steps[i < s->n_steps ? i : s->n_steps - 1];
    if (++s->n_now > s->n_at_once)
        s->n_at_once = s->n_now;
    pthread_mutex_unlock(&s->lock);
    return i;
}

/* Known to others once its body is there, or will not be read. */
static void note_request(struct scripted *s, size_t i, const struct scripted_request *r)
{
    pthread_mutex_lock(&s->lock);
    s->requests[i] = *r;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void end_request(struct scripted *s)
{
    pthread_mutex_lock(&s->lock);
    s->n_now--;
    pthread_mutex_unlock(&s->lock);
}

static bool serve_one(struct connection *c)
{
    struct scripted *s = c->server;
    struct scripted_request r = { .body_bytes = 0 };
    struct scripted_step step;
    bool is_read = true, goes_on;
    size_t i;

    if (!read_head(c, r.head, sizeof(r.head)))
        return false;
    if (s->is_proxy && strncmp(r.head, "CONNECT ", 8) == 0 && s->is_tls)
        return send_all(c, "HTTP/1.1 200 yes\r\n\r\n", 20) && start_tls(c);
    i = begin_request(s, &step);
    if (step.act != SCRIPTED_UNREAD && step.act != SCRIPTED_EARLY)
        is_read = read_body(c, body_length(r.head), &r);
    note_request(s, i, &r);
    goes_on = is_read && act(c, &step, strncmp(r.head, "HEAD ", 5) == 0);
    end_request(s);
    return goes_on;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    struct scripted *s = c->server;

    if (!s->is_tls || s->is_proxy || start_tls(c))
        while (serve_one(c))
            ;
    if (c->tls)
        gnutls_deinit(c->tls);
    pthread_mutex_lock(&s->lock);
    close(c->fd);
    c->fd = -1;
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct scripted *s = arg;
    int fd;

    while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
        struct connection *c = calloc(1, sizeof(*c));

        assert(c);
        c->server = s;
        c->fd = fd;
        pthread_mutex_lock(&s->lock);
        assert(s->n_connections < CONNECTIONS_MAX);
        s->connections[s->n_connections++] = c;
        pthread_create(&c->thread, NULL, serve, c);
        pthread_mutex_unlock(&s->lock);
    }
    return NULL;
}

static void open_listener(struct scripted *s)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);

    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert(s->fd >= 0 && bind(s->fd, (struct sockaddr *)&address, size) == 0);
    assert(listen(s->fd, CONNECTIONS_MAX) == 0);
    assert(getsockname(s->fd, (struct sockaddr *)&address, &size) == 0);
    s->port = ntohs(address.sin_port);
}

struct scripted *scripted_start(const struct scripted_step *steps, size_t n,
                                bool is_tls, bool is_proxy)
{
    struct scripted *s = calloc(1, sizeof(*s));

    assert(s && n > 0 && n <= STEPS_MAX);
    memcpy(s->steps, steps, n * sizeof(*steps));
    s->n_steps = n;
    s->is_tls = is_tls;
    s->is_proxy = is_proxy;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    if (is_tls)
        make_certificates(s);
    open_listener(s);
    pthread_create(&s->thread, NULL, accept_all, s);
    return s;
}

void scripted_stop(struct scripted *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    pthread_mutex_lock(&s->lock);
    s->is_ended = true;
    pthread_cond_broadcast(&s->changed);
    for (size_t i = 0; i < s->n_connections; i++)
        if (s->connections[i]->fd >= 0)
            shutdown(s->connections[i]->fd, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->n_connections; i++) {
        pthread_join(s->connections[i]->thread, NULL);
        free(s->connections[i]);
    }
    if (s->is_tls) {
        unlink(s->ca_file);
        gnutls_certificate_free_credentials(s->key);
    }
    free(s);
}

int scripted_port(const struct scripted *s)
{
    return s->port;
}

const char *scripted_ca_file(const struct scripted *s)
{
    return s->ca_file;
}

void scripted_open_gate(struct scripted *s)
{
    pthread_mutex_lock(&s->lock);
    s->is_open = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static size_t look(struct scripted *s, const size_t *at)
{
    size_t n;

    pthread_mutex_lock(&s->lock);
    n = *at;
    pthread_mutex_unlock(&s->lock);
    return n;
}

size_t scripted_requests(struct scripted *s)
{
    return look(s, &s->n_requests);
}

size_t scripted_connections(struct scripted *s)
{
    return look(s, &s->n_connections);
}

size_t scripted_at_once(struct scripted *s)
{
    return look(s, &s->n_at_once);
}

struct scripted_request scripted_request(struct scripted *s, size_t i)
{
    struct scripted_request r;

    pthread_mutex_lock(&s->lock);
    r = s->requests[i];
    pthread_mutex_unlock(&s->lock);
    return r;
}
