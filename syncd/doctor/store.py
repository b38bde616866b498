"""The store: which one, whether it answers, and how healthy it is.  Never waits long for one that is away.

May import ``syncd.doctor.check``, ``syncd.store``, ``syncd.wiring``, ``syncd.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Final, TypeVar

from syncd.doctor.check import Check, error, note, ok, warning
from syncd.errors import NotFound, StoreUnreachable, SyncdError
from syncd.schemas.config import StoreKind
from syncd.store import embedded
from syncd.store.examination import Examination, examine, mend
from syncd.store.migrate import SchemaStatus
from syncd.store.migrate import status as schema_status
from syncd.stores import StoreChoice
from syncd.wiring import Wiring

ANSWER_S: Final = 8.0
"""So long all questions to a store may take together."""

CLOCK_OFF_S: Final = 2.0
SNAPSHOT_OLD_S: Final = 300.0
DEAD_SHARE: Final = 0.5
DEAD_MIN: Final = 10_000

T = TypeVar("T")


def checks(wiring: Wiring) -> Iterator[Check]:
    """Look at the store of a workspace."""
    try:
        choice = wiring.choice
    except SyncdError as failed:
        yield error("store", failed.message, failed.hint)
        return
    yield ok("store", f"{choice.kind} at {choice.address}, named by {choice.source}")
    if choice.kind is StoreKind.FLATFILE:
        yield _manifest(wiring)
        return
    if choice.data_dir is not None:
        yield _embedded(choice)
    try:
        dsn = _in_time(lambda: wiring.dsn(may_make=False))
        found = _in_time(lambda: schema_status(dsn))
    except NotFound as failed:
        yield note("database", failed.message, failed.hint)
        return
    except StoreUnreachable as failed:
        yield _away(wiring, failed)
        return
    except SyncdError as failed:
        yield error("database", failed.message, failed.hint)
        return
    yield ok("database", f"PostgreSQL {found.server_version} answers")
    yield _schema(found)
    if found.version != found.known:
        return
    try:
        health = _in_time(lambda: examine(dsn, wiring.config.project))
    except SyncdError as failed:
        yield warning("examination", f"could not be finished: {failed.message}", failed.hint)
        return
    yield from _health(health, dsn, wiring.config.project)


def _away(wiring: Wiring, failed: StoreUnreachable) -> Check:
    """Return that a database does not answer: nothing is wrong with a workspace that has reached it before."""
    absence = wiring.absence()
    since = f"{absence.since.astimezone():%Y-%m-%d %H:%M}" if absence is not None else "just now"
    told = (
        f"away since {since} ({failed.message}); the work goes on in .syncd/manifest.json and is merged when it answers"
    )
    if wiring.contact(may_write=False).cursor() is None:
        return warning("database", f"{told}; it has never answered this working copy", "Is its address right?")
    return note("database", told, "Nothing to do: it is tried by itself. At once: syncd sync")


def _manifest(wiring: Wiring) -> Check:
    try:
        total = wiring.store(may_make=False).stats().total
    except NotFound as failed:
        return note("manifest", failed.message, failed.hint)
    except SyncdError as failed:
        return error("manifest", failed.message, failed.hint)
    return ok("manifest", f"{total} cards, as they were written")


def _in_time(ask: Callable[[], T]) -> T:
    """Ask a question that may hang in places that take no time limit (name resolution, a stuck disk).

    Raises: StoreUnreachable after ``ANSWER_S``, and what the question raises.
    """
    answers: list[T] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            answers.append(ask())
        except BaseException as failed:  # noqa: BLE001 - raised again where the question was asked
            failures.append(failed)

    asking = Thread(target=work, daemon=True)
    asking.start()
    asking.join(ANSWER_S)
    if failures:
        raise failures[0]
    if not answers:
        raise StoreUnreachable(f"no answer within {ANSWER_S:.0f} s", hint="Is its host's name resolved, and reachable?")
    return answers[0]


def _embedded(choice: StoreChoice) -> Check:
    assert choice.data_dir is not None
    if (why_not := embedded.available()) is not None:
        return error("embedded server", why_not, "export SYNCD_DATABASE_URL=… with the URL of a Postgres of yours")
    found = embedded.status(choice.data_dir)
    if not found.exists:
        return note("embedded server", f"none has been made in {found.path} yet", "syncd init")
    how = "runs" if found.running else "rests; it is started when somebody asks"
    return ok("embedded server", f"PostgreSQL {found.major} in {found.path} {how}")


def _schema(found: SchemaStatus) -> Check:
    if found.version == found.known:
        return ok("schema", f"version {found.version}, up to date")
    if found.version is not None and found.version > found.known:
        return error("schema", f"version {found.version}; this syncd knows {found.known}", "Install the newer syncd.")
    return error("schema", f"version {found.version or 'none'}; this syncd needs {found.known}", "syncd db migrate")


def _health(health: Examination, dsn: str, project: str) -> Iterator[Check]:
    lost = [*health.missing_triggers, *(f"{each} (disabled)" for each in health.off_triggers)]
    if lost:
        told = f"not at work: {', '.join(lost)}; changes by other programs may be missed"
        yield error("triggers", told, "restore them from schemas/sql/schema.sql, then syncd doctor --fix")
    else:
        yield ok("triggers", "all there and at work")
    broken = [*(f"{each} is missing" for each in health.missing_indexes)]
    broken += [f"{each} is invalid" for each in health.invalid_indexes]
    if broken:
        first = next(iter(health.invalid_indexes), None)
        way = (
            f'in psql: reindex index concurrently "{first}"' if first else "create it as schemas/sql/schema.sql has it"
        )
        yield warning("indexes", f"{', '.join(broken)}: claims and syncs get slow", way)
    else:
        yield ok("indexes", "all there and valid")
    yield _counts(health, dsn, project)
    yield _snapshots(health)
    if abs(health.clock_off_s) > CLOCK_OFF_S:
        ahead = "ahead of" if health.clock_off_s > 0 else "behind"
        told = f"the database's is {abs(health.clock_off_s):.0f} s {ahead} this machine's; leases go by the database's"
        yield warning("clock", told, "timedatectl")
    else:
        yield ok("clock", "the database's and this machine's agree")
    if health.connections > 0.9 * health.connections_max:
        told = f"{health.connections} of {health.connections_max} are in use"
        yield warning("connections", told, "raise max_connections, or put PgBouncer in front (pooled: true)")


def _counts(health: Examination, dsn: str, project: str) -> Check:
    if not health.wrong_counts:
        return ok("dependencies", "the kept counts of unmet ones are right")
    some = ", ".join(health.wrong_counts[:3]) + (" …" if len(health.wrong_counts) > 3 else "")

    def count_anew() -> str:
        return f"counted anew; {len(mend(dsn, project))} were wrong"

    told = f"the kept count of unmet ones is wrong for {some}: they may wait for ever, or be claimed too early"
    return error("dependencies", told, "syncd doctor --fix", count_anew)


def _snapshots(health: Examination) -> Check:
    if health.oldest_snapshot_s > SNAPSHOT_OLD_S:
        told = f"a transaction is open for {health.oldest_snapshot_s / 60:.0f} minutes and slows claims down"
        return warning(
            "snapshots", f"{told}: {health.oldest_snapshot}", "end it, or set idle_in_transaction_session_timeout"
        )
    if health.dead_rows > DEAD_MIN and health.dead_rows > DEAD_SHARE * max(1, health.live_rows):
        told = f"{health.dead_rows:,} dead rows beside {health.live_rows:,} live ones"
        return warning("snapshots", told, "in psql: vacuum (analyze) backlog")
    return ok("snapshots", f"{health.dead_rows:,} dead rows beside {health.live_rows:,} live ones")
