/* SPDX-License-Identifier: Apache-2.0 */
/* unit - cmocka with the headers it wants before it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#undef fail     /* base/error.h has a function of this name */
#undef fail_msg /* which used it */
#define fail_msg(...) (print_error("ERROR: " __VA_ARGS__), _fail(__FILE__, __LINE__))
