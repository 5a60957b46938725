/* SPDX-License-Identifier: Apache-2.0 */
/* exchange - carries a request through its stages: MHD's callbacks on one side, the
 * route's functions on the other. */
#pragma once

#include <microhttpd.h>

#include "node/api/server.h"

enum MHD_Result exchange_on_request(void *listener, struct MHD_Connection *connection,
                                    const char *url, const char *method,
                                    const char *version, const char *upload,
                                    size_t *upload_size, void **state);
void exchange_on_completed(void *listener, struct MHD_Connection *connection,
                           void **state, enum MHD_RequestTerminationCode why);
/* Looks once for each connection at who is at its other end. */
void exchange_on_connection(void *listener, struct MHD_Connection *connection,
                            void **peer, enum MHD_ConnectionNotificationCode what);
/* Wake a suspended connection without going on with its request. */
void exchange_resume(struct request *r);
/* End the connection under a client that does not read. */
void exchange_drop(struct request *r);
