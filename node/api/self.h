/* SPDX-License-Identifier: Apache-2.0 */
/* self - what the kernel knows of this process. */
#pragma once

#include "base/time.h"

struct self {
    time_us cpu_us, started_wall;
    uint64_t resident_bytes, virtual_bytes, n_fds, fds_max;
};

/* Any thread. A negative errno when /proc cannot be read. */
int self_read(struct self *ret);
