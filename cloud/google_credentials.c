/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of Google, by a file or by this machine's metadata server.
 *
 *     file --> [subject: file or url] --> token_uri --> [impersonation] --> token
 *     metadata server --------------------------------------------------> token */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cloud/gcs.h"
#include "cloud/gcs_errors.h"
#include "cloud/gcs_url.h"
#include "cloud/google_text.h"

/* A machine that is none of Google's should not be asked for long. */
enum { METADATA_DEADLINE_MS = 5000, METADATA_TRIES = 3, TOKEN_DEADLINE_MS = 60000 };

struct source {
    struct http *http;
    char *path;        /* of a file; NULL: the metadata server */
    bool must_exist;   /* the path was named */
    char *scope, *url; /* of the metadata server */
    char *searched;    /* for the error: where else was looked */
    struct google_file file;
    struct buffer body, subject;
    struct http_call *call;
    credentials_fetched_fn *fetched;
    void *arg;
    bool is_orphan; /* its owner is gone, its request not yet */
};

static void source_release(struct source *s)
{
    google_file_release(&s->file);
    if (s->body.data)
        sodium_memzero(s->body.data, s->body.cap);
    if (s->subject.data)
        sodium_memzero(s->subject.data, s->subject.cap);
    buffer_release(&s->body);
    buffer_release(&s->subject);
    free(s->path);
    free(s->scope);
    free(s->url);
    free(s->searched);
    free(s);
}

static void source_free(void *self)
{
    struct source *s = self;

    s->is_orphan = true;
    if (s->call)
        http_cancel(s->call);
    else
        source_release(s);
}

static const char *kind_name(const struct source *s)
{
    if (!s->path)
        return "metadata server";
    return s->file.kind == GOOGLE_SERVICE_ACCOUNT ? "service account file"
           : s->file.kind == GOOGLE_USER          ? "gcloud's login"
                                                  : "workload identity file";
}

/* ---- answers ---- */

static void end_bad(struct source *s, int status, const struct error *error)
{
    s->fetched(s->arg, status, NULL, error);
}

static void end_good(struct source *s, struct google_token *token)
{
    const struct credential key = { .token = token->text,
                                    .expires_s = token->expires_s,
                                    .from = kind_name(s) };

    s->fetched(s->arg, 0, &key, NULL);
}

static void refuse(struct source *s, const struct http_answer *answer)
{
    struct gcs_refusal refusal;
    struct error error;
    char from[160];
    int status;

    gcs_refusal_read(buffer_text(&answer->body), answer->body.len, &refusal);
    snprintf(from, sizeof(from), "Google's %s%s%.80s", kind_name(s), s->path ? " " : "",
             s->path ? s->path : "");
    status = google_token_refused(from, answer->code, &refusal, &error);
    end_bad(s, status, &error);
}

static void take_token(struct source *s, const struct http_answer *answer)
{
    struct google_token token;
    struct error error;
    int r;

    if (answer->code != 200) {
        refuse(s, answer);
        return;
    }
    r = google_token_read(buffer_text(&answer->body), answer->body.len,
                          (int64_t)time(NULL), &token, &error);
    if (r < 0)
        end_bad(s, r, &error);
    else
        end_good(s, &token);
    sodium_memzero(token.text, sizeof(token.text));
}

typedef void done_fn(void *arg, int status, const struct http_answer *answer,
                     const struct error *error);

static void start(struct source *s, struct http_request *request, done_fn *done)
{
    struct error error;
    int r;

    request->repeat = HTTP_REPEAT;
    request->done = done;
    request->arg = s;
    if (!request->deadline_ms)
        request->deadline_ms = TOKEN_DEADLINE_MS;
    r = http_start(s->http, request, &s->call);
    if (r < 0) {
        s->call = NULL;
        fail(&error, r, "a token of Google cannot be asked for: %s", strerror(-r));
        end_bad(s, r, &error);
    }
}

/* Whether there is an answer to look at. */
static bool is_answered(struct source *s, int status, const struct error *error)
{
    s->call = NULL;
    if (s->is_orphan) {
        source_release(s);
        return false;
    }
    if (status < 0)
        end_bad(s, status == -ENOENT ? -EIO : status, error);
    return status == 0;
}

static void on_last_token(void *arg, int status, const struct http_answer *answer,
                          const struct error *error)
{
    struct source *s = arg;

    if (is_answered(s, status, error))
        take_token(s, answer);
}

/* ---- the metadata server ---- */

/* https://cloud.google.com/compute/docs/metadata/overview: the header is in the answer
 * too, so that another server at this address is noticed. */
static void on_metadata(void *arg, int status, const struct http_answer *answer,
                        const struct error *error)
{
    struct source *s = arg;
    const char *flavor;
    struct error none;

    s->call = NULL;
    if (s->is_orphan) {
        source_release(s);
        return;
    }
    flavor = status == 0 ? http_answer_header(answer, "Metadata-Flavor") : NULL;
    if (flavor && strcmp(flavor, "Google") == 0 && answer->code != 404) {
        take_token(s, answer);
        return;
    }
    if (status == -ECANCELED) {
        end_bad(s, status, error);
        return;
    }
    fail(
        &none, -ENOENT,
        "no credentials of Google were found: looked at "
        "$GOOGLE_APPLICATION_CREDENTIALS, %.120s and the metadata server (%.150s); run "
        "`gcloud auth application-default login` or name a file",
        s->searched,
        status < 0 ? error->text
        : flavor   ? "this machine has no service account"
                   : "what answers there is not Google's");
    end_bad(s, -ENOENT, &none);
}

static void fetch_metadata(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct source *s = self;
    struct http_request request = { .method = "GET",
                                    .url = s->url,
                                    .headers = { { "Metadata-Flavor", "Google" } },
                                    .tries_max = METADATA_TRIES,
                                    .deadline_ms = METADATA_DEADLINE_MS,
                                    .is_direct = true };

    s->fetched = fetched;
    s->arg = arg;
    start(s, &request, on_metadata);
}

/* ---- a file ---- */

static int read_file(const char *path, struct buffer *out)
{
    char room[4096];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;

    if (fd < 0)
        return -errno;
    out->bytes_max = GOOGLE_FILE_MAX;
    while (r == 0 && (n = read(fd, room, sizeof(room))) != 0)
        r = n < 0 ? -errno : buffer_append(out, room, (size_t)n);
    close(fd);
    sodium_memzero(room, sizeof(room));
    return r;
}

/* A workload's token is one of a service account's only after this. */
static void on_exchanged(void *arg, int status, const struct http_answer *answer,
                         const struct error *error)
{
    struct http_request request = {
        .method = "POST",
        .headers = { { "Content-Type", "application/json" } },
    };
    struct source *s = arg;
    CLEANUP(freep) char *header = NULL;
    struct google_token token;
    struct error why;
    int r;

    if (!is_answered(s, status, error))
        return;
    if (answer->code != 200) {
        refuse(s, answer);
        return;
    }
    r = google_token_read(buffer_text(&answer->body), answer->body.len,
                          (int64_t)time(NULL), &token, &why);
    buffer_clear(&s->body);
    buffer_printf(&s->body, "{\"scope\":[\"%s\"],\"lifetime\":\"3600s\"}", s->scope);
    if (r == 0 && asprintf(&header, "Bearer %s", token.text) < 0)
        r = fail(&why, -ENOMEM, "no memory is left for a token");
    if (r < 0) {
        end_bad(s, r, &why);
        return;
    }
    request.url = s->file.impersonate_url;
    request.headers[1] = (struct http_header){ "Authorization", header };
    request.body = (struct http_body){ .data = s->body.data, .len = s->body.len };
    start(s, &request, on_last_token);
    sodium_memzero(header, strlen(header));
    sodium_memzero(token.text, sizeof(token.text));
}

static void ask_token(struct source *s)
{
    struct http_request request = {
        .method = "POST",
        .url = s->file.token_uri,
        .headers = { { "Content-Type", "application/x-www-form-urlencoded" } },
    };
    struct error error;
    int r;

    buffer_clear(&s->body);
    r = google_token_form(&s->file, s->scope, (int64_t)time(NULL),
                          buffer_text(&s->subject), &s->body, &error);
    if (r < 0) {
        end_bad(s, r, &error);
        return;
    }
    request.body = (struct http_body){ .data = s->body.data, .len = s->body.len };
    start(s, &request, s->file.impersonate_url ? on_exchanged : on_last_token);
}

static void take_subject(struct source *s, const char *text, size_t len)
{
    struct error error;
    int r;

    buffer_clear(&s->subject);
    r = google_subject(&s->file, text, len, &s->subject, &error);
    if (r < 0)
        end_bad(s, r, &error);
    else
        ask_token(s);
}

static void on_subject(void *arg, int status, const struct http_answer *answer,
                       const struct error *error)
{
    struct source *s = arg;

    if (!is_answered(s, status, error))
        return;
    if (answer->code != 200)
        refuse(s, answer);
    else
        take_subject(s, buffer_text(&answer->body), answer->body.len);
}

static void ask_subject(struct source *s)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct http_request request = { .method = "GET", .url = s->file.subject_url };
    struct error error;
    int r;

    if (s->file.subject_url) {
        if (s->file.subject_header)
            request.headers[0] = (struct http_header){ s->file.subject_header,
                                                       s->file.subject_header_value };
        start(s, &request, on_subject);
        return;
    }
    r = read_file(s->file.subject_file, &text);
    if (r < 0) {
        fail(&error, -EINVAL, "%.150s names the token file %.150s: %s", s->path,
             s->file.subject_file, strerror(-r));
        end_bad(s, -EINVAL, &error);
        return;
    }
    take_subject(s, text.data, text.len);
    sodium_memzero(text.data, text.cap);
}

/* Files are small and on this machine's disk: they are read in the loop. */
static int read_credentials(struct source *s, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    int r = read_file(s->path, &text);

    if (r < 0)
        return fail(ret_error, r == -ENOENT && !s->must_exist ? -ENOENT : -EINVAL,
                    "Google's credentials cannot be read from %.200s: %s", s->path,
                    strerror(-r));
    google_file_release(&s->file);
    r = google_file_read(buffer_text(&text), text.len, s->path, &s->file, ret_error);
    if (text.data)
        sodium_memzero(text.data, text.cap);
    return r;
}

static void fetch_file(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct source *s = self;
    struct error error;
    int r;

    s->fetched = fetched;
    s->arg = arg;
    r = read_credentials(s, &error);
    if (r < 0)
        end_bad(s, r, &error);
    else if (s->file.kind == GOOGLE_WORKLOAD)
        ask_subject(s);
    else
        ask_token(s);
}

/* ---- opening ---- */

static struct source *source_new(struct http *http, const char *scope)
{
    struct source *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->http = http;
    s->scope = strdup(scope ? scope : GOOGLE_SCOPE);
    if (s->scope)
        return s;
    source_release(s);
    return NULL;
}

/* Where `gcloud auth application-default login` writes. */
static char *usual_path(void)
{
    const char *folder = getenv("CLOUDSDK_CONFIG"), *home = getenv("HOME");
    char *path;
    int n =
        folder && *folder
            ? asprintf(&path, "%s/application_default_credentials.json", folder)
            : asprintf(&path, "%s/.config/gcloud/application_default_credentials.json",
                       home ? home : "");

    return n < 0 ? NULL : path;
}

static char *metadata_url(const char *scope)
{
    const char *host = getenv("GCE_METADATA_HOST");
    struct buffer url = BUFFER_INIT;

    buffer_printf(&url, "http://%s%s",
                  host && *host ? host : "metadata.google.internal",
                  "/computeMetadata/v1/instance/service-accounts/default/token");
    gcs_url_add(&url, "scopes", scope);
    return buffer_take(&url);
}

int google_credentials_open(struct http *http,
                            const struct google_credentials_options *options,
                            struct credentials **ret_credentials,
                            struct error *ret_error)
{
    const char *named =
        options->file ? options->file : getenv("GOOGLE_APPLICATION_CREDENTIALS");
    struct source *file = source_new(http, options->scope);
    struct source *machine = source_new(http, options->scope);
    struct credentials_source sources[] = {
        { "file", file, fetch_file, source_free },
        { "metadata", machine, fetch_metadata, source_free },
    };
    bool is_named = named && *named;

    if (file && machine) {
        file->must_exist = is_named;
        file->path = is_named ? strdup(named) : usual_path();
        machine->searched = file->path ? strdup(file->path) : NULL;
        machine->url = metadata_url(machine->scope);
    }
    if (!file || !machine || !machine->searched || !machine->url) {
        if (file)
            source_release(file);
        if (machine)
            source_release(machine);
        return fail(ret_error, -ENOMEM, "no memory is left for credentials");
    }
    if (is_named)
        source_free(machine);
    return credentials_new(http_loop(http), sources, is_named ? 1 : 2, ret_credentials);
}

/* ---- HMAC pairs ---- */

static void fetch_hmac(void *self, credentials_fetched_fn *fetched, void *arg)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer id = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer secret = BUFFER_INIT;
    const struct source *s = self;
    struct credential key = { .from = "environment", .is_static = true };
    struct error error;

    key.id = getenv("GCS_HMAC_KEY_ID");
    key.secret = getenv("GCS_HMAC_SECRET");
    if (!key.id || !key.secret) {
        key.from = "boto file";
        key.id = key.secret = NULL;
        if (read_file(s->path, &text) == 0
            && google_boto_read(buffer_text(&text), text.len, &id, &secret)) {
            key.id = id.data;
            key.secret = secret.data;
        }
    }
    if (key.secret) {
        fetched(arg, 0, &key, NULL);
    } else {
        fail(&error, -ENOENT,
             "no HMAC key of Google was found: looked at $GCS_HMAC_KEY_ID with "
             "$GCS_HMAC_SECRET, and gs_access_key_id in %.200s",
             s->path);
        fetched(arg, -ENOENT, NULL, &error);
    }
    if (text.data)
        sodium_memzero(text.data, text.cap);
    if (secret.data)
        sodium_memzero(secret.data, secret.cap);
}

int google_hmac_open(struct http *http, struct credentials **ret_credentials,
                     struct error *ret_error)
{
    const char *named = getenv("BOTO_CONFIG"), *home = getenv("HOME");
    struct source *s = source_new(http, NULL);
    const struct credentials_source source = { "hmac", s, fetch_hmac, source_free };
    int n = -1;

    if (s)
        n = named && *named ? asprintf(&s->path, "%s", named)
                            : asprintf(&s->path, "%s/.boto", home ? home : "");
    if (n < 0) {
        if (s) {
            s->path = NULL;
            source_release(s);
        }
        return fail(ret_error, -ENOMEM, "no memory is left for credentials");
    }
    return credentials_new(http_loop(http), &source, 1, ret_credentials);
}
