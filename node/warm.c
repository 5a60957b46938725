/* SPDX-License-Identifier: Apache-2.0 */
#include "node/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/python.h"
#include "node/spawn.h"

static const char ready[] = "ready";

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- the process ---- */

struct ends {
    int socket, log; /* the server's */
};

static int make_ends(struct warm_server *w, struct ends *ret)
{
    int sockets[2], pipes[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
        return -errno;
    if (pipe2(pipes, O_CLOEXEC) < 0) {
        int r = -errno;

        close(sockets[0]);
        close(sockets[1]);
        return r;
    }
    w->socket = sockets[0];
    w->log = pipes[0];
    fcntl(w->socket, F_SETFL, O_NONBLOCK);
    fcntl(w->log, F_SETFL, O_NONBLOCK);
    *ret = (struct ends){ .socket = sockets[1], .log = pipes[1] };
    return 0;
}

static int spawn(struct warm_server *w, const struct warm_config *config,
                 const struct ends *ends, struct error *ret_error)
{
    char **argv = python_server_argv(config->program);
    struct spawn s = {
        .self = getpid(),
        .path = config->program,
        .argv = argv,
        .envp = config->env->all,
        .cwd = config->cwd,
        .as = config->as,
        .stdio = { ends->socket, ends->log, ends->log },
        .cgroup_dir = w->cgroup.v2_dir,
        .cgroup_procs = -1,
        .files_max = config->files_max,
        .files_hard_max = config->files_hard_max,
    };
    const char *failed_in = "";
    int r = argv ? spawn_task(&s, &w->pid, &w->pidfd, &failed_in) : -ENOMEM;

    python_argv_free(argv);
    return r < 0 ? fail(ret_error, r, "%s: %s: %s", config->program, failed_in,
                        strerror(-r))
                 : 0;
}

int warm_start(struct warm_server *w, const struct warm_config *config,
               struct error *ret_error)
{
    struct ends ends = { .socket = -1, .log = -1 };
    int r = make_ends(w, &ends);

    if (r < 0)
        return fail(ret_error, r, "no socket: %s", strerror(-r));
    r = spawn(w, config, &ends, ret_error);
    close(ends.socket);
    close(ends.log);
    if (r < 0) {
        close_fd(&w->socket);
        close_fd(&w->log);
        w->pidfd = -1;
    }
    return r;
}

uint64_t warm_resident(const struct warm_server *w)
{
    unsigned long pages = 0;
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/statm", w->pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* By its number and not by its session: a child that has not left that one yet may be a
 * task that has begun. */
void warm_kill(struct warm_server *w)
{
    if (w->pidfd >= 0)
        kill(w->pid, SIGKILL);
}

int warm_reap(struct warm_server *w)
{
    siginfo_t info = { 0 };

    if (w->pidfd >= 0)
        waitid(P_PIDFD, (id_t)w->pidfd, &info, WEXITED);
    close_fd(&w->pidfd);
    return info.si_code == CLD_EXITED ? info.si_status : -1;
}

void warm_dismiss(struct warm_server *w)
{
    shutdown(w->socket, SHUT_WR);
}

void warm_close(struct warm_server *w)
{
    close_fd(&w->socket);
    close_fd(&w->log);
}

/* ---- what is said ---- */

int warm_request(const char *cwd, char *const *envp, struct buffer *out)
{
    uint32_t n = 1;
    uint8_t head[4];

    while (envp[n - 1])
        n++;
    for (size_t i = 0; i < sizeof(head); i++)
        head[i] = (uint8_t)(n >> (8 * i));
    buffer_append(out, head, sizeof(head));
    buffer_append(out, cwd, strlen(cwd) + 1);
    for (; *envp; envp++)
        buffer_append(out, *envp, strlen(*envp) + 1);
    if (buffer_failed(out))
        return buffer_failed(out);
    return out->len > WARM_REQUEST_BYTES_MAX ? -EMSGSIZE : 0;
}

int warm_send(struct warm_server *w, const struct buffer *request, const int *fds,
              size_t n_fds)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(WARM_FDS_MAX * sizeof(int))] = "";
    struct iovec text = { .iov_base = request->data, .iov_len = request->len };
    struct msghdr message = { .msg_iov = &text,
                              .msg_iovlen = 1,
                              .msg_control = control,
                              .msg_controllen = CMSG_SPACE(n_fds * sizeof(int)) };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);

    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
    memcpy(CMSG_DATA(rights), fds, n_fds * sizeof(int));
    if (sendmsg(w->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return 0;
    return errno == ECONNRESET ? -EPIPE : -errno;
}

enum warm_event warm_receive(struct warm_server *w, int32_t *ret_pid)
{
    uint8_t said[16];
    ssize_t n = w->socket < 0 ? 0 : recv(w->socket, said, sizeof(said), MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? WARM_NOTHING : WARM_GONE;
    if (n == sizeof(ready) - 1 && memcmp(said, ready, sizeof(ready) - 1) == 0)
        return WARM_IS_READY;
    if (n != sizeof(*ret_pid))
        return WARM_GONE;
    *ret_pid = (int32_t)((uint32_t)said[0] | (uint32_t)said[1] << 8
                         | (uint32_t)said[2] << 16 | (uint32_t)said[3] << 24);
    return WARM_ANSWERED;
}
