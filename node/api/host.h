/* SPDX-License-Identifier: Apache-2.0 */
/* host - whether a request over TCP was meant for this node. Pure.
 *
 * A page of anywhere can make a browser ask 127.0.0.1, also under a name of its own
 * that it lets point there (DNS rebinding). But it cannot choose the Host and Origin
 * headers that the browser sends. */
#pragma once

#include <stdbool.h>

/* `host` is a Host header (NULL: none): localhost, a loopback address, or the one that
 * is listened on, HOST:PORT. Any port: an ssh tunnel has its own. */
bool host_is_ours(const char *host, const char *listened);
/* `origin` is an Origin header: NULL, or that of a page that came from `host`, by TLS
 * or not. */
bool origin_is_ours(const char *origin, const char *host, bool is_secure);
