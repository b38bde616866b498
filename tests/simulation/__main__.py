"""``python -m tests.simulation SEED``: tell the history of one world.  ``--runs N``: live through many.

A failing run prints its seeds, the shortest beginning of each history that still fails, and exits with 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.simulation.world import World

CHUNK = 20


@dataclass(frozen=True)
class Failure:
    """A seed that failed, and with how many steps it fails already."""

    seed: int
    steps: int
    error: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="tell the history of this world")
    parser.add_argument("--steps", type=int, help="only so many steps of it")
    parser.add_argument("--runs", type=int, help="live through so many worlds")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed of --runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes for --runs")
    told = parser.parse_args(arguments)
    if told.runs is not None:
        return run_many(range(told.first, told.first + told.runs), told.jobs)
    if told.seed is None:
        parser.error("name a SEED, or --runs N")
    error = fault_of(told.seed, told.steps, tell=True)
    print(f"\nseed {told.seed}: {error or 'nothing was lost'}")
    return 1 if error else 0


def fault_of(seed: int, steps: int | None = None, *, tell: bool = False) -> str | None:
    """Live through a world; return what was wrong, ``None`` for nothing."""
    world = World(seed, steps=steps)
    error: str | None = None
    try:
        world.run()
    except Exception as found:  # noqa: BLE001 - whatever escapes from a world is its fault, and told
        error = f"{type(found).__name__}: {found}"
    if tell:
        print("\n".join(world.trace))
        for replica in world.replicas:
            print(f"\n--- {replica.root}/TASKS.md\n{(replica.data or b'(absent)').decode(errors='replace')}")
    return error


def run_many(seeds: range, jobs: int) -> int:
    """Live through many worlds, in several processes; tell which failed."""
    began = time.monotonic()
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        failures = [failure for found in pool.map(failures_of, chunks) for failure in found]
    for failure in failures:
        print(f"make sim SEED={failure.seed}  ({failure.steps} steps are enough)\n  {failure.error[:300]}")
    took_s = time.monotonic() - began
    print(f"{len(seeds)} worlds, seeds {seeds.start} to {seeds.stop - 1}, {took_s:.1f} s: {len(failures)} failed")
    return 1 if failures else 0


def failures_of(seeds: range) -> list[Failure]:
    """Return the seeds that fail, each with its shortest failing beginning."""
    return [shortest(seed) for seed in seeds if fault_of(seed) is not None]


def shortest(seed: int) -> Failure:
    """Return the shortest beginning of a world's history that fails, then comes to rest."""
    steps = next(steps for steps in range(World(seed).steps + 1) if fault_of(seed, steps) is not None)
    return Failure(seed, steps, str(fault_of(seed, steps)))


if __name__ == "__main__":
    sys.exit(main())
