/* SPDX-License-Identifier: Apache-2.0 */
/* One replica, told everything by hand: what it asks for and whom it tells what. The
 * world of simulations/replica_world.h finds what goes wrong among several; here are
 * the rules whose breach needs so much bad luck that few seeds have it. */
#include "scheduler/replica.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

struct bench {
    struct replica *r;
    struct replica_outbox out;
    struct buffer text;
    time_us now;
    uint64_t ticket; /* the newest */
};

static struct node_id id(char name)
{
    return (struct node_id){ .bytes = { (uint8_t)name } };
}

static struct ballot ballot(uint64_t counter, char name)
{
    return (struct ballot){ .counter = counter, .node = id(name) };
}

static uint32_t list(const char *names, struct node_id *ret)
{
    uint32_t n = 0;

    for (; *names; names++)
        ret[n++] = id(*names);
    return n;
}

/* ---- what it answers, as words ---- */

static void write_homes(struct buffer *b, const struct node_id *homes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buffer_putc(b, (char)homes[i].bytes[0]);
}

static void write_message(struct buffer *b, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_VOTE:
        buffer_printf(b, "%s %" PRIu64, m->u.vote.is_trial ? "trial" : "vote",
                      m->u.vote.ballot.counter);
        break;
    case MESSAGE_VOTED:
        buffer_puts(b, m->u.voted.is_granted ? "granted" : "refused");
        if (m->u.voted.n_homes) {
            buffer_puts(b, " homes ");
            write_homes(b, m->u.voted.homes, m->u.voted.n_homes);
        }
        break;
    case MESSAGE_APPEND:
        buffer_printf(b, "append after %" PRIu64 " commit %" PRIu64,
                      m->u.append.before.index, m->u.append.commit);
        break;
    case MESSAGE_APPENDED:
        if (m->u.appended.is_refused)
            buffer_printf(b, "refused for %" PRIu64, m->u.appended.ballot.counter);
        else
            buffer_printf(b, "%s %" PRIu64, m->u.appended.is_gap ? "gap" : "has",
                          m->u.appended.last);
        break;
    default:
        buffer_printf(b, "%s %" PRIu64, message_name(m->type), m->u.installed.part);
        break;
    }
}

static void write_action(struct bench *b, const struct replica_action *a)
{
    const struct replica_state *s = replica_state(b->r);
    struct buffer *t = &b->text;
    char peer = (char)a->peer.bytes[0];

    if (a->ticket)
        b->ticket = a->ticket;
    switch (a->type) {
    case REPLICA_SAVE:
        buffer_printf(t, "save %" PRIu64, s->promised.counter);
        break;
    case REPLICA_APPEND:
        buffer_printf(t, "keep %" PRIu64 "..%" PRIu64, a->lo, a->hi);
        if (a->message.u.append.n_entries && a->message.u.append.entries[0].n_homes) {
            buffer_puts(t, " homes ");
            write_homes(t, a->message.u.append.entries[0].homes,
                        a->message.u.append.entries[0].n_homes);
        }
        break;
    case REPLICA_KEEP_INSTALL:
        buffer_printf(t, "keep part %" PRIu64, a->lo);
        break;
    case REPLICA_SEND:
        buffer_printf(t, "%c: ", peer);
        write_message(t, &a->message);
        break;
    case REPLICA_SEND_ENTRIES:
        buffer_printf(t, "%c: %" PRIu64 "..%" PRIu64, peer, a->lo, a->hi);
        break;
    case REPLICA_SEND_INSTALL:
        buffer_printf(t, "%c: part %" PRIu64 " up to %" PRIu64, peer, a->lo,
                      a->message.u.install.base.index);
        break;
    case REPLICA_DECIDED:
        buffer_printf(t, "decided %" PRIu64 "..%" PRIu64, a->lo, a->hi);
        break;
    case REPLICA_LEAD:
        buffer_puts(t, "leads");
        break;
    case REPLICA_FOLLOW:
        buffer_printf(t, "follows %c", peer ? peer : '-');
        break;
    case REPLICA_HOMES:
        buffer_printf(t, "generation %" PRIu64 " of ", s->generation);
        write_homes(t, s->homes, s->n_homes);
        break;
    }
    buffer_putc(t, '\n');
}

static void check_(struct bench *b, int error, const char *expected, const char *file,
                   int line)
{
    _assert_int_equal((LargestIntegralType)error, 0, file, line);
    buffer_clear(&b->text);
    for (size_t i = 0; i < b->out.n; i++)
        write_action(b, &b->out.actions[i]);
    replica_outbox_clear(&b->out);
    _assert_string_equal(buffer_text(&b->text), expected, file, line);
}
#define CHECK(b, error, expected) check_(b, error, expected, __FILE__, __LINE__)

/* ---- what it is told ---- */

static struct bench begin(char self, const struct replica_state *state, bool is_founder)
{
    struct bench b = { .now = TIME_S(1000) };
    struct replica_config config = {
        .self = id(self), .state = state, .is_founder = is_founder, .seed = 1
    };

    b.r = replica_new(&config, b.now);
    assert_non_null(b.r);
    return b;
}

static void end(struct bench *b)
{
    replica_free(b->r);
    replica_outbox_release(&b->out);
    buffer_release(&b->text);
}

/* A home of "abc" whose log is up to `last` under a ballot of `a`. */
static struct bench begin_home(char self, uint64_t last, uint64_t counter)
{
    struct replica_stretch stretch = { .first = 1, .ballot = ballot(counter, 'a') };
    struct replica_state s = { .generation = 1,
                               .promised = stretch.ballot,
                               .last = { last, stretch.ballot },
                               .stretches = &stretch,
                               .n_stretches = 1 };

    s.n_homes = list("abc", s.homes);
    if (!last) {
        s.n_stretches = 0;
        s.last = (struct log_position){ .index = 0 };
    }
    return begin(self, &s, false);
}

static int tick(struct bench *b)
{
    time_us at = replica_deadline(b->r);

    assert_int_not_equal(at, TIME_NEVER);
    b->now = at > b->now ? at : b->now;
    return replica_on_tick(b->r, b->now, &b->out);
}

static int durable(struct bench *b)
{
    return replica_on_durable(b->r, b->ticket, b->now, &b->out);
}

static int hear(struct bench *b, char from, const struct message *m)
{
    struct node_id peer = id(from);

    return replica_on_message(b->r, &peer, m, b->now, &b->out);
}

static int vote(struct bench *b, char from, uint64_t generation, uint64_t counter,
                struct log_position last, bool is_trial)
{
    return hear(b, from,
                &(struct message){ .type = MESSAGE_VOTE,
                                   .u.vote = { .generation = generation,
                                               .ballot = ballot(counter, from),
                                               .last = last,
                                               .is_trial = is_trial } });
}

static int voted(struct bench *b, char from, struct ballot asked, bool is_trial,
                 bool is_granted)
{
    return hear(b, from,
                &(struct message){ .type = MESSAGE_VOTED,
                                   .u.voted = { .generation = 1,
                                                .ballot = asked,
                                                .is_trial = is_trial,
                                                .is_granted = is_granted } });
}

static int append(struct bench *b, char from, uint64_t counter,
                  struct log_position before, struct log_entry *entries, size_t n,
                  uint64_t commit)
{
    return hear(b, from,
                &(struct message){ .type = MESSAGE_APPEND,
                                   .u.append = { .generation = 1,
                                                 .ballot = ballot(counter, from),
                                                 .before = before,
                                                 .entries = entries,
                                                 .n_entries = n,
                                                 .commit = commit } });
}

static int appended(struct bench *b, char from, struct ballot asked, uint64_t last)
{
    return hear(b, from,
                &(struct message){
                    .type = MESSAGE_APPENDED,
                    .u.appended = { .generation = 1, .ballot = asked, .last = last } });
}

static int install(struct bench *b, char from, uint64_t generation, uint64_t counter,
                   uint64_t base, uint64_t part, bool is_last)
{
    struct message m = { .type = MESSAGE_INSTALL,
                         .u.install = { .generation = generation,
                                        .base = { .index = base },
                                        .part = part,
                                        .is_last = is_last } };

    if (counter)
        m.u.install.ballot = ballot(counter, from);
    m.u.install.n_homes = list("abc", m.u.install.homes);
    return hear(b, from, &m);
}

/* From follower to leader: trial, votes, its first entry. */
static void win(struct bench *b, uint64_t counter, char self)
{
    buffer_clear(&b->text);
    while (b->out.n == 0)
        assert_int_equal(tick(b), 0);
    replica_outbox_clear(&b->out);
    assert_int_equal(voted(b, 'b', ballot(counter, self), true, true), 0);
    for (size_t i = 0; i < b->out.n; i++)
        if (b->out.actions[i].ticket)
            b->ticket = b->out.actions[i].ticket;
    replica_outbox_clear(&b->out);
    assert_int_equal(durable(b), 0);
    replica_outbox_clear(&b->out);
    assert_int_equal(voted(b, 'b', ballot(counter, self), false, true), 0);
}

/* ---- elections ---- */

static void
test_a_home_stands_after_a_trial_and_asks_when_its_promise_is_durable(void **state)
{
    struct bench b = begin_home('a', 3, 1);

    (void)state;
    CHECK(&b, tick(&b), "b: trial 2\nc: trial 2\n");
    CHECK(&b, voted(&b, 'c', ballot(2, 'a'), true, true), "save 2\n");
    CHECK(&b, durable(&b), "b: vote 2\nc: vote 2\n");
    CHECK(&b, voted(&b, 'c', ballot(2, 'a'), false, true),
          "keep 4..4\nb: append after 3 commit 0\nc: append after 3 commit 0\n"
          "b: 4..4\nc: 4..4\n");
    CHECK(&b, appended(&b, 'c', ballot(2, 'a'), 4), "");
    CHECK(&b, durable(&b), "decided 1..4\nleads\n");
    end(&b);
}

static void test_the_first_home_stands_first(void **state)
{
    time_us before = 0;

    (void)state;
    for (const char *name = "abc"; *name; name++) {
        struct bench b = begin_home(*name, 0, 1);

        assert_true(replica_deadline(b.r) > before);
        before = replica_deadline(b.r);
        end(&b);
    }
}

static void test_a_vote_is_told_when_it_is_durable_and_binds(void **state)
{
    struct bench b = begin_home('b', 3, 1);
    struct log_position last = { 3, ballot(1, 'a') };

    (void)state;
    CHECK(&b, vote(&b, 'c', 1, 5, last, false), "save 5\n");
    CHECK(&b, vote(&b, 'c', 1, 5, last, false), "");
    CHECK(&b, durable(&b), "c: granted\n");
    CHECK(&b, vote(&b, 'c', 1, 5, last, false), "c: granted\n");
    CHECK(&b, vote(&b, 'a', 1, 4, last, false), "a: refused\n");
    CHECK(&b, append(&b, 'a', 4, last, NULL, 0, 0), "a: refused for 5\n");
    end(&b);
}

static void test_nobody_votes_for_a_log_that_lacks_what_it_has(void **state)
{
    struct bench b = begin_home('b', 3, 2);

    (void)state;
    CHECK(&b, vote(&b, 'c', 1, 5, (struct log_position){ 2, ballot(2, 'a') }, false),
          "c: refused\n");
    CHECK(&b, vote(&b, 'c', 1, 5, (struct log_position){ 9, ballot(1, 'a') }, false),
          "c: refused\n");
    CHECK(&b, vote(&b, 'c', 1, 5, (struct log_position){ 1, ballot(3, 'c') }, false),
          "save 5\n");
    end(&b);
}

static void test_a_trial_promises_nothing_and_disturbs_no_leader(void **state)
{
    struct bench b = begin_home('b', 3, 1);
    struct log_position last = { 3, ballot(1, 'a') };

    (void)state;
    CHECK(&b, vote(&b, 'c', 1, 2, last, true), "c: granted\n");
    CHECK(&b, append(&b, 'a', 1, last, NULL, 0, 0), "follows a\na: has 3\n");
    CHECK(&b, vote(&b, 'c', 1, 2, last, true), "c: refused\n");
    b.now += TIME_MS(1500);
    CHECK(&b, vote(&b, 'c', 1, 2, last, true), "c: granted\n");
    end(&b);
}

static void test_a_vote_for_an_older_ballot_does_not_count(void **state)
{
    struct bench b = begin_home('a', 3, 1);

    (void)state;
    CHECK(&b, tick(&b), "b: trial 2\nc: trial 2\n");
    CHECK(&b, voted(&b, 'b', ballot(2, 'a'), true, true), "save 2\n");
    CHECK(&b, durable(&b), "b: vote 2\nc: vote 2\n");
    while (b.out.n == 0 || b.out.actions[0].message.u.vote.ballot.counter == 2) {
        replica_outbox_clear(&b.out);
        assert_int_equal(tick(&b), 0);
    }
    CHECK(&b, 0, "b: trial 3\nc: trial 3\n");
    CHECK(&b, voted(&b, 'b', ballot(3, 'a'), true, true), "save 3\n");
    CHECK(&b, durable(&b), "b: vote 3\nc: vote 3\n");
    CHECK(&b, voted(&b, 'c', ballot(2, 'a'), false, true), "");
    end(&b);
}

static bool is_alone(void *arg, const struct node_id *node)
{
    (void)arg;
    (void)node;
    return false;
}

static void test_who_sees_no_majority_resigns_and_does_not_stand(void **state)
{
    struct bench b = begin_home('a', 3, 1);

    (void)state;
    win(&b, 2, 'a');
    replica_outbox_clear(&b.out);
    CHECK(&b, replica_on_members(b.r, is_alone, NULL, false, b.now, &b.out),
          "follows -\n");
    for (int i = 0; i < 10; i++)
        CHECK(&b, tick(&b), "");
    end(&b);
}

static void test_a_leader_that_hears_no_majority_resigns(void **state)
{
    struct bench b = begin_home('a', 3, 1);

    (void)state;
    win(&b, 2, 'a');
    assert_int_equal(replica_without_majority(b.r, b.now), 0);
    replica_outbox_clear(&b.out);
    b.now += TIME_S(3);
    CHECK(&b, tick(&b), "follows -\n");
    assert_int_equal(replica_without_majority(b.r, b.now), TIME_S(3));
    end(&b);
}

static void test_an_old_leader_keeps_nobody_from_standing(void **state)
{
    struct bench b = begin_home('b', 3, 7);
    time_us before = replica_deadline(b.r);

    (void)state;
    b.now += TIME_MS(500);
    CHECK(&b,
          append(&b, 'c', 6, (struct log_position){ 3, ballot(7, 'a') }, NULL, 0, 0),
          "c: refused for 7\n");
    assert_int_equal(replica_deadline(b.r), before);
    end(&b);
}

/* ---- the log ---- */

static void test_an_entry_of_an_older_ballot_is_decided_by_one_of_the_own(void **state)
{
    struct bench b = begin_home('a', 3, 1);

    (void)state;
    win(&b, 2, 'a');
    CHECK(&b, 0,
          "keep 4..4\nb: append after 3 commit 0\nc: append after 3 commit 0\n"
          "b: 4..4\nc: 4..4\n");
    CHECK(&b, durable(&b), "");
    /* A majority has 3, and yet another home may lead and cut it. */
    CHECK(&b, appended(&b, 'b', ballot(2, 'a'), 3), "b: 4..4\n");
    CHECK(&b, appended(&b, 'b', ballot(2, 'a'), 4), "decided 1..4\nleads\n");
    end(&b);
}

static void test_a_follower_acknowledges_what_is_durable(void **state)
{
    struct bench b = begin_home('b', 3, 1);
    struct log_entry entries[] = { { .ballot = ballot(1, 'a') },
                                   { .ballot = ballot(1, 'a') } };
    struct log_position at = { 3, ballot(1, 'a') };

    (void)state;
    CHECK(&b, append(&b, 'a', 1, at, entries, 2, 3),
          "follows a\nkeep 4..5\na: has 3\ndecided 1..3\n");
    CHECK(&b, append(&b, 'a', 1, at, entries, 2, 5), "a: has 3\ndecided 4..5\n");
    CHECK(&b, durable(&b), "a: has 5\n");
    end(&b);
}

static void test_a_tail_that_differs_is_cut(void **state)
{
    struct bench b = begin_home('b', 5, 1);
    struct log_entry entry = { .ballot = ballot(2, 'c') };

    (void)state;
    CHECK(&b,
          append(&b, 'c', 2, (struct log_position){ 7, ballot(2, 'c') }, NULL, 0, 0),
          "follows c\nc: gap 5\nsave 2\n");
    CHECK(&b,
          append(&b, 'c', 2, (struct log_position){ 5, ballot(2, 'c') }, NULL, 0, 0),
          "c: gap 0\n");
    CHECK(&b, durable(&b), "");
    CHECK(&b,
          append(&b, 'c', 2, (struct log_position){ 3, ballot(1, 'a') }, &entry, 1, 0),
          "keep 4..4\nc: has 3\n");
    assert_int_equal(replica_state(b.r)->last.index, 4);
    CHECK(&b, durable(&b), "c: has 4\n");
    end(&b);
}

static void test_one_home_decides_alone(void **state)
{
    struct replica_state s = { .generation = 1 };
    struct bench b;
    uint64_t first;

    (void)state;
    s.n_homes = list("a", s.homes);
    b = begin('a', &s, true);
    CHECK(&b, tick(&b), "leads\nsave 1\n");
    assert_false(replica_needs_rows(b.r));
    CHECK(&b, replica_append(b.r, 3, b.now, &first, &b.out), "keep 1..3\n");
    assert_int_equal(first, 1);
    CHECK(&b, durable(&b), "decided 1..3\n");
    assert_int_equal(replica_deadline(b.r), TIME_NEVER);
    end(&b);
}

/* ---- generations ---- */

static void test_a_lone_home_has_its_log_on_disk_before_others_hear_of_it(void **state)
{
    struct replica_state s = { .generation = 1 };
    struct node_id homes[3], two[2] = { id('a'), id('b') };
    struct bench b;
    uint64_t first;

    (void)state;
    s.n_homes = list("a", s.homes);
    b = begin('a', &s, true);
    CHECK(&b, tick(&b), "leads\nsave 1\n");
    CHECK(&b, replica_append(b.r, 2, b.now, &first, &b.out), "keep 1..2\n");
    assert_int_equal(replica_move(b.r, two, 2, b.now, &b.out), -EINVAL);
    list("aab", homes);
    assert_int_equal(replica_move(b.r, homes, 3, b.now, &b.out), -EINVAL);
    list("abc", homes);
    CHECK(&b, replica_move(b.r, homes, 3, b.now, &b.out), "save 1\n");
    assert_true(replica_needs_rows(b.r));
    assert_int_equal(replica_deadline(b.r), TIME_NEVER);
    CHECK(&b, durable(&b),
          "decided 1..2\nb: append after 2 commit 2\nc: append after 2 commit 2\n");
    end(&b);
}

/* b heard that the generation ends with entry 4, and who goes on. */
static struct bench begin_second_generation(void)
{
    struct bench b = begin_home('b', 3, 5);
    struct log_entry last = { .ballot = ballot(5, 'a') };

    last.n_homes = list("bcd", last.homes);
    CHECK(&b,
          append(&b, 'a', 5, (struct log_position){ 3, ballot(5, 'a') }, &last, 1, 3),
          "follows a\nkeep 4..4 homes bcd\na: has 3\ndecided 1..3\n");
    CHECK(&b, durable(&b), "a: has 4\n");
    CHECK(&b,
          append(&b, 'a', 5, (struct log_position){ 4, ballot(5, 'a') }, NULL, 0, 4),
          "a: has 4\ndecided 4..4\nfollows -\ngeneration 2 of bcd\nsave 5\n");
    CHECK(&b, durable(&b), "");
    return b;
}

static void test_when_the_leader_is_no_home_any_more_the_first_one_stands(void **state)
{
    struct bench b = begin_second_generation();

    (void)state;
    assert_int_equal(replica_deadline(b.r), b.now);
    CHECK(&b, tick(&b), "save 6\n");
    CHECK(&b, durable(&b), "c: vote 6\nd: vote 6\n");
    end(&b);
}

static void test_ballots_of_an_older_generation_do_not_compare(void **state)
{
    struct bench b = begin_second_generation();

    (void)state;
    /* d had the end of the generation under an older ballot, so its own is smaller. */
    CHECK(&b, vote(&b, 'd', 2, 6, (struct log_position){ 5, ballot(4, 'd') }, false),
          "save 6\n");
    end(&b);
}

static void test_who_is_late_is_told_who_the_homes_are_and_what_is_decided(void **state)
{
    struct bench b = begin_second_generation();

    (void)state;
    CHECK(&b, vote(&b, 'a', 1, 9, (struct log_position){ 3, ballot(5, 'a') }, false),
          "a: refused homes bcd\n");
    CHECK(&b, vote(&b, 'c', 1, 9, (struct log_position){ 3, ballot(5, 'a') }, false),
          "c: refused homes bcd\nc: 4..4\n");
    CHECK(&b,
          append(&b, 'a', 9, (struct log_position){ 4, ballot(5, 'a') }, NULL, 0, 9),
          "a: refused homes bcd\n");
    end(&b);
}

static void test_the_end_of_a_generation_is_proposed_anew_by_a_new_leader(void **state)
{
    struct replica_stretch stretch = { .first = 1, .ballot = ballot(1, 'c') };
    struct replica_state s = { .generation = 1,
                               .promised = stretch.ballot,
                               .last = { 3, stretch.ballot },
                               .stretches = &stretch,
                               .n_stretches = 1,
                               .closing = 3 };
    struct bench b;
    uint64_t first;

    (void)state;
    s.n_homes = list("abc", s.homes);
    s.n_next_homes = list("abd", s.next_homes);
    b = begin('a', &s, false);
    win(&b, 2, 'a');
    CHECK(&b, 0,
          "keep 3..3 homes abd\nb: append after 3 commit 0\nc: append after 3 commit "
          "0\n");
    assert_int_equal(ballot_compare(&replica_state(b.r)->last.ballot,
                                    &(struct ballot){ 2, id('a') }),
                     0);
    assert_int_equal(replica_append(b.r, 1, b.now, &first, &b.out), -EPERM);
    CHECK(&b, appended(&b, 'b', ballot(2, 'a'), 2), "b: 3..3\n");
    CHECK(&b, durable(&b), "");
    CHECK(&b, appended(&b, 'b', ballot(2, 'a'), 3),
          "decided 1..3\nb: append after 3 commit 3\nc: append after 3 commit 3\n"
          "follows -\ngeneration 2 of abd\nsave 2\n");
    end(&b);
}

static void test_who_is_out_says_so_for_ever(void **state)
{
    struct bench b = begin_home('a', 3, 5);
    struct message m = { .type = MESSAGE_VOTED,
                         .u.voted = { .generation = 1, .homes_generation = 3 } };

    (void)state;
    m.u.voted.n_homes = list("bcd", m.u.voted.homes);
    CHECK(&b, hear(&b, 'b', &m), "generation 3 of bcd\nsave 5\n");
    assert_true(replica_is_over(b.r));
    assert_int_equal(replica_deadline(b.r), TIME_NEVER);
    CHECK(&b, replica_give_up(b.r, b.now, &b.out), "");
    CHECK(&b, vote(&b, 'c', 1, 9, (struct log_position){ 9, ballot(8, 'c') }, false),
          "c: refused homes bcd\n");
    CHECK(&b, install(&b, 'c', 1, 9, 0, 0, true), "c: refused homes bcd\n");
    end(&b);
}

/* ---- being installed ---- */

static void test_a_stranger_is_installed_in_parts(void **state)
{
    struct bench b = begin('b', NULL, false);

    (void)state;
    CHECK(&b,
          append(&b, 'a', 4, (struct log_position){ 9, ballot(4, 'a') }, NULL, 0, 9),
          "a: gap 0\n");
    CHECK(&b, install(&b, 'a', 1, 4, 9, 1, false), "a: gap 0\n");
    CHECK(&b, install(&b, 'a', 1, 4, 9, 0, false), "keep part 0\n");
    CHECK(&b, install(&b, 'c', 1, 3, 9, 0, false), "");
    CHECK(&b, install(&b, 'a', 1, 4, 9, 0, false), "");
    CHECK(&b, durable(&b), "a: installed 0\n");
    CHECK(&b, install(&b, 'a', 1, 4, 9, 0, false), "a: installed 0\n");
    CHECK(&b, install(&b, 'a', 1, 4, 9, 1, true), "keep part 1\ngeneration 1 of abc\n");
    CHECK(&b, durable(&b), "follows a\na: has 9\n");
    CHECK(&b, install(&b, 'a', 1, 4, 9, 1, true), "a: has 9\n");
    end(&b);
}

static void test_an_old_install_changes_nothing(void **state)
{
    struct replica_state s = { .generation = 1,
                               .promised = ballot(1, 'a'),
                               .base = { 5, ballot(1, 'a') },
                               .last = { 5, ballot(1, 'a') },
                               .commit = 5 };
    struct bench b;

    (void)state;
    s.n_homes = list("abc", s.homes);
    b = begin('b', &s, false);
    CHECK(&b, install(&b, 'a', 1, 1, 3, 0, true), "follows a\na: has 5\n");
    end(&b);
}

static void test_while_it_is_installed_a_home_votes_as_before(void **state)
{
    struct bench b = begin_home('b', 3, 1);

    (void)state;
    CHECK(&b, install(&b, 'a', 1, 4, 9, 0, false),
          "follows a\nfollows -\nkeep part 0\n");
    assert_int_equal(replica_deadline(b.r), TIME_NEVER);
    CHECK(&b, durable(&b), "a: installed 0\n");
    CHECK(&b, vote(&b, 'c', 1, 6, (struct log_position){ 2, ballot(1, 'a') }, false),
          "c: refused\n");
    CHECK(&b, vote(&b, 'c', 1, 6, (struct log_position){ 3, ballot(1, 'a') }, false),
          "save 6\n");
    CHECK(&b, durable(&b), "c: granted\n");
    end(&b);
}

static void
test_who_lost_what_it_acknowledged_waits_for_another_generation(void **state)
{
    struct replica_state s = { .generation = 2,
                               .promised = ballot(3, 'a'),
                               .last = { 5, ballot(3, 'a') },
                               .base = { 5, ballot(3, 'a') },
                               .is_installing = true };
    struct bench b = begin('b', &s, false);

    (void)state;
    CHECK(&b, install(&b, 'a', 2, 4, 5, 0, true), "");
    CHECK(&b, vote(&b, 'a', 2, 6, (struct log_position){ 9, ballot(5, 'a') }, false),
          "a: refused\n");
    CHECK(&b, install(&b, 'a', 3, 7, 5, 0, true), "keep part 0\ngeneration 3 of abc\n");
    end(&b);
}

static void test_what_makes_no_sense_is_ignored(void **state)
{
    struct bench b = begin_home('b', 3, 1);
    struct log_entry bad = { .ballot = ballot(1, 'a') };

    (void)state;
    bad.n_homes = list("aa", bad.homes);
    CHECK(&b,
          append(&b, 'a', 1, (struct log_position){ 3, ballot(1, 'a') }, &bad, 1, 9),
          "follows a\na: has 3\ndecided 1..3\n");
    CHECK(&b,
          append(&b, 'x', 9, (struct log_position){ 3, ballot(1, 'a') }, NULL, 0, 9),
          "");
    CHECK(&b, vote(&b, 'x', 1, 9, (struct log_position){ 9, ballot(8, 'x') }, false),
          "x: refused\n");
    CHECK(&b, appended(&b, 'c', ballot(1, 'a'), UINT64_MAX), "");
    CHECK(&b,
          append(&b, 'a', 1, (struct log_position){ UINT64_MAX, ballot(1, 'a') }, &bad,
                 1, UINT64_MAX),
          "a: gap 3\n");
    end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_a_home_stands_after_a_trial_and_asks_when_its_promise_is_durable),
        cmocka_unit_test(test_the_first_home_stands_first),
        cmocka_unit_test(test_a_vote_is_told_when_it_is_durable_and_binds),
        cmocka_unit_test(test_nobody_votes_for_a_log_that_lacks_what_it_has),
        cmocka_unit_test(test_a_trial_promises_nothing_and_disturbs_no_leader),
        cmocka_unit_test(test_a_vote_for_an_older_ballot_does_not_count),
        cmocka_unit_test(test_who_sees_no_majority_resigns_and_does_not_stand),
        cmocka_unit_test(test_a_leader_that_hears_no_majority_resigns),
        cmocka_unit_test(test_an_old_leader_keeps_nobody_from_standing),
        cmocka_unit_test(test_an_entry_of_an_older_ballot_is_decided_by_one_of_the_own),
        cmocka_unit_test(test_a_follower_acknowledges_what_is_durable),
        cmocka_unit_test(test_a_tail_that_differs_is_cut),
        cmocka_unit_test(test_one_home_decides_alone),
        cmocka_unit_test(test_a_lone_home_has_its_log_on_disk_before_others_hear_of_it),
        cmocka_unit_test(test_when_the_leader_is_no_home_any_more_the_first_one_stands),
        cmocka_unit_test(test_ballots_of_an_older_generation_do_not_compare),
        cmocka_unit_test(
            test_who_is_late_is_told_who_the_homes_are_and_what_is_decided),
        cmocka_unit_test(test_the_end_of_a_generation_is_proposed_anew_by_a_new_leader),
        cmocka_unit_test(test_who_is_out_says_so_for_ever),
        cmocka_unit_test(test_a_stranger_is_installed_in_parts),
        cmocka_unit_test(test_an_old_install_changes_nothing),
        cmocka_unit_test(test_while_it_is_installed_a_home_votes_as_before),
        cmocka_unit_test(
            test_who_lost_what_it_acknowledged_waits_for_another_generation),
        cmocka_unit_test(test_what_makes_no_sense_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
