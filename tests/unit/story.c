/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/story.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/story_sketch.h"

enum {
    RUNS_MAX = 100,
    TASK_DEFAULT_MS = 10,
    TERM_MS = 5,
    NAME_SIZE = TASK_TEXT_SIZE + 80
};

struct rule {
    char *prefix, *behaviour;
};

struct behaviour {
    time_us takes;
    enum reason reason;
    int exit_code, signal;
    uint64_t width;
    bool has_width, is_stubborn, is_ok_on_term, is_gone;
    char choice[64];
};

struct running {
    bool is_used;
    char name[NAME_SIZE];
    struct run_id run;
    struct task_id task;
    time_us ends;
    struct behaviour behaviour;
};

struct written {
    struct record_key key;
    char *value;
    size_t value_len;
};

struct story {
    struct story_config config;
    struct node_config node_config;
    struct node *node;
    struct outbox out;
    time_us now;
    uint64_t last_ticket;
    struct flow **flows;
    struct run_id *runs;
    unsigned n_runs;
    bool is_suspended[RUNS_MAX], is_cancelled[RUNS_MAX]; /* what the runtime keeps */
    struct rule *rules;
    size_t n_rules;
    struct running *running;
    struct written *written;
    size_t n_written;
    struct waiting { /* for its fence to be durable */
        time_us at;
        struct run_id run;
        uint32_t slot;
        uint64_t fence;
    } waiting[16]; /* a queue */
    size_t n_waiting;
    char *message; /* of the last end record */
    struct buffer trace, told;
};

/* ---- names ---- */

static unsigned number_of(const struct story *s, const struct run_id *id)
{
    for (unsigned i = 0; i < s->n_runs; i++)
        if (run_id_equal(&s->runs[i], id))
            return i + 1;
    abort();
}

static void name_of(const struct story *s, const struct run_id *run,
                    const struct task_id *task, uint32_t attempt, char ret[NAME_SIZE])
{
    const struct flow *f = s->flows[number_of(s, run) - 1];
    char text[TASK_TEXT_SIZE], prefix[16] = "";

    task_id_text(task, text);
    if (s->n_runs > 1)
        (void)snprintf(prefix, sizeof(prefix), "%u:", number_of(s, run));
    (void)snprintf(ret, NAME_SIZE, "%s%.40s/%s#%u", prefix, f->steps[task->step].name,
                   text, attempt);
}

static void say(struct story *s, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct story *s, const char *format, ...)
{
    char line[1024];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    buffer_printf(&s->trace, "[%5" PRIu64 "] %s\n", s->now / 1000, line);
}

/* ---- what tasks do ---- */

static char *next_word(char **rest)
{
    char *word;

    do
        word = strsep(rest, " ");
    while (word && !*word);
    return word;
}

static void read_word(struct behaviour *b, char *word, char **rest)
{
    if (*word >= '0' && *word <= '9') {
        b->takes = TIME_MS(strtoull(word, NULL, 10));
    } else if (strcmp(word, "exit") == 0) {
        b->reason = REASON_EXIT;
        b->exit_code = atoi(next_word(rest));
    } else if (strcmp(word, "signal") == 0) {
        b->reason = REASON_SIGNAL;
        b->signal = atoi(next_word(rest));
    } else if (strcmp(word, "lost") == 0) {
        b->reason = REASON_LOST;
    } else if (strcmp(word, "gone") == 0) {
        b->is_gone = true;
        b->takes = 0;
    } else if (strcmp(word, "oom") == 0) {
        b->reason = REASON_OOM;
    } else if (strcmp(word, "width") == 0) {
        b->has_width = true;
        b->width = strtoull(next_word(rest), NULL, 10);
    } else if (strcmp(word, "choose") == 0) {
        (void)snprintf(b->choice, sizeof(b->choice), "%s", next_word(rest));
    } else if (strcmp(word, "stubborn") == 0) {
        b->is_stubborn = true;
    } else if (strcmp(word, "ok-on-term") == 0) {
        b->is_ok_on_term = true;
    } else {
        fprintf(stderr, "story: what is '%s'?\n", word);
        abort();
    }
}

static struct behaviour behaviour_of(const struct story *s, const char *name)
{
    struct behaviour b = { .takes = TIME_MS(TASK_DEFAULT_MS), .reason = REASON_OK };

    for (size_t i = s->n_rules; i-- > 0;) {
        CLEANUP(freep) char *words = NULL;
        char *rest;

        if (strncmp(name, s->rules[i].prefix, strlen(s->rules[i].prefix)) != 0)
            continue;
        rest = words = strdup(s->rules[i].behaviour);
        for (char *word; (word = next_word(&rest));)
            read_word(&b, word, &rest);
        break;
    }
    return b;
}

void story_task(struct story *s, const char *prefix, const char *behaviour)
{
    s->rules = realloc(s->rules, (s->n_rules + 1) * sizeof(s->rules[0]));
    assert(s->rules);
    s->rules[s->n_rules++] = (struct rule){ strdup(prefix), strdup(behaviour) };
}

/* ---- carrying actions out ---- */

static void on_start(struct story *s, const struct action *a)
{
    struct running *t = &s->running[a->slot];

    assert(!t->is_used);
    *t = (struct running){ .is_used = true, .run = a->run, .task = a->task };
    name_of(s, &a->run, &a->task, a->attempt, t->name);
    t->behaviour = behaviour_of(s, t->name);
    t->ends = s->now + t->behaviour.takes;
    if (a->u.start.fence)
        say(s, "start %s slot %u fence %" PRIu64, t->name, a->slot, a->u.start.fence);
    else if (a->u.start.gpus)
        say(s, "start %s slot %u gpus %" PRIx64, t->name, a->slot, a->u.start.gpus);
    else
        say(s, "start %s slot %u", t->name, a->slot);
}

static void on_kill(struct story *s, const struct action *a)
{
    struct running *t = &s->running[a->slot];
    bool is_final = a->u.kill.signal == SIGKILL;
    time_us ends = s->now + (is_final ? 0 : TIME_MS(TERM_MS));

    assert(t->is_used && task_id_equal(&t->task, &a->task));
    say(s, "kill %s %s, %s", t->name, is_final ? "KILL" : "TERM",
        reason_name(a->u.kill.why));
    if ((!is_final && t->behaviour.is_stubborn) || ends >= t->ends)
        return;
    t->ends = ends;
    if (t->behaviour.is_ok_on_term && !is_final)
        return;
    t->behaviour.reason = a->u.kill.why;
    t->behaviour.exit_code = 0;
    t->behaviour.signal = a->u.kill.signal;
}

static struct written *find_written(struct story *s, const struct action *a)
{
    for (size_t i = 0; i < s->n_written; i++)
        if (s->written[i].key.len == a->u.persist.key_len
            && memcmp(s->written[i].key.bytes, a->u.persist.key, a->u.persist.key_len)
                   == 0)
            return &s->written[i];
    return NULL;
}

static void write_again(struct written *w, const struct action *a)
{
    w->value_len = a->u.persist.value_len;
    w->value = realloc(w->value, w->value_len + 1);
    assert(w->value);
    memcpy(w->value, a->u.persist.value, w->value_len);
}

static void on_persist(struct story *s, const struct action *a)
{
    struct written *w;

    assert(a->ticket == s->last_ticket + 1);
    s->last_ticket = a->ticket;
    w = find_written(s, a);
    /* Only a fence, and what is said to be written again, is written twice. */
    assert(!w || a->u.persist.is_again || w->key.bytes[0] == 'f');
    assert(w || !a->u.persist.is_again);
    if (w) {
        write_again(w, a);
        return;
    }
    if ((s->n_written & (s->n_written - 1)) == 0) /* twice the room, when it is full */
        s->written =
            realloc(s->written, (2 * s->n_written + 1) * sizeof(s->written[0]));
    assert(s->written);
    w = &s->written[s->n_written++];
    w->key.len = a->u.persist.key_len;
    memcpy(w->key.bytes, a->u.persist.key, w->key.len);
    w->value_len = a->u.persist.value_len;
    w->value = malloc(w->value_len + 1);
    assert(w->value);
    memcpy(w->value, a->u.persist.value, w->value_len);
    if (w->key.bytes[0] == 'e') {
        struct run_end_record end;

        assert(run_end_record_decode(w->value, w->value_len, &end) == 0);
        free(s->message);
        s->message = end.message ? strdup(end.message) : NULL;
        run_end_record_release(&end);
    }
}

static const char *verdict_name(enum verdict v)
{
    static const char *const names[] = { [VERDICT_DONE] = "done",
                                         [VERDICT_FAILED] = "failed",
                                         [VERDICT_LOST] = "lost",
                                         [VERDICT_CAUGHT] = "caught",
                                         [VERDICT_ADOPTED] = "adopted" };

    return names[v];
}

static void tell_ended(struct story *s, const struct action *a)
{
    char name[NAME_SIZE], retry[64] = "";

    if (s->config.is_quiet && a->u.tell.verdict == VERDICT_DONE)
        return;
    name_of(s, &a->run, &a->task, a->attempt, name);
    if (a->u.tell.is_retried)
        (void)snprintf(retry, sizeof(retry), ", again in %" PRIu64 " ms",
                       a->u.tell.retry_in_us / 1000);
    if (a->u.tell.reason == REASON_OK)
        say(s, "%s %s", name, verdict_name(a->u.tell.verdict));
    else
        say(s, "%s %s, %s%s", name, verdict_name(a->u.tell.verdict),
            reason_name(a->u.tell.reason), retry);
}

static void on_tell(struct story *s, const struct action *a)
{
    switch (a->u.tell.type) {
    case TELL_RUN_ACCEPTED:
        assert(a->ticket);
        break;
    case TELL_RUN_TORN:
        say(s, "run is to be read back");
        break;
    case TELL_TASK_TORN:
    case TELL_RUN_NUMBERED:
        break;
    case TELL_TASK_STARTED:
        assert(!a->ticket && s->running[a->slot].is_used);
        break;
    case TELL_TASK_ENDED:
        assert(a->ticket && a->ticket <= s->last_ticket);
        tell_ended(s, a);
        break;
    case TELL_RUN_ENDED:
        assert(a->ticket && a->ticket <= s->last_ticket);
        if (s->n_runs > 1)
            say(s, "run %u %s%s%s", number_of(s, &a->run),
                run_outcome_name(a->u.tell.outcome), s->message ? ": " : "",
                s->message ? s->message : "");
        else
            say(s, "run %s%s%s", run_outcome_name(a->u.tell.outcome),
                s->message ? ": " : "", s->message ? s->message : "");
        break;
    case TELL_RUN_REFUSED:
        assert(false);
        break;
    }
}

static void on_fenced(struct story *s, const struct action *a)
{
    assert(a->ticket == s->last_ticket && s->n_waiting < ARRAY_SIZE(s->waiting));
    s->waiting[s->n_waiting++] =
        (struct waiting){ s->now + TIME_MS(1), a->run, a->slot, a->u.fence };
}

static void tell_node(struct story *s, struct event *event)
{
    event->now = s->now;
    event->wall = TIME_S(1000) + s->now;
    assert(node_step(s->node, event, &s->out) == 0);
    for (size_t i = 0; i < s->out.n; i++) {
        const struct action *a = &s->out.actions[i];

        switch (a->type) {
        case ACTION_START:
            on_start(s, a);
            break;
        case ACTION_KILL:
            on_kill(s, a);
            break;
        case ACTION_PERSIST:
            on_persist(s, a);
            break;
        case ACTION_TELL:
            on_tell(s, a);
            break;
        case ACTION_FENCED:
            on_fenced(s, a);
            break;
        default: /* of a node with others */
            break;
        }
    }
    outbox_clear(&s->out);
}

/* ---- time ---- */

static struct running *next_end(struct story *s)
{
    struct running *next = NULL;

    for (uint32_t i = 0; i < s->config.slots; i++)
        if (s->running[i].is_used && (!next || s->running[i].ends < next->ends))
            next = &s->running[i];
    return next;
}

static void end_task(struct story *s, struct running *t)
{
    const struct behaviour *b = &t->behaviour;
    struct attempt_record record = { .reason = b->reason,
                                     .exit_code = b->exit_code,
                                     .signal = b->signal,
                                     .ended_wall = TIME_S(1000) + s->now,
                                     .has_width = b->has_width,
                                     .width = b->width };
    struct event event = { .type = b->is_gone ? EVENT_INPUT_GONE : EVENT_TASK_ENDED,
                           .run = t->run };

    if (*b->choice)
        record.choice = strdup(b->choice);
    event.u.ended.slot = (uint32_t)(t - s->running);
    event.u.ended.record = &record;
    t->is_used = false;
    tell_node(s, &event);
    attempt_record_release(&record);
}

static void tell_fenced(struct story *s)
{
    struct event event = { .type = EVENT_FENCED, .run = s->waiting[0].run };

    event.u.fenced.slot = s->waiting[0].slot;
    event.u.fenced.fence = s->waiting[0].fence;
    s->n_waiting--;
    memmove(s->waiting, s->waiting + 1, s->n_waiting * sizeof(s->waiting[0]));
    tell_node(s, &event);
}

static time_us next_time(struct story *s)
{
    struct running *t = next_end(s);
    time_us deadline = node_deadline(s->node);

    if (s->n_waiting && s->waiting[0].at < deadline)
        deadline = s->waiting[0].at;
    return t && t->ends < deadline ? t->ends : deadline;
}

bool story_step(struct story *s)
{
    struct running *t = next_end(s);
    time_us at = next_time(s);

    if (at == TIME_NEVER)
        return false;
    s->now = at > s->now ? at : s->now;
    if (t && t->ends == at)
        end_task(s, t);
    else if (s->n_waiting && s->waiting[0].at <= at)
        tell_fenced(s);
    else
        tell_node(s, &(struct event){ .type = EVENT_TICK });
    return true;
}

void story_run(struct story *s)
{
    while (story_step(s))
        ;
}

void story_run_until(struct story *s, uint64_t ms)
{
    while (next_time(s) < TIME_MS(ms) && story_step(s))
        ;
    s->now = TIME_MS(ms);
}

/* ---- runs ---- */

static unsigned submit(struct story *s, const char *sketch, const char *user,
                       uint32_t share, bool is_held)
{
    uint8_t random[10] = { (uint8_t)(s->n_runs >> 8), (uint8_t)s->n_runs };
    struct event event = { .type = EVENT_SUBMIT };
    struct run_record record = { .number = s->n_runs + 1 };

    assert(s->n_runs < RUNS_MAX);
    s->flows = realloc(s->flows, (s->n_runs + 1) * sizeof(s->flows[0]));
    s->runs = realloc(s->runs, (s->n_runs + 1) * sizeof(s->runs[0]));
    assert(s->flows && s->runs);
    s->flows[s->n_runs] = sketch_flow(sketch);
    s->runs[s->n_runs] = run_id_make(1000 + s->n_runs, random);
    record.run = event.run = s->runs[s->n_runs];
    record.flow_name = record.flow_path = s->flows[s->n_runs]->name;
    record.flow_text = (char[]){ "" };
    record.user = (char *)user;
    record.share = share;
    event.u.submit.record = &record;
    event.u.submit.flow = s->flows[s->n_runs++];
    event.u.submit.is_held = is_held;
    tell_node(s, &event);
    return s->n_runs;
}

unsigned story_submit(struct story *s, const char *sketch)
{
    return submit(s, sketch, "me", 0, false);
}

unsigned story_submit_as(struct story *s, const char *user, uint32_t share,
                         const char *sketch)
{
    return submit(s, sketch, user, share, false);
}

unsigned story_submit_held(struct story *s, const char *sketch)
{
    return submit(s, sketch, "me", 0, true);
}

static struct task_id task_of(const struct flow *f, const char *name)
{
    const char *slash = strchr(name, '/');
    struct task_id id;

    for (uint32_t i = 0; i < f->n_all_steps; i++) {
        const struct step *step = &f->steps[i];

        if (strncmp(step->name, name, (size_t)(slash - name)) != 0
            || step->name[slash - name])
            continue;
        assert(task_id_parse(slash + 1, i, f->scopes[step->scope].depth, &id) == 0);
        return id;
    }
    abort();
}

void story_adopt(struct story *s, unsigned run, const char *task, uint64_t width)
{
    struct attempt_record record = { .run = run_id_make(1, (uint8_t[10]){ 0 }),
                                     .task = task_of(s->flows[run - 1], task),
                                     .attempt = 3,
                                     .verdict = VERDICT_DONE,
                                     .reason = REASON_OK,
                                     .has_width = width != UINT64_MAX,
                                     .width = width };

    tell_node(s, &(struct event){ .type = EVENT_ADOPT,
                                  .run = s->runs[run - 1],
                                  .u.attempt = &record });
}

void story_release(struct story *s, unsigned run)
{
    tell_node(s, &(struct event){ .type = EVENT_RELEASE, .run = s->runs[run - 1] });
}

static bool read_counted(const struct written *w, const struct run_id *run,
                         const struct task_id *task, struct attempt_record *ret)
{
    struct attempt_record r = { .attempt = 0 };
    bool is_it =
        w->key.bytes[0] == 'a' && attempt_record_decode(w->value, w->value_len, &r) == 0
        && attempt_key_decode(w->key.bytes, w->key.len, &r.run, &r.task, &r.attempt)
               == 0
        && run_id_equal(&r.run, run) && task_id_equal(&r.task, task)
        && r.verdict != VERDICT_FAILED && r.verdict != VERDICT_LOST;

    if (is_it)
        *ret = r;
    else
        attempt_record_release(&r);
    return is_it;
}

void story_lose(struct story *s, unsigned run, const char *name)
{
    struct task_id task = task_of(s->flows[run - 1], name);

    say(s, "lose %s", name);
    for (size_t i = 0; i < s->n_written; i++) {
        CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };

        if (!read_counted(&s->written[i], &s->runs[run - 1], &task, &r))
            continue;
        tell_node(s, &(struct event){ .type = EVENT_UNDO,
                                      .run = r.run,
                                      .u.undo = { &r, "its output 'x' was lost" } });
        return;
    }
}

void story_cancel(struct story *s, unsigned run)
{
    say(s, "cancel");
    s->is_cancelled[run - 1] = true;
    tell_node(s, &(struct event){ .type = EVENT_CANCEL, .run = s->runs[run - 1] });
}

static void tell_run(struct story *s, unsigned run, enum event_type type)
{
    tell_node(s, &(struct event){ .type = type, .run = s->runs[run - 1] });
}

void story_suspend(struct story *s, unsigned run)
{
    say(s, "suspend");
    s->is_suspended[run - 1] = true;
    tell_run(s, run, EVENT_SUSPEND);
}

void story_unsuspend(struct story *s, unsigned run)
{
    say(s, "unsuspend");
    s->is_suspended[run - 1] = false;
    tell_run(s, run, EVENT_UNSUSPEND);
}

/* ---- restoring ---- */

static int compare_written(const void *a, const void *b)
{
    const struct written *x = *(struct written *const *)a;
    const struct written *y = *(struct written *const *)b;
    int order = memcmp(x->key.bytes, y->key.bytes, min_size(x->key.len, y->key.len));

    return order ? order : (x->key.len > y->key.len) - (x->key.len < y->key.len);
}

static bool has_ended(const struct story *s, const struct run_id *run)
{
    struct record_key key = run_end_key(run);

    for (size_t i = 0; i < s->n_written; i++)
        if (s->written[i].key.len == key.len
            && memcmp(s->written[i].key.bytes, key.bytes, key.len) == 0)
            return true;
    return false;
}

/* Steps the node, or the story's own when node is NULL. */
static void restore_event(struct story *s, struct node *node, struct outbox *out,
                          struct event *event)
{
    if (!node) {
        tell_node(s, event);
        return;
    }
    event->now = s->now;
    event->wall = TIME_S(1000) + s->now;
    assert(node_step(node, event, out) == 0);
    outbox_clear(out);
}

static void restore_run(struct story *s, struct node *node, struct outbox *out,
                        const struct written *w)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    struct event event = { .type = EVENT_RESTORE_RUN };

    assert(run_record_decode(w->value, w->value_len, &record) == 0);
    memcpy(record.run.bytes, w->key.bytes + 1, RUN_ID_SIZE);
    if (has_ended(s, &record.run))
        return;
    event.run = record.run;
    event.u.submit.record = &record;
    event.u.submit.flow = s->flows[number_of(s, &record.run) - 1];
    restore_event(s, node, out, &event);
}

static void restore_attempt(struct story *s, struct node *node, struct outbox *out,
                            const struct written *w)
{
    CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };
    struct event event = { .type = EVENT_RESTORE_ATTEMPT, .u.attempt = &record };

    assert(attempt_record_decode(w->value, w->value_len, &record) == 0);
    assert(attempt_key_decode(w->key.bytes, w->key.len, &record.run, &record.task,
                              &record.attempt)
           == 0);
    event.run = record.run;
    restore_event(s, node, out, &event);
}

static void restore_fence(struct story *s, struct node *node, struct outbox *out,
                          const struct written *w)
{
    struct event event = { .type = EVENT_RESTORE_FENCE };

    assert(fence_record_decode(w->value, w->value_len, &event.u.fence.fence) == 0);
    assert(fence_key_decode(w->key.bytes, w->key.len, &event.run, &event.u.fence.task)
           == 0);
    restore_event(s, node, out, &event);
}

static void restore(struct story *s, struct node *node, struct outbox *out)
{
    size_t n = s->n_written;
    struct written **sorted = calloc(n + 1, sizeof(*sorted));

    assert(sorted);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &s->written[i];
    qsort(sorted, n, sizeof(*sorted), compare_written);
    for (size_t i = 0; i < n; i++)
        if (sorted[i]->key.bytes[0] == 'r')
            restore_run(s, node, out, sorted[i]);
    for (size_t i = 0; i < n; i++)
        if (sorted[i]->key.bytes[0] == 'a')
            restore_attempt(s, node, out, sorted[i]);
    for (size_t i = 0; i < n; i++)
        if (sorted[i]->key.bytes[0] == 'f')
            restore_fence(s, node, out, sorted[i]);
    free(sorted);
}

static void begin_anew(struct story *s, const char *how)
{
    say(s, "%s", how);
    node_free(s->node);
    s->node = node_new(&s->node_config);
    assert(s->node);
    s->last_ticket = 0;
    s->n_waiting = 0;
    restore(s, NULL, NULL);
}

static void end_restore(struct story *s)
{
    for (unsigned run = 1; run <= s->n_runs; run++) {
        if (s->is_suspended[run - 1])
            tell_run(s, run, EVENT_SUSPEND);
        if (s->is_cancelled[run - 1])
            tell_run(s, run, EVENT_CANCEL);
    }
    tell_node(s, &(struct event){ .type = EVENT_RESTORE_END });
}

void story_restart(struct story *s)
{
    begin_anew(s, "restart");
    for (uint32_t i = 0; i < s->config.slots; i++) {
        struct event e = { .type = EVENT_RESTORE_RUNNING, .run = s->running[i].run };

        if (!s->running[i].is_used)
            continue;
        e.u.running.task = s->running[i].task;
        e.u.running.attempt =
            (uint32_t)strtoul(strchr(s->running[i].name, '#') + 1, NULL, 10);
        e.u.running.slot = i;
        e.u.running.started = s->now;
        tell_node(s, &e);
    }
    end_restore(s);
}

void story_crash(struct story *s, bool is_told)
{
    struct running *before = s->running;

    s->running = calloc(s->config.slots, sizeof(s->running[0]));
    assert(s->running);
    begin_anew(s, "crash");
    for (uint32_t i = 0; is_told && i < s->config.slots; i++)
        if (before[i].is_used)
            tell_node(s, &(struct event){ .type = EVENT_RESTORE_LOST,
                                          .run = before[i].run,
                                          .u.task = before[i].task });
    free(before);
    end_restore(s);
}

void story_forget(struct story *s, size_t n)
{
    assert(n <= s->n_written);
    while (n--)
        free(s->written[--s->n_written].value);
}

uint64_t story_hash_restored(struct story *s)
{
    CLEANUP(outbox_release) struct outbox out = { .actions = NULL };
    CLEANUP(node_freep) struct node *node = node_new(&s->node_config);

    assert(node);
    restore(s, node, &out);
    restore_event(s, node, &out, &(struct event){ .type = EVENT_RESTORE_END });
    return node_hash(node);
}

/* ---- a story ---- */

struct story *story_new(const struct story_config *config)
{
    static char licence[] = "licence";
    static char *const names[] = { licence, NULL };
    struct story *s = calloc(1, sizeof(*s));
    struct story_config c = config ? *config : (struct story_config){ .slots = 0 };

    assert(s);
    c.slots = c.slots ? c.slots : 2;
    c.cpu_milli = c.cpu_milli ? c.cpu_milli : 1000000;
    c.memory_bytes = c.memory_bytes ? c.memory_bytes : 1ULL << 40;
    c.grace_us = c.grace_us ? c.grace_us : TIME_S(1);
    s->config = c;
    s->node_config = (struct node_config){
        .sharing = c.sharing,
        .capacity = { .cpu_milli = c.cpu_milli,
                      .gpu_milli = c.gpu_milli,
                      .memory_bytes = c.memory_bytes,
                      .custom = { { .name = 0, .milli = c.licence_milli } },
                      .n_custom = 1 },
        .custom_names = names,
        .slots_max = c.slots,
        .grace_us = c.grace_us,
    };
    s->running = calloc(c.slots, sizeof(s->running[0]));
    s->node = node_new(&s->node_config);
    assert(s->running && s->node);
    return s;
}

void story_free(struct story *s)
{
    node_free(s->node);
    for (unsigned i = 0; i < s->n_runs; i++)
        sketch_free(s->flows[i]);
    for (size_t i = 0; i < s->n_rules; i++) {
        free(s->rules[i].prefix);
        free(s->rules[i].behaviour);
    }
    for (size_t i = 0; i < s->n_written; i++)
        free(s->written[i].value);
    free(s->flows);
    free(s->runs);
    free(s->rules);
    free(s->written);
    free(s->running);
    free(s->message);
    outbox_release(&s->out);
    buffer_release(&s->trace);
    buffer_release(&s->told);
    free(s);
}

struct node *story_node(const struct story *s)
{
    return s->node;
}

const struct run_id *story_run_id(const struct story *s, unsigned run)
{
    return &s->runs[run - 1];
}

uint64_t story_now_ms(const struct story *s)
{
    return s->now / 1000;
}

size_t story_records(const struct story *s)
{
    return s->n_written;
}

const char *story_trace(struct story *s)
{
    buffer_clear(&s->told);
    buffer_append(&s->told, s->trace.data, s->trace.len);
    buffer_clear(&s->trace);
    return buffer_text(&s->told);
}
