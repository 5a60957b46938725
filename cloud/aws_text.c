/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/aws_text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/encode.h"

/* ---- times ---- */

/* Days since 1970 of a date of the Gregorian calendar: years begin with March, so that
 * the leap day is the last. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = y / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* Behind the seconds: a fraction, then Z or +hh:mm. */
static int read_offset(const char *text, int *ret_s)
{
    int hours, minutes, end = 0;

    if (*text == '.')
        for (text++; isdigit((unsigned char)*text);)
            text++;
    *ret_s = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return 0;
    if ((*text != '+' && *text != '-')
        || sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &end) != 2 || text[1 + end]
        || hours > 23 || minutes > 59 || hours < 0 || minutes < 0)
        return -EINVAL;
    *ret_s = (*text == '-' ? -60 : 60) * (60 * hours + minutes);
    return 0;
}

int aws_time_read(const char *text, int64_t *ret_s)
{
    int year, month, day, h, m, s, end = 0, offset;

    if (!isdigit((unsigned char)*text)
        || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &year, &month, &day, &h, &m, &s,
                  &end)
               != 6
        || !end || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31
        || h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60
        || read_offset(text + end, &offset) < 0)
        return -EINVAL;
    *ret_s = days_of(year, month, day) * 86400 + h * 3600 + m * 60 + s - offset;
    return 0;
}

/* ---- STS ---- */

static void put_field(struct buffer *out, const char *name, const char *value)
{
    if (!value)
        return;
    buffer_printf(out, "&%s=", name);
    encode_query(out, value, strlen(value));
}

int aws_sts_form(const struct aws_role *role, const char *session, const char *token,
                 struct buffer *out)
{
    buffer_printf(out, "Action=AssumeRole%s&Version=2011-06-15",
                  token ? "WithWebIdentity" : "");
    put_field(out, "RoleArn", role->arn);
    put_field(out, "RoleSessionName",
              role->session_name ? role->session_name : session);
    if (!token)
        put_field(out, "ExternalId", role->external_id);
    if (role->duration_s)
        buffer_printf(out, "&DurationSeconds=%u", (unsigned)role->duration_s);
    put_field(out, "WebIdentityToken", token);
    return buffer_failed(out);
}

bool aws_region_is_good(const char *region)
{
    size_t len = strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-");

    return len && !region[len] && len < AWS_REGION_MAX && *region != '-'
           && region[len - 1] != '-';
}

static bool begins(const char *text, const char *front)
{
    return strncmp(text, front, strlen(front)) == 0;
}

/* Regions that STS had before it was told which endpoint to use; later ones have none
 * but their own (https://docs.aws.amazon.com/sdkref/latest/guide/feature-sts-
 * regionalized-endpoints.html). */
static bool is_of_global(const char *region)
{
    static const char *const regions[] = {
        "ap-northeast-1", "ap-south-1",   "ap-southeast-1", "ap-southeast-2",
        "aws-global",     "ca-central-1", "eu-central-1",   "eu-north-1",
        "eu-west-1",      "eu-west-2",    "eu-west-3",      "sa-east-1",
        "us-east-1",      "us-east-2",    "us-west-1",      "us-west-2",
    };

    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
        if (strcmp(region, regions[i]) == 0)
            return true;
    return false;
}

int aws_sts_endpoint(const char *region, bool is_legacy, char ret_url[AWS_URL_MAX],
                     char ret_region[AWS_REGION_MAX])
{
    if (region && !aws_region_is_good(region))
        return -EINVAL;
    if (!region || (is_legacy && is_of_global(region))) {
        snprintf(ret_url, AWS_URL_MAX, "https://sts.amazonaws.com");
        snprintf(ret_region, AWS_REGION_MAX, "us-east-1");
        return 0;
    }
    snprintf(ret_url, AWS_URL_MAX, "https://sts.%s.amazonaws.com%s", region,
             begins(region, "cn-") ? ".cn" : "");
    snprintf(ret_region, AWS_REGION_MAX, "%s", region);
    return 0;
}

/* ---- where a container is given keys ---- */

static bool is_loopback(const char *host)
{
    int a, b, c, d, end = 0;

    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
        return true;
    return sscanf(host, "%d.%d.%d.%d%n", &a, &b, &c, &d, &end) == 4 && !host[end]
           && a == 127 && b >= 0 && b < 256 && c >= 0 && c < 256 && d >= 0 && d < 256;
}

/* ECS, and EKS by IPv4 and IPv6
 * (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html).
 */
static bool is_container_host(const char *host)
{
    return strcmp(host, "169.254.170.2") == 0 || strcmp(host, "169.254.170.23") == 0
           || strcasecmp(host, "[fd00:ec2::23]") == 0 || is_loopback(host);
}

int aws_container_url_check(const char *url, struct error *ret_error)
{
    char host[64] = "";
    size_t len;

    for (const char *c = url; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '@' || *c == '\\')
            return fail(ret_error, -EINVAL,
                        "AWS_CONTAINER_CREDENTIALS_FULL_URI is not an address");
    if (begins(url, "https://") && url[8] && url[8] != '/')
        return 0;
    if (!begins(url, "http://"))
        return fail(ret_error, -EINVAL,
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI must begin with https:// or "
                    "http://");
    url += 7;
    len = strcspn(url, "/?#");
    if (*url == '[' ? memchr(url, ']', len) != NULL : memchr(url, ':', len) != NULL)
        len = *url == '[' ? strcspn(url, "]") + 1 : strcspn(url, ":");
    if (len < sizeof(host))
        snprintf(host, sizeof(host), "%.*s", (int)len, url);
    if (!is_container_host(host))
        return fail(ret_error, -EINVAL,
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI: http:// goes to this machine "
                    "or to the container service alone; use https://");
    return 0;
}

/* ---- a command ---- */

/* One word from *line on, to *to. */
static int split_word(const char **line, char **to)
{
    char quote = 0;
    const char *at = *line;

    for (; *at && (quote || !isspace((unsigned char)*at)); at++) {
        bool is_escape =
            *at == '\\' && quote != '\'' && (!quote || at[1] == '"' || at[1] == '\\');

        if (is_escape && at[1])
            *(*to)++ = *++at;
        else if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? 0 : *at;
        else
            *(*to)++ = *at;
    }
    *(*to)++ = '\0';
    *line = at;
    return quote ? -EINVAL : 0;
}

int aws_command_split(const char *line, char *room, char *ret_words[AWS_WORDS_MAX + 1])
{
    size_t n = 0;

    for (;;) {
        while (isspace((unsigned char)*line))
            line++;
        if (!*line)
            break;
        if (n == AWS_WORDS_MAX)
            return -E2BIG;
        ret_words[n++] = room;
        if (split_word(&line, &room) < 0)
            return -EINVAL;
    }
    ret_words[n] = NULL;
    return n ? 0 : -EINVAL;
}
