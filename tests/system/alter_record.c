/* SPDX-License-Identifier: Apache-2.0 */
/* alter_record DATA RUN STEP WHAT - what somebody could do who can write to a store.
 *
 * Changes the first attempt of step number STEP that counts, with a checksum that is
 * right, and prints its task. WHAT: "output", another digest for the first of its
 * artifacts; "usage"; "verdict", it failed; "unsigned", without its signature. The node
 * must not run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/record.h"
#include "store/store.h"

struct found {
    struct attempt_record record;
    struct record_key key;
};

static int take(void *arg, struct span key, struct span value)
{
    struct found *f = arg;
    struct attempt_record r = { .attempt = 0 };

    if (key.len > sizeof(f->key.bytes)
        || attempt_record_decode(value.data, value.len, &r) < 0)
        return 0;
    if (r.verdict != VERDICT_DONE
        || attempt_key_decode(key.data, key.len, &r.run, &r.task, &r.attempt) < 0) {
        attempt_record_release(&r);
        return 0;
    }
    memcpy(f->key.bytes, key.data, key.len);
    f->key.len = key.len;
    f->record = r;
    return 1;
}

static bool alter(struct attempt_record *r, const char *what)
{
    if (strcmp(what, "output") == 0 && r->n_outputs)
        r->outputs[0].id.bytes[0] ^= 1;
    else if (strcmp(what, "usage") == 0)
        r->cpu_us++;
    else if (strcmp(what, "unsigned") == 0)
        r->signature_len = 0;
    else if (strcmp(what, "verdict") == 0)
        r->verdict = VERDICT_FAILED;
    else
        return false;
    return true;
}

static int die(const char *text)
{
    fprintf(stderr, "alter_record: %s\n", text);
    return 1;
}

int main(int argc, char **argv)
{
    CLEANUP(store_closep) struct store *store = NULL;
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct found f = { .key = { .len = 0 } };
    struct store_write write = { .table = STORE_RECORDS };
    struct error why = { .text = "" };
    struct record_key prefix;
    struct run_id run;
    char task[TASK_TEXT_SIZE];

    if (argc != 5 || run_id_parse(argv[2], &run) < 0)
        return die("usage: alter_record DATA RUN STEP WHAT");
    if (store_open_lmdb(argv[1], &store, NULL, &why) < 0)
        return die(why.text);
    prefix = attempts_of_step(&run, (uint32_t)strtoul(argv[3], NULL, 10));
    if (store->ops->scan(store, STORE_RECORDS,
                         (struct span){ prefix.bytes, prefix.len },
                         (struct span){ NULL, 0 }, take, &f)
        != 1)
        return die("there is no such attempt");
    if (!alter(&f.record, argv[4]) || attempt_record_encode(&f.record, &value) < 0)
        return die("it cannot be altered like this");
    task_id_text(&f.record.task, task);
    attempt_record_release(&f.record);
    write.key = (struct span){ f.key.bytes, f.key.len };
    write.value = (struct span){ value.data, value.len };
    if (store->ops->commit(store, &write, 1) < 0)
        return die("it cannot be written");
    puts(task);
    return 0;
}
