/* SPDX-License-Identifier: Apache-2.0 */
/* bench-load SOCKET FOLLOWERS RATE SECONDS - clients beside a flow: FOLLOWERS streams
 * of events that are read as they come, and RATE requests a second over a few
 * connections.
 *
 * Ends after SECONDS, or when standard input is closed, and prints how many bytes of
 * events came, how many requests were answered, and the slowest and the mean of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ASKERS = 8, FOLLOWERS_MAX = 4096, READ_SIZE = 256 << 10 };

struct asker {
    int fd;
    uint64_t asked; /* when; 0: idle */
    uint64_t left;  /* of the body; UINT64_MAX: the head is not whole */
    char head[4096];
    size_t n_head;
};

static struct asker askers[ASKERS];
static uint64_t n_answers, slowest_us, sum_us, n_event_bytes, n_asked;
static char bytes[READ_SIZE];

static const char *const paths[] = { "/v1/node", "/v1/runs?limit=10", "/v1/runs/1",
                                     "/v1/runs/1/tasks?limit=20" };

static void die(const char *what)
{
    fprintf(stderr, "bench-load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int dial(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die("connect");
    return fd;
}

static void send_text(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        die("write");
}

static void watch(int epoll, int fd, uint64_t datum)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = datum };

    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl");
}

/* ---- requests ---- */

static void ask(struct asker *a)
{
    char request[256];

    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: mesh\r\n\r\n",
             paths[n_asked++ % (sizeof(paths) / sizeof(paths[0]))]);
    a->asked = now_us();
    a->n_head = 0;
    a->left = UINT64_MAX;
    send_text(a->fd, request);
}

static void answered(struct asker *a)
{
    uint64_t took = now_us() - a->asked;

    n_answers++;
    sum_us += took;
    slowest_us = took > slowest_us ? took : slowest_us;
    a->asked = 0;
}

static void read_answer(struct asker *a)
{
    ssize_t n = read(a->fd, bytes, sizeof(bytes));
    const char *length, *end;

    if (n <= 0)
        die("an answer");
    if (a->left == UINT64_MAX) {
        size_t take = sizeof(a->head) - 1 - a->n_head;

        take = take < (size_t)n ? take : (size_t)n;
        memcpy(a->head + a->n_head, bytes, take);
        a->head[a->n_head + take] = '\0';
        end = strstr(a->head, "\r\n\r\n");
        length = strcasestr(a->head, "content-length: ");
        if (!end) {
            a->n_head += take;
            return;
        }
        if (!length || strncmp(a->head, "HTTP/1.1 200", 12) != 0)
            die(a->head);
        a->left = strtoull(length + strlen("content-length: "), NULL, 10);
        n -= (ssize_t)((size_t)(end + 4 - a->head) - a->n_head);
    }
    a->left -= (uint64_t)n;
    if (a->left == 0)
        answered(a);
}

/* As many as are due by now and find an idle connection. */
static void ask_due(uint64_t began, uint64_t rate)
{
    uint64_t due = (now_us() - began) * rate / 1000000;

    for (size_t i = 0; i < ASKERS && n_asked < due; i++)
        if (!askers[i].asked)
            ask(&askers[i]);
}

/* ---- followers ---- */

static void open_clients(const char *path, int epoll, int *followers, unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        followers[i] = dial(path);
        send_text(followers[i], "GET /v1/events HTTP/1.1\r\nHost: mesh\r\n\r\n");
        watch(epoll, followers[i], ASKERS + i);
    }
    for (size_t i = 0; i < ASKERS; i++) {
        askers[i].fd = dial(path);
        watch(epoll, askers[i].fd, i);
    }
}

static void read_events(int fd)
{
    ssize_t n = read(fd, bytes, sizeof(bytes));

    if (n <= 0)
        die("a stream of events");
    n_event_bytes += (uint64_t)n;
}

int main(int argc, char **argv)
{
    static int followers[FOLLOWERS_MAX];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    unsigned long n = argc > 4 ? strtoul(argv[2], NULL, 10) : FOLLOWERS_MAX + 1;
    uint64_t rate, began, end;
    bool is_over = false;

    if (n > FOLLOWERS_MAX) {
        fprintf(stderr, "usage: bench-load SOCKET FOLLOWERS RATE SECONDS\n");
        return 2;
    }
    rate = strtoull(argv[3], NULL, 10);
    open_clients(argv[1], epoll, followers, n);
    watch(epoll, STDIN_FILENO, UINT64_MAX);
    puts("ready");
    fflush(stdout);
    began = now_us();
    end = began + strtoull(argv[4], NULL, 10) * 1000000;
    while (!is_over && now_us() < end) {
        struct epoll_event events[64];
        int n_events = epoll_wait(epoll, events, 64, rate ? 1 : 100);

        for (int i = 0; i < n_events; i++)
            if (events[i].data.u64 == UINT64_MAX)
                is_over = true;
            else if (events[i].data.u64 < ASKERS)
                read_answer(&askers[events[i].data.u64]);
            else
                read_events(followers[events[i].data.u64 - ASKERS]);
        ask_due(began, rate);
    }
    printf("%.3f %llu %llu %llu %llu\n", (double)(now_us() - began) / 1e6,
           (unsigned long long)n_event_bytes, (unsigned long long)n_answers,
           (unsigned long long)(n_answers ? sum_us / n_answers : 0),
           (unsigned long long)slowest_us);
    return 0;
}
