"""Look for task files that break a law: ``make fuzz SECONDS=3600``.

With atheris the choices follow what code they reach; without it they are those of a seeded generator.  A finding is
kept in ``fuzz-results/``; ``python -m tests.fuzz FILE`` plays it again, ``--seed N --seconds 0`` one seed.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz import laws
from tests.fuzz.choices import one
from tests.fuzz.findings import Findings
from tests.fuzz.grammar import Chance


def by_chance(seconds: float, seed: int) -> int:
    """Ask for so long with seeds in a row, at least one; return 1 when a law was broken."""
    over_at = time.monotonic() + seconds
    findings = Findings()
    tried = 0
    while not tried or time.monotonic() < over_at:
        try:
            laws.everything(Chance(seed + tried))
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a finding; the run goes on)
            findings.add(f"--seed {seed + tried}", error)
        tried += 1
    print(findings.told(tried))
    return int(bool(findings.counts))


def main() -> int:
    """Fuzz, or play a finding again."""
    options = argparse.ArgumentParser(description="Look for task files that break a law of the parsers.")
    options.add_argument("finding", nargs="?", type=Path, help="a finding to play again")
    options.add_argument("--seconds", type=int, default=3600, help="how long (3600)")
    options.add_argument("--seed", type=int, default=0, help="where seeds begin (0)")
    options.add_argument("--engine", choices=("atheris", "chance"), help="who chooses (atheris where it is installed)")
    given = options.parse_args()
    if given.finding:
        one(given.finding.read_bytes())
        print("It breaks no law.")
        return 0
    if given.engine == "chance" or (given.engine is None and find_spec("atheris") is None):
        return by_chance(given.seconds, given.seed)
    from tests.fuzz.guided import run

    return run(given.seconds, given.seed)


if __name__ == "__main__":
    sys.exit(main())
