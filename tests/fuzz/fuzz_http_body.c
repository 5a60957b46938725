/* SPDX-License-Identifier: Apache-2.0 */
/* What a client sends, before anybody trusts it: JSON bodies, paths, ranges, numbers,
 * and bytes that become JSON. The first byte says which. */
#include <stdlib.h>
#include <string.h>

#include "node/api/bodies.h"
#include "node/api/emit.h"
#include "node/api/range.h"
#include "node/api/router.h"
#include "node/api/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void read_submission(const char *text, size_t len)
{
    struct submission_body b;
    struct error why = { .text = "" };
    int r = submission_body_read(text, len, &b, &why);

    if (r < 0) {
        check(why.text[0] != '\0');
        return;
    }
    check(b.flow != NULL);
    for (size_t i = 0; i < b.n_parameters; i++)
        check(b.parameters[i].name && b.parameters[i].value);
    submission_body_release(&b);
}

static void read_small_bodies(const char *text, size_t len)
{
    struct check_body checked;
    struct missing_body missing;
    struct invitation_body invitation;
    struct revocation_body revocation;
    struct token_body token;
    struct tags_body tags;
    struct exec_body exec;
    struct gc_body gc;
    struct error why = { .text = "" };

    if (check_body_read(text, len, &checked, &why) == 0)
        check_body_release(&checked);
    if (missing_body_read(text, len, &missing, &why) == 0)
        missing_body_release(&missing);
    if (exec_body_read(text, len, &exec, &why) == 0)
        exec_body_release(&exec);
    if (token_body_read(text, len, &token, &why) == 0) {
        check(token.name && token.role);
        token_body_release(&token);
    }
    if (invitation_body_read(text, len, &invitation, &why) == 0)
        check(invitation.roles != 0);
    if (revocation_body_read(text, len, &revocation, &why) == 0) {
        check(revocation.node != NULL);
        revocation_body_release(&revocation);
    }
    if (tags_body_read(text, len, &tags, &why) == 0)
        tags_body_release(&tags);
    gc_body_read(text, len, &gc, &why);
    empty_body_read(text, len, &why);
}

static void find_route(const char *path)
{
    static const struct route routes[] = {
        { METHOD_GET, "/v1/runs", .query = NULL },
        { METHOD_GET, "/v1/runs/RUN/logs/STEP/TASK", .query = NULL },
        { METHOD_PUT, "/v1/blobs/ID", .query = NULL },
    };
    struct route_match m;
    size_t len = strlen(path);

    if (router_find(routes, ARRAY_SIZE(routes), METHOD_GET, path, &m) < 0)
        return;
    for (size_t i = 0; i < m.n_params; i++)
        check(m.params[i].len > 0 && m.params[i].data >= path
              && m.params[i].data + m.params[i].len <= path + len);
}

static void parse_range(const char *header)
{
    static const uint64_t sizes[] = { 0, 1, 10, UINT64_MAX };
    struct range range;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        if (range_parse(header, sizes[i], &range) == RANGE_PART)
            check(range.len > 0 && range.offset < sizes[i]
                  && range.len <= sizes[i] - range.offset);
}

/* Whatever it was, it is JSON and UTF-8 afterwards. */
static void emit_any(const char *data, size_t len)
{
    struct buffer out = BUFFER_INIT;
    struct emit e = { .out = &out };
    size_t n;

    emit_bytes(&e, NULL, data, len);
    check(buffer_failed(&out) == 0 && out.len >= 2);
    for (size_t at = 0; at < out.len; at += n) {
        n = utf8_length((const uint8_t *)out.data + at, out.len - at);
        check(n > 0 && (uint8_t)out.data[at] >= 0x20);
    }
    buffer_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(freep) char *text = len ? strndup((const char *)data + 1, len - 1) : NULL;
    uint64_t seq;

    if (!text)
        return 0;
    switch (data[0] % 5) {
    case 0:
        read_submission((const char *)data + 1, len - 1);
        break;
    case 1:
        read_small_bodies((const char *)data + 1, len - 1);
        break;
    case 2:
        find_route(text);
        break;
    case 3:
        parse_range(text);
        sse_since(text, &seq);
        break;
    case 4:
        emit_any((const char *)data + 1, len - 1);
        break;
    }
    return 0;
}
