"""The configuration: every key of ``syncd.yaml`` with its type, default and meaning.

The dataclasses are the one table: ``KEYS`` is read off their fields, and so is the documentation.
Secrets have no place here: the database's address stays in the environment, and ``database_url_env``
names the variable.  Imports nothing of syncd.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from syncd.schemas.card import EXTRA, Status

SECONDS_MAX: Final = 100 * 366 * 86400
"""The longest time that a setting can name; what lies beyond is no date any more."""

VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]*"
"""What names an environment variable, as a regular expression."""


class Kind(StrEnum):
    """What a key holds, in the words of the documentation."""

    TEXT = "text"
    VARIABLE = "name of an environment variable"
    SWITCH = "true or false"
    COUNT = "whole number, 0 or more"
    SIZE = "whole number of bytes, at least 1"
    SHARE = "number from 0 to 1"
    SECONDS = "seconds, 0 or more"
    MILLISECONDS = "whole milliseconds, 0 or more"
    PATHS = "path or glob inside the workspace, or a list of them"
    WORDS = "list of texts"
    MODE = "auto, postgres, embedded or flatfile"
    ON_REMOVED = "archive, delete, hold or restore"
    TASKS = "list of paths or globs, each a text or {path, namespace}"
    STORE = "{kind: postgres, embedded or flatfile, address: text}"
    HEADERS = "mapping of header words to fields"
    STATUSES = "mapping of status words to ready, claimed, blocked or done"
    POLICY = "mapping of fields to local, remote or ask"
    RANGE = "list of two whole numbers, lowest and highest"
    GROUP = "mapping"
    OUTLETS = "list of {run, url or file; on, name, timeout_s, concurrency, retries, secret_env}"
    ASSIGNMENTS = "list of {worker; phase, agent, labels}"


class Mode(StrEnum):
    """Which store a workspace asks for."""

    AUTO = "auto"
    POSTGRES = "postgres"
    EMBEDDED = "embedded"
    FLATFILE = "flatfile"


class StoreKind(StrEnum):
    """Which store a workspace was made with."""

    POSTGRES = "postgres"
    EMBEDDED = "embedded"
    FLATFILE = "flatfile"


class OnRemoved(StrEnum):
    """What a vanished row does."""

    ARCHIVE = "archive"
    DELETE = "delete"
    HOLD = "hold"
    RESTORE = "restore"


class Side(StrEnum):
    """Who wins a clash, where the configuration says."""

    LOCAL = "local"
    REMOTE = "remote"
    ASK = "ask"


FIELD_NAMES: Final = ("id", "title", "body", "phase", "priority", "status", "dependsOn", "claimOwner", "acceptance")
"""The fields that a header can be mapped to, beside ``extra.<name>``."""


def is_field(name: str) -> bool:
    """Return whether a name is a field of a card."""
    return name in FIELD_NAMES or (name.startswith(EXTRA) and len(name) > len(EXTRA))


def _about(kind: Kind, meaning: str) -> dict[str, Any]:
    return {"kind": kind, "meaning": meaning}


@dataclass(frozen=True, slots=True)
class TaskEntry:
    """One task file, or a glob of them.

    With a ``namespace`` the file says ``1.1`` and the card is ``ui/1.1``.
    """

    path: str
    namespace: str | None = None


@dataclass(frozen=True, slots=True)
class StoreRecord:
    """The store that the workspace was made with: an environment that names another one is an error."""

    kind: StoreKind
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlet:
    """Where events go: to a command, a webhook or a file; exactly one of ``run``, ``url`` and ``file``.

    ``on`` names event types, with ``*``.  A command or an answer that says no is tried ``retries`` times more.
    """

    run: tuple[str, ...] = ()
    url: str | None = None
    file: str | None = None
    on: tuple[str, ...] = ("*",)
    name: str | None = None
    timeout_s: float = 30.0
    concurrency: int = 1
    retries: int = 3
    secret_env: str | None = None

    @property
    def label(self) -> str:
        """What it is called, and under what its place is kept."""
        return self.name or self.url or self.file or " ".join(self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which cards go to which workers; texts may hold ``*``, and what is not said fits every card."""

    worker: str
    phase: str | None = None
    agent: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """When a change is held back, or waits."""

    deletions_max: int = field(
        default=3,
        metadata=_about(Kind.COUNT, "So many cards of a file may go in one change before deletions are held."),
    )
    deletions_share: float = field(
        default=0.20,
        metadata=_about(Kind.SHARE, "This share of a file's cards may go in one change, where that is more."),
    )
    grace_s: float = field(
        default=30.0,
        metadata=_about(Kind.SECONDS, "So long a file that is gone may be missing before it is written again."),
    )
    settle_ms: int = field(
        default=300,
        metadata=_about(Kind.MILLISECONDS, "So long a change that takes text away has to stand before it counts."),
    )
    settle_deletions_ms: int = field(
        default=2000,
        metadata=_about(Kind.MILLISECONDS, "So long a change in which cards vanish has to stand before it counts."),
    )
    changed_share: float = field(
        default=0.5,
        metadata=_about(Kind.SHARE, "A change of the same field in more than this share of the cards is held."),
    )
    changed_min: int = field(
        default=20, metadata=_about(Kind.COUNT, "Workspaces of at most so many cards may change all at once.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a failed card is tried again: after ``base_s``, doubled with each failure, up to ``max_s``."""

    max_retries: int = field(
        default=3,
        metadata=_about(Kind.COUNT, "So often a failed card is tried again, unless it has a number of its own."),
    )
    base_s: float = field(
        default=1.0,
        metadata=_about(Kind.SECONDS, "So long a card pauses after its first failure; each further one doubles it."),
    )
    max_s: float = field(default=60.0, metadata=_about(Kind.SECONDS, "No pause after a failure is longer."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a workspace; what ``syncd.yaml`` leaves out has its default."""

    project: str = field(default="default", metadata=_about(Kind.TEXT, "Whose cards these are in the store."))
    store: StoreRecord | None = field(
        default=None,
        metadata=_about(Kind.STORE, "The store that the workspace was made with; written by `syncd init`."),
    )
    mode: Mode = field(
        default=Mode.AUTO,
        metadata=_about(
            Kind.MODE, "Which store to use; `auto`: Postgres where a URL is set, else embedded, else flatfile."
        ),
    )
    database_url_env: str | None = field(
        default=None,
        metadata=_about(
            Kind.VARIABLE, "The variable with the database's URL; else SYNCD_DATABASE_URL, then DATABASE_URL."
        ),
    )
    pooled: bool = field(
        default=False,
        metadata=_about(
            Kind.SWITCH,
            "The database's URL leads to a transaction pooler (PgBouncer); SYNCD_LISTEN_URL may name a way past it.",
        ),
    )
    tasks: tuple[TaskEntry, ...] = field(
        default=(TaskEntry("TASKS.md"),),
        metadata=_about(Kind.TASKS, "The task files; new cards of the store go to the first."),
    )
    mission: str | tuple[str, ...] | None = field(
        default=None,
        metadata=_about(
            Kind.PATHS,
            "The mission file, or several; else mission.json or .mosaic/orchestrator/mission.json, where one exists.",
        ),
    )
    prefix: str = field(
        default="T", metadata=_about(Kind.TEXT, "Begins the ids that syncd gives where a table shows no habit.")
    )
    headers: Mapping[str, str] = field(
        default_factory=dict, metadata=_about(Kind.HEADERS, "More header words, and the fields that they stand for.")
    )
    statuses: Mapping[str, str] = field(
        default_factory=dict, metadata=_about(Kind.STATUSES, "More status words, and the states that they mean.")
    )
    ignore_headings: tuple[str, ...] = field(
        default=("Success Criteria", "Acceptance Criteria", "Definition of Done", "Checklist", "Legend", "Format"),
        metadata=_about(Kind.WORDS, "Headings whose checklists are no tasks."),
    )
    bytes_max: int = field(default=16 * 1024 * 1024, metadata=_about(Kind.SIZE, "Larger task files are left alone."))
    priority_range: tuple[int, int] | None = field(
        default=None,
        metadata=_about(Kind.RANGE, "Priorities outside are a problem; by default any whole number is fine."),
    )
    policy: Mapping[str, str] = field(
        default_factory=dict,
        metadata=_about(Kind.POLICY, "Who wins where both sides changed a field; `extra.*` is every extra field."),
    )
    on_removed: OnRemoved | None = field(
        default=None,
        metadata=_about(
            Kind.ON_REMOVED, "What a vanished row does; by default done cards are archived, open ones deleted."
        ),
    )
    repad: bool = field(
        default=False,
        metadata=_about(Kind.SWITCH, "A sync that writes a task file pads its tables too, as `syncd fmt` does."),
    )
    file_write_interval_ms: int = field(
        default=250,
        metadata=_about(Kind.MILLISECONDS, "After four writes of a file at once, at most one in this time."),
    )
    embedded_grace_s: float = field(
        default=10.0,
        metadata=_about(Kind.SECONDS, "So long the embedded Postgres runs on when its last user has left."),
    )
    events: tuple[Outlet, ...] = field(
        default=(), metadata=_about(Kind.OUTLETS, "Where the daemon sends events, each at least once.")
    )
    monitor: bool = field(
        default=False,
        metadata=_about(Kind.SWITCH, "The daemon assigns cards, and tells of deadlocks and of what fails for good."),
    )
    assign: tuple[Assignment, ...] = field(
        default=(),
        metadata=_about(Kind.ASSIGNMENTS, "Which cards the monitor gives to which workers; the first that fits."),
    )
    valkey_url_env: str | None = field(
        default=None,
        metadata=_about(Kind.VARIABLE, "The variable with the address of a Valkey to push to."),
    )
    retry: Retry = field(default=Retry(), metadata=_about(Kind.GROUP, "When a failed card is tried again."))
    guards: Guards = field(default=Guards(), metadata=_about(Kind.GROUP, "When a change is held back, or waits."))


GROUPS: Final[Mapping[str, type]] = {"retry": Retry, "guards": Guards}
"""Settings that hold settings."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of ``syncd.yaml``; ``name`` has a dot where it lies in a mapping (``guards.grace_s``)."""

    name: str
    kind: Kind
    default: Any
    meaning: str


def _keys(shape: type, prefix: str = "") -> Iterator[Key]:
    for each in dataclasses.fields(shape):
        kind: Kind = each.metadata["kind"]
        if kind is Kind.GROUP:
            yield from _keys(GROUPS[each.name], f"{prefix}{each.name}.")
            continue
        default = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        yield Key(prefix + each.name, kind, default, each.metadata["meaning"])


KEYS: Final = {key.name: key for key in _keys(Config)}
"""Every key that can be set, by name: what the documentation's table is made of."""

STATES: Final = tuple(each.value for each in Status)
