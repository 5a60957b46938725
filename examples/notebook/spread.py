# SPDX-License-Identifier: Apache-2.0
import random
import statistics


def start(self):
    self.seeds = list(range(self.tasks))


def throw(self):
    draw = random.Random(self.input)
    inside = sum(draw.random() ** 2 + draw.random() ** 2 < 1 for _ in range(self.points))
    self.pi = 4 * inside / self.points
    print(f"{inside} of {self.points} within the circle")


def join(self, inputs):
    self.mean = statistics.mean(i.pi for i in inputs)
    self.spread = statistics.stdev(i.pi for i in inputs)
