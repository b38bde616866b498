"""A trial: a copy of the tree, one mutant in it, and the tests that are asked until one of them fails."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.mutants.mutant import Mutant

SUITE_S_MAX: Final = 900.0
"""How long a mutant may keep its tests busy; one that hangs them is noticed too."""

FAST: Final = (
    "tests/unit/core",
    "tests/unit/files",
    "tests/unit/engine",
    "tests/property/test_reconcile_laws.py",
    "tests/property/test_guard_laws.py",
    "tests/contract/test_store.py",
    "tests/integration/test_atomic.py",
    "tests/integration/test_state.py",
    "tests/integration/test_crashes.py",
    "tests/integration/test_safeguards.py",
    "tests/integration/test_recovery.py",
    "tests/integration/test_cycle.py",
    "tests/integration/test_nasty_cases.py",
    "tests/integration/test_feed.py",
    "tests/integration/test_errors.py",
    "tests/integration/test_plain_sql.py",
    "tests/integration/test_guards.py",
    "tests/integration/test_git.py",
    "tests/integration/test_safety.py",
    "tests/simulation",
)
"""What is asked about a mutant that its own tests let live."""

_LEFT_BEHIND: Final = (".git", ".venv", "dist", "__pycache__", "*_cache", ".hypothesis", "bench-results")
_VERDICT: Final = re.compile(r"^(FAILED|ERROR) (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the tests said.  ``killer`` is the first test that failed, ``None`` when all passed."""

    killer: str | None
    seconds: float
    output: str = ""


class Laboratory:
    """A copy of the tree in which mutants live one after the other."""

    def __init__(self, root: Path, folder: Path) -> None:
        self._copy = folder / "tree"
        self._temporary = folder / "tmp"
        self._serial = 0
        shutil.copytree(root, self._copy, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_BEHIND))
        self._temporary.mkdir()

    def try_out(self, mutant: Mutant) -> Verdict:
        """Put a mutant into the copy, run its own tests, then the fast suite, until one fails; take it out again.

        Raises: Stale.
        """
        mutated = mutant.texts(self._copy)
        sound = {path: path.read_text("utf-8") for path in mutated}
        try:
            for path, text in mutated.items():
                self._put(path, text)
            seconds = 0.0
            for tests in filter(None, (mutant.made_for, mutant.tests, FAST)):
                verdict = self.ask(tests)
                seconds += verdict.seconds
                if verdict.killer is not None:
                    break
            return Verdict(verdict.killer, seconds, verdict.output)
        finally:
            for path, text in sound.items():
                self._put(path, text)

    def ask(self, tests: Sequence[str]) -> Verdict:
        """Run tests in the copy until one fails."""
        words = ["-x", "-q", "-n0", "-rfE", "--tb=short", "--timeout=60", "-k", "not served"]
        words += ["-p", "no:cacheprovider", "--hypothesis-seed=0", f"--basetemp={self._temporary / 'pytest'}"]
        environ = {**os.environ, "PYTHONPATH": str(self._copy)}
        started = time.monotonic()
        try:
            run = subprocess.run(
                [sys.executable, "-P", "-m", "pytest", *words, *(each for each in tests if self._has(each))],
                cwd=self._copy,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SUITE_S_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Verdict("(the tests hang)", time.monotonic() - started)
        seconds = time.monotonic() - started
        if run.returncode == 0:
            return Verdict(None, seconds)
        found = _VERDICT.search(run.stdout)
        return Verdict(found[2] if found else f"(pytest ended with {run.returncode})", seconds, run.stdout)

    def _has(self, test: str) -> bool:
        return (self._copy / test.partition("::")[0]).exists()

    def _put(self, path: Path, text: str) -> None:
        """Write a source file so that no compiled one of before passes for it."""
        path.write_text(text, "utf-8")
        self._serial += 1
        at = time.time() + 3600 * self._serial
        os.utime(path, (at, at))
