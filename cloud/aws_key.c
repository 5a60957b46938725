/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and refusals, as JSON and XML have them. */
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "cloud/aws_text.h"
#include "cloud/xml.h"

void aws_key_release(struct aws_key *k)
{
    if (k->text.data)
        sodium_memzero(k->text.data, k->text.cap);
    buffer_release(&k->text);
    k->key = (struct credential){ .id = NULL };
}

/* The texts of a key while it is read: positions in aws_key.text, which may move; 0:
 * not there, because the buffer begins with a NUL. */
struct draft {
    struct aws_key k;
    size_t id, secret, token, expires, code, message, request_id;
};

static void draft_release(struct draft *d)
{
    aws_key_release(&d->k);
}

/* Texts are together no longer than the document, so it never moves and leaves no copy
 * behind that would not be wiped. */
static int draft_open(struct draft *d, size_t len)
{
    *d = (struct draft){ .id = 0 };
    return buffer_reserve(&d->k.text, len + 16) ? buffer_putc(&d->k.text, '\0')
                                                : -ENOMEM;
}

static const char *text_at(const struct draft *d, size_t at)
{
    return at ? d->k.text.data + at : NULL;
}

static size_t *field_of(struct draft *d, const char *name)
{
    const struct {
        const char *name;
        size_t *at;
    } fields[] = { { "AccessKeyId", &d->id },      { "SecretAccessKey", &d->secret },
                   { "SessionToken", &d->token },  { "Token", &d->token },
                   { "Expiration", &d->expires },  { "Code", &d->code },
                   { "Message", &d->message },     { "RequestId", &d->request_id },
                   { "RequestID", &d->request_id } };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (strcmp(fields[i].name, name) == 0)
            return fields[i].at;
    return NULL;
}

/* Control characters are no part of any key, and must not reach a terminal. */
static void put_text(struct draft *d, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        buffer_putc(&d->k.text,
                    (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i]);
}

static int draft_end(struct draft *d, const char *who, struct aws_key *ret,
                     struct error *error)
{
    struct credential *key = &d->k.key;
    const char *expires = text_at(d, d->expires);

    if (buffer_failed(&d->k.text))
        return -ENOMEM;
    if (!d->id || !d->secret || !*text_at(d, d->id) || !*text_at(d, d->secret))
        return fail(error, -EPROTO,
                    "%s gives no AccessKeyId and SecretAccessKey%s%.60s%s%.200s", who,
                    d->code ? ": " : "", d->code ? text_at(d, d->code) : "",
                    d->message ? ": " : "", d->message ? text_at(d, d->message) : "");
    if (expires && *expires && aws_time_read(expires, &key->expires_s) < 0)
        return fail(error, -EPROTO, "%s gives an Expiration that is no time", who);
    key->id = d->k.text.data + d->id;
    key->secret = d->k.text.data + d->secret;
    key->token = d->token && *text_at(d, d->token) ? d->k.text.data + d->token : NULL;
    *ret = d->k;
    d->k = (struct aws_key){ .text = BUFFER_INIT };
    return 0;
}

/* ---- JSON ---- */

static void wipe(json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value) if (json_is_string(value))
    {
        /* Ours since it was parsed; nobody reads it again. */
        char *text = (char *)(uintptr_t)json_string_value(value);

        sodium_memzero(text, json_string_length(value));
    }
}

static void draft_json(struct draft *d, json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        bool is_lower = strcmp(name, "code") == 0 || strcmp(name, "message") == 0;
        size_t *at = field_of(d, !is_lower        ? name
                                 : name[0] == 'c' ? "Code"
                                                  : "Message");

        if (!at || !json_is_string(value))
            continue;
        *at = d->k.text.len;
        put_text(d, json_string_value(value), json_string_length(value));
        buffer_putc(&d->k.text, '\0');
    }
}

static int read_json(const char *json, size_t len, struct draft *d, bool *ret_is_1)
{
    CLEANUP(json_decrefp) json_t *root = json_loadb(json, len, 0, NULL);

    if (!root || !json_is_object(root))
        return -EPROTO;
    draft_json(d, root);
    *ret_is_1 = json_integer_value(json_object_get(root, "Version")) == 1;
    wipe(root);
    return 0;
}

static int read_key(const char *json, size_t len, const char *who, bool is_process,
                    struct aws_key *ret, struct error *error)
{
    CLEANUP(draft_release) struct draft d;
    bool is_1 = false;

    if (draft_open(&d, len) < 0)
        return -ENOMEM;
    if (read_json(json, len, &d, &is_1) < 0)
        return fail(error, -EPROTO, "%s gives something that is not a JSON object",
                    who);
    if (is_process && !is_1)
        return fail(error, -EPROTO, "%s gives another \"Version\" than 1", who);
    return draft_end(&d, who, ret, error);
}

int aws_key_read_process(const char *json, size_t len, struct aws_key *ret,
                         struct error *ret_error)
{
    return read_key(json, len, "credential_process", true, ret, ret_error);
}

int aws_key_read_metadata(const char *json, size_t len, struct aws_key *ret,
                          struct error *ret_error)
{
    return read_key(json, len, "the metadata service", false, ret, ret_error);
}

/* ---- XML ---- */

/* Elements that hold texts alone matter, wherever they are. */
static int on_element(void *arg, enum xml_event event, const char *path,
                      const char *text)
{
    struct draft *d = arg;
    const char *name = strrchr(path, '/');
    size_t *at = event == XML_END ? field_of(d, name ? name + 1 : path) : NULL;

    if (!at)
        return 0;
    *at = d->k.text.len;
    put_text(d, text, strlen(text));
    return buffer_putc(&d->k.text, '\0');
}

int aws_key_read_sts(const char *xml, size_t len, struct aws_key *ret,
                     struct error *ret_error)
{
    CLEANUP(draft_release) struct draft d;

    if (draft_open(&d, len) < 0)
        return -ENOMEM;
    if (xml_read(xml, len, on_element, &d) < 0)
        return fail(ret_error, -EPROTO, "STS answers something that is not XML");
    return draft_end(&d, "STS", ret, ret_error);
}

/* ---- refusals ---- */

static void fault_of(const struct draft *d, struct aws_fault *ret)
{
    const char *code = text_at(d, d->code), *message = text_at(d, d->message),
               *request = text_at(d, d->request_id);

    snprintf(ret->code, sizeof(ret->code), "%s", code ? code : "");
    snprintf(ret->message, sizeof(ret->message), "%s", message ? message : "");
    snprintf(ret->request_id, sizeof(ret->request_id), "%s", request ? request : "");
}

void aws_fault_read_xml(const char *xml, size_t len, struct aws_fault *ret)
{
    CLEANUP(draft_release) struct draft d;

    *ret = (struct aws_fault){ .code = "" };
    if (draft_open(&d, len) == 0 && xml_read(xml, len, on_element, &d) == 0
        && !buffer_failed(&d.k.text))
        fault_of(&d, ret);
}

void aws_fault_read_json(const char *json, size_t len, struct aws_fault *ret)
{
    CLEANUP(draft_release) struct draft d;
    bool is_1;

    *ret = (struct aws_fault){ .code = "" };
    if (draft_open(&d, len) == 0 && read_json(json, len, &d, &is_1) == 0
        && !buffer_failed(&d.k.text))
        fault_of(&d, ret);
}
