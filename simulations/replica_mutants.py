#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""replica_mutants.py SOURCE CC -- FILE...: takes one rule at a time out of the replica
and requires that its unit test or the world of its homes sees it.

FILE... is what a program of main_replica.c is linked from, besides the changed file. A
rule that is written in another way is no longer found here, and that fails too.

Where the number of seeds is 0 the world alone would need too many: the unit test has to
see it.
"""
import pathlib
import subprocess
import sys
import tempfile

# name, file, the rule, what is there instead, seeds
MUTANTS = [
    ("a promise does not bind a voter", "replica_elect.c",
     "if (order < 0)\n        return false;",
     "if (order < 0 && r->role != REPLICA_FOLLOWER)\n        return false;", 0),
    ("a promise does not bind a follower", "replica_follow.c",
     "    if (order < 0) {", "    if (order < 0 && r->role == REPLICA_LEADER) {", 1000),
    ("a vote is told before it is durable", "replica_elect.c",
     "r->owes_vote = !replica_is_promise_durable(r);", "r->owes_vote = false;", 500),
    ("a candidate asks before its promise is durable", "replica_elect.c",
     "r->owes_asking = r->is_dirty = true;", "r->is_dirty = true;", 500),
    ("what is not durable is acknowledged", "replica_follow.c",
     "r->matched < r->durable ? r->matched : r->durable", "r->matched", 500),
    ("a leader counts what is not durable", "replica_lead.c",
     "all[HOMES_MAX] = { r->durable }", "all[HOMES_MAX] = { r->state.last.index }", 500),
    ("fewer than a majority decide", "replica_lead.c",
     "return all[replica_majority(r) - 1];",
     "return all[replica_majority(r) / 2];", 500),
    ("those that join are counted", "replica_lead.c",
     "if (r->peers[i].is_home && n < HOMES_MAX)\n            all", "if (n < HOMES_MAX)\n            all",
     1000),
    ("entries of an older ballot are decided by counting", "replica_lead.c",
     "|| index < r->lead_from)", "|| index < 1)", 0),
    ("the end of a generation is not proposed anew", "replica_lead.c",
     "    if (s->closing) {\n        r->closing_entry",
     "    if (s->closing) {\n        r->lead_from = s->last.index;\n        return;\n"
     "        r->closing_entry", 0),
    ("a leader goes on behind the end of its generation", "replica_lead.c",
     "    if (r->state.closing)\n        return -EBUSY;\n    if (!n)",
     "    r->state.closing = 0;\n    if (!n)", 1000),
    ("a vote looks at no log", "replica_elect.c",
     "position_compare(&m->last, &r->state.last) >= 0", "true", 500),
    ("a vote looks only at the length of a log", "replica_elect.c",
     "position_compare(&m->last, &r->state.last) >= 0",
     "m->last.index >= r->state.last.index", 1000),
    ("votes of an older ballot are counted", "replica_elect.c",
     "        || !ballot_equal(&m->ballot, asked))", "        || (!m->is_trial && false))",
     0),
    ("a generation begins with the ballots of the one before", "replica_log.c",
     "    s->last.ballot = (struct ballot){ .counter = 0 };\n", "", 0),
    ("entries are taken where logs differ", "replica_follow.c",
     "return ballot_equal(&own, &before->ballot);", "return true;", 500),
    ("a tail that differs stays", "replica_follow.c",
     "|| !ballot_equal(&own, &m->entries[i].ballot))", "|| false)", 500),
    ("what is cut stays durable", "replica_log.c",
     "    forget_durable(r, last);\n    r->is_dirty = true;", "    r->is_dirty = true;",
     1000),
    ("a home is installed with what is not decided", "replica_install.c",
     "p->base = log_position_at(r, r->state.commit);",
     "p->base = log_position_at(r, r->state.last.index);", 500),
    ("an old install replaces what is newer", "replica_install.c",
     "return base->index <= r->state.commit\n           || ", "return ", 0),
    ("installed homes forget what they promised", "replica_install.c",
     "    if (ballot_compare(&m->ballot, &s->promised) > 0)\n        s->promised",
     "    s->promised", 1000),
    ("a helper installs a home of its own generation", "replica_install.c",
     "(ballot_is_none(&m->ballot) || (s->is_installing && !s->n_homes))", "false", 1000),
    ("one that is refused goes on to lead", "replica_lead.c",
     "        replica_resign(r, out);\n        return;\n    }\n    if (m->is_refused",
     "        return;\n    }\n    if (m->is_refused", 1000),
    ("nobody hands over to new homes", "replica_log.c",
     "    r->is_handing = !replica_is_home(r, &r->self);", "    r->is_handing = false;", 1000),
    ("what lags behind a generation is not helped", "replica_elect.c",
     "    if (replica_is_home(r, from))\n        replica_help(r, from, index + 1, out);", "",
     60000),
    ("a stranger is not installed", "replica_lead.c",
     "        p->match = 0;\n        replica_install(r, p, out);", "        p->match = 0;", 100),
]


def mutate(source: pathlib.Path, name: str, old: str, new: str) -> str:
    text = (source / "scheduler" / name).read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{name} has {text.count(old)} times, not once:\n{old}")
    return text.replace(old, new)


def build(cc: str, source: pathlib.Path, program: str, parts: list[str]) -> None:
    subprocess.run([cc, "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-w", f"-I{source}",
                    "-Dreplica_main=main", "-o", program, *parts], check=True)


def run(*command: str) -> tuple[bool, str]:
    """Whether it failed, and the line that says how."""
    ran = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT)
    said = [line for line in ran.stdout.splitlines()
            if line.startswith("seed ") or "FAILED  ] test_" in line]
    return ran.returncode != 0, said[0] if said else f"exit code {ran.returncode}"


def main() -> int:
    source, cc = pathlib.Path(sys.argv[1]), sys.argv[2]
    files = sys.argv[sys.argv.index("--") + 1:]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        unit, world, changed = f"{folder}/unit", f"{folder}/world", f"{folder}/mutant.c"
        for number, (rule, name, old, new, seeds) in enumerate(MUTANTS, 1):
            pathlib.Path(changed).write_text(mutate(source, name, old, new))
            build(cc, source, unit,
                  [changed, f"{source}/tests/unit/test_replica.c", *files, "-lcmocka"])
            seen = [run(unit)]
            if seeds:
                build(cc, source, world,
                      [changed, f"{source}/simulations/main_replica.c", *files])
                seen.append(run(world, "--seeds", f"0:{seeds}"))
            is_seen = any(failed for failed, _ in seen)
            bad += not is_seen
            print(f"{'ok' if is_seen else 'not ok'} {number} - {rule}")
            for failed, how in seen:
                if failed:
                    print(f"#   {how}", flush=True)
    print(f"1..{len(MUTANTS)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
