/* SPDX-License-Identifier: Apache-2.0 */
/* Faults drawn by seed: nodes are killed, paused, cut off and come back while runs go
 * on over a network that loses, doubles and delays. Then all is well again, and every
 * run that was accepted has to end, all homes alike, with nothing left behind. A number
 * in the environment variable SEED tells that story alone. */
#include <stdlib.h>

#include "base/prng.h"
#include "tests/unit/mesh_story.h"
#include "tests/unit/unit.h"

enum { SEEDS = 1000, NODES = 5, BLOWS = 12 };

struct storm {
    struct mesh_story *story;
    struct prng prng;
    unsigned n_nodes, n_runs;
    bool is_down[NODES], is_paused[NODES];
};

static const char *const flows[] = {
    "a\n"
    "b: a\n"
    "c: b\n",
    "split foreach=10\n"
    "fit: split\n"
    "join: fit join=split\n",
    "split foreach=?\n"
    "fit: split\n"
    "join: fit join=split\n"
    "z: join\n",
    "a\n"
    "b: a\n"
    "c: a\n"
    "d: b c\n",
    "s foreach=8\n"
    "x: s\n"
    "y: x\n"
    "j: y join=s\n",
};

static unsigned draw(struct storm *s, unsigned bound)
{
    return (unsigned)prng_below(&s->prng, bound);
}

static char any(struct storm *s)
{
    return (char)('a' + draw(s, s->n_nodes));
}

static void begin(struct storm *s, uint64_t seed)
{
    prng_init(&s->prng, seed);
    s->n_nodes = 1 + draw(s, NODES);
    s->story = mesh_story_signed(s->n_nodes, seed % 2, 1 + draw(s, 3), seed);
    mesh_story_show(s->story, "start told run keep crash");
    mesh_story_task(s->story, "split", "20 width 7");
    mesh_story_task(s->story, "fit", draw(s, 2) ? "30 blob 5000" : "300");
    mesh_story_task(s->story, "x", "100 vary");
    mesh_story_task(s->story, "y", "2000 blob 100");
    mesh_story_task(s->story, "b", "3000");
    mesh_story_task(s->story, "c", "30 exit 1");
    mesh_story_meet(s->story);
    if (draw(s, 2))
        mesh_story_network(s->story, draw(s, 50), draw(s, 50), draw(s, 50));
    s->n_runs = 1 + draw(s, 3);
    for (unsigned i = 0; i < s->n_runs; i++)
        mesh_story_submit(s->story, any(s), flows[draw(s, 5)]);
    mesh_story_run_for(s->story, draw(s, 300));
    if (draw(s, 6) == 0)
        mesh_story_cancel(s->story, any(s), 1);
}

static void set_down(struct storm *s, unsigned i, bool is_down)
{
    if (s->is_down[i] == is_down)
        return;
    if (is_down)
        mesh_story_kill(s->story, (char)('a' + i));
    else
        mesh_story_start(s->story, (char)('a' + i));
    s->is_down[i] = is_down;
    s->is_paused[i] = false;
}

static void set_paused(struct storm *s, unsigned i, bool is_paused)
{
    if (s->is_down[i] || s->is_paused[i] == is_paused)
        return;
    if (is_paused)
        mesh_story_pause(s->story, (char)('a' + i));
    else
        mesh_story_resume(s->story, (char)('a' + i));
    s->is_paused[i] = is_paused;
}

static void blow(struct storm *s)
{
    unsigned i = draw(s, s->n_nodes);
    char cut[3] = { any(s), any(s), '\0' };

    switch (draw(s, 5)) {
    case 0:
        set_down(s, i, true);
        break;
    case 1:
        set_down(s, i, false);
        break;
    case 2:
        mesh_story_cut(s->story, draw(s, 2) ? cut : NULL);
        break;
    case 3:
        set_paused(s, i, true);
        break;
    default:
        set_paused(s, i, false);
        break;
    }
    mesh_story_run_for(s->story, draw(s, draw(s, 2) ? 300 : 8000));
}

static void clear_up(struct storm *s)
{
    mesh_story_cut(s->story, NULL);
    mesh_story_network(s->story, 0, 0, 0);
    for (unsigned i = 0; i < s->n_nodes; i++) {
        set_down(s, i, false);
        set_paused(s, i, false);
    }
}

static void tell(uint64_t seed)
{
    struct storm s = { .n_runs = 0 };

    begin(&s, seed);
    for (unsigned i = 0; i < BLOWS; i++)
        blow(&s);
    clear_up(&s);
    if (!mesh_story_run(s.story, 200000)) {
        print_error("%s", mesh_story_trace(s.story));
        fail_msg("SEED=%llu does not end:\n%s", (unsigned long long)seed,
                 mesh_story_left(s.story));
    }
    mesh_story_free(s.story);
}

static void storms_lose_nothing(void **state)
{
    const char *seed = getenv("SEED");

    (void)state;
    if (seed) {
        tell(strtoull(seed, NULL, 10));
        return;
    }
    for (uint64_t i = 0; i < SEEDS; i++)
        tell(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storms_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
