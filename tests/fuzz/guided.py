"""The coverage-guided run: atheris makes the choices, and follows what code they reach.

libFuzzer ends the process in which it runs, so that it gets one of its own.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from pathlib import Path

from tests.fuzz.findings import RESULTS, Findings
from tests.fuzz.grammar import TEXTS

FOUND = 1


def run(seconds: int, seed: int) -> int:
    """Fuzz for so long; return 1 when a law was broken."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="syncd-fuzz-") as name:
        for number, text in enumerate(TEXTS):
            Path(name, f"fixture-{number}").write_bytes(b"\0" + text.encode())
        found = spawn.Value("i", 0)
        process = spawn.Process(target=_fuzz, args=(name, seconds, seed, found))
        process.start()
        process.join()
        return FOUND if found.value or process.exitcode else 0


def _fuzz(corpus: str, seconds: int, seed: int, found: object) -> None:
    import atheris

    with atheris.instrument_imports(include=["syncd.parsers"]):
        from tests.fuzz.choices import one

    findings = Findings()

    def ask(data: bytes) -> None:
        try:
            one(data)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is a finding; the run goes on)
            findings.add("", error, data)
            found.value = len(findings.counts)  # type: ignore[attr-defined]

    # What libFuzzer itself keeps (slow inputs) goes where the findings go, not into the current folder.
    RESULTS.mkdir(exist_ok=True)
    times = [f"-max_total_time={seconds}", f"-seed={seed + 1}", f"-artifact_prefix={RESULTS}/"]
    flags = [*times, "-max_len=2048", "-verbosity=0", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *flags, corpus], ask)
    atheris.Fuzz()
