/* SPDX-License-Identifier: Apache-2.0 */
/* crc32c - the checksum of iSCSI (RFC 3720, B.4), which Google's services check. Pure.
 *
 * With the instruction of SSE 4.2 where the processor has it, else by tables. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Of what `crc` is of, followed by data; 0 is the checksum of nothing. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* The same without the instruction, for machines that lack it. */
uint32_t crc32c_by_tables(uint32_t crc, const void *data, size_t len);

/* Of two parts behind each other, each with its own; the second has second_len bytes.
 */
uint32_t crc32c_join(uint32_t first, uint32_t second, uint64_t second_len);
