/* SPDX-License-Identifier: Apache-2.0 */
/* placement_order - the orders that placement picks from; for placement*.c only. */
#pragma once

#include "scheduler/placement.h"

/* The first queue of a class in which somebody waits. */
struct queue *class_first(const struct class *c);
/* n steps less hold it. */
void class_drop(struct class *c, uint32_t n);
/* Somebody waits in it, so it is tried in any open bin; nobody does any more. */
void class_activate(struct class *c);
void class_deactivate(struct class *c);
/* It is worth a try in any open bin once more. */
void class_unstick(struct class *c);

/* What bins have changed: whether it fits one, and what it costs. */
void class_fit(struct class *c);

/* After the user's key or what it uses changed. */
void order_move_user(struct user *u);
/* After the key of this queue's run changed. */
void order_move_run(struct queue *q);
