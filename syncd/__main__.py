"""The console script.  Imports nothing before it must: a start costs what its command needs."""

from __future__ import annotations

import os
import sys

from syncd.hot import through_daemon


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; no exception leaves it.

    Args:
        arguments: the words after ``syncd``; by default those of the process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    _open_missing_streams()
    try:
        if (code := through_daemon(words)) is not None:
            return code
        from syncd.cli.app import run

        return run(words)
    except BaseException as error:  # noqa: BLE001 - the last resort; report() tells the kinds apart
        from syncd.cli.failures import report

        return report(error, words)


def _open_missing_streams() -> None:
    """Lead streams that the caller closed to nowhere, so that no file or socket takes their numbers."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: PTH123, SIM115 - open as long as the process


if __name__ == "__main__":
    sys.exit(main())
