#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cluster_mutants.py SOURCE CC CORPUS [--short] -- LIBRARY...: takes a rule at a time out of
the nodes' core and requires that the seed of the corpus that found the lack of it sees it
again, and that shrinking makes its story smaller; --short leaves the shrinking out.

A mutant is named in the corpus by the text behind '#'. A rule that is written in another
way is no longer found here, and that fails too. --find N looks for a seed below N for
each, and prints lines for the corpus.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

# name, file, the rule, what is there instead
MUTANTS = [
    ("an exchange is refused at once", "node/mesh_registers.c",
     "    if (!client.is_refused)\n        error = set(m, r, p, &client.sum);\n",
     "    if (client.is_refused)\n        return refuse(m, from, p->request, -ESTALE);\n"
     "    error = set(m, r, p, &client.sum);\n"),
    ("an older request changes a register", "node/mesh_registers.c",
     "    if (was && p->request < was->request) /* nobody waits for it any more */\n"
     "        return 0;\n", ""),
    ("a request that comes again changes a register", "node/mesh_registers.c",
     "    if (was && was->request == p->request)\n        return repeat(m, g, from, p, was);\n",
     ""),
    ("a copy is not made again", "node/mesh_repair.c",
     "           && g->repair.seen < m->n_losses && gossip_alive",
     "           && g->repair.seen < 0 * m->n_losses && gossip_alive"),
    ("who is asked again waits for a permit with a fence of before", "node/mesh_guest.c",
     "if (g && g->fence == l->fence) {", "if (g) {"),
    ("an iteration that the next one consumes is lost", "node/node_remake.c",
     "    if (error == -ENOENT)\n        error = undo_iteration(n, r, lost, &s, &index);\n",
     ""),
    ("a stopped run ends while something is torn", "node/node_end.c",
     "    if (r->n_torn && !r->n_cancels)\n        return true;\n", ""),
    ("behind what is torn something goes on in a run that has failed",
     "scheduler/remake.c", "(!r->n_failed || r->n_torn)", "!r->n_failed"),
    ("what is ready behind one that fails when it is made again", "node/node_attempt.c",
     "        error = node_give_up_behind(n, r, ticket);\n", "        error = 0;\n"),
    ("an exclusive iteration that the next one consumes is lost", "node/node_remake.c",
     "true, FENCE_ANY);", "true, 0);"),
    ("a run that got more homes waits for its number", "node/mesh_home.c",
     "    g->has_run = true; /* decided before there was a log */\n", ""),
    ("what is killed in the moment of its start goes on", "node/mesh_engine.c",
     "if (t->starts[i].slot == a->slot)", "if (0)"),
    ("what is lost behind one that failed for good", "node/node_remake.c",
     "    if (!r->has_given_up || r->is_stopping)\n        return 0;\n    if (!r->n_ready",
     "    return 0;\n    if (!r->n_ready"),
    ("what is ready behind one that is lost for good", "node/node_remake.c",
     "if (!r->n_ready && !r->n_retrying && !r->n_running)", "if (1)"),
    ("an entry has the name of what was decided tentatively", "node/mesh_group.c",
     "    if (append->n_entries)\n        error = tentative_end(m, g);\n", ""),
]


def mutate(source: pathlib.Path, name: str, old: str, new: str) -> str:
    text = (source / name).read_text()
    if text.count(old) != 1:
        raise SystemExit(f"{name} has {text.count(old)} times, not once:\n{old}")
    return text.replace(old, new)


def build(cc: str, source: pathlib.Path, changed: str, program: str,
          libraries: list[str]) -> None:
    subprocess.run([cc, "-std=gnu17", "-D_GNU_SOURCE", "-O1", "-w", f"-I{source}",
                    "-Dcluster_main=main", "-o", program, changed,
                    str(source / "simulations" / "main_cluster.c"), *libraries],
                   check=True)


def run(*command: str) -> tuple[int, list[str]]:
    ran = subprocess.run(command, text=True, stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL)
    return ran.returncode, ran.stdout.splitlines()


def find(program: str, name: str, below: str) -> None:
    lines = run(program, "--seeds", f"0:{below}")[1]
    replay = [line for line in lines if line.startswith("replay: ")]
    if replay:
        options = re.sub(r".*? cluster ", "", replay[0])
        print(f"{options} # {name}")
    else:
        print(f"# nothing found: {name}")
    sys.stdout.flush()


def is_seen(program: str, number: int, name: str, corpus: str, is_short: bool) -> bool:
    """The line that names the mutant fails, and so does what is left when it shrinks."""
    options = [line.split("#")[0].split() for line in corpus.splitlines()
               if line.endswith(f"# {name}")]
    code, said = run(program, *options[0]) if options else (0, [])
    if is_short:
        print(f"{'ok' if code == 1 else 'not ok'} {number} - {name}", flush=True)
        return code == 1
    small_code, small = run(program, *options[0], "--shrink") if code else (0, [])
    good = code == 1 and small_code == 1
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
    if good:
        print(f"#   {len(said)} lines, shrunk to {len(small)}: {small[-2]}", flush=True)
    return good


def main() -> int:
    source, cc = pathlib.Path(sys.argv[1]), sys.argv[2]
    split = sys.argv.index("--")
    corpus = pathlib.Path(sys.argv[3]).read_text() if split > 3 else ""
    is_short = sys.argv[4] == "--short"
    below = sys.argv[5] if split > 4 and sys.argv[4] == "--find" else None
    only = sys.argv[6] if split > 6 else ""
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        changed, program = f"{folder}/mutant.c", f"{folder}/cluster"
        for number, (name, file, old, new) in enumerate(MUTANTS, 1):
            if only not in name:
                continue
            pathlib.Path(changed).write_text(mutate(source, file, old, new))
            build(cc, source, changed, program, sys.argv[split + 1:])
            if below:
                find(program, name, below)
            else:
                bad += not is_seen(program, number, name, corpus, is_short)
    if not below:
        print(f"1..{len(MUTANTS)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
