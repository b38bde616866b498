"""The daemon and the service: whether they run, and as which version.

May import ``syncd``, ``syncd.doctor.check``, ``syncd.files``, ``syncd.service``, ``syncd.errors``.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from syncd import __version__
from syncd.doctor.check import Check, error, note, ok, warning
from syncd.errors import Refused, SyncdError
from syncd.files.layout import Layout
from syncd.files.lock import holder
from syncd.service import Service

ANSWER_S: Final = 2.0


def daemon(layout: Layout, environ: Mapping[str, str]) -> Check:
    """Look whether a daemon keeps this workspace in sync, and whether it is of this version."""
    try:
        who = holder(layout.daemon_lock)
    except SyncdError as failed:
        return error("daemon", failed.message, f"ls -l {layout.daemon_lock}")
    path = layout.socket(environ)
    try:
        greeting = _greeting(path)
    except OSError as failed:
        if who is None:
            return note("daemon", "none runs: edits wait for syncd sync", "syncd service install")
        told = f"{who} has this workspace and does not answer on {path} ({failed.strerror or 'no answer'})"
        return error("daemon", told, f"kill {who.pid}" if who.pid else "syncd service logs")
    found = greeting.get("version")
    if found != __version__:
        told = f"version {found} runs, and {__version__} is installed: commands do their work themselves"
        return warning("daemon", told, "systemctl --user restart syncd.target")
    return ok("daemon", f"{who or 'one'} answers")


def _greeting(path: Path) -> Mapping[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(str(path))
        with connection.makefile("rb") as stream:
            told: Mapping[str, Any] = json.loads(stream.readline() or b"{}")
            return told


def service(root: Path, environ: Mapping[str, str]) -> Check:
    """Look whether systemd keeps the daemon running."""
    try:
        state = Service(root, environ).state()
    except Refused as failed:
        return note("service", failed.message, failed.hint)
    if not (state.is_installed and state.is_enabled):
        return note("service", "not installed", "syncd service install")
    if state.active == "failed":
        return error("service", f"it failed, with {state.exit_code}", "syncd service logs")
    if state.active not in ("active", "reloading"):
        return warning("service", f"it is {state.active} ({state.sub})", "syncd service install")
    if state.lingers is False:
        return note("service", "runs, until you have logged out everywhere", "loginctl enable-linger")
    again = f", started again {state.restarts} times" if state.restarts else ""
    return ok("service", f"runs{again}")
