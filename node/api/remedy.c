/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/remedy.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "node/api/measure.h"

enum {
    ADVICE_MAX = 4,
    EXIT_DO_NOT_RETRY = 202,
    EXIT_CANNOT_EXECUTE = 126,
    EXIT_NOT_FOUND = 127,
    EXIT_SIGNAL_BASE = 128, /* a shell's, for a command that a signal ended */
    SIGNAL_MAX = 64,
};

struct remedy {
    const struct step *step;
    const struct attempt_record *attempt;
    struct buffer sentence, paste;
    struct buffer advice[ADVICE_MAX];
    size_t n;
};

static void remedy_release(struct remedy *r)
{
    buffer_release(&r->sentence);
    buffer_release(&r->paste);
    for (size_t i = 0; i < r->n; i++)
        buffer_release(&r->advice[i]);
}

PRINTF_LIKE(2, 3) static void advise(struct remedy *r, const char *format, ...)
{
    char text[512];
    va_list args;

    if (r->n == ADVICE_MAX)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buffer_puts(&r->advice[r->n++], text);
}

/* The node's own words about this one, where it left some. */
static void say_message(struct remedy *r, const char *otherwise)
{
    const char *message = r->attempt->message;

    buffer_puts(&r->sentence, message && *message ? message : otherwise);
}

static uint64_t memory_used(const struct attempt_record *a)
{
    return a->memory_peak_bytes > a->max_rss_bytes ? a->memory_peak_bytes
                                                   : a->max_rss_bytes;
}

static time_us took(const struct attempt_record *a)
{
    return a->ended_wall > a->started_wall ? a->ended_wall - a->started_wall : 0;
}

static void advise_retry(struct remedy *r)
{
    if (!r->step->retry.times)
        advise(r, "if it fails only now and then: retry: {times: 3, delay: 10s}");
}

static void advise_memory(struct remedy *r, uint64_t needed)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    measure_bytes(measure_round_bytes(needed), &text);
    buffer_printf(&r->paste, "resources: {memory: %s}", buffer_text(&text));
    advise(r, "give it more: memory: %s", buffer_text(&text));
}

/* ---- one for each reason ---- */

static const char *signal_text(int number)
{
    const char *name = number > 0 && number < SIGNAL_MAX ? sigabbrev_np(number) : NULL;

    return name ? name : "?";
}

static void explain_kill(struct remedy *r)
{
    CLEANUP(buffer_release) struct buffer used = BUFFER_INIT;

    if (memory_used(r->attempt)) {
        buffer_puts(&used, "; it was seen with ");
        measure_bytes_for_people(memory_used(r->attempt), &used);
    }
    advise(
        r,
        "mesh did not send it: a person did, or the kernel for want of memory (dmesg "
        "says so)%s",
        buffer_text(&used));
    if (!r->step->has_limits)
        advise(r, "say what memory it needs, so that fewer run at once: mesh advise");
}

static void advise_on_signal(struct remedy *r, int number)
{
    switch (number) {
    case SIGKILL:
        explain_kill(r);
        break;
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGABRT:
        advise(r, "a program of it crashed; a core dump or its last lines tell where");
        break;
    case SIGPIPE:
        advise(r, "it wrote to a pipe whose reader had ended, such as `… | head`");
        break;
    case SIGXCPU:
    case SIGXFSZ:
        advise(r, "a limit of the machine ended it: see ulimit -a");
        break;
    default:
        advise(r, "mesh did not send it: a person or another program did");
        break;
    }
    advise_retry(r);
}

static void explain_signal(struct remedy *r)
{
    int number = r->attempt->signal;

    buffer_printf(&r->sentence, "signal %d (SIG%s) ended it", number,
                  signal_text(number));
    advise_on_signal(r, number);
}

static void explain_not_found(struct remedy *r)
{
    buffer_puts(&r->sentence, "a command was not found (exit code 127)");
    advise(r, "the last line it printed names the command: install it, or");
    advise(r, "let the step find it: environment: {PATH: /where/it/is:/usr/bin:/bin}");
    advise(r, "a script of the package is called with its folder: ./script.sh");
}

static void explain_not_executable(struct remedy *r)
{
    buffer_puts(&r->sentence, "a file could not be executed (exit code 126)");
    advise(r, "make it a program: chmod +x FILE, and a first line such as #!/bin/sh");
    advise(r, "or name the interpreter: sh FILE, python3 FILE");
}

static void explain_exit(struct remedy *r)
{
    int code = r->attempt->exit_code;

    if (code == EXIT_NOT_FOUND) {
        explain_not_found(r);
    } else if (code == EXIT_CANNOT_EXECUTE) {
        explain_not_executable(r);
    } else if (code > EXIT_SIGNAL_BASE && code < EXIT_SIGNAL_BASE + SIGNAL_MAX) {
        int number = code - EXIT_SIGNAL_BASE;

        buffer_printf(&r->sentence,
                      "a command of it was ended by signal %d, SIG%s (exit code %d)",
                      number, signal_text(number), code);
        advise_on_signal(r, number);
    } else if (code == EXIT_DO_NOT_RETRY) {
        buffer_puts(&r->sentence, "it ended with 202, which forbids another attempt");
    } else {
        buffer_printf(&r->sentence, "it ended with exit code %d", code);
        advise(r, "what it printed last says more than its exit code");
        advise_retry(r);
    }
}

static void explain_oom(struct remedy *r)
{
    uint64_t asked = r->step->resources.memory_bytes, used = memory_used(r->attempt);

    buffer_puts(&r->sentence, "the kernel killed it at its memory limit");
    if (asked) {
        buffer_puts(&r->sentence, " of ");
        measure_bytes_for_people(asked, &r->sentence);
    }
    if (used) {
        buffer_puts(&r->sentence, "; it was seen with ");
        measure_bytes_for_people(used, &r->sentence);
    }
    advise_memory(r, 2 * (asked > used ? asked : used));
    advise(r, "or let it hold less at once: mesh advise shows what its siblings used");
}

static void explain_timeout(struct remedy *r)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    time_us limit = r->step->timeout_us ? r->step->timeout_us : took(r->attempt);

    buffer_puts(&r->sentence, "it was ended at its timeout, after ");
    measure_time_for_people(took(r->attempt), &r->sentence);
    measure_time(measure_round_time(2 * limit), &text);
    buffer_printf(&r->paste, "timeout: %s", buffer_text(&text));
    advise(r, "if it was at work: timeout: %s", buffer_text(&text));
    advise(r, "if it hung: its last lines tell where; processor time %" PRIu64 " ms",
           r->attempt->cpu_us / 1000);
}

static void explain_cancelled(struct remedy *r)
{
    buffer_puts(&r->sentence, "it was ended because its run was cancelled or failed");
    advise(r, "mesh resume goes on from here");
}

static void explain_lost(struct remedy *r)
{
    buffer_puts(&r->sentence, "its node ended while it ran: no fault of the task");
    advise(r, "it is tried again by itself, up to %u times", r->step->retry.lost_max);
    advise(r, "why nodes end: mesh doctor, and dmesg for want of memory");
}

static void explain_start(struct remedy *r)
{
    say_message(r, "it could not be started");
    advise(r, "mesh check FLOW looks at a flow file before it is run");
    advise(r, "what this machine lacks: mesh doctor");
}

static void explain_output(struct remedy *r)
{
    say_message(r, "an output is missing or cannot be kept");
    if (r->step->n_outputs)
        advise(r,
               "its `outputs` promise files: make them, or take them out of the list");
    advise(r, "what is written below $MESH_OUT needs no promise");
}

static void explain_input(struct remedy *r)
{
    say_message(r, "an input could not be laid out");
    advise(r, "which artifacts there are: mesh artifact list RUN/STEP");
}

static void explain_modified(struct remedy *r)
{
    say_message(r, "it wrote to an input, which other tasks share");
    advise(r, "copy first: cp \"$MESH_IN/NAME\" \"$MESH_TEMPDIR/\"");
}

static void explain_choice(struct remedy *r)
{
    const char *by = r->step->switch_by ? r->step->switch_by : "NAME";

    say_message(r, "the switch named no case");
    if (r->attempt->choice)
        buffer_printf(&r->sentence, " (it said '%s')", r->attempt->choice);
    for (uint32_t i = 0; i < r->step->n_cases; i++)
        buffer_printf(&r->sentence, "%s%s", i ? ", " : "; its cases are ",
                      r->step->cases[i].name);
    advise(r, "name one: mesh next --case NAME, or leave it in the artifact '%s'", by);
    advise(r, "or give the switch a `default`");
}

static void explain_width(struct remedy *r)
{
    const char *name = r->step->foreach.artifact;

    say_message(r, "what the foreach runs over is no list");
    advise(r, "leave '%s' as a JSON array, or as text with an item on each line",
           name ? name : "it");
}

static void explain_merge(struct remedy *r)
{
    say_message(r, "branches differ in what merge should pass on");
    advise(r, "pass on the others only: merge: {exclude: [NAME]}");
    advise(r, "or make the artifact in this step, from `mesh inputs`");
}

static void explain_store(struct remedy *r)
{
    say_message(r, "the store refused what it made");
    advise(r, "how full it is: mesh status, and mesh doctor");
    advise(r, "what no run names any more is removed by mesh gc");
}

static void explain_output_lost(struct remedy *r)
{
    say_message(r, "nobody has what it made any more");
    if (r->attempt->verdict == VERDICT_FAILED)
        advise(r, "see that disks and nodes stay: mesh doctor, mesh members; then "
                  "mesh resume makes it once more");
    else
        advise(r, "it is made again by itself");
    advise(r, "what is damaged or missing of a run: mesh verify RUN");
}

static void explain_stale(struct remedy *r)
{
    say_message(r, "what it consumed was lost and came out otherwise the next time");
    advise(r, "it is done again by itself");
    advise(r, "a step that makes the same from the same inputs spares that");
}

void remedy_emit(struct emit *e, const char *key, const struct step *step,
                 const struct attempt_record *a)
{
    static void (*const explain[])(struct remedy * r) = {
        [REASON_EXIT] = explain_exit,
        [REASON_SIGNAL] = explain_signal,
        [REASON_OOM] = explain_oom,
        [REASON_TIMEOUT] = explain_timeout,
        [REASON_CANCELLED] = explain_cancelled,
        [REASON_LOST] = explain_lost,
        [REASON_START] = explain_start,
        [REASON_OUTPUT] = explain_output,
        [REASON_INPUT] = explain_input,
        [REASON_INPUT_MODIFIED] = explain_modified,
        [REASON_CHOICE] = explain_choice,
        [REASON_WIDTH] = explain_width,
        [REASON_MERGE] = explain_merge,
        [REASON_STORE] = explain_store,
        [REASON_OUTPUT_LOST] = explain_output_lost,
        [REASON_STALE] = explain_stale,
    };
    CLEANUP(remedy_release) struct remedy r = { .step = step, .attempt = a };

    if (a->reason >= ARRAY_SIZE(explain) || !explain[a->reason]) {
        emit_null(e, key);
        return;
    }
    explain[a->reason](&r);
    emit_open(e, key, '{');
    emit_text(e, "reason", reason_name(a->reason));
    emit_text(e, "sentence", buffer_text(&r.sentence));
    emit_open(e, "advice", '[');
    for (size_t i = 0; i < r.n; i++)
        emit_text(e, NULL, buffer_text(&r.advice[i]));
    emit_close(e, ']');
    emit_text(e, "paste", r.paste.len ? buffer_text(&r.paste) : NULL);
    emit_close(e, '}');
}
