/* SPDX-License-Identifier: Apache-2.0 */
/* Where files are is asked of the environment each time: it is what people change. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloud/aws_source.h"

const char *aws_variable(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

const char *aws_profile_name(const char *profile)
{
    if (!profile)
        profile = aws_variable("AWS_PROFILE");
    if (!profile)
        profile = aws_variable("AWS_DEFAULT_PROFILE");
    return profile ? profile : "default";
}

void aws_buffer_wipe(struct buffer *b)
{
    if (b->data)
        sodium_memzero(b->data, b->cap);
    buffer_release(b);
}

static int read_all(int fd, size_t max, struct buffer *out)
{
    for (;;) {
        char *room = buffer_reserve(out, max + 1 - out->len);
        ssize_t n = room ? read(fd, room, max + 1 - out->len) : -1;

        if (!room)
            return buffer_failed(out);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        out->len += (size_t)n;
        out->data[out->len] = '\0';
        if (out->len > max)
            return -EFBIG;
        if (n == 0)
            return 0;
    }
}

/* The room is taken at once, so that nothing of a secret is left in smaller ones. */
int aws_file_read(const char *path, size_t max, struct buffer *ret,
                  struct error *ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), r;

    if (fd < 0)
        return fail(ret_error, -errno, "%s cannot be read: %s", path, strerror(errno));
    r = read_all(fd, max, ret);
    close(fd);
    if (r == -EFBIG)
        return fail(ret_error, r, "%s is larger than %zu bytes", path, max);
    return r < 0 ? fail(ret_error, r, "%s cannot be read: %s", path, strerror(-r)) : 0;
}

int aws_token_read(const char *path, struct buffer *ret, struct error *ret_error)
{
    int r = aws_file_read(path, AWS_TOKEN_MAX, ret, ret_error);

    if (r < 0)
        return r;
    while (ret->len && isspace((unsigned char)ret->data[ret->len - 1]))
        ret->data[--ret->len] = '\0';
    for (size_t i = 0; i < ret->len; i++)
        if ((unsigned char)ret->data[i] <= ' ' || ret->data[i] == 0x7f)
            return fail(ret_error, -EINVAL, "%s holds more than a token", path);
    return ret->len ? 0 : fail(ret_error, -EINVAL, "%s is empty", path);
}

/* "~/" is the user's folder also where a variable says it. NULL: there is none. */
static char *path_of(const char *variable, const char *usual)
{
    const char *path = aws_variable(variable), *home = aws_variable("HOME");
    char *joined;

    if (!path)
        path = usual;
    if (strncmp(path, "~/", 2) != 0)
        return strdup(path);
    return home && asprintf(&joined, "%s%s", home, path + 1) >= 0 ? joined : NULL;
}

static void wiped(struct buffer *b)
{
    aws_buffer_wipe(b);
}

static int load(const char *variable, const char *usual, struct ini *ret,
                struct error *error)
{
    CLEANUP(freep) char *path = path_of(variable, usual);
    CLEANUP(wiped) struct buffer text = BUFFER_INIT;
    int r;

    if (!path)
        return 0;
    r = aws_file_read(path, AWS_FILE_MAX, &text, error);
    if (r == -ENOENT || r == -ENOTDIR)
        return 0;
    return r < 0 ? r : ini_read(buffer_text(&text), text.len, path, ret, error);
}

int aws_files_load(struct aws_files *ret, struct error *ret_error)
{
    struct aws_files files = { .config = { .text = NULL } };
    int r = load("AWS_CONFIG_FILE", "~/.aws/config", &files.config, ret_error);

    if (r == 0)
        r = load("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials",
                 &files.credentials, ret_error);
    if (r < 0) {
        aws_files_release(&files);
        return r;
    }
    *ret = files;
    return 0;
}

/* ---- settings ---- */

static int copy_of(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return text && !*ret ? -ENOMEM : 0;
}

int aws_setting(const struct aws_options *options, const char *variable,
                const char *key, char **ret, struct error *ret_error)
{
    CLEANUP(aws_files_release) struct aws_files files = { .config = { .text = NULL } };
    const char *value = variable ? aws_variable(variable) : NULL;
    int r;

    if (value)
        return copy_of(value, ret);
    r = aws_files_load(&files, ret_error);
    if (r < 0)
        return r;
    return copy_of(aws_profile_get(&files, aws_profile_name(options->profile), key),
                   ret);
}

int aws_region(const struct aws_options *options, char ret_region[AWS_REGION_MAX],
               struct error *ret_error)
{
    CLEANUP(freep) char *found = NULL;
    const char *region = options->region;
    int r;

    if (!region)
        region = aws_variable("AWS_REGION");
    if (!region) {
        r = aws_setting(options, "AWS_DEFAULT_REGION", "region", &found, ret_error);
        if (r < 0)
            return r;
        region = found;
    }
    if (!region)
        return fail(ret_error, -ENOENT,
                    "no region is known: set AWS_REGION, or region in profile %.100s",
                    aws_profile_name(options->profile));
    if (!aws_region_is_good(region))
        return fail(ret_error, -EINVAL, "'%.80s' is no region of AWS", region);
    snprintf(ret_region, AWS_REGION_MAX, "%s", region);
    return 0;
}

static bool is_true(const char *text)
{
    return text && strcasecmp(text, "true") == 0;
}

int aws_endpoint(const struct aws_options *options, const char *service, char **ret,
                 struct error *ret_error)
{
    CLEANUP(aws_files_release) struct aws_files files = { .config = { .text = NULL } };
    const char *profile = aws_profile_name(options->profile), *url;
    char variable[64];
    int r;

    *ret = NULL;
    snprintf(variable, sizeof(variable), "AWS_ENDPOINT_URL_%.40s", service);
    for (char *c = variable; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    r = aws_files_load(&files, ret_error);
    if (r < 0)
        return r;
    if (is_true(aws_variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        || is_true(aws_profile_get(&files, profile, "ignore_configured_endpoint_urls")))
        return 0;
    url = aws_variable(variable);
    if (!url)
        url = aws_variable("AWS_ENDPOINT_URL");
    return copy_of(url ? url : aws_profile_endpoint(&files, profile, service), ret);
}
