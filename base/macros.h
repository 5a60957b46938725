/* SPDX-License-Identifier: Apache-2.0 */
/* macros - cleanup of locals, transfer of ownership, and a few attributes.
 *
 *     CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;    a struct
 *     CLEANUP(flow_freep) struct flow *f = flow_new();          a pointer
 *     ...
 *     *ret_flow = TAKE(f);        f is now NULL, so nothing is freed
 *
 * The compiler hands fn the variable's address. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Defines fn##p, which takes the address of a pointer, as CLEANUP does. */
#define CLEANUP_POINTER(type, fn)      \
    static inline void fn##p(type **p) \
    {                                  \
        fn(*p);                        \
    }                                  \
    struct mesh_swallow_semicolon

static inline void freep(void *p)
{
    free(*(void **)p);
}

/* The value of a pointer, which is NULL from now on. */
#define TAKE(p)                     \
    ({                              \
        __typeof__(p) taken_ = (p); \
        (p) = NULL;                 \
        taken_;                     \
    })

#define CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}
