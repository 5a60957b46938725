/* SPDX-License-Identifier: Apache-2.0 */
/* aws_kit - a user with a folder and an environment of their own, who asks for a key.
 */
#pragma once

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cloud/aws.h"

struct kit {
    char home[64];
    uv_loop_t loop;
    struct http *http;
    struct credentials *credentials;
    /* Of the last one who asked. */
    bool is_answered;
    int status;
    struct credential key;
    struct error error;
};

UNUSED static void kit_variable(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

UNUSED static const char *kit_given(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        fail_msg("%s is not set: run this by its script", name);
    return value;
}

UNUSED static void kit_path(const struct kit *k, const char *name, char ret[128])
{
    snprintf(ret, 128, "%s/%s", k->home, name);
}

UNUSED static void kit_write(const struct kit *k, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    kit_path(k, name, path);
    f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* Nothing of the environment in which the tests run is seen. */
UNUSED static int kit_open(void **state)
{
    static const char *const hidden[] = { "AWS_ACCESS_KEY_ID",
                                          "AWS_SECRET_ACCESS_KEY",
                                          "AWS_SESSION_TOKEN",
                                          "AWS_PROFILE",
                                          "AWS_DEFAULT_PROFILE",
                                          "AWS_REGION",
                                          "AWS_DEFAULT_REGION",
                                          "AWS_ROLE_ARN",
                                          "AWS_ROLE_SESSION_NAME",
                                          "AWS_WEB_IDENTITY_TOKEN_FILE",
                                          "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                          "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                          "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                          "AWS_ENDPOINT_URL",
                                          "AWS_ENDPOINT_URL_STS",
                                          "AWS_STS_REGIONAL_ENDPOINTS",
                                          "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                          "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE" };
    struct kit *k = calloc(1, sizeof(*k));
    const struct http_options options = { .seed = 1 };
    struct error error = { .text = "" };
    char path[128];

    assert_non_null(k);
    for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
        unsetenv(hidden[i]);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    strcpy(k->home, "/tmp/mesh-aws-XXXXXX");
    assert_non_null(mkdtemp(k->home));
    kit_path(k, "config", path);
    setenv("AWS_CONFIG_FILE", path, 1);
    kit_path(k, "credentials", path);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    assert_int_equal(uv_loop_init(&k->loop), 0);
    assert_int_equal(http_new(&k->loop, &options, &k->http, &error), 0);
    *state = k;
    return 0;
}

UNUSED static void kit_drop(struct kit *k)
{
    credentials_free(k->credentials);
    k->credentials = NULL;
    credential_release(&k->key);
}

UNUSED static int kit_close(void **state)
{
    struct kit *k = *state;
    static const char *const files[] = { "config", "credentials", "token", "" };

    kit_drop(k);
    http_free(k->http);
    uv_run(&k->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&k->loop), 0);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        char path[128];

        kit_path(k, files[i], path);
        remove(path);
    }
    free(k);
    return 0;
}

static void kit_got(void *arg, int status, const struct credential *key,
                    const struct error *error)
{
    struct kit *k = arg;

    k->is_answered = true;
    k->status = status;
    if (key)
        assert_int_equal(credential_copy(key, &k->key), 0);
    if (error)
        k->error = *error;
}

UNUSED static void kit_ask_again(struct kit *k)
{
    credential_release(&k->key);
    k->error.text[0] = '\0';
    k->is_answered = false;
    credentials_get(k->credentials, kit_got, k);
    while (!k->is_answered)
        uv_run(&k->loop, UV_RUN_ONCE);
    if ((k->status == 0) != (k->key.id != NULL))
        fail_msg("%d without a key", k->status);
}

/* What is found; "" and kit.key, or the sentence. */
UNUSED static const char *kit_ask(struct kit *k, const struct aws_options *options)
{
    static const struct aws_options none;

    kit_drop(k);
    assert_int_equal(aws_credentials_open(k->http, &k->loop, options ? options : &none,
                                          &k->credentials, &k->error),
                     0);
    kit_ask_again(k);
    return k->status == 0 ? "" : k->error.text;
}

UNUSED static void assert_says(const char *sentence, const char *part)
{
    if (!strstr(sentence, part))
        fail_msg("'%s' is not in: %s", part, sentence);
}
