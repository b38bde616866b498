"""A real PgBouncer in transaction mode, in front of a server that listens on TCP."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.support.ports import free_port
from tests.support.postgres import wait_until_it_answers


@contextlib.contextmanager
def pooled(dsn: str) -> Iterator[str]:
    """Give a dsn that leads to the same database through two pooled connections; skips without PgBouncer."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip("no PgBouncer to test against: pgbouncer is not installed")
    parts = conninfo_to_dict(dsn)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="syncd-pooler-") as name:
        place = Path(name)
        (place / "users").write_text(f'"{parts["user"]}" "{parts["password"]}"\n')
        (place / "pooler.ini").write_text(
            f"[databases]\n* = host={parts['host']} port={parts['port']}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {place / 'users'}\n"
            "pool_mode = transaction\ndefault_pool_size = 2\nserver_lifetime = 5\n"
        )
        account: dict[str, object] = {}
        if os.geteuid() == 0:
            entry = pwd.getpwnam("postgres")
            for path in (place, *place.iterdir()):
                os.chown(path, entry.pw_uid, entry.pw_gid)
            account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        log = place / "log"
        with (
            log.open("ab") as said,
            subprocess.Popen(
                [program, place / "pooler.ini"], stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd="/", **account
            ) as process,  # type: ignore[call-overload]
        ):
            try:
                through = make_conninfo(dsn, host="127.0.0.1", port=port)
                wait_until_it_answers(through, process, log)
                yield through
            finally:
                process.send_signal(signal.SIGINT)
