/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/tokens.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "node/secret_file.h"

static const char file_name[] = "tokens";

enum { SECRET_BYTES = 32 };

static const char prefix[] = "mesh_";
static_assert(sizeof(prefix)
                      + sodium_base64_ENCODED_LEN(
                          SECRET_BYTES, sodium_base64_VARIANT_URLSAFE_NO_PADDING)
                      - 1
                  <= TOKEN_TEXT_SIZE,
              "a token must fit");

struct tokens {
    char *path, *dir;
    pthread_mutex_t changing; /* held while the file is written */
    pthread_mutex_t lock;     /* of `list`, never held for long */
    struct token_list list;
};

static time_us wall_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (time_us)t.tv_sec * 1000000 + (time_us)t.tv_nsec / 1000;
}

/* ---- the file ---- */

static int check_owner(int fd, const char *path, struct error *ret_error)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return fail(ret_error, -EACCES,
                    "%s must be a file of this user that nobody else can read: "
                    "chmod 600",
                    path);
    return st.st_size <= TOKEN_FILE_MAX ? 0 : -EFBIG;
}

static int read_file(int fd, struct buffer *ret)
{
    for (;;) {
        char *at = buffer_reserve(ret, 4096);
        ssize_t n = at ? read(fd, at, 4096) : -1;

        if (!at)
            return -ENOMEM;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        ret->len += n > 0 ? (size_t)n : 0;
    }
}

static int load(struct tokens *t, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct error why = { .text = "" };
    int fd = open(t->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), r;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    r = check_owner(fd, t->path, ret_error);
    if (r == 0)
        r = read_file(fd, &text);
    close(fd);
    if (r == 0)
        r = token_list_read(buffer_text(&text), text.len, &t->list, &why);
    if (r == -EINVAL)
        fail(ret_error, r, "%s cannot be read: %s", t->path, why.text);
    return r;
}

static int save(const struct tokens *t, const struct token_list *list)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct error why;
    int r = token_list_write(list, &text);

    return r < 0 ? r : secret_file_write(t->dir, file_name, text.data, text.len, &why);
}

/* ---- opening ---- */

int tokens_open(const char *dir, struct tokens **ret, struct error *ret_error)
{
    struct tokens *t = calloc(1, sizeof(*t));
    int r = t ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    pthread_mutex_init(&t->changing, NULL);
    pthread_mutex_init(&t->lock, NULL);
    t->dir = strdup(dir);
    if (asprintf(&t->path, "%s/%s", dir, file_name) < 0)
        t->path = NULL;
    r = !t->dir || !t->path ? -ENOMEM : sodium_init() < 0 ? -EIO : load(t, ret_error);
    if (r < 0) {
        tokens_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void tokens_free(struct tokens *t)
{
    if (!t)
        return;
    pthread_mutex_destroy(&t->changing);
    pthread_mutex_destroy(&t->lock);
    token_list_release(&t->list);
    free(t->path);
    free(t->dir);
    free(t);
}

/* ---- changing ---- */

/* Keeps the list, then lets it count. Takes it. */
static int replace(struct tokens *t, struct token_list *take_list)
{
    struct token_list before = *take_list;
    int r = save(t, take_list);

    if (r == 0) {
        pthread_mutex_lock(&t->lock);
        before = t->list;
        t->list = *take_list;
        pthread_mutex_unlock(&t->lock);
    }
    token_list_release(&before);
    *take_list = (struct token_list){ .all = NULL };
    return r;
}

/* Only who holds `changing` changes the list. */
static int copy(const struct tokens *t, struct token_list *ret)
{
    struct token_list l = { .all = calloc(t->list.n + 1, sizeof(*l.all)) };

    if (!l.all)
        return -ENOMEM;
    l.n = t->list.n;
    if (l.n)
        memcpy(l.all, t->list.all, l.n * sizeof(*l.all));
    *ret = l;
    return 0;
}

void token_hash(const char *text, uint8_t ret[TOKEN_HASH_SIZE])
{
    crypto_generichash(ret, TOKEN_HASH_SIZE, (const unsigned char *)text, strlen(text),
                       NULL, 0);
}

void token_draw(struct token *token, uint64_t expires_in_s,
                char ret_text[TOKEN_TEXT_SIZE])
{
    uint8_t secret[SECRET_BYTES], hash[TOKEN_HASH_SIZE];

    randombytes_buf(secret, sizeof(secret));
    strcpy(ret_text, prefix);
    sodium_bin2base64(ret_text + sizeof(prefix) - 1, TOKEN_TEXT_SIZE - sizeof(prefix),
                      secret, sizeof(secret), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(secret, sizeof(secret));
    token_hash(ret_text, hash);
    token_set_hash(token, hash);
    token->created = wall_now();
    token->expires = expires_in_s ? token->created + TIME_S(expires_in_s) : 0;
}

void tokens_forget_expired(struct token_list *l)
{
    token_list_forget_expired(l, wall_now());
}

int tokens_create(struct tokens *t, struct token *token, uint64_t expires_in_s,
                  char ret_text[TOKEN_TEXT_SIZE])
{
    struct token_list list;
    int r;

    pthread_mutex_lock(&t->changing);
    r = copy(t, &list);
    if (r == 0)
        tokens_forget_expired(&list);
    if (r == 0 && list.n >= TOKENS_MAX) {
        token_list_release(&list);
        r = -ENOSPC;
    }
    if (r == 0) {
        token_draw(token, expires_in_s, ret_text);
        r = token_list_add(&list, token);
        if (r < 0)
            token_list_release(&list);
    }
    if (r == 0)
        r = replace(t, &list);
    pthread_mutex_unlock(&t->changing);
    return r;
}

int tokens_revoke(struct tokens *t, const char *id, struct token *ret_token)
{
    struct token_list list;
    int r;

    pthread_mutex_lock(&t->changing);
    r = copy(t, &list);
    if (r == 0 && !token_list_take(&list, id, ret_token)) {
        token_list_release(&list);
        r = -ENOENT;
    }
    if (r == 0)
        r = replace(t, &list);
    pthread_mutex_unlock(&t->changing);
    return r;
}

/* ---- asking ---- */

int tokens_list(struct tokens *t, struct token_list *ret)
{
    int r;

    pthread_mutex_lock(&t->lock);
    r = copy(t, ret);
    pthread_mutex_unlock(&t->lock);
    return r;
}

bool tokens_is_expired(const struct token *token)
{
    return token_is_expired(token, wall_now());
}

int tokens_check(struct tokens *t, const char *text, struct token *ret)
{
    uint8_t hash[TOKEN_HASH_SIZE];
    const struct token *found;
    int r = 0;

    token_hash(text, hash);
    pthread_mutex_lock(&t->lock);
    found = token_list_find(&t->list, hash);
    if (!found)
        r = -ENOENT;
    else if (tokens_is_expired(found))
        r = -EKEYEXPIRED;
    else
        *ret = *found;
    pthread_mutex_unlock(&t->lock);
    return r;
}
