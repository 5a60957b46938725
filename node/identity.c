/* SPDX-License-Identifier: Apache-2.0 */
#include "node/identity.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/identity_internal.h"
#include "node/octets.h"
#include "node/secret_file.h"

enum {
    SEED_SIZE = crypto_sign_SEEDBYTES,
    HEAD_SIZE = 4,
    BOOT_TEXT_MAX = 16,
    CONTACTS_BYTES_MAX = CONTACTS_MAX * (CONTACT_TEXT_SIZE + 1),
};

static const uint8_t keys_magic[HEAD_SIZE] = { 'M', 'K', 1, 0 };
static const uint8_t authority_magic[HEAD_SIZE] = { 'M', 'A', 1, 0 };

/* As the files are laid out; always in locked memory. */
struct key_file {
    uint8_t head[HEAD_SIZE], seed[SEED_SIZE], curve[CURVE_KEY_SIZE];
};
struct authority_file {
    uint8_t head[HEAD_SIZE], seed[SEED_SIZE];
};
static_assert(sizeof(struct key_file) == HEAD_SIZE + SEED_SIZE + CURVE_KEY_SIZE
                  && sizeof(struct authority_file) == HEAD_SIZE + SEED_SIZE,
              "these are file formats");

static void sodium_freep(void *p)
{
    sodium_free(*(void **)p);
}

/* ---- memory ---- */

static int allocate(const char *dir, struct identity **ret)
{
    CLEANUP(identity_freep) struct identity *i = NULL;

    if (sodium_init() < 0)
        return -EIO;
    i = calloc(1, sizeof(*i));
    if (!i)
        return -ENOMEM;
    i->secrets = sodium_malloc(sizeof(*i->secrets));
    if (asprintf(&i->dir, "%s/identity", dir) < 0)
        i->dir = NULL;
    if (!i->secrets || !i->dir)
        return -ENOMEM;
    *ret = TAKE(i);
    return 0;
}

void identity_free(struct identity *i)
{
    if (!i)
        return;
    sodium_free(i->secrets);
    keyring_free(i->keyring);
    free(i->dir);
    free(i);
}

/* ---- files ---- */

int identity_make_folder(const char *dir, struct error *ret_error)
{
    struct stat st;

    if ((mkdir(dir, 0700) < 0 && errno != EEXIST) || lstat(dir, &st) < 0)
        return fail(ret_error, -errno, "cannot make %s: %s", dir, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        return fail(ret_error, -EACCES,
                    "%s must be a folder of this user that nobody else can enter: "
                    "chmod 700",
                    dir);
    return 0;
}

int identity_write(const struct identity *i, const char *name, const struct buffer *b,
                   struct error *ret_error)
{
    if (buffer_failed(b))
        return buffer_failed(b);
    return secret_file_write(i->dir, name, buffer_text(b), b->len, ret_error);
}

static void derive(struct identity *i, const struct key_file *keys)
{
    crypto_sign_seed_keypair(i->node_key, i->secrets->node, keys->seed);
    memcpy(i->secrets->curve, keys->curve, CURVE_KEY_SIZE);
    crypto_scalarmult_base(i->curve_key, i->secrets->curve);
}

static int draw_keys(struct identity *i, struct error *ret_error)
{
    CLEANUP(sodium_freep) struct key_file *keys = sodium_malloc(sizeof(*keys));
    int r;

    if (!keys)
        return -ENOMEM;
    memcpy(keys->head, keys_magic, HEAD_SIZE);
    randombytes_buf(keys->seed, SEED_SIZE);
    randombytes_buf(keys->curve, CURVE_KEY_SIZE);
    r = secret_file_write(i->dir, "keys", keys, sizeof(*keys), ret_error);
    if (r == 0)
        derive(i, keys);
    return r;
}

static int read_keys(struct identity *i, struct error *ret_error)
{
    CLEANUP(sodium_freep) struct key_file *keys = sodium_malloc(sizeof(*keys));
    int r;

    if (!keys)
        return -ENOMEM;
    r = secret_file_read_into(i->dir, "keys", keys, sizeof(*keys), ret_error);
    if (r == 0 && memcmp(keys->head, keys_magic, HEAD_SIZE) != 0)
        r = fail(ret_error, -EBADMSG, "%s/keys is damaged", i->dir);
    if (r == 0)
        derive(i, keys);
    return r;
}

int identity_draw_authority(struct identity *i, uint8_t ret_key[NODE_KEY_SIZE],
                            struct error *ret_error)
{
    CLEANUP(sodium_freep) struct authority_file *file = sodium_malloc(sizeof(*file));
    int r;

    if (!file)
        return -ENOMEM;
    memcpy(file->head, authority_magic, HEAD_SIZE);
    randombytes_buf(file->seed, SEED_SIZE);
    r = secret_file_write(i->dir, "authority", file, sizeof(*file), ret_error);
    if (r < 0)
        return r;
    crypto_sign_seed_keypair(ret_key, i->secrets->authority, file->seed);
    i->has_authority = true;
    return 0;
}

static int read_authority(struct identity *i, struct error *ret_error)
{
    CLEANUP(sodium_freep) struct authority_file *file = sodium_malloc(sizeof(*file));
    uint8_t key[NODE_KEY_SIZE];
    int r;

    if (!file)
        return -ENOMEM;
    r = secret_file_read_into(i->dir, "authority", file, sizeof(*file), ret_error);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    crypto_sign_seed_keypair(key, i->secrets->authority, file->seed);
    if (memcmp(file->head, authority_magic, HEAD_SIZE) != 0
        || memcmp(key, identity_root(i)->authority, NODE_KEY_SIZE) != 0)
        return fail(ret_error, -EBADMSG, "%s/authority is not of this mesh", i->dir);
    i->has_authority = true;
    return 0;
}

/* ---- of a mesh ---- */

static int make_keyring(struct identity *i, const struct mesh_root *root)
{
    i->keyring = keyring_new(root);
    return i->keyring ? 0 : -ENOMEM;
}

int identity_set_root(struct identity *i, const struct mesh_root *root,
                      struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    int r;

    mesh_root_encode(root, &b);
    r = identity_write(i, "mesh", &b, ret_error);
    return r < 0 ? r : make_keyring(i, root);
}

int identity_set_chain(struct identity *i, const struct chain *chain,
                       struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    int r;

    chain_encode(chain, &b);
    r = identity_write(i, "certificate", &b, ret_error);
    if (r < 0)
        return r;
    i->chain = *chain;
    i->has_chain = true;
    return 0;
}

static int read_root(struct identity *i, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct mesh_root root;
    int r = secret_file_read(i->dir, "mesh", CHAIN_BYTES_MAX, &b, ret_error);

    if (r < 0)
        return r;
    if (mesh_root_decode(b.data, b.len, &root) < 0)
        return fail(ret_error, -EBADMSG, "%s/mesh is damaged", i->dir);
    return make_keyring(i, &root);
}

static int read_chain(struct identity *i, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    int r = secret_file_read(i->dir, "certificate", CHAIN_BYTES_MAX, &b, ret_error);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (chain_decode(b.data, b.len, &i->chain) < 0
        || memcmp(i->chain.leaf.node_key, i->node_key, NODE_KEY_SIZE) != 0
        || memcmp(i->chain.leaf.curve_key, i->curve_key, CURVE_KEY_SIZE) != 0)
        return fail(ret_error, -EBADMSG, "%s/certificate is not of this node", i->dir);
    i->has_chain = true;
    return 0;
}

struct reader {
    struct identity *identity;
    time_us wall;
};

static int on_revocation(void *arg, const struct revocation *r)
{
    const struct reader *reader = arg;
    int error = keyring_revoke(reader->identity->keyring, r, reader->wall, NULL);

    return error == -ENOMEM ? error : 0;
}

static int read_revocations(struct identity *i, time_us wall, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct reader reader = { i, wall };
    int r = secret_file_read(i->dir, "revocations", REVOCATION_FILE_MAX, &b, ret_error);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = revocations_read(b.data, b.len, on_revocation, &reader);
    return r == -EBADMSG ? fail(ret_error, r, "%s/revocations is damaged", i->dir) : r;
}

static int read_mesh(struct identity *i, time_us wall, struct error *ret_error)
{
    int r = read_root(i, ret_error);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = read_chain(i, ret_error);
    if (r == 0)
        r = read_authority(i, ret_error);
    return r < 0 ? r : read_revocations(i, wall, ret_error);
}

int identity_open(const char *dir, time_us wall, struct identity **ret,
                  struct error *ret_error)
{
    CLEANUP(identity_freep) struct identity *i = NULL;
    int r = allocate(dir, &i);

    if (r < 0)
        return r;
    r = read_keys(i, ret_error);
    if (r == 0)
        r = read_mesh(i, wall, ret_error);
    if (r < 0)
        return r;
    *ret = TAKE(i);
    return 0;
}

int identity_create(const char *dir, struct identity **ret, struct error *ret_error)
{
    CLEANUP(identity_freep) struct identity *i = NULL;
    CLEANUP(freep) char *keys = NULL;
    int r = allocate(dir, &i);

    if (r == 0)
        r = identity_make_folder(i->dir, ret_error);
    if (r == 0 && asprintf(&keys, "%s/keys", i->dir) < 0) {
        keys = NULL;
        r = -ENOMEM;
    }
    if (r == 0 && access(keys, F_OK) == 0)
        r = fail(ret_error, -EEXIST, "%s has the keys of a node already", i->dir);
    if (r == 0)
        r = draw_keys(i, ret_error);
    if (r < 0)
        return r;
    *ret = TAKE(i);
    return 0;
}

int identity_adopt(struct identity *i, const struct mesh_root *root,
                   const struct chain *chain, time_us wall, struct error *ret_error)
{
    const struct mesh_root *known = identity_root(i);
    int r;

    if (known && memcmp(known->authority, root->authority, NODE_KEY_SIZE) != 0)
        return fail(ret_error, -EXDEV, "this node is of another mesh already");
    if (memcmp(chain->leaf.node_key, i->node_key, NODE_KEY_SIZE) != 0
        || memcmp(chain->leaf.curve_key, i->curve_key, CURVE_KEY_SIZE) != 0)
        return fail(ret_error, -EKEYREJECTED, "the certificate is for another node");
    if (i->has_chain && chain->leaf.not_before < i->chain.leaf.not_before)
        return fail(ret_error, -ESTALE, "the certificate is older than the own one");
    r = chain_verify(chain, root, wall, ret_error);
    if (r == 0 && !known)
        r = identity_set_root(i, root, ret_error);
    return r < 0 ? r : identity_set_chain(i, chain, ret_error);
}

bool identity_is_renewal_due(const struct identity *i, time_us wall)
{
    const struct certificate *c = &i->chain.leaf;

    return i->has_chain && wall + (c->not_after - c->not_before) / 3 >= c->not_after;
}

/* ---- boots and contacts ---- */

int identity_boot(struct identity *i, uint32_t *ret_boot, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT, next = BUFFER_INIT;
    unsigned long boot = 0;
    int r = secret_file_read(i->dir, "boot", BOOT_TEXT_MAX, &b, ret_error);

    if (r < 0 && r != -ENOENT)
        return r;
    if (r == 0)
        boot = strtoul(buffer_text(&b), NULL, 10);
    if ((r == 0 && boot == 0) || boot >= UINT32_MAX)
        return fail(ret_error, -EBADMSG, "%s/boot is damaged", i->dir);
    buffer_printf(&next, "%lu\n", boot + 1);
    r = identity_write(i, "boot", &next, ret_error);
    if (r == 0)
        *ret_boot = (uint32_t)(boot + 1);
    return r;
}

int identity_remember(struct identity *i, const struct join_contact *contacts, size_t n,
                      struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    char text[CONTACT_TEXT_SIZE];

    for (size_t k = 0; k < min_size(n, CONTACTS_MAX); k++) {
        join_contact_text(&contacts[k], text);
        buffer_printf(&b, "%s\n", text);
    }
    return identity_write(i, "contacts", &b, ret_error);
}

size_t identity_contacts(const struct identity *i,
                         struct join_contact ret[CONTACTS_MAX])
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    char *rest = NULL;
    size_t n = 0;

    if (secret_file_read(i->dir, "contacts", CONTACTS_BYTES_MAX, &b, NULL) < 0
        || !buffer_text(&b)[0])
        return 0;
    for (char *line = strtok_r(b.data, "\n", &rest); line && n < CONTACTS_MAX;
         line = strtok_r(NULL, "\n", &rest))
        if (join_contact_parse(line, &ret[n], NULL) == 0)
            n++;
    return n;
}

/* ---- questions ---- */

struct node_id identity_node(const struct identity *i)
{
    return node_id_of_key(i->node_key);
}

const uint8_t *identity_node_key(const struct identity *i)
{
    return i->node_key;
}

const uint8_t *identity_curve_key(const struct identity *i)
{
    return i->curve_key;
}

const uint8_t *identity_curve_secret(const struct identity *i)
{
    return i->secrets->curve;
}

const struct mesh_root *identity_root(const struct identity *i)
{
    return i->keyring ? keyring_root(i->keyring) : NULL;
}

const struct chain *identity_chain(const struct identity *i)
{
    return i->has_chain ? &i->chain : NULL;
}

struct keyring *identity_keyring(struct identity *i)
{
    return i->keyring;
}

bool identity_has_authority(const struct identity *i)
{
    return i->has_authority;
}

void identity_sign(const struct identity *i, const void *data, size_t len,
                   uint8_t ret_signature[SIGNATURE_SIZE])
{
    crypto_sign_detached(ret_signature, NULL, data, len, i->secrets->node);
}

bool signature_is_good(const uint8_t node_key[NODE_KEY_SIZE], const void *data,
                       size_t len, const uint8_t signature[SIGNATURE_SIZE])
{
    return crypto_sign_verify_detached(signature, data, len, node_key) == 0;
}
