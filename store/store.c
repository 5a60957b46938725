/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

void store_close(struct store *s)
{
    if (s)
        s->ops->close(s);
}
