/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever members say, and in whatever order: a node stays itself, and what it
 * believes of another only ever moves up. The bytes are a list of calls. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gossip/gossip.h"

enum { NODES = 24, NOTES = 8 };

struct input {
    const uint8_t *data;
    size_t len;
};

struct fuzz {
    struct input in;
    struct gossip *g;
    struct gossip_outbox out;
    time_us now;
    struct {
        uint64_t incarnation;
        enum member_state state;
    } seen[NODES];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static uint8_t take(struct input *in)
{
    if (!in->len)
        return 0;
    in->len--;
    return *in->data++;
}

static struct node_id node(uint8_t i)
{
    return (struct node_id){ .bytes = { (uint8_t)(i % NODES * 11), [15] = 1 } };
}

static struct member_note note(struct input *in)
{
    uint8_t flags = take(in);
    struct member_note n = { .id = node(take(in)),
                             .incarnation = (uint64_t)take(in) << (flags & 48),
                             .state = (enum member_state)(flags & 7),
                             .observers = take(in),
                             .has_card = flags & 8 };

    if (n.has_card)
        n.card.slots = (uint32_t)n.incarnation;
    return n;
}

static void gossip_from(struct fuzz *f, const struct node_id *from)
{
    struct member_note notes[NOTES];
    struct run_note run = { .run = { .bytes = { 1, take(&f->in) } } };
    struct message m = { .type = MESSAGE_GOSSIP };

    run.ballot = take(&f->in);
    run.n_homes = take(&f->in);
    m.u.gossip.members = notes;
    m.u.gossip.n_members = take(&f->in) % (NOTES + 1u);
    for (size_t i = 0; i < m.u.gossip.n_members; i++)
        notes[i] = note(&f->in);
    m.u.gossip.runs = &run;
    m.u.gossip.n_runs = run.ballot & 1;
    gossip_on_message(f->g, from, &m, f->now, &f->out);
}

static void sync_from(struct fuzz *f, const struct node_id *from)
{
    struct sync_entry entries[NOTES];
    struct message m = { .type = MESSAGE_SYNC };
    uint64_t sums[256] = { 0 };
    uint8_t flags = take(&f->in);

    m.u.sync = (struct sync_message){ .is_answer = flags & 1,
                                      .entries = entries,
                                      .n_entries = take(&f->in) % (NOTES + 1u),
                                      .sums = sums,
                                      .n_sums = flags & 2 ? 256u : flags & 4 };
    if (flags & 8)
        m.u.sync.from = node(take(&f->in));
    if (flags & 16)
        m.u.sync.until = node(take(&f->in));
    for (size_t i = 0; i < m.u.sync.n_entries; i++)
        entries[i] = (struct sync_entry){ node(take(&f->in)), take(&f->in),
                                          (enum member_state)(take(&f->in) & 7) };
    for (size_t i = 0; i < 256; i++)
        sums[i] = i % 7 ? 0 : take(&f->in);
    gossip_on_message(f->g, from, &m, f->now, &f->out);
}

static void ping_from(struct fuzz *f, const struct node_id *from,
                      enum message_type type)
{
    struct message m = { .type = type };

    m.u.ping.seq = take(&f->in);
    m.u.ping.fingerprint[0] = take(&f->in);
    gossip_on_message(f->g, from, &m, f->now, &f->out);
}

static void call(struct fuzz *f)
{
    uint8_t op = take(&f->in);
    struct node_id from = node(take(&f->in));
    struct member_note n;
    struct member_card card = { .slots = op };

    f->now += (time_us)(op >> 4) * (op & 8 ? TIME_MS(400) : TIME_MS(20));
    gossip_outbox_clear(&f->out);
    switch (op & 7) {
    case 0:
        gossip_on_tick(f->g, f->now, &f->out);
        return;
    case 1:
        gossip_from(f, &from);
        return;
    case 2:
        sync_from(f, &from);
        return;
    case 3:
        ping_from(f, &from, MESSAGE_PING);
        return;
    case 4:
        ping_from(f, &from, MESSAGE_PONG);
        return;
    case 5:
        gossip_on_connected(f->g, &from, f->now, &f->out);
        return;
    case 6:
        gossip_on_disconnected(f->g, &from, op & 128, f->now, &f->out);
        return;
    default:
        n = note(&f->in);
        if (op & 128)
            gossip_set_card(f->g, &card, f->now, &f->out);
        else
            gossip_add(f->g, &n, f->now, &f->out);
        return;
    }
}

static void check(struct fuzz *f)
{
    for (uint8_t i = 0; i < NODES; i++) {
        struct node_id id = node(i);
        struct member_view v;

        if (!gossip_find(f->g, &id, &v))
            continue;
        if (v.is_self && v.note->state != MEMBER_ALIVE)
            abort();
        if (v.note->incarnation < f->seen[i].incarnation
            || (v.note->incarnation == f->seen[i].incarnation
                && v.note->state < f->seen[i].state))
            abort();
        f->seen[i].incarnation = v.note->incarnation;
        f->seen[i].state = v.note->state;
    }
    if (gossip_alive(f->g) > gossip_members(f->g) || gossip_alive(f->g) == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct member_card card = { .slots = 1 };
    struct gossip_config config = { .self = node(0),
                                    .card = &card,
                                    .incarnation = (uint64_t)1 << 32 };
    struct fuzz f = { .in = { data, len }, .g = gossip_new(&config), .now = TIME_S(1) };

    if (!f.g)
        return 0;
    while (f.in.len) {
        call(&f);
        check(&f);
    }
    gossip_free(f.g);
    gossip_outbox_release(&f.out);
    return 0;
}
