"""What a run found: each way of breaking a law once, with what plays it again."""

from __future__ import annotations

import hashlib
import re
import traceback
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).resolve().parents[2] / "fuzz-results"
_OWN: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\S*\d\S*")


class Findings:
    """Findings by kind: the error, its place, and its words without names and numbers."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, played: str, error: BaseException, data: bytes | None = None) -> None:
        """Count a finding; print the first of its kind, and keep the bytes that make it."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        words = _OWN.sub("…", str(error))[:100]
        kind = f"{type(error).__name__} in {Path(frame.filename).name}:{frame.lineno}: {words}"
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if self.counts[kind] > 1:
            return
        if data is not None:
            played = str(_kept(data, error))
        print(f"{played}: {kind}", flush=True)

    def told(self, tried: int) -> str:
        """Return the run in a line."""
        broken = sum(self.counts.values())
        return f"{tried} files, {broken} that break a law, in {len(self.counts)} ways"


def _kept(data: bytes, error: BaseException) -> Path:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / hashlib.sha256(data).hexdigest()[:12]
    path.write_bytes(data)
    path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)), "utf-8")
    return path
