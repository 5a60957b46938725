/* SPDX-License-Identifier: Apache-2.0 */
#include "node/audit.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "flow/text.h"
#include "store/digest.h"

static const char head_mark[] = "mesh-audit 1 ";

enum { DIGEST_DIGITS = DIGEST_TEXT_SIZE - 1 };

/* ---- words ---- */

static const char *const verdict_names[] = {
    [AUDIT_DONE] = "done",
    [AUDIT_REFUSED] = "refused",
    [AUDIT_FAILED] = "failed",
};

static const char *const way_names[] = {
    [AUDIT_BY_SOCKET] = "socket",   [AUDIT_BY_TOKEN] = "token",
    [AUDIT_BY_PEER] = "peer",       [AUDIT_BY_TASK] = "task",
    [AUDIT_BY_PROCESS] = "process", [AUDIT_BY_MESH] = "mesh",
};

static unsigned find_word(const char *const *words, size_t n, const char *word)
{
    for (unsigned i = 1; i < n; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return 0;
}

const char *audit_verdict_name(enum audit_verdict v)
{
    return verdict_names[v];
}

enum audit_verdict audit_verdict_parse(const char *name)
{
    return (enum audit_verdict)find_word(verdict_names, ARRAY_SIZE(verdict_names),
                                         name);
}

const char *audit_way_name(enum audit_way w)
{
    return way_names[w];
}

const char *audit_fault_sentence(enum audit_fault f)
{
    static const char *const sentences[] = {
        [AUDIT_GOOD] = "",
        [AUDIT_NO_HEAD] = "the file does not begin as one of these does",
        [AUDIT_GAP] = "entries before it are missing",
        [AUDIT_CHANGED] = "it was changed, or what stood before it",
        [AUDIT_UNREADABLE] = "it is no entry",
        [AUDIT_CUT] = "the end of its line is missing",
    };

    return sentences[f];
}

/* ---- writing ---- */

static struct digest link_of(const struct digest *before, const char *json, size_t len)
{
    uint8_t bytes[DIGEST_SIZE + AUDIT_LINE_MAX];

    memcpy(bytes, before->bytes, DIGEST_SIZE);
    memcpy(bytes + DIGEST_SIZE, json, len);
    return digest_part(bytes, DIGEST_SIZE + len);
}

static void put_text(struct buffer *out, const char *key, const char *text, size_t max)
{
    size_t len = text ? strnlen(text, max) : 0;

    if (!len)
        return;
    buffer_printf(out, ",\"%s\":", key);
    text_write_json(text, len, out);
}

static void put_entry(struct buffer *out, const struct audit_entry *e)
{
    buffer_printf(out, "{\"number\":%" PRIu64 ",\"wall_us\":%" PRIu64, e->number,
                  (uint64_t)e->wall);
    put_text(out, "verb", e->verb, AUDIT_VERB_MAX);
    buffer_printf(out, ",\"verdict\":\"%s\",\"way\":\"%s\"", verdict_names[e->verdict],
                  way_names[e->way]);
    put_text(out, "user", e->user, AUDIT_TEXT_MAX);
    put_text(out, "from", e->from, AUDIT_TEXT_MAX);
    put_text(out, "about", e->about, AUDIT_TEXT_MAX);
    put_text(out, "why", e->why, AUDIT_TEXT_MAX);
    if (e->n_unsaid)
        buffer_printf(out, ",\"unsaid\":%" PRIu64, e->n_unsaid);
    buffer_putc(out, '}');
}

int audit_write(struct audit_chain *chain, struct audit_entry *e, struct buffer *out)
{
    /* A byte may become six: then two texts have room, and four have not. */
    CLEANUP(buffer_release)
    struct buffer json = { .bytes_max = AUDIT_LINE_MAX - DIGEST_DIGITS - 2 };
    struct audit_entry next = *e;
    char text[DIGEST_TEXT_SIZE];
    struct digest digest;
    size_t before = out->len;

    next.number = chain->number + 1;
    put_entry(&json, &next);
    if (buffer_failed(&json) == -E2BIG) {
        buffer_clear(&json);
        next.why = next.about = NULL;
        put_entry(&json, &next);
    }
    if (buffer_failed(&json))
        return buffer_failed(&json);
    digest = link_of(&chain->digest, json.data, json.len);
    digest_text(&digest, text);
    if (buffer_printf(out, "%s %s\n", text, json.data) < 0) {
        out->len = before;
        return -ENOMEM;
    }
    e->number = next.number;
    chain->number = next.number;
    chain->digest = digest;
    return 0;
}

int audit_write_head(const struct audit_chain *chain, struct buffer *out)
{
    char text[DIGEST_TEXT_SIZE];

    digest_text(&chain->digest, text);
    return buffer_printf(out, "%s%" PRIu64 " %s\n", head_mark, chain->number, text);
}

/* ---- reading ---- */

struct reading {
    struct audit_chain *chain;
    audit_each_fn *each;
    void *arg;
};

static bool read_digest(const char *text, size_t len, struct digest *ret)
{
    char digits[DIGEST_TEXT_SIZE];

    if (len < DIGEST_DIGITS)
        return false;
    memcpy(digits, text, DIGEST_DIGITS);
    digits[DIGEST_DIGITS] = '\0';
    return digest_parse(digits, ret) == 0;
}

static bool read_number(const char **at, const char *end, uint64_t *ret)
{
    uint64_t n = 0;
    const char *p = *at;

    while (p < end && *p >= '0' && *p <= '9' && p - *at < 19)
        n = 10 * n + (uint64_t)(*p++ - '0');
    if (p == *at)
        return false;
    *at = p;
    *ret = n;
    return true;
}

static bool read_head(const char *line, size_t len, struct audit_chain *ret)
{
    const size_t mark = sizeof(head_mark) - 1;
    const char *at = line + mark, *end = line + len;

    return len > mark && memcmp(line, head_mark, mark) == 0
           && read_number(&at, end, &ret->number)
           && (size_t)(end - at) == 1 + DIGEST_DIGITS && *at == ' '
           && read_digest(at + 1, DIGEST_DIGITS, &ret->digest);
}

/* The chain has moved on: `number` is of what was expected. */
static int tell(const struct reading *r, uint64_t number, enum audit_fault fault)
{
    const struct audit_entry none = { .number = number };

    return r->each(r->arg, &none, fault);
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text ? text : "";
}

static uint64_t number_of(const json_t *json, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(json, key));

    return n > 0 ? (uint64_t)n : 0;
}

static bool fill(const json_t *json, struct audit_entry *ret)
{
    *ret = (struct audit_entry){
        .number = number_of(json, "number"),
        .wall = number_of(json, "wall_us"),
        .verdict = audit_verdict_parse(text_of(json, "verdict")),
        .way = (enum audit_way)find_word(way_names, ARRAY_SIZE(way_names),
                                         text_of(json, "way")),
        .verb = text_of(json, "verb"),
        .user = text_of(json, "user"),
        .from = text_of(json, "from"),
        .about = text_of(json, "about"),
        .why = text_of(json, "why"),
        .n_unsaid = number_of(json, "unsaid"),
    };
    return ret->number && ret->verdict && ret->way && *ret->verb;
}

static bool split(const char *line, size_t len, struct digest *ret_digest)
{
    return len >= DIGEST_DIGITS + 2 && len < AUDIT_LINE_MAX
           && line[DIGEST_DIGITS] == ' ' && read_digest(line, len, ret_digest);
}

static json_t *read_json(const char *line, size_t len, struct audit_entry *ret)
{
    json_t *json = json_loadb(line + DIGEST_DIGITS + 1, len - DIGEST_DIGITS - 1,
                              JSON_REJECT_DUPLICATES, NULL);

    if (json && fill(json, ret))
        return json;
    json_decref(json);
    return NULL;
}

static int read_entry(const struct reading *r, const char *line, size_t len)
{
    struct audit_chain *chain = r->chain;
    uint64_t expected = ++chain->number;
    struct digest said, is;
    struct audit_entry e;
    json_t *json;
    int result;

    if (!split(line, len, &said))
        return tell(r, expected, AUDIT_UNREADABLE);
    is = link_of(&chain->digest, line + DIGEST_DIGITS + 1, len - DIGEST_DIGITS - 1);
    chain->digest = said;
    json = read_json(line, len, &e);
    if (!json)
        return tell(r, expected, AUDIT_UNREADABLE);
    chain->number = e.number;
    if (e.number != expected)
        result = tell(r, expected, AUDIT_GAP);
    else if (!digest_equal(&is, &said))
        result = tell(r, expected, AUDIT_CHANGED);
    else
        result = r->each(r->arg, &e, AUDIT_GOOD);
    json_decref(json);
    return result;
}

static int read_first(const struct reading *r, const char *line, size_t len)
{
    struct audit_chain before = *r->chain, said;

    if (!read_head(line, len, &said))
        return tell(r, before.number + 1, AUDIT_NO_HEAD);
    *r->chain = said;
    if (!before.number
        || (said.number == before.number && digest_equal(&said.digest, &before.digest)))
        return 0;
    return tell(r, before.number + 1,
                said.number > before.number ? AUDIT_GAP : AUDIT_CHANGED);
}

bool audit_read_last(const char *line, size_t len, struct audit_chain *ret)
{
    struct audit_entry e;
    json_t *json;

    if (read_head(line, len, ret))
        return true;
    json = split(line, len, &ret->digest) ? read_json(line, len, &e) : NULL;
    if (!json)
        return false;
    ret->number = e.number;
    json_decref(json);
    return true;
}

int audit_read(const char *text, size_t len, struct audit_chain *chain,
               audit_each_fn *each, void *arg)
{
    const struct reading r = { .chain = chain, .each = each, .arg = arg };
    const char *at = text, *end = text + len;
    int result = 0;

    while (result == 0 && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));

        if (!newline)
            return tell(&r, chain->number + 1, AUDIT_CUT);
        result = at == text ? read_first(&r, at, (size_t)(newline - at))
                            : read_entry(&r, at, (size_t)(newline - at));
        at = newline + 1;
    }
    return result;
}

/* ---- the gate ---- */

bool audit_gate_pass(struct audit_gate *g, time_us now, uint64_t *ret_unsaid)
{
    if (g->full_at < now)
        g->full_at = now;
    if (g->full_at - now > TIME_S(AUDIT_GATE_BURST - 1)) {
        g->n_unsaid++;
        return false;
    }
    g->full_at += TIME_S(1);
    *ret_unsaid = g->n_unsaid;
    g->n_unsaid = 0;
    return true;
}
