/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <string.h>

#include "base/buffer.h"

struct reader {
    XML_Parser parser;
    xml_fn *on;
    void *arg;
    char path[XML_PATH_MAX];
    size_t ends[XML_DEPTH_MAX], depth; /* of the path, before each element */
    struct buffer text;
    int status;
};

static void stop(struct reader *r, int status)
{
    r->status = status;
    XML_StopParser(r->parser, XML_FALSE);
}

static void on_begin(void *arg, const XML_Char *name,
                     const XML_Char **attributes UNUSED)
{
    struct reader *r = arg;
    const char *colon = strrchr(name, ':');
    const char *local = colon ? colon + 1 : name;
    size_t at = strlen(r->path), len = strlen(local);
    int status;

    if (r->depth == XML_DEPTH_MAX || at + 1 + len >= sizeof(r->path)) {
        stop(r, -E2BIG);
        return;
    }
    r->ends[r->depth++] = at;
    if (at)
        r->path[at++] = '/';
    memcpy(r->path + at, local, len + 1);
    buffer_clear(&r->text);
    status = r->on(r->arg, XML_BEGIN, r->path, NULL);
    if (status != 0)
        stop(r, status);
}

static void on_end(void *arg, const XML_Char *name UNUSED)
{
    struct reader *r = arg;
    int status = buffer_failed(&r->text);

    if (status == 0)
        status = r->on(r->arg, XML_END, r->path, buffer_text(&r->text));
    if (status != 0) {
        stop(r, status);
        return;
    }
    buffer_clear(&r->text);
    r->path[r->ends[--r->depth]] = '\0';
}

static void on_text(void *arg, const XML_Char *text, int len)
{
    struct reader *r = arg;

    buffer_append(&r->text, text, (size_t)len);
}

static void on_doctype(void *arg, const XML_Char *name UNUSED,
                       const XML_Char *system UNUSED, const XML_Char *public UNUSED,
                       int has_subset UNUSED)
{
    stop(arg, -EBADMSG);
}

static int parse(struct reader *r, const char *data, size_t len)
{
    enum XML_Status done;

    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_begin, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    done = XML_Parse(r->parser, data, (int)len, 1);
    if (r->status != 0)
        return r->status;
    if (done == XML_STATUS_OK)
        return 0;
    return XML_GetErrorCode(r->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG;
}

int xml_read(const char *data, size_t len, xml_fn *on, void *arg)
{
    static const char blanks[] = " \t\r\n";
    struct reader r = { .on = on, .arg = arg, .text = { .bytes_max = XML_TEXT_MAX } };
    int status;

    /* S3 sends blanks while it joins parts, before anything else. */
    while (len && memchr(blanks, *data, sizeof(blanks) - 1)) {
        data++;
        len--;
    }
    if (len > INT_MAX / 2)
        return -E2BIG;
    r.parser = XML_ParserCreate("UTF-8");
    if (!r.parser)
        return -ENOMEM;
    status = parse(&r, data, len);
    XML_ParserFree(r.parser);
    buffer_release(&r.text);
    return status;
}
