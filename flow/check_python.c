/* SPDX-License-Identifier: Apache-2.0 */
/* `python: FILE.py:FUNCTION`. Whether both are there is for who knows the folder. */
#include "flow/check.h"

#include <string.h>

static const char ending[] = ".py";

/* Letters of any alphabet: Python has them too. */
static bool is_function_name(const char *text)
{
    static const char digits[] = "0123456789";
    static const char letters[] =
        "_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

    if (!*text || strchr(digits, *text))
        return false;
    for (; *text; text++)
        if (!strchr(letters, *text) && !strchr(digits, *text)
            && (unsigned char)*text < 0x80)
            return false;
    return true;
}

static bool is_python_file(const char *text, size_t len)
{
    size_t name = 0;

    for (size_t i = 0; i < len; i++)
        if (text[i] == '/')
            name = i + 1;
    return len - name > sizeof(ending) - 1
           && memcmp(text + len - (sizeof(ending) - 1), ending, sizeof(ending) - 1) == 0
           && !memchr(text, ':', len);
}

void read_python(struct check *c, const struct value *v, void *field)
{
    struct step *step = field;
    const char *colon;
    size_t len;

    if (!expect_relative(c, v))
        return;
    colon = strrchr(v->text, ':');
    len = colon ? (size_t)(colon - v->text) : 0;
    if (!colon || !is_python_file(v->text, len) || !is_function_name(colon + 1)) {
        complain(c, v, "a file of the package and a function in it: steps/train.py:fit",
                 "'python' in %s must be FILE.py:FUNCTION, not '%.130s'", c->where,
                 v->text);
        return;
    }
    step->action = STEP_PYTHON;
    step->python_file = check_copy(c, v->text, len);
    step->python_function = check_copy(c, colon + 1, strlen(colon + 1));
    step->script = NULL;
    step->argv = NULL;
}
