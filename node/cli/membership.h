/* SPDX-License-Identifier: Apache-2.0 */
/* membership - of which mesh a node is that is about to start: by what lies in its
 * folder and the options of mesh node. */
#pragma once

#include "node/cli/cli.h"
#include "node/identity.h"

struct membership {
    struct identity *identity; /* NULL: of none, alone */
    char *listen;              /* HOST:PORT for the other nodes */
    char *advertise;           /* the HOST they reach it by; NULL: that of listen */
};
void membership_release(struct membership *m);

/* Joins or founds where the options say so. Says what is wrong; the exit code. */
int membership_open(const struct options *o, const char *dir, struct membership *ret);

/* The host's name as far as it may be a node's. Never empty. */
void membership_host_name(char ret[MEMBER_NAME_MAX + 1]);
/* Makes the data folder. Says what is wrong; the exit code. */
int membership_make_folder(const char *dir);

/* Options of mesh node about it. */
#define OPTION_MEMBERSHIP                                                             \
    { "join", 0, "TOKEN", "join a mesh by a token; - reads it from standard input" }, \
        { "peer-listen", 0, "HOST:PORT",                                              \
          "listen here for other nodes (else 0.0.0.0:8370)" },                        \
        { "advertise", 0, "HOST", "how others reach this host" },                     \
        { "contact", 0, "HOST:PORT/KEY...", "a node to dial; @FILE has one a line" }, \
        { "discover", 0, "DOMAIN", "dial those in its SRV records _mesh._tcp" },      \
        { "name", 0, "NAME", "what the node is called (else the host's name)" },      \
    {                                                                                 \
        "zone", 0, "ZONE", "what fails together with it: a rack, a room"              \
    }
