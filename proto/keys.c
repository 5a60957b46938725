/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/record.h"

#include <errno.h>
#include <string.h>

static void put_run(struct record_key *k, char kind, const struct run_id *run)
{
    k->bytes[0] = (uint8_t)kind;
    memcpy(k->bytes + 1, run->bytes, RUN_ID_SIZE);
    k->len = 1 + RUN_ID_SIZE;
}

struct record_key run_key(const struct run_id *run)
{
    struct record_key k;

    put_run(&k, 'r', run);
    return k;
}

struct record_key run_end_key(const struct run_id *run)
{
    struct record_key k;

    put_run(&k, 'e', run);
    return k;
}

struct record_key run_state_key(const struct run_id *run)
{
    struct record_key k;

    put_run(&k, 'm', run);
    return k;
}

struct record_key number_key(uint64_t number)
{
    struct record_key k;

    k.bytes[0] = 'n';
    k.len = 1 + varint_encode(number, k.bytes + 1);
    return k;
}

int number_key_decode(const void *key, size_t len, uint64_t *ret_number)
{
    const uint8_t *bytes = key;

    return len > 1 && bytes[0] == 'n'
                   && varint_decode(bytes + 1, len - 1, ret_number) == len - 1
               ? 0
               : -EBADMSG;
}

struct record_key attempts_of_run(const struct run_id *run)
{
    struct record_key k;

    put_run(&k, 'a', run);
    return k;
}

struct record_key attempts_of_step(const struct run_id *run, uint32_t step)
{
    struct record_key k;

    put_run(&k, 'a', run);
    k.len += varint_encode(step, k.bytes + k.len);
    return k;
}

struct record_key attempts_of_task(const struct run_id *run, const struct task_id *task)
{
    struct record_key k;

    put_run(&k, 'a', run);
    k.len += task_id_encode(task, k.bytes + k.len);
    return k;
}

struct record_key attempt_key(const struct run_id *run, const struct task_id *task,
                              uint32_t attempt)
{
    struct record_key k;

    put_run(&k, 'a', run);
    k.len += task_id_encode(task, k.bytes + k.len);
    k.len += varint_encode(attempt, k.bytes + k.len);
    return k;
}

struct record_key fences_of_run(const struct run_id *run)
{
    struct record_key k;

    put_run(&k, 'f', run);
    return k;
}

struct record_key fence_key(const struct run_id *run, const struct task_id *task)
{
    struct record_key k = fences_of_run(run);

    k.len += task_id_encode(task, k.bytes + k.len);
    return k;
}

int fence_key_decode(const void *key, size_t len, struct run_id *ret_run,
                     struct task_id *ret_task)
{
    const uint8_t *bytes = key;
    size_t at = 1 + RUN_ID_SIZE, n;
    struct task_id task;

    if (len < at || bytes[0] != 'f')
        return -EBADMSG;
    n = task_id_decode(bytes + at, len - at, &task);
    if (n == 0 || at + n != len)
        return -EBADMSG;
    memcpy(ret_run->bytes, bytes + 1, RUN_ID_SIZE);
    *ret_task = task;
    return 0;
}

int attempt_key_decode(const void *key, size_t len, struct run_id *ret_run,
                       struct task_id *ret_task, uint32_t *ret_attempt)
{
    const uint8_t *bytes = key;
    size_t at = 1 + RUN_ID_SIZE, n;
    struct task_id task;
    uint64_t attempt;

    if (len < at || bytes[0] != 'a')
        return -EBADMSG;
    n = task_id_decode(bytes + at, len - at, &task);
    if (n == 0)
        return -EBADMSG;
    at += n;
    n = varint_decode(bytes + at, len - at, &attempt);
    if (n == 0 || at + n != len || attempt > UINT32_MAX)
        return -EBADMSG;
    memcpy(ret_run->bytes, bytes + 1, RUN_ID_SIZE);
    *ret_task = task;
    *ret_attempt = (uint32_t)attempt;
    return 0;
}
