# SPDX-License-Identifier: Apache-2.0
"""The plan of a loan. The parameters have the types that the flow gives them: numbers are
numbers, `extra` is a list, and `borrowers` too, because it has a separator."""

import calendar
from datetime import date


def payment(amount, rate, n):
    """What is paid each month, so that nothing is left after n."""
    return amount / n if rate == 0 else amount * rate / (1 - (1 + rate) ** -n)


def day_of(first, month):
    year, month = divmod(first.month - 1 + month, 12)
    last = calendar.monthrange(first.year + year, month + 1)[1]
    return date(first.year + year, month + 1, min(first.day, last))


def plan(self):
    first = date.fromisoformat(self.first[:10])
    rate = self.rate / 100 / 12
    every = payment(self.amount, rate, self.years * 12)
    extra = dict(self.extra)
    left, paid, lines = self.amount, 0.0, []
    for month in range(self.years * 12):
        left *= 1 + rate
        now = min(left, every + extra.get(month, 0))
        left, paid = left - now, paid + now
        lines.append(f"{day_of(first, month)}\t{now:.2f}\t{left:.2f}\n")
        if left < 0.005:
            break
    # Bytes are kept as they are, so the shell can read them.
    self.months = "".join(lines).encode()
    self.cost = round(paid - self.amount, 2)
    print(f"{len(lines)} payments, split among {', '.join(self.borrowers)}")
