/* SPDX-License-Identifier: Apache-2.0 */
/* Ids and keys have one form: what is decoded encodes to the bytes it came from. */
#include <stdlib.h>
#include <string.h>

#include "base/ids.h"
#include "proto/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool is_so)
{
    if (!is_so)
        abort();
}

static void fuzz_varint(const uint8_t *data, size_t len)
{
    uint8_t bytes[VARINT_SIZE_MAX];
    uint64_t value;
    size_t n = varint_decode(data, len, &value);

    if (n)
        must(varint_encode(value, bytes) == n && memcmp(bytes, data, n) == 0);
}

static void fuzz_task(const uint8_t *data, size_t len)
{
    uint8_t bytes[TASK_ID_SIZE_MAX];
    char text[TASK_TEXT_SIZE];
    struct task_id task, back;
    size_t n = task_id_decode(data, len, &task);

    if (n == 0)
        return;
    must(task_id_encode(&task, bytes) == n && memcmp(bytes, data, n) == 0);
    task_id_text(&task, text);
    must(task_id_parse(text, task.step, task.depth, &back) == 0);
    must(task_id_equal(&task, &back));
}

static void fuzz_key(const uint8_t *data, size_t len)
{
    struct record_key key;
    struct task_id task;
    struct run_id run;
    uint32_t attempt;

    if (attempt_key_decode(data, len, &run, &task, &attempt) < 0)
        return;
    key = attempt_key(&run, &task, attempt);
    must(key.len == len && memcmp(key.bytes, data, len) == 0);
}

/* Text that is read is written back the same. */
static void fuzz_text(const uint8_t *data, size_t len)
{
    char text[TASK_TEXT_SIZE], given[TASK_TEXT_SIZE + 1];
    struct task_id task;

    if (len < 1 || len > TASK_TEXT_SIZE)
        return;
    memcpy(given, data + 1, len - 1);
    given[len - 1] = '\0';
    if (task_id_parse(given, 1, data[0] % (SCOPE_DEPTH_MAX + 1), &task) < 0)
        return;
    task_id_text(&task, text);
    must(strcmp(text, given) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_varint(data, len);
    fuzz_task(data, len);
    fuzz_key(data, len);
    fuzz_text(data, len);
    return 0;
}
