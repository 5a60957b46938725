/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/logins.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ids.h"
#include "node/secret_file.h"

static const char scheme[] = "sha256:";

bool login_is_fingerprint(const char *text)
{
    uint8_t bytes[DIGEST_SIZE];

    return strncmp(text, scheme, strlen(scheme)) == 0
           && strlen(text) == TLS_FINGERPRINT_TEXT - 1
           && hex_parse(text + strlen(scheme), sizeof(bytes), bytes) == 0;
}

/* ---- where they lie ---- */

static int make_folders(char *path, size_t from)
{
    for (char *slash = strchr(path + from, '/'); slash;
         slash = strchr(slash + 1, '/')) {
        int r;

        *slash = '\0';
        r = mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
        *slash = '/';
        if (r < 0)
            return r;
    }
    return 0;
}

/* The caller frees; NULL without memory or a home. */
static char *path_of(const struct address *a)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char place[ADDRESS_TEXT_SIZE], *path;
    bool has_config = config && *config;

    address_text(a, place);
    if (!has_config && (!home || !*home))
        return NULL;
    return asprintf(&path, "%s%s/mesh/logins/%s", has_config ? config : home,
                    has_config ? "" : "/.config", place)
                   < 0
               ? NULL
               : path;
}

/* ---- reading ---- */

static int read_private(const char *path, char *ret_text, size_t size,
                        struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t n;
    int r = 0;

    if (fd < 0)
        return -errno;
    n = fstat(fd, &st) < 0 ? -1 : read(fd, ret_text, size - 1);
    if (n < 0)
        r = -errno;
    else if (st.st_mode & 077)
        r = fail(ret_error, -EACCES, "others can read the token in %s: chmod 600 %s",
                 path, path);
    close(fd);
    ret_text[n > 0 && r == 0 ? n : 0] = '\0';
    return r;
}

int login_read_token(const char *path, struct login *ret, struct error *ret_error)
{
    int r = read_private(path, ret->token, sizeof(ret->token), ret_error);

    if (r < 0)
        return ret_error->text[0]
                   ? r
                   : fail(ret_error, r, "the token in %s cannot be read: %s", path,
                          strerror(-r));
    ret->token[strcspn(ret->token, " \t\r\n")] = '\0';
    return 0;
}

static int read_kept(const struct address *a, struct login *ret,
                     struct error *ret_error)
{
    char text[LOGIN_TOKEN_MAX + TLS_FINGERPRINT_TEXT], *token;
    CLEANUP(freep) char *path = path_of(a);
    int r = path ? read_private(path, text, sizeof(text), ret_error) : -ENOENT;

    if (r < 0)
        return r;
    token = text + strcspn(text, "\n");
    if (*token)
        *token++ = '\0';
    token[strcspn(token, "\n")] = '\0';
    if ((*text && !login_is_fingerprint(text)) || !*token
        || strlen(token) >= sizeof(ret->token))
        return fail(ret_error, -EBADMSG, "%s holds no login: mesh login again", path);
    strcpy(ret->fingerprint, text);
    strcpy(ret->token, token);
    explicit_bzero(text, sizeof(text));
    return 0;
}

int login_find(const struct address *a, struct login *ret, struct error *ret_error)
{
    const char *path = getenv("MESH_TOKEN_FILE"), *print = getenv("MESH_FINGERPRINT");
    struct login l = { .token = "" };
    int r = path && *path ? login_read_token(path, &l, ret_error)
                          : read_kept(a, &l, ret_error);

    if (r < 0)
        return r;
    if (print && *print && !login_is_fingerprint(print))
        return fail(ret_error, -EINVAL, "MESH_FINGERPRINT must be %sHEX", scheme);
    if (print && *print)
        strcpy(l.fingerprint, print);
    *ret = l;
    return 0;
}

/* ---- keeping ---- */

int login_keep(const struct address *a, const struct login *l, struct error *ret_error)
{
    char text[LOGIN_TOKEN_MAX + TLS_FINGERPRINT_TEXT + 1];
    CLEANUP(freep) char *path = path_of(a);
    char *name;
    int r;

    if (!path)
        return fail(ret_error, -ENOENT, "there is no HOME to keep it in");
    r = make_folders(path, 1);
    if (r < 0)
        return fail(ret_error, r, "%s cannot be written: %s", path, strerror(-r));
    name = strrchr(path, '/');
    *name++ = '\0';
    (void)snprintf(text, sizeof(text), "%s\n%s\n", l->fingerprint, l->token);
    r = secret_file_write(path, name, text, strlen(text), ret_error);
    explicit_bzero(text, sizeof(text));
    return r;
}

int login_forget(const struct address *a)
{
    CLEANUP(freep) char *path = path_of(a);

    return path && unlink(path) == 0 ? 0 : -ENOENT;
}
