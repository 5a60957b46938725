/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/azure_xml.h"

#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <string.h>

#include "cloud/azure_date.h"
#include "cloud/encode.h"

enum { DEPTH_MAX = 16, ELEMENT_MAX = 32, TEXT_MAX = 64 << 10 };

/* One way through a document, with the names of the elements that are open. */
struct walk {
    XML_Parser parser;
    char open[DEPTH_MAX][ELEMENT_MAX];
    size_t depth;
    struct buffer text; /* of the innermost element so far */
    bool is_encoded;    /* that element says so of its text */
    int failed;
    void (*on_begin)(struct walk *w, const char *element);
    void (*on_end)(struct walk *w, const char *element);
    void *arg;
};

static void walk_fail(struct walk *w, int code)
{
    if (w->failed == 0)
        w->failed = code;
    XML_StopParser(w->parser, XML_FALSE);
}

/* The element around the one that ends or begins. */
static bool is_in(const struct walk *w, const char *element)
{
    return w->depth > 0 && strcmp(w->open[w->depth - 1], element) == 0;
}

static bool says_encoded(const char **attributes)
{
    for (; *attributes; attributes += 2)
        if (strcmp(attributes[0], "Encoded") == 0)
            return strcmp(attributes[1], "true") == 0;
    return false;
}

static void XMLCALL on_start(void *arg, const char *element, const char **attributes)
{
    struct walk *w = arg;

    if (w->depth == DEPTH_MAX) {
        walk_fail(w, -EPROTO);
        return;
    }
    if (w->on_begin)
        w->on_begin(w, element);
    snprintf(w->open[w->depth++], ELEMENT_MAX, "%s", element);
    buffer_clear(&w->text);
    w->is_encoded = says_encoded(attributes);
}

static void XMLCALL on_text(void *arg, const char *text, int len)
{
    struct walk *w = arg;

    if (buffer_append(&w->text, text, (size_t)len) < 0)
        walk_fail(w, -EPROTO);
}

static void XMLCALL on_stop(void *arg, const char *element)
{
    struct walk *w = arg;

    w->depth--;
    w->on_end(w, element);
    buffer_clear(&w->text);
    w->is_encoded = false;
}

/* No answer of the service has one, and entities are what attacks are made of. */
static void XMLCALL on_doctype(void *arg, const char *name UNUSED,
                               const char *system UNUSED, const char *public UNUSED,
                               int has_subset UNUSED)
{
    walk_fail(arg, -EPROTO);
}

static int walk(struct walk *w, const char *xml, size_t len)
{
    w->parser = len <= INT32_MAX ? XML_ParserCreate("UTF-8") : NULL;
    if (!w->parser)
        return -ENOMEM;
    w->text.bytes_max = TEXT_MAX;
    XML_SetUserData(w->parser, w);
    XML_SetElementHandler(w->parser, on_start, on_stop);
    XML_SetCharacterDataHandler(w->parser, on_text);
    XML_SetStartDoctypeDeclHandler(w->parser, on_doctype);
    if (XML_Parse(w->parser, xml, (int)len, 1) != XML_STATUS_OK && w->failed == 0)
        w->failed = -EPROTO;
    XML_ParserFree(w->parser);
    buffer_release(&w->text);
    return w->failed;
}

static int read_number(const char *text, uint64_t *ret)
{
    uint64_t n = 0;
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 18 || text[len])
        return -EPROTO;
    for (; *text; text++)
        n = n * 10 + (uint64_t)(*text - '0');
    *ret = n;
    return 0;
}

/* One more at the end, zeroed; NULL beyond the bound. */
static void *grow(void *all, size_t *n, size_t *room, size_t size, size_t max,
                  void **ret_all)
{
    char *grown = all;

    if (*n == max)
        return NULL;
    if (*n == *room) {
        size_t more = *room ? *room * 2 : 64;

        grown = reallocarray(all, more, size);
        if (!grown)
            return NULL;
        *room = more;
        *ret_all = grown;
    }
    memset(grown + *n * size, 0, size);
    return grown + (*n)++ * size;
}

/* ---- blobs ---- */

struct list_walk {
    struct azure_list list;
    const char *prefix;
    struct object_entry entry; /* the one that is open */
    bool is_folder;
};

static void list_begin(struct walk *w, const char *element)
{
    struct list_walk *l = w->arg;

    if (!is_in(w, "Blobs"))
        return;
    free((char *)l->entry.name); /* of one that holds a list of its own */
    l->entry = (struct object_entry){ .is_prefix = strcmp(element, "BlobPrefix") == 0 };
    l->is_folder = false;
}

static void take_name(struct walk *w)
{
    CLEANUP(buffer_release) struct buffer decoded = BUFFER_INIT;
    struct list_walk *l = w->arg;
    const char *name = buffer_text(&w->text);
    size_t len = w->text.len, prefix_len = strlen(l->prefix);

    if (w->is_encoded) {
        decode_percent(&decoded, name, len);
        name = buffer_text(&decoded);
        len = decoded.len;
    }
    if (l->entry.name || memchr(name, '\0', len)
        || strncmp(name, l->prefix, prefix_len) != 0) {
        walk_fail(w, -EPROTO);
        return;
    }
    l->entry.name = strdup(name + prefix_len);
    if (!l->entry.name)
        walk_fail(w, -ENOMEM);
}

/* Here, unlike in a header, a tag stands without its quotes. */
static void take_etag(struct object_about *about, const char *text)
{
    const char *quote = *text == '"' || strncmp(text, "W/", 2) == 0 ? "" : "\"";

    snprintf(about->etag, sizeof(about->etag), "%s%s%s", quote, text, quote);
}

static void take_property(struct walk *w, const char *element)
{
    struct list_walk *l = w->arg;
    struct object_about *about = &l->entry.about;
    const char *text = buffer_text(&w->text);

    if (strcmp(element, "Content-Length") == 0) {
        if (*text && read_number(text, &about->size) < 0)
            walk_fail(w, -EPROTO);
    } else if (strcmp(element, "Last-Modified") == 0) {
        azure_date_read(text, &about->modified_s);
    } else if (strcmp(element, "Etag") == 0) {
        take_etag(about, text);
    } else if (strcmp(element, "AccessTier") == 0) {
        snprintf(about->tier, sizeof(about->tier), "%s", text);
    } else if (strcmp(element, "ResourceType") == 0) {
        l->is_folder = strcmp(text, "directory") == 0;
    }
}

/* Hot is what an account has unless it says otherwise. */
static void put_entry(struct walk *w)
{
    struct list_walk *l = w->arg;
    struct azure_list *list = &l->list;
    struct object_entry *to;
    void *all = list->entries;

    if (!l->entry.name) {
        walk_fail(w, -EPROTO);
        return;
    }
    if (l->is_folder && !l->entry.is_prefix) {
        free((char *)TAKE(l->entry.name));
        return;
    }
    to = grow(list->entries, &list->n, &list->room, sizeof(*to), AZURE_LIST_MAX, &all);
    list->entries = all;
    if (!to) {
        walk_fail(w, -EPROTO);
        return;
    }
    if (strcmp(l->entry.about.tier, "Hot") == 0)
        l->entry.about.tier[0] = '\0';
    *to = l->entry;
    l->entry.name = NULL;
}

static void list_end(struct walk *w, const char *element)
{
    struct list_walk *l = w->arg;

    if (is_in(w, "Properties"))
        take_property(w, element);
    else if (strcmp(element, "Name") == 0
             && (is_in(w, "Blob") || is_in(w, "BlobPrefix")))
        take_name(w);
    else if (is_in(w, "Blobs"))
        put_entry(w);
    else if (strcmp(element, "NextMarker") == 0 && w->depth == 1 && w->text.len > 0
             && !l->list.next)
        l->list.next = strdup(buffer_text(&w->text));
    else if (w->depth == 0 && strcmp(element, "EnumerationResults") != 0)
        walk_fail(w, -EPROTO);
}

static int compare_entries(const void *a, const void *b)
{
    const struct object_entry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

void azure_list_release(struct azure_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free((char *)list->entries[i].name);
    free(list->entries);
    free(list->next);
    *list = (struct azure_list){ .n = 0 };
}

int azure_list_read(const char *xml, size_t len, const char *prefix,
                    struct azure_list *ret_list, struct error *ret_error)
{
    struct list_walk l = { .prefix = prefix };
    struct walk w = { .on_begin = list_begin, .on_end = list_end, .arg = &l };
    int r = walk(&w, xml, len);

    free((char *)l.entry.name);
    if (r < 0) {
        azure_list_release(&l.list);
        return r == -ENOMEM ? r
                            : fail(ret_error, -EPROTO,
                                   "azure: what was answered is no list of blobs; "
                                   "does the endpoint belong to Azure Blob?");
    }
    if (l.list.n > 0)
        qsort(l.list.entries, l.list.n, sizeof(*l.list.entries), compare_entries);
    *ret_list = l.list;
    return 0;
}

/* ---- blocks ---- */

static void blocks_begin(struct walk *w, const char *element)
{
    struct azure_blocks *blocks = w->arg;
    struct azure_block *block;
    void *all = blocks->all;

    if (strcmp(element, "Block") != 0)
        return;
    block = grow(blocks->all, &blocks->n, &blocks->room, sizeof(*block),
                 AZURE_BLOCKS_MAX, &all);
    blocks->all = all;
    if (!block)
        walk_fail(w, -EPROTO);
    else
        block->is_committed = is_in(w, "CommittedBlocks");
}

static void blocks_end(struct walk *w, const char *element)
{
    struct azure_blocks *blocks = w->arg;
    struct azure_block *block = blocks->n > 0 ? &blocks->all[blocks->n - 1] : NULL;
    const char *text = buffer_text(&w->text);

    if (w->depth == 0 && strcmp(element, "BlockList") != 0) {
        walk_fail(w, -EPROTO);
    } else if (block && is_in(w, "Block")) {
        if (strcmp(element, "Name") == 0 && w->text.len < sizeof(block->id))
            memcpy(block->id, text, w->text.len + 1);
        else if (strcmp(element, "Size") != 0 || read_number(text, &block->size) < 0)
            walk_fail(w, -EPROTO);
    }
}

void azure_blocks_release(struct azure_blocks *blocks)
{
    free(blocks->all);
    *blocks = (struct azure_blocks){ .n = 0 };
}

int azure_blocks_read(const char *xml, size_t len, struct azure_blocks *ret_blocks,
                      struct error *ret_error)
{
    struct azure_blocks blocks = { .n = 0 };
    struct walk w = { .on_begin = blocks_begin, .on_end = blocks_end, .arg = &blocks };
    int r = walk(&w, xml, len);

    if (r < 0) {
        azure_blocks_release(&blocks);
        return r == -ENOMEM ? r
                            : fail(ret_error, -EPROTO,
                                   "azure: what was answered is no list of blocks; "
                                   "does the endpoint belong to Azure Blob?");
    }
    *ret_blocks = blocks;
    return 0;
}

/* ---- errors ---- */

/* Only what a terminal and a log may show; the first line alone. */
static void copy_line(char *to, size_t size, const char *text)
{
    size_t n = 0;

    for (; *text && *text != '\r' && *text != '\n' && n + 1 < size; text++)
        to[n++] = (unsigned char)*text < ' ' || *text == 127 ? ' ' : *text;
    to[n] = '\0';
}

static void said_end(struct walk *w, const char *element)
{
    struct azure_said *said = w->arg;
    const char *text = buffer_text(&w->text);

    if (w->depth != 1)
        return;
    if (strcmp(element, "Code") == 0)
        copy_line(said->code, sizeof(said->code), text);
    else if (strcmp(element, "Message") == 0)
        copy_line(said->message, sizeof(said->message), text);
    else if (strcmp(element, "AuthenticationErrorDetail") == 0)
        copy_line(said->detail, sizeof(said->detail), text);
}

void azure_said_read(const char *xml, size_t len, struct azure_said *ret_said)
{
    struct azure_said said = { .code = "" };
    struct walk w = { .on_end = said_end, .arg = &said };

    if (walk(&w, xml, len) < 0 && !said.code[0])
        said = (struct azure_said){ .code = "" };
    *ret_said = said;
}
