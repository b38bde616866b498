"""How a command ends that does not end well: one line that says what, one that says what to do, and the exit code.

Every failure ends here, a bug and Ctrl-C included.  Imports nothing before it is needed: it also has
to work when an import is what failed.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

EXIT_INTERRUPTED: Final = 130

_SECRETS: Final = re.compile(
    r"(?P<url>://[^/\s:@]*:)\S*(?=@)"
    r"|(?P<word>\b\w*(?:password|passwd|pwd)\s*[=:]\s*)(?:'(?:\\.|[^'\\])*'|\"[^\"]*\"|[^\s'\"&;,)]+)",
    re.IGNORECASE,
)
_IO_ERRORS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What is said of an error."""

    exit_code: int
    code: str
    message: str
    hint: str | None = None


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Say what went wrong, and return the exit code.

    Effects: writes to stderr; for a bug, also a log file that only its user can read.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if (code := _quiet_exit_code(error)) is not None:
        return code
    words = _options_of(arguments)
    is_stuck = _is_output_stuck()
    failure = _failure(error, arguments, is_stuck=is_stuck)
    if failure.exit_code == 70 and "--debug" in words:
        _write(redact(_traceback(error)))
    _write(_as_json(failure) if "--json" in words else _as_text(failure))
    return failure.exit_code


def redact(text: str) -> str:
    """Return text in which the passwords of DSNs are starred out."""
    return _SECRETS.sub(lambda match: f"{match['url'] or match['word']}***", text)


def _quiet_exit_code(error: BaseException) -> int | None:
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    import typer

    if isinstance(error, typer.Exit):
        return error.exit_code
    return EXIT_INTERRUPTED if isinstance(error, typer.Abort) else None


def _options_of(arguments: Sequence[str]) -> frozenset[str]:
    """Return the words of a command line that can be options; it may be one that does not parse."""
    words = list(arguments)
    return frozenset(words[: words.index("--")] if "--" in words else words)


def _is_output_stuck() -> bool:
    """Return whether what was printed cannot be written.

    Effects: stdout then leads nowhere, so that the interpreter's last flush does not fail once more.
    """
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return True
    return False


def _is_folder_gone() -> bool:
    """Return whether the folder in which this runs was removed."""
    try:
        os.getcwd()  # noqa: PTH109 - the other way loads more
    except FileNotFoundError:
        return True
    return False


def _failure(error: BaseException, arguments: Sequence[str], *, is_stuck: bool) -> Failure:
    from syncd.errors import Bug, InputOutputError, NotFound, SyncdError, UsageError

    if isinstance(error, SyncdError) and not isinstance(error, Bug):
        return Failure(error.exit_code, error.code, error.message, error.hint)
    # typer keeps the base class of its usage errors private, and moved it between releases.
    if (format_message := getattr(error, "format_message", None)) is not None:
        path = getattr(getattr(error, "ctx", None), "command_path", "syncd")
        return Failure(UsageError.exit_code, UsageError.code, format_message(), f"{path} --help")
    if isinstance(error, OSError) and error.errno in _IO_ERRORS:
        place = f": {os.fsdecode(error.filename)}" if isinstance(error.filename, str | bytes) else ""
        what = "the output cannot be written: " if is_stuck and not place else ""
        return Failure(InputOutputError.exit_code, InputOutputError.code, f"{what}{error.strerror}{place}")
    if isinstance(error, FileNotFoundError) and _is_folder_gone():
        return Failure(NotFound.exit_code, NotFound.code, "the current folder is not there any more", "cd ~")
    return _bug(error, arguments)


def _bug(error: BaseException, arguments: Sequence[str]) -> Failure:
    from syncd.errors import Bug

    said = " ".join(str(error).split())
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    log = _write_log(error, arguments)
    if log is None:
        hint = "no log could be written; run it again with --debug and report what that prints"
    else:
        hint = f"the traceback is in {log}; please report this bug with that file (passwords are taken out)"
    return Failure(Bug.exit_code, Bug.code, f"this is a bug in syncd: {what}", hint)


def _write_log(error: BaseException, arguments: Sequence[str]) -> str | None:
    """Write the traceback to a new file of mode 0600 and return its path; ``None`` where nothing can be written."""
    import platform
    import shlex
    import tempfile
    import time
    from pathlib import Path

    import syncd

    facts = (
        f"syncd {syncd.__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}\n"
        f"command: syncd {shlex.join(arguments)}\n\n{_traceback(error)}"
    )
    data = redact(facts).encode("utf-8", "backslashreplace")
    state = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    for folder in (Path(state, "syncd"), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix="syncd-bug-", suffix=".log", dir=folder)
            with os.fdopen(handle, "wb") as log:
                log.write(data)
        except (OSError, RuntimeError):
            continue
        return name
    return None


def _traceback(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def _as_text(failure: Failure) -> str:
    from syncd.cli.screen import visible

    lines = [f"syncd: {visible(_one_line(failure.message))}"]
    if failure.hint:
        lines.append(f"hint: {visible(_one_line(failure.hint))}")
    return redact("\n".join(lines)) + "\n"


def _as_json(failure: Failure) -> str:
    import json

    said = {"code": failure.code, "message": redact(failure.message), "hint": redact(failure.hint or "") or None}
    return json.dumps({"error": said}) + "\n"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _write(text: str) -> None:
    """Write to stderr; when nobody can hear it any more, the exit code still says it."""
    try:
        sys.stderr.buffer.write(text.encode("utf-8", "backslashreplace"))
        sys.stderr.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
