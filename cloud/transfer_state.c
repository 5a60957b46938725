/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/transfer_state.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- text ---- */

int transfer_state_format(const struct transfer_state *state, struct buffer *out)
{
    json_t *json = json_pack("{s:s, s:I, s:I, s:s}", "etag", state->etag, "size",
                             (json_int_t)state->size, "part_bytes",
                             (json_int_t)state->part_bytes, "upload", state->upload);
    char *text = json ? json_dumps(json, JSON_SORT_KEYS) : NULL;
    int r = text ? buffer_puts(out, text) : -EINVAL;

    free(text);
    json_decref(json);
    return r;
}

static bool take_text(const json_t *json, const char *key, char *ret, size_t size)
{
    const json_t *text = json_object_get(json, key);
    size_t len = json_string_length(text);

    if (!json_is_string(text) || len >= size || strlen(json_string_value(text)) != len)
        return false;
    memcpy(ret, json_string_value(text), len + 1);
    return true;
}

static bool take_number(const json_t *json, const char *key, uint64_t *ret)
{
    const json_t *number = json_object_get(json, key);

    if (!json_is_integer(number) || json_integer_value(number) <= 0)
        return false;
    *ret = (uint64_t)json_integer_value(number);
    return true;
}

int transfer_state_parse(const char *text, size_t len, struct transfer_state *ret)
{
    struct transfer_state state;
    json_t *json = len <= TRANSFER_STATE_MAX ? json_loadb(text, len, 0, NULL) : NULL;
    bool is_good = take_text(json, "etag", state.etag, sizeof(state.etag))
                   && take_text(json, "upload", state.upload, sizeof(state.upload))
                   && take_number(json, "size", &state.size)
                   && take_number(json, "part_bytes", &state.part_bytes);

    json_decref(json);
    if (!is_good)
        return -EINVAL;
    *ret = state;
    return 0;
}

/* ---- file ---- */

int transfer_state_read(const char *path, struct transfer_state *ret)
{
    char text[TRANSFER_STATE_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, text, sizeof(text));
    close(fd);
    return n < 0 ? -EIO : transfer_state_parse(text, (size_t)n, ret);
}

static int write_file(const char *path, const struct buffer *text)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = 0;

    if (fd < 0)
        return -errno;
    if (write(fd, text->data, text->len) != (ssize_t)text->len || fsync(fd) < 0)
        r = -EIO;
    close(fd);
    return r;
}

int transfer_state_write(const char *path, const struct transfer_state *state)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(freep) char *beside = NULL;
    int r = transfer_state_format(state, &text);

    if (asprintf(&beside, "%s.%d", path, (int)getpid()) < 0) {
        beside = NULL;
        return -ENOMEM;
    }
    if (r == 0)
        r = write_file(beside, &text);
    if (r == 0 && rename(beside, path) < 0)
        r = -errno;
    if (r < 0)
        unlink(beside);
    return r;
}
