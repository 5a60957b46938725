/* SPDX-License-Identifier: Apache-2.0 */
/* What node/ finds by dlsym() in mesh-peer.so. */
#include "node/peers/peers.h"

extern const struct peers_module mesh_peers_module;

const struct peers_module mesh_peers_module = {
    .start = peers_start,
    .stop = peers_stop,
    .connect = peers_connect,
    .dial = peers_dial,
    .disconnect = peers_disconnect,
    .send = peers_send,
    .is_connected = peers_is_connected,
    .address = peers_address,
    .bulk_port = peers_bulk_port,
    .learn = peers_learn,
    .revoke = peers_revoke,
    .admit = peers_admit,
    .contacts = peers_contacts,
    .count = peers_count,
    .join = peers_join,
};
