/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/record.h"

FUZZ_RECORD(run)
