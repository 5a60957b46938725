/* SPDX-License-Identifier: Apache-2.0 */
/* template - finds ${{ ... }} in a text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct template
{
    const char *begin, *end; /* from the $ to behind the }}; NULL: it is not closed */
    const char *expression;  /* what is between, without the space around it */
    size_t len;
    const char *parameter; /* the name in params.NAME; NULL: something else */
    size_t parameter_len;
};

/* The first one in text; false if there is none. */
bool template_next(const char *text, struct template *ret);
