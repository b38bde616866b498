"""``syncd service``: the workspace's daemon as a service of its user, kept by systemd.

The unit is the file that the package ships; what differs from machine to machine is written into the copy (the
program) or beside it (folders to be left writable, waits that a newer systemd knows).  A database's URL that only
the shell knows goes into a file that only its user can read.  Everything is asked of ``systemctl --user``: no file
of systemd's own is read.  May import everything below the faces.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from syncd.errors import NotFound, Refused
from syncd.files.atomic import failure, write_whole
from syncd.stores import LISTEN_VARIABLE

if TYPE_CHECKING:
    from syncd.stores import StoreChoice

TARGET: Final = "syncd.target"
TEMPLATE: Final = "syncd@.service"
BACKOFF: Final = "backoff.conf"
UNSANDBOXED: Final = "unsandboxed.conf"
BACKOFF_SINCE: Final = 254
"""The systemd that began to know waits that grow."""

FOLDERS: Final = {"SYNCD_DATA_DIR": "", "XDG_DATA_HOME": "syncd", "XDG_STATE_HOME": "syncd"}
"""Variables that lead the daemon to folders other than the unit's, and what lies below them."""

_PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")
_ASKED: Final = {
    "ActiveState": "",
    "SubState": "",
    "Result": "",
    "ExecMainStatus": "0",
    "MainPID": "0",
    "NRestarts": "0",
    "MemoryCurrent": "",
    "StatusText": "",
    "UnitFileState": "",
}
_TIMEOUT_S: Final = 240.0
_LINGER: Final = Path("/var/lib/systemd/linger")


class ServiceState(msgspec.Struct, frozen=True):
    """How the service of a workspace stands.

    ``active`` is systemd's word (``active``, ``inactive``, ``failed``, ``activating``, ``reloading``);
    ``lingers`` says whether the user's services run without a login, ``None`` where that is not known;
    ``environment`` is the file that was written for this workspace.
    """

    unit: str
    is_installed: bool
    is_enabled: bool
    active: str
    sub: str
    result: str
    exit_code: int
    pid: int | None
    restarts: int
    memory_bytes: int | None
    text: str
    program: tuple[str, ...]
    path: Path
    environment: Path | None
    lingers: bool | None
    has_changed: bool = False


class Service:
    """The service of one workspace.

    Args:
        root: the workspace.
        environ: the caller's environment.

    Raises (each method): Refused where there is no systemd, or none that answers this user.
    """

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self._root = root
        self._environ = environ
        home = Path(environ.get("HOME") or Path.home())
        self._config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
        self._units = self._config / "systemd" / "user"
        self.instance: Final = escaped(str(root))
        self.unit: Final = f"syncd@{self.instance}.service"

    @property
    def _template(self) -> Path:
        return self._units / TEMPLATE

    @property
    def _drop_ins(self) -> Path:
        return self._units / f"{TEMPLATE}.d"

    @property
    def _own_settings(self) -> Path:
        return self._units / f"{self.unit}.d" / "10-workspace.conf"

    @property
    def _environment(self) -> Path:
        return self._config / "syncd" / f"{self.instance}.environment"

    def install(self, variables: Mapping[str, str], *, may_start: bool = True) -> ServiceState:
        """Put the unit in place, enable it, and start it; again after an upgrade or a move is fine.

        Args:
            variables: what the daemon needs of the caller's environment.
            may_start: False leaves it for the next login.

        Raises: Refused when the service does not come up; InputOutputError for a file that cannot be written.
        Effects: writes below ``~/.config/systemd/user``; values go into a file of mode 0600.
        """
        version = self._systemd()
        changed = [
            _written(self._template, _unit_text(program(self._environ))),
            _written(self._units / TARGET, _shipped(TARGET)),
            _written(self._own_settings, _settings_text(variables)),
            _written(self._environment, unit_environment(variables), mode=0o600),
        ]
        for name, is_needed in ((BACKOFF, version >= BACKOFF_SINCE), (UNSANDBOXED, not self._has_namespaces())):
            changed.append(_written(self._drop_ins / name, _shipped(name) if is_needed else ""))
        self._systemctl("daemon-reload")
        self._systemctl("enable", TARGET, self.unit)
        if may_start:
            verb = "restart" if any(changed) else "start"
            done = self._systemctl(verb, self.unit, may_fail=True)
            if done.returncode != 0:
                raise self._did_not_start(done.stderr)
            self._systemctl("start", TARGET)
        return self._state(has_changed=any(changed))

    def uninstall(self) -> ServiceState:
        """Stop the service and take out what ``install`` wrote for this workspace, and the unit after the last."""
        self._systemd()
        was_there = self._state().is_enabled or self._own_settings.exists() or self._environment.exists()
        self._systemctl("disable", "--now", self.unit, may_fail=True)
        _written(self._own_settings, "")
        _written(self._environment, "")
        if not self.others():
            self._systemctl("disable", "--now", TARGET, may_fail=True)
            own = (self._drop_ins / BACKOFF, self._drop_ins / UNSANDBOXED, self._units / TARGET, self._template)
            for path in own:
                _written(path, "")
        self._systemctl("daemon-reload")
        self._systemctl("reset-failed", self.unit, may_fail=True)
        return self._state(has_changed=was_there)

    def state(self) -> ServiceState:
        """Return how the service stands."""
        self._systemd()
        return self._state()

    def others(self) -> tuple[str, ...]:
        """Return the units of other workspaces that are enabled, or run without."""
        # Older versions list the template alone among the unit files; what `enable` made is the same in each.
        names = {each.name for each in self._units.glob("*.wants/syncd@*.service")}
        listed = self._systemctl("list-units", "--no-legend", "--plain", "syncd@*.service", may_fail=True)
        names.update(line.split()[0] for line in listed.stdout.splitlines() if line.strip())
        return tuple(sorted(names - {self.unit}))

    def logs(self, lines: int, *, follow: bool) -> Iterator[dict[str, Any]]:
        """Yield what the journal has of this service, oldest first: ``at``, ``level``, ``message``, ``event``.

        Args:
            lines: how many of the last ones.
            follow: go on with new ones until the caller stops.

        Raises: Refused without journalctl, and when this user may not read the journal.
        """
        if shutil.which("journalctl") is None:
            raise Refused("there is no journalctl here", hint="syncd run prints its log to stderr")
        words = ["journalctl", f"--user-unit={self.unit}", "--output=json", f"--lines={lines}", "--no-pager"]
        with subprocess.Popen(
            [*words, *(["--follow"] if follow else [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._user_environ(),
        ) as reader:
            assert reader.stdout is not None
            assert reader.stderr is not None
            try:
                for line in reader.stdout:
                    yield _entry(json.loads(line))
                if b"insufficient permissions" in reader.stderr.read():
                    raise Refused("this user may not read the journal", hint="sudo usermod -aG systemd-journal $USER")
            finally:
                reader.terminate()

    # --- systemctl --------------------------------------------------------------------------------

    def _systemd(self) -> int:
        """Return the version of the user's systemd.  Raises Refused where there is none that answers."""
        if shutil.which("systemctl") is None:
            raise Refused("there is no systemd on this machine", hint=_ELSEWHERE)
        found = self._systemctl("show", "--property=Version", "--value", may_fail=True)
        if found.returncode != 0:
            said = " ".join(found.stderr.split()) or "no answer"
            raise Refused(f"systemd does not answer this user: {said}", hint=_ELSEWHERE)
        digits = "".join(each if each.isdigit() else " " for each in found.stdout).split()
        return int(digits[0]) if digits else 0

    def _has_namespaces(self) -> bool:
        """Return whether a service of this user can be given namespaces of its own: the surest way is to try."""
        wanted = ("--property=PrivateUsers=yes", "--property=ProtectSystem=strict", "--property=PrivateDevices=yes")
        words = ("systemd-run", "--user", "--wait", "--collect", "--quiet", *wanted, "true")
        try:
            done = subprocess.run(
                words, env=self._user_environ(), stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return True
        return done.returncode == 0

    def _systemctl(self, *words: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
        try:
            done = subprocess.run(
                ["systemctl", "--user", *words],
                env=self._user_environ(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Refused(
                f"systemctl {words[0]} did not end in {_TIMEOUT_S:.0f} s", hint="syncd service logs"
            ) from error
        if done.returncode != 0 and not may_fail:
            raise Refused(f"systemctl --user {words[0]}: {' '.join(done.stderr.split())}")
        return done

    def _user_environ(self) -> dict[str, str]:
        """Return the environment in which the user's manager is found, after ``su`` and in a cron job, too."""
        runtime = f"/run/user/{os.getuid()}"
        found = dict(self._environ)
        if not found.get("XDG_RUNTIME_DIR") and Path(runtime).is_dir():
            found["XDG_RUNTIME_DIR"] = runtime
        return found

    def _state(self, *, has_changed: bool = False) -> ServiceState:
        asked = self._systemctl("show", *(f"--property={name}" for name in _ASKED), self.unit, may_fail=True)
        told = dict(line.split("=", 1) for line in asked.stdout.splitlines() if "=" in line)
        values = {name: told.get(name) or default for name, default in _ASKED.items()}
        memory = values["MemoryCurrent"]
        return ServiceState(
            unit=self.unit,
            is_installed=self._template.is_file(),
            is_enabled=values["UnitFileState"] == "enabled",
            active=values["ActiveState"] or "inactive",
            sub=values["SubState"] or "dead",
            result=values["Result"],
            exit_code=int(values["ExecMainStatus"]),
            pid=int(values["MainPID"]) or None,
            restarts=int(values["NRestarts"]),
            memory_bytes=int(memory) if memory.isdigit() else None,
            text=values["StatusText"],
            program=program(self._environ),
            path=self._template,
            environment=self._environment if self._environment.exists() else None,
            lingers=_lingers(self._environ),
            has_changed=has_changed,
        )

    def _did_not_start(self, said: str) -> Refused:
        state = self._state()
        ended = f"it ended with {state.exit_code}" if state.exit_code else " ".join(said.split())[:200]
        return Refused(f"the service is installed and does not start: {ended}", hint="syncd service logs")


_ELSEWHERE: Final = "Any other supervisor can run it: docs/operations/service.md shows how."


def daemon_variables(choice: StoreChoice, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a daemon elsewhere needs of this environment to reach the same store; it may hold a password."""
    found = {name: environ[name] for name in FOLDERS if environ.get(name)}
    if choice.dsn is not None:
        found[choice.source.removeprefix("$")] = choice.dsn
        found |= {name: each for name, each in environ.items() if name.startswith("PG") or name == LISTEN_VARIABLE}
    return found


def escaped(path: str) -> str:
    """Return a path as systemd writes it in the name of an instance.

    Source: systemd.unit(5), "String escaping for inclusion in unit names".
    """
    trimmed = "/".join(filter(None, path.split("/")))
    if not trimmed:
        return "-"
    parts = []
    for at, byte in enumerate(os.fsencode(trimmed)):
        character = chr(byte)
        if character == "/":
            parts.append("-")
        elif character in _PLAIN and not (at == 0 and character == "."):
            parts.append(character)
        else:
            parts.append(f"\\x{byte:02x}")
    return "".join(parts)


def program(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that run this very syncd: its console script where there is one, else its interpreter."""
    beside = Path(sys.executable).with_name("syncd")
    found = shutil.which("syncd", path=environ.get("PATH"))
    if found is not None and beside.exists() and os.path.realpath(found) == os.path.realpath(beside):
        return (os.path.abspath(found),)  # noqa: PTH100 - a link of pipx and uv outlives what it leads to
    return (str(beside),) if beside.is_file() else (sys.executable, "-P", "-m", "syncd")


def _shipped(name: str) -> str:
    """Return a file of the package's ``systemd`` folder."""
    try:
        return files("syncd").joinpath("systemd", name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"this installation of syncd lacks its file systemd/{name}", hint="Install it again.") from None


def _unit_text(words: Sequence[str]) -> str:
    lines = _shipped(TEMPLATE).splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("ExecStart="))
    lines[start] = f"ExecStart={' '.join(map(_quoted, words))} -C %f run"
    return "\n".join(lines) + "\n"


def _settings_text(variables: Mapping[str, str]) -> str:
    """Return the drop-in for folders elsewhere; empty where the unit's own are meant."""
    folders = [str(Path(variables[name], below)) for name, below in FOLDERS.items() if variables.get(name)]
    if not folders:
        return ""
    made = " ".join(map(_quoted, folders))
    lines = ["# Written by syncd service install.", "[Service]", f"ExecStartPre=+/bin/mkdir -p {made}"]
    return "\n".join([*lines, *(f"ReadWritePaths={_quoted(f'-{each}')}" for each in folders)]) + "\n"


def unit_environment(variables: Mapping[str, str]) -> str:
    """Return the environment file that gives a unit these variables, whatever their values hold."""
    if not variables:
        return ""
    lines = ["# Written by syncd service install: what this workspace's daemon needs of the environment."]
    for name, value in sorted(variables.items()):
        plain = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
        lines.append(f'{name}="{plain}"')
    return "\n".join(lines) + "\n"


def _quoted(word: str) -> str:
    """Return a word as a unit file takes it: quoted, with specifiers and variables as plain text."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return plain if plain == word and not set(word) & set(" \t;'") else f'"{plain}"'


def _written(path: Path, text: str, *, mode: int = 0o644) -> bool:
    """Make a file say this, or be gone where there is nothing to say; return whether that changed anything."""
    try:
        before = path.read_text("utf-8") if path.is_file() else ""
        if before == text:
            return False
        if text:
            path.parent.mkdir(mode=0o700 if mode == 0o600 else 0o755, parents=True, exist_ok=True)
            if not path.exists():
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode))
            write_whole(path, text.encode())
        else:
            path.unlink()
            if path.parent.name.endswith(".d") and not any(path.parent.iterdir()):
                path.parent.rmdir()
    except OSError as error:
        if text:
            raise failure(error, f"Cannot write {path}") from error
    return True


def _lingers(environ: Mapping[str, str]) -> bool | None:
    if not _LINGER.parent.is_dir():
        return None
    return (_LINGER / (environ.get("USER") or environ.get("LOGNAME") or "")).is_file()


def _entry(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return one entry of the journal: an event of syncd's with its fields, or a line that systemd wrote."""
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(int(told["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
    levels = {"0": "critical", "1": "critical", "2": "critical", "3": "error", "4": "warning", "7": "debug"}
    own = {name: value for name, value in told.items() if name.startswith("SYNCD_") and name != "SYNCD_EVENT"}
    message = told.get("MESSAGE") or ""
    return {
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": levels.get(str(told.get("PRIORITY")), "info"),
        "event": told.get("SYNCD_EVENT"),
        "message": message if isinstance(message, str) else bytes(message).decode("utf-8", "replace"),
        "fields": {name.removeprefix("SYNCD_").lower(): value for name, value in own.items()},
    }
