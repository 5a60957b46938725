/* SPDX-License-Identifier: Apache-2.0 */
/* machine - what this machine has, as far as this process may use it. */
#pragma once

#include <stdint.h>

uint64_t machine_cpu_milli(void);
uint64_t machine_memory_bytes(void); /* 0: it does not say */
uint32_t machine_gpus(void);         /* /dev/nvidia0 and so on; GPUS_MAX at most */
