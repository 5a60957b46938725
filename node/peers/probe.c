/* SPDX-License-Identifier: Apache-2.0 */
/* Why did a connection break? When nothing listens at the other's address any more,
 * twice in a row, its process is gone, and the mesh need not wait for suspicion to
 * ripen. */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "node/peers/peers_internal.h"

enum { PROBE_PAUSE_MS = 200, PROBE_MS = 500, PROBES = 2 };

struct probe {
    struct peers *peers;
    uint8_t curve_key[CURVE_KEY_SIZE];
    struct sockaddr_storage address;
    unsigned n_refused;
    bool is_over, is_refused, is_knocking, is_closed;
    uv_timer_t timer; /* the pause, and how long all may take */
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct probe *prev, *next;
};

static void knock(struct probe *probe);

static void release(struct probe *probe)
{
    if (!probe->is_closed || probe->is_knocking)
        return;
    peers_unref(probe->peers);
    free(probe);
}

static void on_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;

    probe->is_closed = true;
    release(probe);
}

static void end(struct probe *probe, bool is_refused)
{
    struct peers *p = probe->peers;
    struct peer *peer = p->is_stopping ? NULL : peer_find_curve(p, probe->curve_key);

    if (probe->is_over)
        return;
    probe->is_over = true;
    DL_DELETE(p->probes, probe);
    uv_timer_stop(&probe->timer);
    uv_close((uv_handle_t *)&probe->timer, on_closed);
    if (peer && peer->is_probed)
        peer_told_down(p, peer, is_refused);
}

static void on_pause(uv_timer_t *timer)
{
    knock(timer->data);
}

/* The connection's handle is closed for itself each time. */
static void on_tcp_closed(uv_handle_t *handle)
{
    struct probe *probe = handle->data;

    probe->is_knocking = false;
    if (probe->is_over)
        release(probe);
    else if (probe->is_refused && probe->n_refused < PROBES)
        uv_timer_start(&probe->timer, on_pause, PROBE_PAUSE_MS, 0);
    else
        end(probe, probe->is_refused);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct probe *probe = connect->data;

    if (status == UV_ECANCELED)
        return; /* closed by on_late() */
    probe->is_refused = status == UV_ECONNREFUSED;
    probe->n_refused += probe->is_refused;
    uv_timer_stop(&probe->timer);
    uv_close((uv_handle_t *)&probe->tcp, on_tcp_closed);
}

static void on_late(uv_timer_t *timer)
{
    struct probe *probe = timer->data;

    probe->is_refused = false;
    uv_close((uv_handle_t *)&probe->tcp, on_tcp_closed);
}

static void knock(struct probe *probe)
{
    if (uv_tcp_init(probe->peers->loop, &probe->tcp) < 0) {
        end(probe, false);
        return;
    }
    probe->is_knocking = true;
    probe->tcp.data = probe->connect.data = probe;
    uv_timer_start(&probe->timer, on_late, PROBE_MS, 0);
    if (uv_tcp_connect(&probe->connect, &probe->tcp,
                       (const struct sockaddr *)&probe->address, on_connect)
        < 0) {
        uv_timer_stop(&probe->timer);
        uv_close((uv_handle_t *)&probe->tcp, on_tcp_closed);
    }
}

int probe_start(struct peers *p, const struct peer *peer)
{
    struct sockaddr_storage address;
    struct probe *probe;

    if (address_numbers(peer->numbers, &address) < 0)
        return -EINVAL;
    probe = calloc(1, sizeof(*probe));
    if (!probe)
        return -ENOMEM;
    probe->peers = p;
    probe->address = address;
    memcpy(probe->curve_key, peer->curve_key, CURVE_KEY_SIZE);
    uv_timer_init(p->loop, &probe->timer);
    probe->timer.data = probe;
    peers_ref(p);
    DL_APPEND(p->probes, probe);
    /* Not from here: its end would be told before its begin. */
    uv_timer_start(&probe->timer, on_pause, 0, 0);
    return 0;
}

void probes_stop(struct peers *p)
{
    struct probe *probe, *next;

    DL_FOREACH_SAFE(p->probes, probe, next)
    {
        if (probe->is_knocking && !uv_is_closing((uv_handle_t *)&probe->tcp))
            uv_close((uv_handle_t *)&probe->tcp, on_tcp_closed);
        end(probe, false);
    }
}
