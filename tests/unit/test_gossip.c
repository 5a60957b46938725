/* SPDX-License-Identifier: Apache-2.0 */
/* Membership told as stories: many nodes, virtual time, and what they come to believe.
 */
#include "tests/unit/unit.h"

#include <string.h>

#include "simulations/gossip_world.h"

static struct gossip_world *world_of(size_t n, size_t joins, bool may_bury)
{
    struct gossip_world_config config = {
        .seed = 7, .n = n, .joins = joins, .is_traced = true, .may_bury = may_bury
    };
    struct gossip_world *w = gossip_world_new(&config);

    assert_non_null(w);
    assert_true(gossip_world_run(w, TIME_S(10)));
    gossip_world_clear_trace(w);
    return w;
}

static void run(struct gossip_world *w, time_us until)
{
    if (!gossip_world_run(w, until))
        fail_msg("%s", gossip_world_violation(w));
}

static bool trace_has(const struct gossip_world *w, const char *text)
{
    return strstr(gossip_world_trace(w), text) != NULL;
}

static struct member_view view_of(struct gossip_world *w, size_t node, size_t of)
{
    struct node_id id = gossip_world_id(w, of);
    struct member_view v = { .note = NULL };

    assert_true(gossip_find(gossip_world_node(w, node), &id, &v));
    return v;
}

static void a_machine_dies(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(5, 0, false);

    (void)state;
    gossip_world_crash(w, 3);
    run(w, TIME_S(20));
    assert_string_equal(gossip_world_trace(w), "[ 11507] 2 sees 3 suspect\n"
                                               "[ 11508] all see 3 suspect\n"
                                               "[ 13507] 2 sees 3 dead\n"
                                               "[ 13508] all see 3 dead\n");
    assert_true(gossip_world_agrees(w));
}

static void a_process_dies(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(5, 0, false);

    (void)state;
    gossip_world_kill(w, 3);
    run(w, TIME_S(20));
    assert_true(trace_has(w, "[ 10400] all see 3 suspect\n"));
    assert_true(trace_has(w, "[ 12400] all see 3 dead\n"));
}

static void one_of_two(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(2, 0, false);

    (void)state;
    gossip_world_crash(w, 1);
    run(w, TIME_S(20));
    assert_int_equal(gossip_world_seeing(w, 1, MEMBER_DEAD), 1);
    assert_false(gossip_is_isolated(gossip_world_node(w, 0)));
}

static void dead_and_back(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(5, 0, false);

    (void)state;
    gossip_world_crash(w, 3);
    run(w, TIME_S(60));
    gossip_world_clear_trace(w);
    gossip_world_start(w, 3, 0);
    run(w, TIME_S(70));
    assert_true(trace_has(w, "all see 3 alive\n"));
    assert_true(gossip_world_agrees(w));
    assert_int_equal(view_of(w, 1, 3).note->incarnation >> 32, 2);
}

static void joins_and_leaves(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(1, 9, false);

    (void)state;
    for (size_t i = 1; i < 10; i++) {
        gossip_world_start(w, i, i / 2);
        run(w, TIME_S(10) + i * TIME_MS(300));
    }
    run(w, TIME_S(20));
    assert_true(gossip_world_agrees(w));
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(gossip_world_seeing(w, i, MEMBER_ALIVE), 9);
    gossip_world_clear_trace(w);
    gossip_world_leave(w, 4);
    run(w, TIME_S(21));
    assert_true(trace_has(w, "all see 4 left\n"));
    assert_false(trace_has(w, "suspect"));
    assert_true(gossip_world_agrees(w));
}

/* A stall of three seconds: long enough to be suspected, short enough to say no. */
static void suspected_and_refuted(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(5, 0, false);

    (void)state;
    gossip_world_stall(w, 2, TIME_S(3));
    run(w, TIME_S(30));
    assert_true(trace_has(w, "all see 2 suspect\n"));
    assert_true(trace_has(w, "all see 2 alive\n"));
    assert_false(trace_has(w, "dead"));
    assert_int_equal(view_of(w, 0, 2).note->incarnation, ((uint64_t)1 << 32) + 1);
}

/* Too long: it is buried, and comes back by itself. It blames nobody when it wakes. */
static void sick_observer(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(5, 0, true);

    (void)state;
    gossip_world_stall(w, 2, TIME_S(20));
    run(w, TIME_S(29));
    assert_int_equal(gossip_world_seeing(w, 2, MEMBER_DEAD), 4);
    run(w, TIME_S(60));
    assert_int_equal(gossip_world_seeing(w, 2, MEMBER_ALIVE), 4);
    for (size_t i = 0; i < 5; i++)
        if (i != 2)
            assert_int_equal(view_of(w, 2, i).note->incarnation, (uint64_t)1 << 32);
    assert_true(gossip_world_agrees(w));
}

static void alone_for_a_while(uint64_t seed)
{
    struct gossip_world_config config = { .seed = seed, .n = 5, .may_bury = true };
    CLEANUP(gossip_world_freep) struct gossip_world *w = gossip_world_new(&config);
    const struct gossip *alone = gossip_world_node(w, 2);
    struct node_id other = gossip_world_id(w, 0);

    run(w, TIME_S(10));
    gossip_world_side(w, 2, 1);
    run(w, TIME_S(20));
    assert_true(gossip_is_isolated(alone));
    assert_false(gossip_is_alone(alone));
    assert_int_equal(gossip_alive(alone), 5);
    assert_int_equal(gossip_world_seeing(w, 2, MEMBER_DEAD), 4);
    run(w, TIME_S(40));
    assert_true(gossip_is_alone(alone));
    assert_int_equal(gossip_alive(alone), 1);
    assert_false(gossip_is_live(alone, &other));
    assert_int_equal(view_of(w, 2, 0).note->state, MEMBER_ALIVE);
    gossip_world_side(w, 2, 0);
    run(w, TIME_S(60));
    assert_false(gossip_is_isolated(alone));
    assert_int_equal(gossip_alive(alone), 5);
    assert_int_equal(gossip_world_seeing(w, 2, MEMBER_ALIVE), 4);
    assert_int_equal(gossip_world_stats(w).suspicions, 1);
}

static void hears_nobody_blames_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++)
        alone_for_a_while(seed);
}

static void partition_heals(size_t n, size_t part, time_us within)
{
    struct gossip_world_config config = { .seed = 3, .n = n, .may_bury_across = true };
    CLEANUP(gossip_world_freep) struct gossip_world *w = gossip_world_new(&config);

    assert_non_null(w);
    run(w, TIME_S(5));
    for (size_t i = 0; i < part; i++)
        gossip_world_side(w, i, 1);
    run(w, TIME_S(65));
    for (size_t i = 0; i < n; i++) /* they do not see half of each other */
        assert_int_equal(gossip_world_seeing(w, i, MEMBER_DEAD),
                         i < part ? n - part : part);
    for (size_t i = 0; i < part; i++)
        gossip_world_side(w, i, 0);
    run(w, TIME_S(65) + within);
    assert_true(gossip_world_agrees(w));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(gossip_world_seeing(w, i, MEMBER_ALIVE), n - 1);
}

static void partitions_heal(void **state)
{
    (void)state;
    partition_heals(5, 2, TIME_S(20));
    partition_heals(40, 20, TIME_S(20));
    partition_heals(200, 90, TIME_S(60));
}

/* Node 1 hears only some; whoever cannot reach it must not make it refute for ever. */
static void one_way_links(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(9, 0, false);
    struct gossip_world_stats before, after;

    (void)state;
    for (size_t i = 2; i < 6; i++)
        gossip_world_cut(w, i, 1, true);
    gossip_world_cut(w, 1, 7, true);
    run(w, TIME_S(70));
    before = gossip_world_stats(w);
    assert_true(before.suspicions > 0);
    run(w, TIME_S(670));
    after = gossip_world_stats(w);
    assert_int_equal(after.false_deaths, 0);
    assert_in_range(after.suspicions - before.suspicions, 0, 20);
    assert_int_equal(gossip_world_seeing(w, 1, MEMBER_ALIVE), 8);
    /* A death behind such links is told as early as any. */
    gossip_world_crash(w, 1);
    run(w, TIME_S(690));
    assert_in_range(gossip_world_known_after(w, 1), TIME_S(2), TIME_S(9));
}

/* It can send and hears nobody: taken for dead once, until it can hear again. */
static void deaf_node(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(6, 0, true);

    (void)state;
    for (size_t i = 0; i < 6; i++)
        if (i != 4)
            gossip_world_cut(w, i, 4, true);
    run(w, TIME_S(100));
    assert_int_equal(gossip_world_stats(w).suspicions, 1);
    assert_int_equal(gossip_world_seeing(w, 4, MEMBER_DEAD), 5);
    for (size_t i = 0; i < 6; i++)
        gossip_world_cut(w, i, 4, false);
    run(w, TIME_S(130));
    assert_int_equal(gossip_world_seeing(w, 4, MEMBER_ALIVE), 5);
    assert_true(gossip_world_agrees(w));
}

static void a_card_changes(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(5, 0, false);

    (void)state;
    gossip_world_set_card(w, 2, 17);
    run(w, TIME_S(11));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(view_of(w, i, 2).note->card.slots, 17);
}

static void half_of_them_die(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(10, 0, false);

    (void)state;
    for (size_t i = 0; i < 7; i++)
        gossip_world_crash(w, i);
    run(w, TIME_S(60));
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(gossip_world_seeing(w, i, MEMBER_DEAD), 3);
}

/* ---- one node, and what others say ---- */

struct lone {
    struct gossip *g;
    struct gossip_outbox out;
    time_us now;
    size_t n;
};

static struct node_id lone_id(size_t i)
{
    return (struct node_id){ .bytes = { 0x10, [15] = (uint8_t)(i + 1) } };
}

static void lone_say(struct lone *l, size_t of, uint64_t incarnation,
                     enum member_state member_state, uint8_t observers)
{
    struct member_card card = { .name = (char *)"x" };
    struct member_note note = { .id = lone_id(of),
                                .incarnation = incarnation,
                                .state = member_state,
                                .observers = observers,
                                .has_card = member_state == MEMBER_ALIVE,
                                .card = card };

    assert_int_equal(gossip_add(l->g, &note, l->now, &l->out), 0);
}

static struct lone lone_new(size_t n)
{
    struct member_card card = { .name = (char *)"x" };
    struct gossip_config config = { .self = lone_id(0),
                                    .card = &card,
                                    .incarnation = (uint64_t)1 << 32 };
    struct lone l = { .g = gossip_new(&config), .now = TIME_S(5), .n = n };

    assert_non_null(l.g);
    for (size_t i = 1; i < n; i++)
        lone_say(&l, i, 1, MEMBER_ALIVE, 0);
    return l;
}

static void lone_free(struct lone *l)
{
    gossip_free(l->g);
    gossip_outbox_release(&l->out);
}

static void lone_ping(struct lone *l, size_t from)
{
    struct node_id id = lone_id(from);
    struct message m = { .type = MESSAGE_PING };

    gossip_outbox_clear(&l->out);
    assert_int_equal(gossip_on_message(l->g, &id, &m, l->now, &l->out), 0);
}

/* Time passes, tick by tick; somebody is heard, unless from is 0. */
static void lone_wait(struct lone *l, time_us until, size_t from)
{
    while (l->now < until) {
        time_us next = l->now + TIME_MS(100);

        while (gossip_deadline(l->g) <= next) {
            if (gossip_deadline(l->g) > l->now)
                l->now = gossip_deadline(l->g);
            gossip_outbox_clear(&l->out);
            assert_int_equal(gossip_on_tick(l->g, l->now, &l->out), 0);
        }
        l->now = next;
        if (from)
            lone_ping(l, from);
    }
}

static enum member_state lone_state(const struct lone *l, size_t of)
{
    struct node_id id = lone_id(of);
    struct member_view v;

    assert_true(gossip_find(l->g, &id, &v));
    return v.note->state;
}

/* When a member whom these observers miss is dead, in tenths of a second; 0: not. */
static time_us dies_after(size_t n, uint8_t observers)
{
    struct lone l = lone_new(n);
    time_us begin = l.now, after = 0;

    lone_say(&l, 1, 1, MEMBER_SUSPECT, observers);
    while (!after && l.now < begin + TIME_S(30)) {
        lone_wait(&l, l.now + TIME_MS(100), n - 1);
        if (lone_state(&l, 1) == MEMBER_DEAD)
            after = (l.now - begin) / TIME_MS(100);
        else
            assert_int_equal(lone_state(&l, 1), MEMBER_SUSPECT);
    }
    lone_free(&l);
    return after;
}

static void how_many_observers(void **state)
{
    (void)state;
    assert_in_range(dies_after(8, 0x02), 240, 241); /* it may be behind a bad link */
    assert_in_range(dies_after(8, 0x06), 50, 51);
    assert_in_range(dies_after(8, 0x16), 33, 34);
    assert_in_range(dies_after(8, 0x36), 20, 21);
    assert_in_range(dies_after(8, 0xff), 20, 21);
    assert_in_range(dies_after(4, 0x02), 240, 241);
    assert_in_range(dies_after(4, 0x07), 20, 21); /* all that there are */
    assert_in_range(dies_after(3, 0x02), 80, 81); /* there one is enough */
    assert_in_range(dies_after(3, 0x03), 20, 21);
}

static void isolated_it_buries_nobody(void **state)
{
    struct lone l = lone_new(8);

    (void)state;
    lone_ping(&l, 2);
    lone_say(&l, 1, 1, MEMBER_SUSPECT, 0x06);
    lone_wait(&l, l.now + TIME_S(12), 0);
    assert_true(gossip_is_isolated(l.g));
    assert_int_equal(lone_state(&l, 1), MEMBER_SUSPECT);
    lone_free(&l);
}

/* When the first one is heard again, the others get the time to be heard too. */
static void heard_again_it_waits(void **state)
{
    struct lone l = lone_new(8);
    struct message pong = { .type = MESSAGE_PONG };
    struct node_id from = lone_id(2);
    time_us until;

    (void)state;
    lone_ping(&l, 2);
    lone_wait(&l, l.now + TIME_S(10), 0);
    assert_true(gossip_is_isolated(l.g));
    until = l.now + TIME_MS(1400) * (1 + gossip_health(l.g));
    gossip_outbox_clear(&l.out);
    assert_int_equal(gossip_on_message(l.g, &from, &pong, l.now, &l.out), 0);
    assert_false(gossip_is_isolated(l.g));
    lone_wait(&l, until, 2);
    for (size_t i = 1; i < 8; i++)
        assert_int_equal(lone_state(&l, i), MEMBER_ALIVE);
    lone_wait(&l, until + TIME_S(20), 2);
    assert_int_equal(lone_state(&l, 5), MEMBER_SUSPECT);
    lone_free(&l);
}

/* What it knew before it fell asleep may be over: what came meanwhile is read first. */
static void late_it_buries_nobody(void **state)
{
    struct lone l = lone_new(2);

    (void)state;
    lone_wait(&l, l.now + TIME_S(2), 1);
    lone_say(&l, 1, 1, MEMBER_SUSPECT, 0x01);
    l.now += TIME_S(6);
    gossip_outbox_clear(&l.out);
    assert_int_equal(gossip_on_tick(l.g, l.now, &l.out), 0);
    assert_int_equal(lone_state(&l, 1), MEMBER_SUSPECT);
    assert_int_equal(gossip_health(l.g), 1);
    lone_say(&l, 1, 2, MEMBER_ALIVE, 0);
    assert_int_equal(lone_state(&l, 1), MEMBER_ALIVE);
    lone_free(&l);
}

static size_t count_told(const struct lone *l, size_t peer, enum member_state of)
{
    struct node_id id = lone_id(peer);
    size_t n = 0;

    for (size_t i = 0; i < l->out.n; i++) {
        const struct gossip_action *a = &l->out.actions[i];

        if (a->type == GOSSIP_SEND && a->message.type == MESSAGE_GOSSIP
            && node_id_equal(&a->peer, &id))
            for (size_t k = 0; k < a->message.u.gossip.n_members; k++)
                n += node_id_equal(&a->message.u.gossip.members[k].id, &id)
                     && a->message.u.gossip.members[k].state == of;
    }
    return n;
}

static void the_dead_that_talk_are_told(void **state)
{
    struct lone l = lone_new(5);

    (void)state;
    lone_say(&l, 1, 1, MEMBER_DEAD, 0);
    lone_ping(&l, 1);
    assert_int_equal(count_told(&l, 1, MEMBER_DEAD), 1);
    l.now += TIME_MS(300);
    lone_ping(&l, 1); /* once a second */
    assert_int_equal(count_told(&l, 1, MEMBER_DEAD), 0);
    l.now += TIME_S(1);
    lone_ping(&l, 1);
    assert_int_equal(count_told(&l, 1, MEMBER_DEAD), 1);
    lone_free(&l);
}

/* Whoever lists as alive whom we buried hears a suspicion, which can be refuted in
 * time; of one whom it does not list it hears nothing. */
static void the_dead_are_told_as_suspects(void **state)
{
    struct lone l = lone_new(5);
    struct node_id from = lone_id(2), dead = lone_id(1);
    struct sync_entry entries[] = { { lone_id(1), 1, MEMBER_ALIVE },
                                    { lone_id(2), 1, MEMBER_ALIVE } };
    struct message m = { .type = MESSAGE_SYNC };
    size_t n = 0;

    (void)state;
    m.u.sync = (struct sync_message){ .entries = entries, .n_entries = 2 };
    lone_say(&l, 1, 1, MEMBER_DEAD, 0);
    lone_say(&l, 3, 1, MEMBER_DEAD, 0);
    lone_ping(&l, 2);
    gossip_outbox_clear(&l.out);
    assert_int_equal(gossip_on_message(l.g, &from, &m, l.now, &l.out), 0);
    for (size_t i = 0; i < l.out.n; i++) {
        const struct gossip_message *said = &l.out.actions[i].message.u.gossip;

        if (l.out.actions[i].type != GOSSIP_SEND)
            continue;
        assert_int_equal(l.out.actions[i].message.type, MESSAGE_GOSSIP);
        n = said->n_members;
        assert_int_equal(n, 3); /* itself, 1 and 4 */
        for (size_t k = 0; k < n; k++)
            if (node_id_equal(&said->members[k].id, &dead)) {
                assert_int_equal(said->members[k].state, MEMBER_SUSPECT);
                assert_int_equal(said->members[k].observers, 0xff);
            }
    }
    assert_int_equal(n, 3);
    lone_free(&l);
}

static void tombstones_go(void **state)
{
    struct lone l = lone_new(5);

    (void)state;
    lone_say(&l, 1, 1, MEMBER_DEAD, 0);
    lone_say(&l, 3, 1, MEMBER_LEFT, 0);
    l.now += TIME_S(86000);
    lone_ping(&l, 2);
    lone_wait(&l, l.now + TIME_S(1), 2);
    assert_int_equal(gossip_members(l.g), 5);
    l.now += TIME_S(7200);
    lone_ping(&l, 2);
    lone_wait(&l, l.now + TIME_S(1), 2);
    assert_int_equal(gossip_members(l.g), 3);
    lone_free(&l);
}

/* ---- runs ---- */

static struct run_note note_of_run(uint8_t number, uint64_t ballot, uint64_t n_ready)
{
    return (struct run_note){ .run = { .bytes = { 1, number } },
                              .generation = 1,
                              .ballot = ballot,
                              .n_ready = n_ready,
                              .user = (char *)"ada" };
}

static uint64_t ready_at(struct gossip_world *w, size_t node, const struct run_note *of)
{
    const struct run_note *n = gossip_find_run(gossip_world_node(w, node), &of->run);

    return n ? n->n_ready : UINT64_MAX;
}

static void runs_are_told(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(5, 1, false);
    struct run_note run_a = note_of_run(1, 1, 100);

    (void)state;
    gossip_world_tell_run(w, 0, &run_a);
    run(w, TIME_MS(11000));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(ready_at(w, i, &run_a), 100);
    run_a.n_ready = 99; /* not worth a frame; within 5 s it is told anyway */
    gossip_world_tell_run(w, 0, &run_a);
    run(w, TIME_MS(12000));
    assert_int_equal(ready_at(w, 3, &run_a), 100);
    run(w, TIME_MS(17000));
    assert_int_equal(ready_at(w, 3, &run_a), 99);
    run_a.n_ready = 0; /* is */
    gossip_world_tell_run(w, 0, &run_a);
    run(w, TIME_MS(17200));
    assert_int_equal(ready_at(w, 3, &run_a), 0);
    run_a.ballot = 2; /* another leader; what the old one says counts no more */
    run_a.n_ready = 7;
    gossip_world_tell_run(w, 4, &run_a);
    run_a.ballot = 1;
    run_a.n_ready = 1000;
    gossip_world_tell_run(w, 0, &run_a);
    run(w, TIME_S(18));
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(ready_at(w, i, &run_a), 7);
    gossip_world_start(w, 5, 0); /* a newcomer hears at once */
    run(w, TIME_MS(18500));
    assert_int_equal(ready_at(w, 5, &run_a), 7);
    run_a.ballot = 2;
    run_a.n_ready = 0;
    run_a.is_ended = true;
    gossip_world_tell_run(w, 4, &run_a);
    run(w, TIME_S(300));
    assert_int_equal(ready_at(w, 5, &run_a), 0);
    run(w, TIME_S(700));
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(gossip_runs(gossip_world_node(w, i)), 0);
}

/* The word that a run has ended may be lost, and its leader be gone. */
static void a_run_that_nobody_renews_is_forgotten(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(3, 1, false);
    struct run_note old = note_of_run(1, 1, 100), renewed = note_of_run(2, 1, 100);

    (void)state;
    gossip_world_tell_run(w, 0, &old);
    for (unsigned i = 0; i < 9; i++) {
        gossip_world_tell_run(w, 0, &renewed);
        run(w, TIME_S(11) + i * TIME_S(10));
    }
    assert_int_equal(ready_at(w, 1, &old), UINT64_MAX);
    assert_int_equal(ready_at(w, 1, &renewed), 100);
}

/* A tentative leader's ballot may be beyond that of the one which ended the run. */
static void an_end_is_final(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(3, 1, false);
    struct run_note tentative = note_of_run(1, 7, 100), end = note_of_run(1, 1, 0);

    (void)state;
    tentative.is_tentative = true;
    end.is_ended = true;
    gossip_world_tell_run(w, 0, &tentative);
    run(w, TIME_S(11));
    assert_int_equal(ready_at(w, 1, &tentative), 100);
    gossip_world_tell_run(w, 2, &end);
    run(w, TIME_S(21));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(ready_at(w, i, &end), 0);
    tentative.n_ready = 0;
    gossip_world_tell_run(w, 0, &tentative);
    run(w, TIME_S(31));
    assert_true(gossip_find_run(gossip_world_node(w, 1), &end.run)->is_ended);
}

static void a_twin_is_noticed(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(3, 0, false);
    struct member_note twin = { .id = gossip_world_id(w, 1), .state = MEMBER_ALIVE };
    struct message m = { .type = MESSAGE_GOSSIP };

    (void)state;
    m.u.gossip = (struct gossip_message){ .members = &twin, .n_members = 1 };
    for (uint64_t i = 0; i < 20; i++) {
        twin.incarnation = ((uint64_t)1 << 32) + 10 * (i + 1);
        gossip_world_inject(w, 0, 1, &m);
    }
    assert_true(trace_has(w, "1 has a twin\n"));
    assert_int_equal(gossip_world_stats(w).refutations, 4);
}

/* What cannot be is passed over: nothing here may fail an assertion. */
static void nonsense(void **state)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = world_of(3, 0, false);
    uint64_t before = gossip_members(gossip_world_node(w, 1));
    struct member_note bad[] = {
        { .incarnation = 5, .state = MEMBER_ALIVE },
        { .id = gossip_world_id(w, 2),
          .incarnation = UINT64_MAX,
          .state = MEMBER_DEAD },
        { .id = gossip_world_id(w, 2), .incarnation = UINT64_MAX / 4, .state = 9 },
        { .id = gossip_world_id(w, 2), .incarnation = UINT64_MAX / 4, .state = 0 },
    };
    struct sync_entry entries[] = { { .id = { .bytes = { 9 } } },
                                    { .id = { .bytes = { 3 } } } };
    struct message m = { .type = MESSAGE_GOSSIP };
    uint64_t sums[3] = { 0 };

    (void)state;
    m.u.gossip =
        (struct gossip_message){ .members = bad, .n_members = ARRAY_SIZE(bad) };
    gossip_world_inject(w, 0, 1, &m);
    m.type = MESSAGE_SYNC;
    m.u.sync = (struct sync_message){ .entries = entries, .n_entries = 2 };
    gossip_world_inject(w, 0, 1, &m);
    m.u.sync = (struct sync_message){ .sums = sums, .n_sums = 3 };
    gossip_world_inject(w, 0, 1, &m);
    m.u.sync = (struct sync_message){ .from = { .bytes = { 9 } },
                                      .until = { .bytes = { 3 } } };
    gossip_world_inject(w, 0, 1, &m);
    run(w, TIME_S(11));
    assert_int_equal(gossip_members(gossip_world_node(w, 1)), before);
    assert_int_equal(view_of(w, 1, 2).note->state, MEMBER_ALIVE);
}

static void the_same_again(void **state)
{
    uint64_t hash[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct gossip_world_config config = {
            .seed = 11, .n = 80, .loss = 200, .stalling = 500
        };
        CLEANUP(gossip_world_freep) struct gossip_world *w = gossip_world_new(&config);

        assert_non_null(w);
        run(w, TIME_S(5));
        gossip_world_crash(w, 7);
        run(w, TIME_S(30));
        hash[i] = gossip_world_hash(w);
    }
    assert_int_equal(hash[0], hash[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_dies),
        cmocka_unit_test(a_process_dies),
        cmocka_unit_test(one_of_two),
        cmocka_unit_test(dead_and_back),
        cmocka_unit_test(joins_and_leaves),
        cmocka_unit_test(suspected_and_refuted),
        cmocka_unit_test(sick_observer),
        cmocka_unit_test(hears_nobody_blames_nobody),
        cmocka_unit_test(how_many_observers),
        cmocka_unit_test(isolated_it_buries_nobody),
        cmocka_unit_test(heard_again_it_waits),
        cmocka_unit_test(late_it_buries_nobody),
        cmocka_unit_test(the_dead_that_talk_are_told),
        cmocka_unit_test(the_dead_are_told_as_suspects),
        cmocka_unit_test(tombstones_go),
        cmocka_unit_test(partitions_heal),
        cmocka_unit_test(one_way_links),
        cmocka_unit_test(deaf_node),
        cmocka_unit_test(a_card_changes),
        cmocka_unit_test(half_of_them_die),
        cmocka_unit_test(runs_are_told),
        cmocka_unit_test(a_run_that_nobody_renews_is_forgotten),
        cmocka_unit_test(an_end_is_final),
        cmocka_unit_test(a_twin_is_noticed),
        cmocka_unit_test(nonsense),
        cmocka_unit_test(the_same_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
