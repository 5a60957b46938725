/* SPDX-License-Identifier: Apache-2.0 */
/* pool - finds the notes and twigs that there are already, by the hash of what is in
 * them.
 *
 * It counts none of them: the last who lets go takes it out. */
#pragma once

#include "gossip/note.h"

/* Before one is added: room for one more. False without memory. */
bool pool_reserve_note(struct gossip_pool *p);
bool pool_reserve_twig(struct gossip_pool *p);

/* The chain in which one of this hash would be. */
struct note **pool_notes(const struct gossip_pool *p, uint64_t hash);
struct twig **pool_twigs(const struct gossip_pool *p, uint64_t hash);

void pool_add_note(struct gossip_pool *p, struct note *n);
void pool_remove_note(struct gossip_pool *p, struct note *n);
void pool_add_twig(struct gossip_pool *p, struct twig *t);
void pool_remove_twig(struct gossip_pool *p, struct twig *t);
