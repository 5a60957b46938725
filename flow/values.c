/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/values.h"

#include "flow/text.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

static bool read_int(const char *text, long long *ret)
{
    char *end;

    if (!*text || isspace((unsigned char)*text))
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !*end && errno != ERANGE;
}

static bool read_float(const char *text, double *ret)
{
    char *end;

    if (!*text || isspace((unsigned char)*text) || strpbrk(text, "xXpP"))
        return false;
    *ret = strtod(text, &end);
    return !*end && isfinite(*ret);
}

static bool two_digits(const char *at, int min, int max, int *ret)
{
    if (!isdigit((unsigned char)at[0]) || !isdigit((unsigned char)at[1]))
        return false;
    *ret = (at[0] - '0') * 10 + at[1] - '0';
    return *ret >= min && *ret <= max;
}

static bool is_date(const char *text)
{
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int century, of_century, month, day, year;

    if (strnlen(text, 10) < 10 || text[4] != '-' || text[7] != '-'
        || !two_digits(text, 0, 99, &century)
        || !two_digits(text + 2, 0, 99, &of_century)
        || !two_digits(text + 5, 1, 12, &month) || !two_digits(text + 8, 1, 31, &day))
        return false;
    year = century * 100 + of_century;
    if (month == 2 && day == 29 && (year % 4 || (!(year % 100) && year % 400)))
        return false;
    return day <= days[month - 1];
}

/* `Z`, `+01:00` or nothing. */
static bool is_zone(const char *text)
{
    int hours, minutes;

    if (!*text || !strcmp(text, "Z"))
        return true;
    return (*text == '+' || *text == '-') && strlen(text) == 6 && text[3] == ':'
           && two_digits(text + 1, 0, 23, &hours)
           && two_digits(text + 4, 0, 59, &minutes);
}

static bool is_datetime(const char *text)
{
    int hours, minutes, seconds;

    if (!is_date(text))
        return false;
    text += 10;
    if (!*text)
        return true;
    if ((*text != 'T' && *text != ' ') || strnlen(text, 6) < 6
        || !two_digits(text + 1, 0, 23, &hours) || text[3] != ':'
        || !two_digits(text + 4, 0, 59, &minutes))
        return false;
    text += 6;
    if (*text == ':') {
        if (strnlen(text, 3) < 3 || !two_digits(text + 1, 0, 60, &seconds))
            return false;
        text += 3;
        if (*text == '.' && isdigit((unsigned char)text[1]))
            text += 1 + strspn(text + 1, "0123456789");
    }
    return is_zone(text);
}

static bool is_json(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    json_decref(json);
    return json != NULL;
}

static const char *read_bool_text(const char *text)
{
    if (!strcmp(text, "true") || !strcmp(text, "1"))
        return "true";
    if (!strcmp(text, "false") || !strcmp(text, "0"))
        return "false";
    return NULL;
}

/* What is wrong with the type, or NULL. */
static const char *type_problem(const struct parameter *p, const char *text,
                                double *ret_number)
{
    long long integer = 0;

    switch (p->type) {
    case PARAMETER_INT:
        if (!read_int(text, &integer))
            return "must be an integer";
        *ret_number = (double)integer;
        return NULL;
    case PARAMETER_FLOAT:
        return read_float(text, ret_number) ? NULL : "must be a number";
    case PARAMETER_BOOL:
        return read_bool_text(text) ? NULL : "must be true or false";
    case PARAMETER_JSON:
        return is_json(text) ? NULL : "must be JSON";
    case PARAMETER_DATETIME:
        return is_datetime(text) ? NULL
                                 : "must be a date, 2024-01-31, or a date and a time, "
                                   "2024-01-31T08:00:00Z";
    case PARAMETER_STRING:
    case PARAMETER_FILE:
        return NULL;
    }
    return NULL;
}

static bool is_same(const struct parameter *p, const char *a, const char *b)
{
    double x, y;

    if (p->type == PARAMETER_BOOL)
        return !strcmp(read_bool_text(a), read_bool_text(b));
    if (p->type == PARAMETER_INT || p->type == PARAMETER_FLOAT)
        return read_float(a, &x) && read_float(b, &y) && !(x < y) && !(x > y);
    return !strcmp(a, b);
}

static bool is_choice(const struct parameter *p, const char *text,
                      struct buffer *problem)
{
    if (!p->choices || !*p->choices)
        return true;
    buffer_puts(problem, "must be one of: ");
    for (size_t i = 0; p->choices[i]; i++) {
        if (is_same(p, p->choices[i], text)) {
            buffer_clear(problem);
            return true;
        }
        buffer_printf(problem, "%s%s", i ? ", " : "", p->choices[i]);
    }
    return false;
}

static bool is_in_range(const struct parameter *p, double number,
                        struct buffer *problem)
{
    if (p->has_min && number < p->min) {
        buffer_printf(problem, "must be at least %.15g", p->min);
        return false;
    }
    if (p->has_max && number > p->max) {
        buffer_printf(problem, "must be at most %.15g", p->max);
        return false;
    }
    return true;
}

/* `a,b` is ["a","b"]; an empty text is an empty list. */
static char *split(const char *text, const char *separator)
{
    CLEANUP(buffer_release) struct buffer json = BUFFER_INIT;
    const char *at = text;

    buffer_putc(&json, '[');
    while (*text) {
        const char *end = strstr(at, separator);

        text_write_json(at, end ? (size_t)(end - at) : strlen(at), &json);
        if (!end)
            break;
        buffer_putc(&json, ',');
        at = end + strlen(separator);
    }
    buffer_putc(&json, ']');
    return buffer_take(&json);
}

int parameter_check(const struct parameter *p, const char *text, char **ret_value,
                    struct buffer *problem)
{
    double number = 0;
    const char *wrong = type_problem(p, text, &number);
    char *value;

    if (wrong) {
        buffer_puts(problem, wrong);
        return -EINVAL;
    }
    if (!is_in_range(p, number, problem) || !is_choice(p, text, problem))
        return -EINVAL;
    if (p->type == PARAMETER_BOOL)
        value = strdup(read_bool_text(text));
    else if (p->separator)
        value = split(text, p->separator);
    else
        value = strdup(text);
    if (!value)
        return -ENOMEM;
    *ret_value = value;
    return 0;
}
