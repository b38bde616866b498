"""Takes one safeguard after the other out of the program and shows which test notices.

``python -m tests.mutants [NAME…] [--jobs N]``: without names, all of the catalogue.  Verdicts go to the screen as
they fall, and at the end to their rows of the table in ``tests/mutants/README.md``.  Exit 1 when a mutant survived,
2 when the catalogue does not fit the code or the tests fail without any mutant.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, Stale
from tests.mutants.trial import FAST, Laboratory, Verdict

ROOT = Path(__file__).resolve().parents[2]
README = Path(__file__).with_name("README.md")
MARK = "<!-- what follows is written by `make mutants` -->\n"


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = _arguments(words)
    unknown = set(given.names) - {each.name for each in MUTANTS}
    if unknown:
        print(f"no such mutant: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [each for each in MUTANTS if not given.names or each.name in given.names]
    if given.list:
        for each in chosen:
            print(f"{each.name:<40} {each.takes_out:<14} {each.file}")
        return 0
    with _laboratories(given.jobs) as free:
        if not given.unchecked and not _is_sound(free, chosen):
            return 2
        try:
            verdicts = dict(_verdicts(chosen, free, given.jobs))
        except Stale as error:
            print(error, file=sys.stderr)
            return 2
    README.write_text(_with_rows(README.read_text("utf-8"), verdicts), "utf-8")
    survivors = [each.name for each, verdict in verdicts.items() if verdict.killer is None]
    print(
        f"\n{len(verdicts) - len(survivors)} of {len(verdicts)} killed"
        + "".join(f"\nSURVIVED {each}" for each in survivors)
    )
    return 1 if survivors else 0


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants of the catalogue; all without any")
    parser.add_argument("--jobs", type=int, default=1, help="how many to try at a time")
    parser.add_argument("--list", action="store_true", help="list the mutants and try none")
    parser.add_argument("--unchecked", action="store_true", help="do not run the tests without a mutant first")
    return parser.parse_args(words)


@contextmanager
def _laboratories(count: int) -> Iterator[SimpleQueue[Laboratory]]:
    free: SimpleQueue[Laboratory] = SimpleQueue()
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as name:
        for number in range(count):
            folder = Path(name) / str(number)
            folder.mkdir()
            free.put(Laboratory(ROOT, folder))
        yield free


def _is_sound(free: SimpleQueue[Laboratory], chosen: Sequence[Mutant]) -> bool:
    """Return whether the tests pass without any mutant: else a failure would say nothing about one."""
    laboratory = free.get()
    verdict = laboratory.ask(
        tuple(dict.fromkeys((*(test for each in chosen for test in (*each.made_for, *each.tests)), *FAST)))
    )
    free.put(laboratory)
    if verdict.killer is not None:
        print(f"{verdict.output}\nwithout any mutant {verdict.killer} fails", file=sys.stderr)
    return verdict.killer is None


def _verdicts(chosen: Sequence[Mutant], free: SimpleQueue[Laboratory], jobs: int) -> Iterator[tuple[Mutant, Verdict]]:
    def try_out(mutant: Mutant) -> Verdict:
        laboratory = free.get()
        try:
            verdict = laboratory.try_out(mutant)
        finally:
            free.put(laboratory)
        print(f"{mutant.name:<40} {verdict.seconds:5.1f} s  {verdict.killer or 'SURVIVED'}", flush=True)
        return verdict

    with ThreadPoolExecutor(jobs) as pool:
        yield from zip(chosen, pool.map(try_out, chosen), strict=True)


def _with_rows(text: str, verdicts: Mapping[Mutant, Verdict]) -> str:
    """Return the README with these verdicts in its table; rows of mutants that there are no more go."""
    head, _, table = text.partition(MARK)
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in table.splitlines() if line.startswith("| ")}
    for each, verdict in verdicts.items():
        rows[each.name] = f"| {each.name} | {each.takes_out} | `{each.file}` | {_test(verdict.killer)} |"
    kept = [rows[each.name] for each in MUTANTS if each.name in rows]
    return "\n".join([head + MARK, "| mutant | takes out | in | caught by |", "|---|---|---|---|", *kept, ""])


def _test(killer: str | None) -> str:
    """Return a test's name without its parameters, which may hold anything."""
    return "**nothing**" if killer is None else f"`{killer.removeprefix('tests/').partition('[')[0]}`"


if __name__ == "__main__":
    sys.exit(main())
