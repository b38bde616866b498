"""The data folder of the embedded server: made aside and renamed, checked before each start.

Everything here runs while the server's lock is held, so that no process of a server is left.

May import ``syncd.errors``, its sibling modules ``embedded_*``, and the standard library.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from syncd.errors import Busy, InputOutputError, SchemaVersionError, StoreUnreachable
from syncd.store.embedded.binaries import Account, Binaries, run
from syncd.store.embedded.home import DISK_FULL, Deadline, Home, reported, way_out
from syncd.store.embedded.sockets import DATABASE, SOCKET, USER

HERE: Final = "/proc/self/cwd"
"""How the server names its data folder.

It is started inside the folder and reaches it by this link of the kernel, which asks no folder above for
leave: so the server's account needs no way into a home of mode 0700, and odd characters in the path reach
neither the server nor a shell.
"""

_TO_CLIENTS: Final = ("the database system is ", "terminating connection due to ")
"""Parts of messages that are fatal to a session only."""

_log = logging.getLogger(__name__)


def is_complete(cluster: Path) -> bool:
    """Say whether a data folder is there, with the two files without which nothing can be in it."""
    with reported(cluster):
        return (cluster / "PG_VERSION").is_file() and (cluster / "global" / "pg_control").is_file()


def major_version(cluster: Path) -> int | None:
    """Return the major version that made the data folder; None when there is none."""
    with reported(cluster):
        try:
            written = (cluster / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            return None
    return int(written.split(".")[0]) if written[:1].isdigit() else None


def prepare(home: Home, binaries: Binaries, account: Account | None, deadline: Deadline, lock: int) -> None:
    """Bring the data folder to a state that the server can start from.

    A missing one is made.  A half-made one (nothing can be in it, see ``is_complete``) is moved aside, not
    removed.  Pid files that name somebody else's process are removed.

    Args:
        lock: a descriptor that ``initdb`` holds while it runs, even when its starter is killed.

    Effects: writes below ``home.folder``; a retry is safe at every point.

    Raises:
        SchemaVersionError: it was made by another major version.
        Busy: a server that syncd did not start runs in it.
        InputOutputError: the disk is full, or a permission is missing.
    """
    _clear_leftovers(home)
    if not is_complete(home.cluster):
        _move_aside(home)
        _create(home, binaries, account, deadline, lock)
        return
    made_by = major_version(home.cluster)
    if made_by != binaries.major:
        raise SchemaVersionError(
            f"the data in {home.cluster} was made by PostgreSQL {made_by or 'of an unknown version'}, "
            f"and this is {binaries.version}",
            hint="run `syncd db upgrade`, or dump it with pg_dump of that version "
            "and set SYNCD_DATA_DIR to a new folder",
        )
    _clear_pid_files(home.cluster)


def _clear_leftovers(home: Home) -> None:
    with reported(home.folder):
        for leftover in home.folder.glob("data.new-*"):
            shutil.rmtree(leftover)
            _log.info("embedded.leftover-removed", extra={"path": str(leftover)})


def _move_aside(home: Home) -> None:
    with reported(home.cluster):
        if not home.cluster.is_dir() or not any(home.cluster.iterdir()):
            return
        aside = home.cluster.with_name(f"data.broken-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}")
        home.cluster.rename(aside)
    _log.warning("embedded.half-made-folder-moved-aside", extra={"path": str(aside)})


def _create(home: Home, binaries: Binaries, account: Account | None, deadline: Deadline, lock: int) -> None:
    """Make a whole data folder under another name, then give it its own in one step."""
    fresh = home.folder / f"data.new-{secrets.token_hex(4)}"
    with reported(home.folder):
        fresh.mkdir(mode=0o700)
        if account is not None:
            os.chown(fresh, account.uid, account.gid)
    try:
        _initialise(fresh, home, binaries, account, deadline, lock)
        with reported(home.cluster):
            fresh.rename(home.cluster)
            parent = os.open(home.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(parent)
            finally:
                os.close(parent)
    finally:
        # After the renaming it is gone; what cannot be removed now, the next start removes.
        shutil.rmtree(fresh, ignore_errors=True)


def _initialise(
    fresh: Path, home: Home, binaries: Binaries, account: Account | None, deadline: Deadline, lock: int
) -> None:
    """Run initdb and make syncd's database, unsynced until all is there.

    The database is made by a single-user server: whatever carries the final name has it.  Authentication is
    ``trust`` because the way to the socket is the authentication: the folder is 0700.
    """
    initdb = (
        *("--username", USER, "--auth-local", "trust", "--auth-host", "reject", "--encoding", "UTF8"),
        # The same order of strings everywhere and after every system update.
        *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        *("--no-sync", "--no-instructions"),
    )
    single_user = ("--single", "-D", HERE, "-F", "-j", "-c", "log_checkpoints=off", "template1")
    for program, arguments, text in (
        ("initdb", ("-D", HERE, *initdb), None),
        ("postgres", single_user, f"create database {DATABASE} owner {USER};\n"),
        ("initdb", ("-D", HERE, "--sync-only"), None),
    ):
        try:
            done = run(
                binaries.folder / program,
                *arguments,
                account=account,
                folder=fresh,
                timeout_s=deadline.left_s,
                text=text,
                keep_open=(lock,),
            )
        except subprocess.TimeoutExpired as failure:
            raise StoreUnreachable(
                f"{program} did not finish {home.cluster} in time", hint="try again; is the disk very slow?"
            ) from failure
        if done.returncode != 0 or "FATAL" in done.stderr or "ERROR" in done.stderr:
            complaint = last_complaint(done.stderr) or f"exit {done.returncode}"
            raise InputOutputError(
                f"{program} could not make {home.cluster}: {complaint}", hint=way_out(complaint, home.folder)
            )


def last_complaint(said: str) -> str:
    """Return the line of a server's messages that says why it gave up; empty when none does.

    A full disk is the reason wherever it stands; else the last of the gravest lines is.
    """
    lines = [line.strip() for line in said.splitlines() if not any(words in line for words in _TO_CLIENTS)]
    for signs in (
        DISK_FULL,
        ("PANIC:",),
        ("FATAL:",),
        ("ERROR:", "error:", "Error:"),
        ("could not", "Could not", "cannot"),
    ):
        for line in reversed(lines):
            if any(sign in line for sign in signs):
                return line
    return ""


def _clear_pid_files(cluster: Path) -> None:
    """Remove pid files that name a living process which is no server of this folder.

    PostgreSQL itself replaces the file of a process that is gone, but refuses to start when the number now
    belongs to somebody else.  Every process of a server works inside its data folder, so one that works
    elsewhere is innocent; it is left alone, and only the file goes.
    """
    with reported(cluster):
        for path in (cluster / "postmaster.pid", cluster / f"{SOCKET}.lock"):
            pid = _first_number(path)
            if pid is None or not Path(f"/proc/{pid}").exists():
                continue
            if _may_serve(pid, cluster):
                raise Busy(
                    f"a PostgreSQL server that syncd did not start (process {pid}) runs in {cluster}",
                    hint="stop it where it was started, and try again",
                )
            path.unlink()
            _log.warning("embedded.stale-pid-file-removed", extra={"path": str(path)})


def _first_number(path: Path) -> int | None:
    try:
        first = path.read_text(encoding="ascii", errors="replace").split("\n", 1)[0].strip().lstrip("-")
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else None


def _may_serve(pid: int, cluster: Path) -> bool:
    """Say whether this process works in the data folder; by its name where we may not look into it."""
    process = Path(f"/proc/{pid}")
    try:
        try:
            place = (process / "cwd").stat()
        except PermissionError:
            # Root in a container lacks the right.  Removing the file of a live server would cost the data.
            return (process / "comm").read_text(encoding="utf-8", errors="replace").startswith("post")
    except (FileNotFoundError, ProcessLookupError):
        return False
    own = cluster.stat()
    return (place.st_dev, place.st_ino) == (own.st_dev, own.st_ino)
