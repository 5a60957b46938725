/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/story_sketch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_MAX = 20000, REFS_FOR_EVER = 1 << 30, CUSTOM_NAMES = 1 };

struct sketch {
    struct flow *flow;
    struct step *current;
};

static void *grow(void *array, size_t n, size_t size)
{
    void *grown = realloc(array, n * size);

    assert(grown);
    return grown;
}

static char *copy(const char *text)
{
    char *c = strdup(text);

    assert(c);
    return c;
}

static uint32_t find_step(const struct flow *f, const char *name)
{
    for (uint32_t i = f->n_all_steps; i-- > 0;)
        if (strcmp(f->steps[i].name, name) == 0)
            return i;
    fprintf(stderr, "sketch: no step '%s'\n", name);
    abort();
}

static uint32_t add_scope(struct flow *f, uint32_t opener)
{
    uint32_t parent = f->steps[opener].scope;

    f->scopes = grow(f->scopes, f->n_scopes + 1, sizeof(f->scopes[0]));
    f->scopes[f->n_scopes] = (struct scope){ .parent = parent,
                                             .depth = f->scopes[parent].depth + 1,
                                             .opener = opener,
                                             .closer = FLOW_NONE };
    return f->n_scopes++;
}

static uint64_t number(const char *text)
{
    return strtoull(text, NULL, 10);
}

/* ---- words ---- */

static unsigned when_of(const char *letters)
{
    unsigned when = 0;

    for (; *letters; letters++)
        when |= *letters == 'e'   ? RETRY_ERROR
                : *letters == 't' ? RETRY_TIMEOUT
                : *letters == 'l' ? RETRY_LOST
                                  : RETRY_OOM;
    return when;
}

static void read_codes(struct retry *retry, char *value)
{
    char *rest = value;

    for (char *code; (code = strsep(&rest, ","));) {
        retry->exit_codes = grow(retry->exit_codes, retry->n_exit_codes + 1,
                                 sizeof(retry->exit_codes[0]));
        retry->exit_codes[retry->n_exit_codes++] = (int)number(code);
    }
}

static void read_cases(struct step *s, char *value)
{
    char *rest = value;

    s->switch_by = copy("way");
    for (char *name; (name = strsep(&rest, ","));) {
        s->cases = grow(s->cases, s->n_cases + 1, sizeof(s->cases[0]));
        s->cases[s->n_cases++] = (struct switch_case){ .name = copy(name) };
    }
}

static bool retry_word(struct retry *retry, const char *word, char *value)
{
    if (strcmp(word, "retry") == 0)
        retry->times = (uint32_t)number(value);
    else if (strcmp(word, "delay") == 0)
        retry->delay_us = TIME_MS(number(value));
    else if (strcmp(word, "backoff") == 0)
        retry->backoff = strtod(value, NULL);
    else if (strcmp(word, "codes") == 0)
        read_codes(retry, value);
    else if (strcmp(word, "when") == 0)
        retry->when = when_of(value);
    else if (strcmp(word, "lost") == 0)
        retry->lost_max = (uint32_t)number(value);
    else
        return false;
    return true;
}

static bool resource_word(struct resources *r, const char *word, const char *value)
{
    if (strcmp(word, "cpu") == 0)
        r->cpu_milli = number(value);
    else if (strcmp(word, "memory") == 0)
        r->memory_bytes = number(value);
    else if (strcmp(word, "gpu") == 0)
        r->gpu_milli = number(value);
    else if (strcmp(word, "licence") == 0)
        r->custom[r->n_custom++].milli = number(value);
    else
        return false;
    return true;
}

static bool graph_word(struct sketch *k, const char *word, char *value)
{
    struct step *s = k->current;

    if (strcmp(word, "foreach") == 0) {
        s->foreach.kind = *value == '?' ? FOREACH_ARTIFACT : FOREACH_RANGE;
        s->foreach.width = *value == '?' ? 0 : number(value);
        s->foreach.artifact = copy("items");
    } else if (strcmp(word, "join") == 0) {
        s->joins = find_step(k->flow, value);
    } else if (strcmp(word, "switch") == 0) {
        read_cases(s, value);
    } else if (strcmp(word, "default") == 0) {
        s->description = copy(value); /* until all steps are known */
    } else if (strcmp(word, "max") == 0) {
        s->iterations_max = (uint32_t)number(value);
    } else {
        return false;
    }
    return true;
}

static bool other_word(struct step *s, const char *word, const char *value)
{
    if (strcmp(word, "timeout") == 0)
        s->timeout_us = TIME_MS(number(value));
    else if (strcmp(word, "catch") == 0)
        s->catch_var = copy("caught");
    else if (strcmp(word, "concurrency") == 0)
        s->concurrency = (uint32_t)number(value);
    else if (strcmp(word, "priority") == 0)
        s->priority = (uint32_t)number(value);
    else if (strcmp(word, "hook") == 0)
        s->is_hook = true;
    else if (strcmp(word, "exclusive") == 0)
        s->effect = EFFECT_EXCLUSIVE;
    else
        return false;
    return true;
}

static void read_step_word(struct sketch *k, char *word)
{
    char *value = strchr(word, '=');
    static char empty[1];

    if (value)
        *value++ = '\0';
    else
        value = empty;
    if (strcmp(word, "hook") == 0)
        *(strcmp(value, "error") == 0 ? &k->flow->on_error : &k->flow->on_success) =
            (uint32_t)(k->current - k->flow->steps);
    if (!graph_word(k, word, value) && !retry_word(&k->current->retry, word, value)
        && !resource_word(&k->current->resources, word, value)
        && !other_word(k->current, word, value)) {
        fprintf(stderr, "sketch: what is '%s'?\n", word);
        abort();
    }
}

static void read_flow_word(struct flow *f, char *word)
{
    char *value = strchr(word, '=');

    assert(value);
    *value++ = '\0';
    if (strcmp(word, "max_workers") == 0)
        f->max_workers = (uint32_t)number(value);
    else if (strcmp(word, "timeout") == 0)
        f->timeout_us = TIME_MS(number(value));
    else if (strcmp(word, "priority") == 0)
        f->priority = (uint32_t)number(value);
    else if (strcmp(word, "on_failure") == 0)
        f->on_failure = strcmp(value, "kill") == 0     ? ON_FAILURE_KILL
                        : strcmp(value, "finish") == 0 ? ON_FAILURE_FINISH
                                                       : ON_FAILURE_STOP;
    else
        abort();
}

/* ---- the graph ---- */

static void add_edge(struct flow *f, uint32_t from, uint32_t to)
{
    struct step *a = &f->steps[from], *b = &f->steps[to];

    b->before = grow(b->before, b->n_before + 1, sizeof(b->before[0]));
    b->before[b->n_before++] = from;
    a->after = grow(a->after, a->n_after + 1, sizeof(a->after[0]));
    a->after[a->n_after++] = to;
}

static uint32_t scope_behind(const struct step *s)
{
    return s->foreach.kind ? s->foreach.scope : s->scope;
}

/* The deepest scope of those before it, or the one around the split it joins. */
static void place_step(struct flow *f, uint32_t step)
{
    struct step *s = &f->steps[step];

    for (uint32_t i = 0; i < s->n_before; i++) {
        uint32_t scope = scope_behind(&f->steps[s->before[i]]);

        if (f->scopes[scope].depth > f->scopes[s->scope].depth)
            s->scope = scope;
    }
    if (s->joins != FLOW_NONE) {
        const struct step *opener = &f->steps[s->joins];

        s->scope = opener->scope;
        s->closes = opener->foreach.scope;
        f->scopes[s->closes].closer = step;
    }
    if (s->foreach.kind)
        s->foreach.scope = add_scope(f, step);
    if (!s->is_hook) {
        struct scope *scope = &f->scopes[s->scope];

        scope->steps = grow(scope->steps, scope->n_steps + 1, sizeof(scope->steps[0]));
        scope->steps[scope->n_steps++] = step;
    }
}

static void read_line(struct sketch *k, char *line)
{
    struct flow *f = k->flow;
    char *words = line, *name = strsep(&words, " ");
    size_t len = strlen(name);
    bool has_needs = len && name[len - 1] == ':';

    if (has_needs)
        name[len - 1] = '\0';
    assert(f->n_all_steps < STEPS_MAX);
    k->current = &f->steps[f->n_all_steps++];
    *k->current = (struct step){ .name = copy(name),
                                 .joins = FLOW_NONE,
                                 .closes = FLOW_NONE,
                                 .switch_default = FLOW_NONE,
                                 .retry = { .backoff = 1,
                                            .when = RETRY_ERROR | RETRY_TIMEOUT
                                                    | RETRY_LOST | RETRY_OOM,
                                            .lost_max = 3 } };
    for (char *word; (word = strsep(&words, " "));) {
        if (!*word)
            continue;
        if (has_needs && !strchr(word, '=') && strcmp(word, "catch") != 0
            && strcmp(word, "exclusive") != 0)
            add_edge(f, find_step(f, word), f->n_all_steps - 1);
        else
            read_step_word(k, word);
    }
    place_step(f, f->n_all_steps - 1);
    f->n_steps += !k->current->is_hook;
}

static void resolve_cases(struct flow *f)
{
    for (uint32_t i = 0; i < f->n_all_steps; i++) {
        struct step *s = &f->steps[i];

        for (uint32_t j = 0; j < s->n_cases; j++)
            s->cases[j].target = strcmp(s->cases[j].name, "again") == 0
                                     ? i
                                     : find_step(f, s->cases[j].name);
        if (s->description)
            s->switch_default =
                strcmp(s->description, "again") == 0 ? i : find_step(f, s->description);
    }
}

static struct flow *empty_flow(void)
{
    struct flow *f = calloc(1, sizeof(*f));

    assert(f);
    f->refs = REFS_FOR_EVER;
    f->name = copy("sketch");
    f->steps = calloc(STEPS_MAX, sizeof(f->steps[0]));
    f->scopes = calloc(1, sizeof(f->scopes[0]));
    f->custom_names = calloc(CUSTOM_NAMES + 1, sizeof(f->custom_names[0]));
    assert(f->steps && f->scopes && f->custom_names);
    f->custom_names[0] = copy("licence");
    f->n_custom_names = CUSTOM_NAMES;
    f->n_scopes = 1;
    f->scopes[0] =
        (struct scope){ .parent = FLOW_NONE, .opener = FLOW_NONE, .closer = FLOW_NONE };
    f->start = f->end = f->on_success = f->on_error = FLOW_NONE;
    f->on_failure = ON_FAILURE_STOP;
    return f;
}

struct flow *sketch_flow(const char *sketch)
{
    CLEANUP(freep) char *text = copy(sketch);
    struct sketch k = { .flow = empty_flow() };
    char *rest = text;

    for (char *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "flow ", 5) == 0) {
            char *words = line + 5;

            for (char *word; (word = strsep(&words, " "));)
                read_flow_word(k.flow, word);
        } else if (*line) {
            read_line(&k, line);
        }
    }
    resolve_cases(k.flow);
    return k.flow;
}

static void free_step(struct step *s)
{
    for (uint32_t i = 0; i < s->n_cases; i++)
        free(s->cases[i].name);
    free(s->cases);
    free(s->name);
    free(s->description);
    free(s->before);
    free(s->after);
    free(s->foreach.artifact);
    free(s->switch_by);
    free(s->catch_var);
    free(s->retry.exit_codes);
}

void sketch_free(struct flow *f)
{
    assert(f->refs == REFS_FOR_EVER);
    for (uint32_t i = 0; i < f->n_all_steps; i++)
        free_step(&f->steps[i]);
    for (uint32_t i = 0; i < f->n_scopes; i++)
        free(f->scopes[i].steps);
    free(f->custom_names[0]);
    free(f->custom_names);
    free(f->scopes);
    free(f->steps);
    free(f->name);
    free(f);
}
