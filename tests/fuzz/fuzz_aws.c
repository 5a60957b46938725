/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what gives a key of AWS: the answers of STS, of a metadata service, of a
 * process; a config file and the way to a key in it; a command, an address, a time. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/aws_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_key(int (*read)(const char *, size_t, struct aws_key *,
                                 struct error *),
                     const char *text, size_t len)
{
    struct error error = { .text = "" };
    struct aws_key k;
    int r = read(text, len, &k, &error);

    assert(r == 0 || r == -EPROTO);
    if (r < 0) {
        assert(*error.text);
        return;
    }
    assert(*k.key.id && *k.key.secret && (!k.key.token || *k.key.token));
    assert(strlen(k.key.id) + strlen(k.key.secret) <= 2 * len);
    aws_key_release(&k);
}

static void make_plan(const char *text, size_t len)
{
    struct aws_files files = { .config = { .text = NULL } };
    struct error error = { .text = "" };
    struct aws_plan plan;
    int r;

    if (ini_read(text, len, "config", &files.config, &error) < 0)
        return;
    r = aws_plan_make(&files, "default", &plan, &error);
    assert(r == 0 || r == -EINVAL || r == -ENOENT);
    assert((r < 0) == (*error.text != '\0'));
    assert(r < 0 || plan.n_roles <= AWS_ROLES_MAX);
    aws_profile_endpoint(&files, "default", "s3");
    aws_files_release(&files);
}

static void read_texts(const char *text)
{
    CLEANUP(freep) char *room = malloc(strlen(text) + 2);
    char *words[AWS_WORDS_MAX + 1], url[AWS_URL_MAX], region[AWS_REGION_MAX];
    int64_t s;

    assert(room);
    if (aws_command_split(text, room, words) == 0)
        assert(words[0] == room);
    aws_container_url_check(text, NULL);
    aws_time_read(text, &s);
    if (aws_sts_endpoint(text, false, url, region) == 0)
        assert(strcmp(region, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(freep) char *text = malloc(size + 1);
    struct aws_fault fault;

    assert(text);
    memcpy(text, data, size);
    text[size] = '\0';
    read_key(aws_key_read_sts, text, size);
    read_key(aws_key_read_process, text, size);
    read_key(aws_key_read_metadata, text, size);
    aws_fault_read_xml(text, size, &fault);
    aws_fault_read_json(text, size, &fault);
    make_plan(text, size);
    read_texts(text);
    return 0;
}
