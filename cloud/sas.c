/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cloud/azure_date.h"
#include "cloud/encode.h"
#include "cloud/shared_key.h"

/* The oldest whose string to sign has the encryption scope. */
#define SAS_VERSION "2020-12-06"

/* ---- made ---- */

static void put_param(struct buffer *out, const char *name, const char *value)
{
    if (!*value)
        return;
    buffer_printf(out, "%s%s=", out->len > 0 ? "&" : "", name);
    encode_query(out, value, strlen(value));
}

struct sas_times {
    char starts[AZURE_ISO], expires[AZURE_ISO];
};

/* Every field has its line, also those that are never used here: identifier, address,
 * snapshot, and the five headers that an answer can be made to bear. */
static void put_text(const struct sas_grant *g, const struct sas_times *times,
                     struct buffer *out)
{
    buffer_printf(out, "%s\n%s\n%s\n", g->permissions, times->starts, times->expires);
    buffer_printf(out, "/blob/%s/%s", g->account, g->container);
    if (g->blob)
        buffer_printf(out, "/%s", g->blob);
    buffer_printf(out, "\n\n\n%s\n" SAS_VERSION "\n%s\n\n%s\n\n\n\n\n",
                  g->is_https_only ? "https" : "", g->blob ? "b" : "c",
                  g->encryption_scope ? g->encryption_scope : "");
}

int sas_make(const struct sas_grant *g, const char *key, struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer signature = BUFFER_INIT;
    struct sas_times times = { .starts = "" };
    int r;

    if (g->starts_s)
        azure_iso_write(g->starts_s, times.starts);
    azure_iso_write(g->expires_s, times.expires);
    put_text(g, &times, &text);
    r = buffer_failed(&text) ? -ENOMEM
                             : shared_key_sign(key, buffer_text(&text), &signature);
    if (r < 0)
        return r;
    put_param(out, "sv", SAS_VERSION);
    put_param(out, "sp", g->permissions);
    put_param(out, "st", times.starts);
    put_param(out, "se", times.expires);
    put_param(out, "spr", g->is_https_only ? "https" : "");
    put_param(out, "sr", g->blob ? "b" : "c");
    put_param(out, "ses", g->encryption_scope ? g->encryption_scope : "");
    put_param(out, "sig", buffer_text(&signature));
    return buffer_failed(out);
}

/* ---- given ---- */

/* The value of a parameter, decoded. False: it is not there, or does not fit. */
static bool find_param(const char *query, const char *name, char *ret, size_t size)
{
    CLEANUP(buffer_release) struct buffer value = { .bytes_max = size };
    size_t name_len = strlen(name);

    while (*query && (strncmp(query, name, name_len) != 0 || query[name_len] != '=')) {
        query += strcspn(query, "&");
        query += *query == '&';
    }
    if (!*query)
        return false;
    query += name_len + 1;
    if (decode_percent(&value, query, strcspn(query, "&")) < 0 || value.len >= size)
        return false;
    memcpy(ret, buffer_text(&value), value.len + 1);
    return true;
}

static const char *without_mark(const char *text)
{
    return text + (*text == '?');
}

bool sas_is_one(const char *token)
{
    const char *query = without_mark(token);

    return strncmp(query, "sig=", 4) == 0 || strstr(query, "&sig=");
}

/* Only what can stand in a URL as it is: anything else would be another request. */
static bool is_query(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || (unsigned char)*text >= 127
            || strchr("\"#<>?\\^`{|}", *text))
            return false;
    return true;
}

static int find_time(const char *query, const char *name, int64_t *ret_seconds)
{
    char text[40];

    *ret_seconds = 0;
    return find_param(query, name, text, sizeof(text))
               ? azure_iso_read(text, ret_seconds)
               : 0;
}

int sas_read(const char *text, struct sas *ret_sas, struct error *ret_error)
{
    const char *query = without_mark(text);
    struct sas sas = { .permissions = "" };
    char value[128], protocol[16];

    if (strlen(text) > SAS_MAX || !is_query(query))
        return fail(ret_error, -EINVAL,
                    "the SAS is not the query of a URL: give what stands behind the '?'"
                    " of a SAS URL, without quotes or spaces");
    if (!find_param(query, "sig", value, sizeof(value))
        || !find_param(query, "sv", value, sizeof(value)))
        return fail(ret_error, -EINVAL,
                    "the SAS has no sv= or no sig=: copy it as a whole");
    if (find_time(query, "st", &sas.starts_s) < 0
        || find_time(query, "se", &sas.expires_s) < 0)
        return fail(ret_error, -EINVAL,
                    "the SAS has a time (st=, se=) that is not ISO 8601 in UTC");
    if (!find_param(query, "sp", sas.permissions, sizeof(sas.permissions)))
        sas.permissions[0] = '\0';
    sas.is_https_only = find_param(query, "spr", protocol, sizeof(protocol))
                        && strcmp(protocol, "https") == 0;
    *ret_sas = sas;
    return 0;
}
