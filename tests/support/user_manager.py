"""A real ``systemd --user`` for a test, on a machine that was not booted with systemd.

Run as a program by root, it makes a small world of its own: a mount namespace in which ``/run`` is empty and
``/sys/fs/cgroup`` is a control group made for it, a journal, and in it the manager of an ordinary user.  It
prints one line of JSON when the manager runs, and takes all of it down when its standard input ends.  The rest of
the file system is the machine's, so a test sees the same files inside and outside.

Needs root, cgroup 2, and the Debian packages systemd and dbus-user-session (or their like); ``missing`` says what
is not there.
"""

from __future__ import annotations

import itertools
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CGROUPS = Path("/sys/fs/cgroup")
DEADLINE_S = 30.0
ACCOUNTS = ("games", "news", "uucp", "nobody")
"""Accounts that own nothing, in the order of preference; the first that can run this Python is the user."""

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_MOUNT = f"{{ umount -R {CGROUPS}; mount -t cgroup2 cgroup2 {CGROUPS}; }} 2>/dev/null"
_PROGRAMS = ("/lib/systemd/systemd", "/usr/lib/systemd/systemd")
_JOURNALS = ("/lib/systemd/systemd-journald", "/usr/lib/systemd/systemd-journald")


def missing() -> str | None:
    """Return why a manager cannot be run on this machine; ``None`` when it can."""
    if os.geteuid() != 0:
        return "a systemd --user of its own needs root"
    for name in ("systemctl", "systemd-run", "unshare", "nsenter", "setpriv", "dbus-daemon"):
        if shutil.which(name) is None:
            return f"this machine has no {name}"
    if _first(_PROGRAMS) is None:
        return "this machine has no systemd"
    if "cgroup2" not in Path("/proc/filesystems").read_text("ascii"):
        return "this kernel has no cgroup 2"
    probe = f"{_MOUNT} && cd {CGROUPS} && mkdir x$$ && rmdir x$$"
    if subprocess.run(["unshare", "--mount", "sh", "-c", probe], capture_output=True, check=False).returncode:
        return "control groups cannot be made here"
    if _user() is None:
        return f"no account of {', '.join(ACCOUNTS)} can run a Python {_VERSION} and read these sources"
    return None


@dataclass(frozen=True)
class User:
    """The user of a manager that runs, as a test sees it: a home, and commands that run as it in its world."""

    home: Path
    name: str
    uid: int
    gid: int
    pid: int
    environ: Mapping[str, str]
    python: str

    def run(self, *words: str, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as this user, beside its manager, and return what it printed."""
        done = subprocess.run(
            [*self.words, "env", "-C", str(cwd or self.home), *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done

    @property
    def words(self) -> Sequence[str]:
        """What stands before a command so that it runs as this user, in its world."""
        there = ("nsenter", f"--target={self.pid}", "--mount", "--cgroup")
        become = ("setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        return (*there, *become, "env", "-i", *(f"{name}={value}" for name, value in self.environ.items()))

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "--user", "show", "--value", f"--property={name}", unit).stdout.strip()

    def own(self, *paths: Path) -> None:
        """Give files to this user, with all that is in them."""
        for path in paths:
            for each in (path, *path.rglob("*")):
                os.chown(each, self.uid, self.gid, follow_symlinks=False)


@contextmanager
def user_manager() -> Iterator[User]:
    """Run a manager, and give its user; the home goes with it."""
    found = _user()
    assert found is not None
    account, python = found
    home = Path(tempfile.mkdtemp(prefix="sdu"))
    os.chown(home, account.pw_uid, account.pw_gid)
    home.chmod(0o755)
    group = f"{CGROUPS}/syncd-test.{os.getpid()}"
    enter = f'{_MOUNT} && mkdir {group} && echo $$ >{group}/cgroup.procs && exec unshare --cgroup -- "$@"'
    inside = (sys.executable, "-P", __file__, account.pw_name, str(home))
    words = ["unshare", "--mount", "sh", "-c", enter, "sh", *inside]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as world:
        try:
            assert world.stdout is not None
            told = json.loads(world.stdout.readline() or "{}")
            assert told.get("pid"), "the manager did not start"
            yield User(home, account.pw_name, account.pw_uid, account.pw_gid, told["pid"], told["environ"], python)
        finally:
            assert world.stdin is not None
            world.stdin.close()
            world.wait(DEADLINE_S)
            subprocess.run(["unshare", "--mount", "sh", "-c", f"{_MOUNT} && rmdir {group}"], check=False)
            shutil.rmtree(home, ignore_errors=True)


def _user() -> tuple[pwd.struct_passwd, str] | None:
    """Return an account and a Python of this version that it can run, with these sources and their dependencies."""
    path = ":".join([str(ROOT), *site_packages()])
    pythons = filter(None, (os.path.realpath(sys.executable), shutil.which(f"python{_VERSION}", path="/usr/bin")))
    for name, python in itertools.product(ACCOUNTS, pythons):
        with suppress(KeyError):
            found = pwd.getpwnam(name)
            become = ["setpriv", f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--clear-groups"]
            probe = [*become, "env", "-i", f"PYTHONPATH={path}", python, "-P", "-c", "import psycopg, syncd.api"]
            if subprocess.run(probe, capture_output=True, cwd="/", check=False).returncode == 0:
                return found, python
    return None


def site_packages() -> list[str]:
    """Return the folders that hold this Python's installed packages."""
    return [each for each in sys.path if each.endswith(("site-packages", "dist-packages"))]


def _first(paths: Sequence[str]) -> str | None:
    return next((each for each in paths if os.access(each, os.X_OK)), None)


# --- inside: what runs in the namespaces -----------------------------------------------------------


def _serve(name: str, home: Path) -> None:
    """Set up the world, start the manager, say so, and wait for the end of standard input."""
    account = pwd.getpwnam(name)
    runtime = Path(f"/run/user/{account.pw_uid}")
    groups = CGROUPS / "user.slice" / f"user-{account.pw_uid}.slice" / f"user@{account.pw_uid}.service"
    _mount(account, runtime, groups)
    environ = {
        "HOME": str(home),
        "USER": name,
        "LOGNAME": name,
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "XDG_RUNTIME_DIR": str(runtime),
    }
    journal = _started([_first(_JOURNALS) or "true"], {"PATH": environ["PATH"]})
    _until(lambda: list(Path("/run/log/journal").glob("*/system.journal")))
    # A user's own journal is a file of its own only where the journal is kept on disk.
    subprocess.run(["chmod", "-R", "o+rX", "/run/log/journal"], check=True)
    become = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    manager = _started([*become, _first(_PROGRAMS) or "", "--user"], environ, account, groups)
    running = [*become, "systemctl", "--user", "is-system-running"]
    _until(lambda: _said(running, environ) in ("running", "degraded"))
    print(json.dumps({"pid": os.getpid(), "environ": environ}), flush=True)
    sys.stdin.read()
    for each in (manager, journal):
        each.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            each.wait(DEADLINE_S)
        each.kill()
    _remove(CGROUPS / "user.slice")


def _mount(account: pwd.struct_passwd, runtime: Path, groups: Path) -> None:
    """Give the world its own ``/run`` and its own control group, which belongs to the user below one level."""
    subprocess.run(["sh", "-c", _MOUNT], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    for folder in (Path("/run/systemd/system"), Path("/run/systemd/unit-root"), Path("/run/log/journal"), runtime):
        folder.mkdir(parents=True)
    os.chown(runtime, account.pw_uid, account.pw_gid)
    runtime.chmod(0o700)
    groups.mkdir(parents=True)
    with suppress(OSError):
        # Memory and tasks are counted where the machine lets a control group have them.
        for each in (CGROUPS, groups.parents[1], groups.parent):
            available = (each / "cgroup.controllers").read_text("ascii").split()
            wanted = [f"+{name}" for name in ("memory", "pids") if name in available]
            (each / "cgroup.subtree_control").write_text(" ".join(wanted), "ascii")
    for path in (groups, *(groups / name for name in ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control"))):
        os.chown(path, account.pw_uid, account.pw_gid)


def _started(
    words: Sequence[str],
    environ: Mapping[str, str],
    account: pwd.struct_passwd | None = None,
    group: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program, in a control group of its own where one is named; what it says goes to a file in its home."""
    log = Path(environ["HOME"], "manager.log") if account else Path("/run/journald.log")

    def enter() -> None:
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()), "ascii")

    with log.open("ab") as said:
        return subprocess.Popen(
            words, env=dict(environ), stdin=subprocess.DEVNULL, stdout=said, stderr=said, preexec_fn=enter, cwd="/"
        )


def _said(words: Sequence[str], environ: Mapping[str, str]) -> str:
    return subprocess.run(words, env=dict(environ), capture_output=True, text=True, check=False).stdout.strip()


def _until(look: object) -> None:
    deadline = time.monotonic() + DEADLINE_S
    assert callable(look)
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError("the manager did not start")
        time.sleep(0.02)


def _remove(groups: Path) -> None:
    """Kill what is left in the control group, and remove it."""
    with suppress(OSError):
        (groups / "cgroup.kill").write_text("1", "ascii")
    deadline = time.monotonic() + DEADLINE_S
    while groups.exists() and time.monotonic() < deadline:
        for folder in sorted((each for each in groups.rglob("*") if each.is_dir()), reverse=True):
            with suppress(OSError):
                folder.rmdir()
        with suppress(OSError):
            groups.rmdir()
        time.sleep(0.02)


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
