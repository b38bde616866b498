"""The systemd service, on a real ``systemd --user``: as a user installs it, and as the machine treats it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from jsonschema import Draft202012Validator
from psycopg.conninfo import conninfo_to_dict

from syncd.cli.schemas import bundle
from syncd.store import embedded
from tests.support import user_manager
from tests.support.desk import TABLE, until
from tests.support.installation import Installed, install
from tests.support.postgres import served_postgres
from tests.support.switch import Switch
from tests.support.user_manager import User

CRASHES = 6
"""One more than systemd allows a unit within ten seconds, unless told otherwise."""


@dataclass(frozen=True)
class Shop:
    """A workspace of the user, whose daemon is a service; the store is the embedded one, as by default."""

    user: User
    root: Path
    installed: Installed
    environ: tuple[str, ...] = ()

    def syncd(self, *words: str, code: int = 0) -> str:
        """Run a command in the workspace and return what it printed."""
        call = ("env", *self.environ, str(self.installed.script), *words)
        done = self.user.run(*call, cwd=self.root, check=False)
        assert done.returncode == code, (words, done)
        return done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.syncd(*words, "--json").splitlines()[0])

    @property
    def unit(self) -> str:
        return f"syncd@{self.user.run('systemd-escape', '--path', str(self.root)).stdout.strip()}.service"

    def told(self, name: str) -> str:
        return self.user.show(self.unit, name)

    @property
    def pid(self) -> int:
        return int(self.told("MainPID"))

    def mark(self, id: str, word: str) -> None:
        """Set the status of a row in the task file, as an editor does that truncates and writes."""
        file = self.root / "TASKS.md"
        text = file.read_text("utf-8")
        edited = re.sub(rf"(?m)^\| {id} \| [\w-]+ ", f"| {id} | {word} ", text)
        assert edited != text, text
        file.write_text(edited, "utf-8")

    def touch(self) -> bool:
        """Wake the daemon, which looks for another version once a minute while nothing happens."""
        (self.root / "TASKS.md").touch()
        return True

    def state(self, id: str) -> str:
        return str(self.json("backlog", "show", id)["status"])

    def events(self) -> list[str]:
        """Return the names of the events that the journal has of this service."""
        lines = self.syncd("service", "logs", "--lines", "500", "--json").splitlines()
        return [entry["event"] for entry in map(json.loads, lines) if entry["event"]]


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    """A user with a manager, for all tests of this file."""
    if (why_not := user_manager.missing()) is not None:
        pytest.skip(why_not)
    with user_manager.user_manager() as made:
        yield made


@pytest.fixture(scope="module")
def shop(user: User) -> Iterator[Shop]:
    """A workspace whose name needs escaping, installed as a service."""
    installed = install(user.home, user.python)
    root = user.home / "my shop"
    root.mkdir()
    (root / "TASKS.md").write_text(TABLE, "utf-8")
    # Whoever starts the server says how long it stays: that is the first command, and not the service.
    (root / "syncd.yaml").write_text("embedded_grace_s: 0.5\n", "utf-8")
    user.own(user.home)
    made = Shop(user, root, installed)
    made.syncd("init", "--yes")
    made.syncd("service", "install")
    yield made
    made.syncd("service", "uninstall")


def test_it_starts_and_says_that_it_is_ready(shop: Shop) -> None:
    """After install the unit is active, its status line says live, and an edit reaches the store."""
    assert shop.told("ActiveState") == "active"
    assert shop.told("Type") == "notify"
    until(lambda: shop.told("StatusText") == "live", "the daemon hears of changes")
    status = shop.json("status")
    assert status["daemon"]["pid"] == shop.pid
    assert status["inSync"]
    shop.mark("A1", "done")
    until(lambda: shop.state("A1") == "done", "the edit is in the store")


def test_install_twice_changes_nothing(shop: Shop) -> None:
    """A second install says so and leaves the process alone."""
    pid = shop.pid
    found = shop.json("service", "install")
    assert not found["changed"]
    assert shop.pid == pid


def test_what_it_prints_fits_its_schema(shop: Shop) -> None:
    """The JSON of the service commands and of the journal's entries is what the schemas say."""
    Draft202012Validator(bundle("service")).validate(shop.json("service", "status"))
    lines = shop.syncd("service", "logs", "--json").splitlines()
    assert lines
    for line in lines:
        Draft202012Validator(bundle("journal")).validate(json.loads(line))


def test_events_have_fields_in_the_journal(shop: Shop) -> None:
    """The journal finds an event by its own field, and has the event's fields beside it."""
    shop.mark("A2", "blocked")
    until(lambda: "cycle.done" in shop.events(), "the cycle is in the journal")
    words = ("journalctl", "--quiet", f"--user-unit={shop.unit}", "SYNCD_EVENT=cycle.done", "--output=json")
    entries = [json.loads(line) for line in shop.user.run(*words).stdout.splitlines()]
    assert any("A2" in json.loads(each["SYNCD_TO_STORE"]) for each in entries)


def test_the_sandbox_holds(shop: Shop) -> None:
    """The daemon's world is read-only but for what it needs, and it cannot gain rights."""
    told = Path(f"/proc/{shop.pid}/status").read_text("ascii")
    assert "NoNewPrivs:\t1" in told
    assert "Seccomp:\t2" in told
    mounts = Path(f"/proc/{shop.pid}/mounts").read_text("utf-8").splitlines()
    options = {fields[1].replace("\\040", " "): fields[3].split(",") for fields in map(str.split, mounts)}
    assert "ro" in options["/"]
    assert "rw" in options[str(shop.root)]


def test_the_shared_server_is_outside(shop: Shop) -> None:
    """The embedded Postgres that the service started neither counts against its limits nor ends with it."""
    server = shop.user.home / ".local" / "share" / "syncd" / "postgres"
    shop.user.run("systemctl", "--user", "stop", shop.unit)
    until(lambda: not embedded.status(server).running, "the server has ended with its last user")
    shop.user.run("systemctl", "--user", "start", shop.unit)
    until(lambda: embedded.status(server).running, "the service has started it")
    listed = ("systemctl", "--user", "list-units", "--no-legend", "--plain")
    (scope,) = shop.user.run(*listed, "--type=scope", "run-*.scope").stdout.splitlines()
    assert "embedded PostgreSQL" in scope
    assert "postgres" in shop.user.run("systemctl", "--user", "status", scope.split()[0]).stdout
    assert "postgres" not in shop.user.run("systemctl", "--user", "status", shop.unit).stdout


def test_crashes_are_restarted(shop: Shop) -> None:
    """A daemon that is killed comes back, however often in a row, and takes in what was edited meanwhile."""
    assert shop.told("Restart") == "on-failure"
    assert shop.told("RestartUSec") in ("10s", "1s")
    with changed_unit(shop, "RestartSec=100ms"):
        for crash in range(CRASHES):
            restarts = int(shop.told("NRestarts"))
            os.kill(until(lambda: shop.pid, "it runs"), signal.SIGKILL)
            if crash == 0:
                shop.mark("A3", "done")
            until(lambda before=restarts: int(shop.told("NRestarts")) > before, "systemd restarts it")
    until(lambda: shop.told("ActiveState") == "active", "it is up again")
    until(lambda: shop.state("A3") == "done", "the edit is in the store")


def test_a_hung_daemon_is_restarted(shop: Shop) -> None:
    """A daemon that gives no sign of life is ended by the watchdog and started again."""
    with changed_unit(shop, "WatchdogSec=5", "RestartSec=100ms"):
        shop.user.run("systemctl", "--user", "restart", shop.unit)
        pid, restarts = shop.pid, int(shop.told("NRestarts"))
        assert not until_changes(lambda: shop.pid, 6.0), "alive for more than a span of the watchdog"
        os.kill(pid, signal.SIGSTOP)
        until(lambda: int(shop.told("NRestarts")) > restarts, "the watchdog restarts it")
        assert shop.told("Result") in ("success", "watchdog")
        until(lambda: shop.told("ActiveState") == "active", "it is up again")
        assert shop.pid != pid
    shop.user.run("systemctl", "--user", "restart", shop.unit)


def test_reload_reads_the_configuration_again(shop: Shop) -> None:
    """After a reload the same process works with the changed settings, and is active only when it does."""
    pid = shop.pid
    shop.syncd("config", "set", "prefix", "SHOP-")
    shop.user.run("systemctl", "--user", "reload", shop.unit)
    until(lambda: shop.told("ActiveState") == "active", "the reload is over")
    until(lambda: shop.told("StatusText") == "live", "the daemon hears of changes")
    assert shop.pid == pid
    events = shop.events()
    assert events[-2:] == ["daemon.stopped", "daemon.started"], events


def test_a_wrong_configuration_does_not_end_it(shop: Shop) -> None:
    """A reload with settings that cannot be read keeps the ones in force, and says so in the journal."""
    config = shop.root / "syncd.yaml"
    before = config.read_bytes()
    config.write_bytes(before + b"\nprefix: [1\n")
    try:
        shop.user.run("systemctl", "--user", "reload", shop.unit)
        until(lambda: "config.refused" in shop.events(), "it is told")
        until(lambda: shop.told("ActiveState") == "active", "the daemon goes on")
    finally:
        config.write_bytes(before)


def test_an_upgrade_takes_over(shop: Shop) -> None:
    """Another version that is installed over the running one takes over by itself, in the same process."""
    pid, before = shop.pid, shop.installed.version
    shop.installed.upgrade("99.0.0")
    shop.user.own(shop.installed.package)
    until(lambda: shop.touch() and "daemon.upgrading" in shop.events(), "the daemon notices", step_s=0.5)
    until(lambda: shop.json("status")["daemon"]["running"], "the new version answers")
    assert shop.pid == pid
    assert "99.0.0" in shop.syncd("--version")
    assert before != "99.0.0"


def test_stop_with_an_edit_under_way(shop: Shop) -> None:
    """Stopping right after an edit ends cleanly, and the edit is in the store after the next start, once."""
    shop.mark("A1", "blocked")
    shop.user.run("systemctl", "--user", "stop", shop.unit)
    assert shop.told("ActiveState") == "inactive"
    assert shop.told("Result") == "success"
    assert "| A1 | blocked |" in (shop.root / "TASKS.md").read_text("utf-8")
    shop.user.run("systemctl", "--user", "start", "syncd.target")
    shop.user.run("systemctl", "--user", "start", shop.unit)
    until(lambda: shop.state("A1") == "blocked", "the edit is in the store")
    assert shop.json("conflicts") == []


def test_the_target_stops_and_starts_all(shop: Shop) -> None:
    """Stopping the target stops the workspace's daemon, and starting it starts the daemon."""
    shop.user.run("systemctl", "--user", "stop", "syncd.target")
    until(lambda: shop.told("ActiveState") == "inactive", "it stopped with the target")
    shop.user.run("systemctl", "--user", "start", "syncd.target")
    until(lambda: shop.told("ActiveState") == "active", "it started with the target")


def test_a_machine_without_namespaces(shop: Shop) -> None:
    """Where a user's service cannot have namespaces, install notices, and the service runs without them."""
    place = ["nsenter", f"--target={shop.user.pid}", "--mount", "--cgroup"]
    subprocess.run([*place, "rmdir", "/run/systemd/unit-root"], check=True)
    try:
        assert shop.json("service", "install")["changed"]
        until(lambda: shop.told("ActiveState") == "active", "it runs")
        assert shop.told("PrivateUsers") == "no"
    finally:
        subprocess.run([*place, "mkdir", "/run/systemd/unit-root"], check=True)
    assert shop.json("service", "install")["changed"]
    until(lambda: shop.told("ActiveState") == "active", "it runs")
    assert shop.told("PrivateUsers") == "yes"


def test_a_failed_start_says_where_to_look(shop: Shop) -> None:
    """A service that cannot start makes install fail with the place of the log, and status says how it ended."""
    config = shop.root / "syncd.yaml"
    before = config.read_bytes()
    shop.user.run("systemctl", "--user", "stop", shop.unit)
    config.write_bytes(before + b"\nprefix: [1\n")
    try:
        shop.user.run("systemctl", "--user", "start", shop.unit, check=False)
        assert shop.told("ActiveState") == "failed"
        assert shop.told("ExecMainStatus") == "78"
    finally:
        config.write_bytes(before)
    said = shop.syncd("service", "status")
    assert "Failed" in said
    assert "syncd service logs" in said
    shop.syncd("service", "install")
    assert shop.told("ActiveState") == "active"


def test_a_database_of_ones_own_that_is_away(user: User, shop: Shop, tmp_path: Path) -> None:
    """The service starts while its Postgres is away, says so, and brings home what was done, each time it answers.

    Taken out again it leaves the service of another workspace alone.
    """
    with served_postgres() as dsn:
        with psycopg.connect(dsn) as asked:
            ((data,),) = asked.execute("show data_directory").fetchall()
        with closing(Switch(Path(data))) as switch:
            switch.off()
            root = user.home / "away"
            root.mkdir()
            (root / "TASKS.md").write_text(TABLE, "utf-8")
            user.own(root)
            info = conninfo_to_dict(dsn)
            url = f"postgresql://{info['user']}:{info['password']}@{info['host']}:{info['port']}/{info['dbname']}"
            here = Shop(user, root, shop.installed, (f"SYNCD_DATABASE_URL={url}",))
            here.syncd("init", "--yes")
            here.syncd("service", "install")
            try:
                _is_brought_home(here, switch, dsn, str(info["password"]))
            finally:
                pid = shop.pid
                here.syncd("service", "uninstall")
            assert here.told("ActiveState") == "inactive"
            assert not list((user.home / ".config" / "syncd").glob("*away.environment"))
            assert (shop.pid, shop.told("ActiveState")) == (pid, "active"), "the other workspace's service goes on"
            assert shop.json("service", "status")["installed"]


def _is_brought_home(here: Shop, switch: Switch, dsn: str, password: str) -> None:
    """Edit while the database is away, at the start and then again, and find it there."""
    for id in ("A1", "A2"):
        until(lambda: here.told("StatusText") == "offline", "the service says that it is away")
        here.mark(id, "done")
        until(lambda id=id: here.state(id) == "done", "the edit is taken in")
        switch.on()
        until(lambda: here.told("StatusText") == "live", "it hears of the database's changes", step_s=0.1)
        with psycopg.connect(dsn) as asked:
            row = asked.execute("select status from backlog where id = %s", (id,)).fetchone()
        assert row == ("done",)
        if id == "A1":
            switch.off()
    (kept,) = (here.user.home / ".config" / "syncd").glob("*away.environment")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert password in kept.read_text("utf-8")
    assert password not in here.user.run("systemctl", "--user", "show", here.unit).stdout
    assert password not in here.syncd("service", "logs", "--lines", "500")


@contextmanager
def changed_unit(shop: Shop, *lines: str) -> Iterator[None]:
    """Have the unit with other settings, as a user's own drop-in gives them."""
    settings = shop.user.home / ".config" / "systemd" / "user" / "syncd@.service.d" / "99-test.conf"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text("\n".join(("[Service]", *lines, "")), "utf-8")
    shop.user.own(settings.parent)
    shop.user.run("systemctl", "--user", "daemon-reload")
    try:
        yield
    finally:
        settings.unlink()
        shop.user.run("systemctl", "--user", "daemon-reload")


def until_changes(look: Any, seconds: float) -> bool:
    """Watch something for a while; return whether it became another."""
    before = look()
    try:
        until(lambda: look() != before, "it changes", deadline_s=seconds, step_s=0.2)
    except AssertionError:
        return False
    return True
