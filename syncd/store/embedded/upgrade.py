"""The data of another major version, brought to the one that is installed: dumped by its own server, loaded anew.

Only a server of that version can read its files, so one has to be on the machine (a distribution's package will
do).  It serves the old folder for the time of the dump; what it says is loaded into a new data folder aside; then
both folders change places in one step.  Until then a crash leaves everything as it was, and afterwards the old
folder stays under a name of its own.  May import ``syncd.errors``, its sibling modules, and the standard library.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from syncd.errors import Busy, ConfigError, InputOutputError, NotFound, StoreUnreachable
from syncd.store.embedded import EmbeddedServer, binaries, cluster, sockets
from syncd.store.embedded.binaries import Account, Binaries
from syncd.store.embedded.cluster import HERE, last_complaint, major_version
from syncd.store.embedded.home import Deadline, Home, reported
from syncd.store.embedded.sockets import Answer

PLACES: Final = ("/usr/lib/postgresql/{}/bin", "/usr/pgsql-{}/bin", "/usr/local/pgsql-{}/bin", "/opt/postgresql/{}/bin")
"""Where distributions put the programs of a major version."""

TIMEOUT_S: Final = 3600.0
_STOP_S: Final = 60.0
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What was done: from which version to which, and where the old data folder is now; ``None``: nothing to do."""

    before: int
    after: int
    kept: Path | None


def upgrade(
    data_dir: Path,
    *,
    programs: Path | None,
    exchange: Callable[[Path, Path], None],
    loaded: Callable[[str], None],
    timeout_s: float = TIMEOUT_S,
) -> Upgraded:
    """Bring the data of the embedded server to the installed major version.

    Args:
        programs: the folder with ``postgres`` of the old version; by default where distributions put it.
        exchange: lets two folders change places in one step.
        loaded: called with the new server's address when everything is in it.

    Effects: needs the server to be stopped; the old data stays, beside the new, until somebody deletes it.

    Raises:
        NotFound: there is no data yet.
        ConfigError: no server of the old version is here.
        Busy: the server runs.
        InputOutputError, StoreUnreachable: a server or a dump gave up; nothing was changed.
    """
    home, deadline = Home(data_dir.absolute()), Deadline.after(timeout_s)
    before = major_version(home.cluster)
    if before is None:
        raise NotFound(f"no embedded store has been made in {home.folder} yet", hint="syncd init")
    account = binaries.server_account(home.cluster, home.folder)
    installed = binaries.find(account)
    if before == installed.major:
        return Upgraded(before, before, None)
    old = _programs(before, programs)
    with _alone(home), _aside(home) as aside:
        server = EmbeddedServer.start(aside, timeout_s=deadline.left_s, grace_s=0.0)
        with server, _serving(home.cluster, old, account, deadline):
            _copy(installed, sockets.dsn(home.cluster), server.dsn, deadline)
            loaded(server.dsn)
        _wait_until_stopped(Home(aside), deadline)
        kept = home.cluster.with_name(f"data.pg{before}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        with reported(home.folder):
            exchange(Home(aside).cluster, home.cluster)
            Home(aside).cluster.rename(kept)
            folder = os.open(home.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    return Upgraded(before, installed.major, kept)


def _programs(major: int, told: Path | None) -> Path:
    """Return the folder with the old version's server.  Raises ConfigError."""
    for folder in [told] if told is not None else [Path(place.format(major)) for place in PLACES]:
        if (folder / "postgres").is_file():
            return folder
    where = f"in {told}" if told is not None else "on this machine"
    raise ConfigError(
        f"only PostgreSQL {major} can read data that it made, and there is none {where}",
        hint=f"Install it (Debian: apt install postgresql-{major}), or name its folder with --programs",
    )


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Keep everybody else from starting the server.  Raises Busy while it runs."""
    with contextlib.ExitStack() as held:
        for lock in (home.watcher_lock, home.server_lock):
            handle = home.try_lock(lock)
            if handle is None:
                raise Busy(f"the server in {home.folder} runs", hint="Stop what uses it (syncd status), and try again.")
            held.callback(os.close, handle)
        yield


@contextlib.contextmanager
def _aside(home: Home) -> Iterator[Path]:
    """Give a folder for the new server; whatever is left in it goes."""
    folder = home.folder / f"upgrade-{secrets.token_hex(4)}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _serving(folder: Path, old: Path, account: Account | None, deadline: Deadline) -> Iterator[None]:
    """Run the old version's server in its data folder, without TCP."""
    settings = {
        "listen_addresses": "",
        "port": str(sockets.PORT),
        "unix_socket_directories": HERE,
        "unix_socket_permissions": "0700",
        "log_min_error_statement": "panic",
        "logging_collector": "off",
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    identity = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    with subprocess.Popen(
        [old / "postgres", "-D", HERE, *words],
        cwd=folder,
        env=binaries.ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        **identity,  # type: ignore[call-overload]  # user, group and their like, as Popen takes them
    ) as server:
        try:
            while sockets.probe(folder).answer is not Answer.READY:
                if server.poll() is not None:
                    said = server.stderr.read()
                    raise InputOutputError(f"{old / 'postgres'} did not start: {last_complaint(said) or said[-200:]}")
                if deadline.is_over:
                    raise StoreUnreachable(f"{old / 'postgres'} took no queries in time")
                time.sleep(_LOOK_S)
            yield
        finally:
            server.send_signal(2)  # a fast shutdown: sessions end, and everything is on the disk
            try:
                server.communicate(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()


def _copy(installed: Binaries, source: str, target: str, deadline: Deadline) -> None:
    """Dump one database into another: in one transaction, so that half a dump is none.  Raises InputOutputError."""
    dump = [installed.folder / "pg_dump", "--no-owner", "--no-privileges", f"--dbname={source}"]
    load = [installed.folder / "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1"]
    common = {"env": binaries.ENVIRONMENT, "stderr": subprocess.PIPE, "text": True, "errors": "replace"}
    with (
        subprocess.Popen(dump, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, **common) as dumping,  # type: ignore[call-overload]  # of text
        subprocess.Popen(  # type: ignore[call-overload]  # of text
            [*load, f"--dbname={target}"], stdin=dumping.stdout, stdout=subprocess.DEVNULL, **common
        ) as loading,
    ):
        dumping.stdout.close()
        try:
            said = loading.communicate(timeout=deadline.left_s)[1] + dumping.communicate(timeout=deadline.left_s)[1]
        except subprocess.TimeoutExpired:
            loading.kill()
            dumping.kill()
            raise StoreUnreachable("the dump did not come to its end in time") from None
    if dumping.returncode or loading.returncode:
        raise InputOutputError(f"the dump could not be loaded: {last_complaint(said) or said.strip()[-200:]}")


def _wait_until_stopped(home: Home, deadline: Deadline) -> None:
    """Wait for the new server to end by itself: nobody uses it any more."""
    while True:
        lock = home.try_lock(home.server_lock)
        if lock is not None:
            os.close(lock)
            if cluster.is_complete(home.cluster) and sockets.probe(home.cluster).answer is Answer.SILENT:
                return
        if deadline.is_over:
            raise StoreUnreachable(f"the server in {home.folder} does not come to its end")
        time.sleep(_LOOK_S)
