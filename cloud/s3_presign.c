/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cloud/s3.h"
#include "cloud/s3_call.h"

struct presigning {
    struct s3_store *store;
    const char *method;
    char *name;
    uint32_t expires_s;
    s3_presigned_fn *presigned;
    void *arg;
};

static void free_presigning(struct presigning *p)
{
    if (p)
        free(p->name);
    free(p);
}

CLEANUP_POINTER(struct presigning, free_presigning);

static int make_url(const struct presigning *p, const struct credential *credential,
                    struct buffer *ret_url)
{
    CLEANUP(s3_url_release) struct s3_url u = { .url = BUFFER_INIT };
    const struct sigv4_key key = s3_key(p->store, credential, p->store->region);
    int status =
        s3_address_url(&p->store->address, p->store->region, p->name, NULL, &u);

    if (status < 0)
        return status;
    buffer_printf(ret_url, "%s?", buffer_text(&u.url));
    return sigv4_presign(&key,
                         &(struct sigv4_request){
                             .method = p->method,
                             .host = buffer_text(&u.host),
                             .path = buffer_text(&u.url) + u.path_at,
                             .payload = SIGV4_UNSIGNED,
                             .is_store = true,
                             .now_s = s3_now(p->store),
                         },
                         p->expires_s, ret_url);
}

static void on_key(void *arg, int status, const struct credential *key,
                   const struct error *error)
{
    CLEANUP(free_presigningp) struct presigning *p = arg;
    CLEANUP(buffer_release) struct buffer url = BUFFER_INIT;
    struct error why = { "" };

    if (status < 0) {
        p->presigned(p->arg, status, NULL, error);
        return;
    }
    if (!key->id || !key->secret)
        status = fail(&why, -EACCES, "the key has no id and secret to sign with");
    else if (make_url(p, key, &url) < 0)
        status = fail(&why, -EINVAL, "the address cannot be signed");
    p->presigned(p->arg, status, status < 0 ? NULL : buffer_text(&url), &why);
}

static const char *method_of(const char *method)
{
    static const char *const known[] = { "GET", "HEAD", "PUT", "DELETE" };

    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(known[i], method) == 0)
            return known[i];
    }
    return NULL;
}

static int check(const struct s3_store *s, const struct s3_presign *what,
                 struct error *ret_error)
{
    if (!method_of(what->method))
        return fail(ret_error, -EINVAL, "no address is signed for %.20s", what->method);
    if (!s->credentials)
        return fail(ret_error, -EINVAL, "without a key no address can be signed");
    if (what->expires_s < 1 || what->expires_s > SIGV4_EXPIRES_MAX_S)
        return fail(ret_error, -EINVAL, "an address is good for 1 s to 7 days");
    return s3_check_name(s->prefix, what->name, ret_error);
}

int s3_presign(struct object_store *base, const struct s3_presign *what,
               s3_presigned_fn *presigned, void *arg, struct error *ret_error)
{
    struct s3_store *s = (struct s3_store *)base;
    CLEANUP(free_presigningp) struct presigning *p = NULL;
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT;
    int status = check(s, what, ret_error);

    if (status < 0)
        return status;
    p = calloc(1, sizeof(*p));
    buffer_printf(&name, "%s%s", s->prefix, what->name);
    if (p)
        p->name = buffer_take(&name);
    if (!p || !p->name)
        return fail(ret_error, -ENOMEM, "no memory is left to sign an address");
    p->store = s;
    p->method = method_of(what->method);
    p->expires_s = what->expires_s;
    p->presigned = presigned;
    p->arg = arg;
    credentials_get(s->credentials, on_key, TAKE(p));
    return 0;
}
