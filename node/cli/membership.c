/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/membership.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "node/cli/conf_file.h"
#include "node/cli/discover.h"
#include "node/handover.h"
#include "node/module.h"
#include "node/peers/peers.h"

enum {
    PATIENCE_MS = 30000,
    TOKEN_MAX = JOIN_TOKEN_TEXT_SIZE + 64,
    LINE_MAX_SIZE = 512
};

static const char default_listen[] = "0.0.0.0:8370";
static const char dev_listen[] = "127.0.0.1:0";

void membership_release(struct membership *m)
{
    identity_free(m->identity);
    free(m->listen);
    free(m->advertise);
    *m = (struct membership){ .identity = NULL };
}

/* ---- names and folders ---- */

void membership_host_name(char ret[MEMBER_NAME_MAX + 1])
{
    char name[MEMBER_NAME_MAX + 1] = "";
    size_t n = 0;

    gethostname(name, sizeof(name) - 1);
    for (size_t i = 0; name[i]; i++) {
        char one[] = { name[i], '\0' };

        if (certificate_name_is_good(one))
            ret[n++] = name[i];
    }
    ret[n] = '\0';
    if (n == 0)
        strcpy(ret, "node");
}

/* The text of an option that is a name, or `other`. */
static int name_option(const struct options *o, const char *option, const char *other,
                       char ret[MEMBER_NAME_MAX + 1])
{
    const char *text = options_text(o, option);

    if (!text) {
        strcpy(ret, other);
        return 0;
    }
    if (!certificate_name_is_good(text))
        return cli_usage("--%s must be 1 to %d letters, digits and . _ -, not '%.80s'",
                         option, MEMBER_NAME_MAX, text);
    strcpy(ret, text);
    return 0;
}

int membership_make_folder(const char *dir)
{
    CLEANUP(freep) char *path = strdup(dir);

    if (!path)
        return cli_failed(-ENOMEM, NULL);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST) {
        cli_say("cannot make %s: %s", dir, strerror(errno));
        return CLI_NO_NODE;
    }
    return 0;
}

/* ---- addresses ---- */

/* The address that packets to elsewhere would come from; none is sent. */
static int own_address(char *ret, size_t size)
{
    /* RFC 5737: an address of nobody's. */
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
    socklen_t len = sizeof(to);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = -ENETUNREACH;

    if (fd < 0)
        return -errno;
    inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0
        && getsockname(fd, (struct sockaddr *)&to, &len) == 0
        && inet_ntop(AF_INET, &to.sin_addr, ret, (socklen_t)size))
        r = 0;
    close(fd);
    return r;
}

static bool is_any(const char *listen)
{
    return strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "[::]:", 5) == 0
           || strncmp(listen, "*:", 2) == 0;
}

static int choose_address(const struct options *o, struct membership *m)
{
    const char *listen = options_text(o, "peer-listen");
    const char *advertise = options_text(o, "advertise");
    char own[INET_ADDRSTRLEN];

    if (!listen)
        listen = options_has(o, "dev") ? dev_listen : default_listen;
    if (!advertise && is_any(listen)) {
        if (own_address(own, sizeof(own)) < 0)
            return cli_usage("this machine has no address that others could reach: "
                             "give --advertise HOST");
        advertise = own;
    }
    m->listen = strdup(listen);
    m->advertise = advertise ? strdup(advertise) : NULL;
    return m->listen && (m->advertise || !advertise) ? 0 : cli_failed(-ENOMEM, NULL);
}

/* ---- contacts ---- */

struct contacts {
    struct join_contact all[CONTACTS_MAX];
    size_t n;
};

static void contacts_add(struct contacts *c, const struct join_contact *one)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->all[i].address, one->address) == 0
            && memcmp(c->all[i].curve_key, one->curve_key, CURVE_KEY_SIZE) == 0)
            return;
    if (c->n < CONTACTS_MAX)
        c->all[c->n++] = *one;
}

static int read_contact(struct contacts *c, const char *text)
{
    struct error error = { .text = "" };
    struct join_contact one;

    if (join_contact_parse(text, &one, &error) < 0)
        return cli_usage("%s", error.text);
    contacts_add(c, &one);
    return 0;
}

/* One a line; # begins a comment. */
static int read_contacts(struct contacts *c, const char *path)
{
    char line[LINE_MAX_SIZE];
    FILE *file = fopen(path, "re");
    int r = 0;

    if (!file)
        return cli_usage("cannot read %s: %s", path, strerror(errno));
    while (r == 0 && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "#\r\n")] = '\0';
        for (size_t len = strlen(line); len && line[len - 1] == ' ';)
            line[--len] = '\0';
        if (line[strspn(line, " ")])
            r = read_contact(c, line + strspn(line, " "));
    }
    fclose(file);
    return r;
}

/* Those that are named now before those that are remembered. */
static int choose_contacts(const struct options *o, const struct conf *conf,
                           struct identity *identity)
{
    CLEANUP(freep) struct contacts *c = calloc(1, sizeof(*c));
    CLEANUP(freep) struct contacts *before = calloc(1, sizeof(*before));
    const char *domain = options_text(o, "discover"), *text;
    struct error error = { .text = "" };
    size_t at = 0;
    int r = 0;

    if (!c || !before)
        return cli_failed(-ENOMEM, NULL);
    while (r == 0 && (text = options_next(o, "contact", &at)))
        r = text[0] == '@' ? read_contacts(c, text + 1) : read_contact(c, text);
    for (uint32_t i = 0; r == 0 && i < conf->n_contacts; i++)
        r = read_contact(c, conf->contacts[i].text);
    if (r)
        return r;
    if (domain) {
        struct join_contact found[CONTACTS_MAX];
        size_t n = 0;

        if (discover(domain, found, &n, &error) < 0)
            cli_say("%s", error.text); /* others may be known */
        for (size_t i = 0; i < n; i++)
            contacts_add(c, &found[i]);
    }
    if (c->n == 0)
        return 0;
    before->n = identity_contacts(identity, before->all);
    for (size_t i = 0; i < before->n; i++)
        contacts_add(c, &before->all[i]);
    r = identity_remember(identity, c->all, c->n, &error);
    return r < 0 ? cli_failed(r, &error) : 0;
}

/* ---- joining ---- */

static int read_token(const char *option, struct join_token *ret)
{
    struct error error = { .text = "" };
    char text[TOKEN_MAX] = "";
    int r;

    if (strcmp(option, "-") == 0 && !fgets(text, sizeof(text), stdin))
        return cli_usage("there is no token on standard input");
    r = join_token_parse(strcmp(option, "-") == 0 ? text : option, ret, &error);
    sodium_memzero(text, sizeof(text));
    return r < 0 ? cli_usage("%s", error.text) : 0;
}

static int join(const struct options *o, const struct join_token *token,
                struct identity *identity)
{
    const struct peers_module *module;
    char name[MEMBER_NAME_MAX + 1], zone[MEMBER_NAME_MAX + 1],
        host[MEMBER_NAME_MAX + 1];
    struct error error = { .text = "" };
    struct peers_join ask = { .identity = identity,
                              .token = token,
                              .name = name,
                              .zone = zone,
                              .patience_ms = PATIENCE_MS,
                              .wall = cli_now() };
    int r;

    membership_host_name(host);
    r = name_option(o, "name", host, name);
    if (r == 0)
        r = name_option(o, "zone", "", zone);
    if (r)
        return r;
    module = module_load("mesh-peer.so", "mesh_peers_module", &error);
    if (!module)
        return cli_failed(-ENOENT, &error);
    r = module->join(&ask, &error);
    return r < 0 ? cli_failed(r, &error) : 0;
}

static int open_keys(const char *dir, struct identity **ret)
{
    struct error error = { .text = "" };
    int r = identity_open(dir, cli_now(), ret, &error);

    if (r == -ENOENT) {
        r = membership_make_folder(dir);
        if (r)
            return r;
        r = identity_create(dir, ret, &error);
    }
    return r < 0 ? cli_failed(r, &error) : 0;
}

/* A member that is given its token again is a member: a service is started with the
 * same options each time. */
static int join_by_token(const struct options *o, const char *dir,
                         struct identity **identity)
{
    CLEANUP(join_token_release) struct join_token token = { .n_contacts = 0 };
    int r = read_token(options_text(o, "join"), &token);

    if (r == 0 && !*identity)
        r = open_keys(dir, identity);
    if (r)
        return r;
    if (!identity_chain(*identity))
        return join(o, &token, *identity);
    if (memcmp(identity_root(*identity)->mesh, token.root.mesh, MESH_ID_SIZE) == 0)
        return 0;
    cli_say("the node in %s is of another mesh already", dir);
    cli_hint("give it another folder, with --data, to join this one");
    return CLI_FAILED;
}

static int found(const struct options *o, const char *dir, struct identity **ret)
{
    char name[MEMBER_NAME_MAX + 1], host[MEMBER_NAME_MAX + 1];
    struct error error = { .text = "" };
    int r;

    membership_host_name(host);
    r = name_option(o, "name", host, name);
    if (r == 0)
        r = membership_make_folder(dir);
    if (r)
        return r;
    r = identity_found(dir, "dev", name, cli_now(), ret, &error);
    return r < 0 ? cli_failed(r, &error) : 0;
}

static int no_mesh(const char *dir)
{
    cli_say("the node in %s is of no mesh", dir);
    cli_hint("make one:         mesh init");
    cli_hint(
        "join one:         mesh node --join TOKEN, by what mesh invite says there");
    cli_hint("try things alone: mesh node --dev");
    return CLI_USAGE;
}

/* A node that may sign for itself needs nobody's help to be called otherwise, or to be
 * a member for longer; others are called as they were when they joined. */
static int certify(const struct options *o, struct identity *i)
{
    const struct certificate *c = &identity_chain(i)->leaf;
    char name[MEMBER_NAME_MAX + 1], zone[MEMBER_NAME_MAX + 1];
    struct error error = { .text = "" };
    time_us now = cli_now();
    int r = name_option(o, "name", c->name, name);

    if (r == 0)
        r = name_option(o, "zone", c->zone, zone);
    if (r)
        return r;
    if (strcmp(name, c->name) == 0 && strcmp(zone, c->zone) == 0
        && !identity_is_renewal_due(i, now))
        return 0;
    if (identity_has_authority(i)) {
        r = identity_certify(i, name, zone, now, &error);
        return r < 0 ? cli_failed(r, &error) : 0;
    }
    if (strcmp(name, c->name) != 0 || strcmp(zone, c->zone) != 0)
        cli_say("it stays %s%s%s, as it was called when it joined", c->name,
                c->zone[0] ? " in " : "", c->zone);
    return 0;
}

static int check_expired(const struct identity *i, const char *dir)
{
    if (cli_now() <= identity_chain(i)->leaf.not_after)
        return 0;
    cli_say("the certificate of the node in %s has expired", dir);
    cli_hint("a node that was away for 90 days joins as a new one: mesh invite, and");
    cli_hint("mesh node --join TOKEN with another folder");
    return CLI_FAILED;
}

/* What was not given on the command line: the environment's, else the file's. */
static void fill_in(struct options *o, const struct conf *c)
{
    const struct {
        const char *option, *variable, *text;
    } settings[] = {
        { "name", "MESH_NAME", c->name.text },
        { "zone", "MESH_ZONE", c->zone.text },
        { "peer-listen", "MESH_PEER_LISTEN", c->peer_listen.text },
        { "advertise", "MESH_ADVERTISE", c->advertise.text },
        { "discover", "MESH_DISCOVER", c->discover.text },
    };

    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const char *value = getenv(settings[i].variable);

        options_default(o, settings[i].option,
                        value && *value ? value : settings[i].text);
    }
}

static int open_with(const struct options *o, const struct conf *conf, const char *dir,
                     struct membership *ret)
{
    CLEANUP(membership_release) struct membership m = { .identity = NULL };
    struct error error = { .text = "" };
    int r;

    r = identity_open(dir, cli_now(), &m.identity, &error);
    if (r < 0 && r != -ENOENT)
        return cli_failed(r, &error);
    r = 0;
    if (options_has(o, "join")
        && !(m.identity && identity_chain(m.identity) && handover_is_there()))
        r = join_by_token(o, dir, &m.identity);
    else if (!m.identity && options_has(o, "dev") && options_has(o, "peer-listen"))
        r = found(o, dir, &m.identity);
    else if (!m.identity || !identity_chain(m.identity))
        return options_has(o, "dev") ? 0 : no_mesh(dir);
    if (r == 0)
        r = certify(o, m.identity);
    if (r == 0)
        r = check_expired(m.identity, dir);
    if (r == 0)
        r = choose_contacts(o, conf, m.identity);
    if (r == 0)
        r = choose_address(o, &m);
    if (r)
        return r;
    *ret = m;
    m = (struct membership){ .identity = NULL };
    return 0;
}

int membership_open(const struct options *o, const char *dir, struct membership *ret)
{
    CLEANUP(conf_unrefp) struct conf *conf = NULL;
    struct options filled = *o; /* borrows all */
    int r;

    if (options_has(o, "inspect"))
        return 0;
    r = conf_file_open(o, dir, &conf);
    if (r)
        return r;
    /* By itself means so, whatever stands in the file. */
    if (!options_has(o, "dev"))
        fill_in(&filled, conf);
    return open_with(&filled, conf, dir, ret);
}
