"""Mutants of the store: compare-and-swap, locks, leases and their fencing, the gap-free feed."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant, Safeguard

_COMMITS: Final = "syncd/store/commits.py"
_CHANGES: Final = "syncd/store/changes.py"
_CARDS: Final = "syncd/store/cards.py"
_LEASES: Final = "syncd/store/leases.py"
_FEED: Final = "syncd/store/feed.py"
_SESSION: Final = "syncd/store/session.py"
_LISTENER: Final = "syncd/store/listener.py"
_QUERIES: Final = "schemas/sql/queries.sql"
_TRIGGERS: Final = "schemas/sql/migrations/0003_triggers.sql"
_SCHEMA: Final = "schemas/sql/schema.sql"

_CONTRACT: Final = ("tests/contract/test_store.py", "tests/integration/test_errors.py")
_SQL: Final = ("tests/integration/test_plain_sql.py", "tests/integration/test_unmet_races.py")
_FEED_TESTS: Final = ("tests/integration/test_feed.py", "tests/contract/test_store.py")
_RACES: Final = ("tests/integration/test_safeguards.py", "tests/contract/test_store.py")


def _version(name: str, file: str, old: str, new: str, tests: tuple[str, ...] = _CONTRACT) -> Mutant:
    return Mutant(name, Safeguard.VERSION, file, old, new, tests)


def _lock(name: str, file: str, old: str, new: str, tests: tuple[str, ...] = _RACES) -> Mutant:
    return Mutant(name, Safeguard.LOCK, file, old, new, tests)


def _journal(name: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(name, Safeguard.JOURNAL, file, old, new, _CONTRACT)


def _verification(name: str, file: str, old: str, new: str, tests: tuple[str, ...] = _CONTRACT) -> Mutant:
    return Mutant(name, Safeguard.VERIFICATION, file, old, new, tests)


def _trigger(name: str, takes_out: Safeguard, old: str, new: str) -> Mutant:
    return Mutant(name, takes_out, _TRIGGERS, old, new, (*_SQL, *_FEED_TESTS), also=(_SCHEMA,))


COMMITS: Final = (
    _version("commit-at-the-version-planned", _CHANGES, "elif card is None or (change.version is not None and card.version != change.version):", "elif card is None:"),
    _version("create-only-what-is-new", _CHANGES, "        if card is not None:\n            return None\n        card = Card(", "        card = Card("),
    _version("create-races-are-told", _COMMITS, "            moved.add(id)\n        else:", "            pass\n        else:"),
    _version("update-if-version", _CARDS, "if if_version is not None and card.version != if_version:", "if False:"),
    _version("moved-cards-are-left-out", _COMMITS, "        after.pop(change.id, None)\n", ""),
    _lock("commit-locks-its-rows", _QUERIES, "where b.project = %(project)s and b.id = any(%(ids)s) order by b.id for no key update", "where b.project = %(project)s and b.id = any(%(ids)s) order by b.id"),
    _lock("commits-lock-in-one-order", _COMMITS, "    ids = sorted({change.id for change in batch.changes if _is_name(change.id)})", "    ids = list(dict.fromkeys(change.id for change in batch.changes if _is_name(change.id)))"),
    _lock("new-dependencies-one-at-a-time", _COMMITS, '            execute(link, "lock_edges", project=project)\n        clock', "            pass\n        clock"),
    _lock("links-one-at-a-time", _CARDS, "                if adds_edges:\n", "                if False:\n"),
    _lock("deadlocks-are-retried", _SESSION, "except RETRIED as error:\n                    if attempt == _ATTEMPTS_MAX:", "except RETRIED as error:\n                    if True:", _CONTRACT),
    _lock("one-thread-at-a-time", _SESSION, "        with self._lock:\n            for attempt", "        if True:\n            for attempt", _CONTRACT),
    _journal("commit-id-goes-along", _COMMITS, "    if not is_new.fetchall():\n        return BatchResult(cards=before, moved=frozenset(), refused={})\n", ""),
    _journal("commit-id-is-looked-up", _COMMITS, "return not inserted.fetchall()", "return False"),
    _journal("commit-id-waits-for-its-transaction", _COMMITS, '            inserted = execute(link, "new_commit", project=session.project, id=commit_id, replica=None)\n            return not inserted.fetchall()', '            found = link.execute("select from backlog_commit where id = %s", [commit_id])\n            return bool(found.fetchall())'),
    _journal("losers-are-recorded", _COMMITS, '            execute(link, "record_conflicts", project=project, replica=replica, **_conflict_columns(batch.conflicts))', "            pass"),
    _journal("losers-are-recorded-once", _COMMITS, "digest = sha256(json.dumps([name, field, *values]).encode()).hexdigest()", "digest = sha256(repr(id(clash)).encode()).hexdigest()"),
    _verification("cycles-are-refused-in-batches", _COMMITS, "    _refuse_cycles(link, project, before, after, refused)\n    if card", "    if card"),
    _verification("cycles-are-refused-one-by-one", _CARDS, "    if path is not None:\n        raise CycleRefused(", "    if False:\n        raise CycleRefused("),
    _verification("bad-values-hold-their-card-only", _COMMITS, "        except UNSTORABLE:\n            with link.transaction():\n                return _commit(link, session.project, batch, replica, card_by_card=True)", "        except ZeroDivisionError:\n            raise"),
    _verification("values-are-checked", _CHANGES, '            if "\\0" in value:', "            if False:"),
    _verification("needed-cards-are-not-removed", _CARDS, "        if dependents:\n", "        if False:\n"),
    _verification("a-dead-connection-is-seen", _SESSION, "    return bool(poller.poll(0))", "    return False"),
)  # fmt: skip

LEASES: Final = (
    _version("claim-by-a-file-respects-leases", _CHANGES, "    if is_leased(card, now):\n        if card.claim_owner == owner:", "    if False:\n        if card.claim_owner == owner:"),
    _version("expired-leases-end", _CHANGES, "return card.claimed_at + timedelta(seconds=card.claim_ttl_seconds) > now", "return True"),
    _version("attempt-fences-renew", _QUERIES, "  and (%(attempt)s::integer is null or b.attempts = %(attempt)s)\n  and (b.claim_ttl_seconds is null", "  and (%(attempt)s::integer is null or true)\n  and (b.claim_ttl_seconds is null"),
    _version("attempt-fences-release", _QUERIES, "  and b.status = 'claimed' and b.claim_owner = %(owner)s\n  and (%(attempt)s::integer is null or b.attempts = %(attempt)s)\nreturning {card}\n\n-- name: complete", "  and b.status = 'claimed' and b.claim_owner = %(owner)s\n  and (%(attempt)s::integer is null or true)\nreturning {card}\n\n-- name: complete"),
    _version("attempt-fences-complete", _QUERIES, "(b.status = 'claimed' and b.attempts = %(attempt)s)", "true"),
    _version("owner-fences-renew", _QUERIES, "where b.project = %(project)s and b.id = %(id)s and b.deleted_at is null\n  and b.status = 'claimed' and b.claim_owner = %(owner)s\n  and (%(attempt)s::integer is null or b.attempts = %(attempt)s)\n  and (b.claim", "where b.project = %(project)s and b.id = %(id)s and b.deleted_at is null\n  and b.status = 'claimed' and (b.claim_owner = %(owner)s or true)\n  and (%(attempt)s::integer is null or b.attempts = %(attempt)s)\n  and (b.claim"),
    _version("owner-fences-release", _QUERIES, "  and b.status = 'claimed' and b.claim_owner = %(owner)s\n  and (%(attempt)s::integer is null or b.attempts = %(attempt)s)\nreturning {card}\n\n-- name: complete", "  and b.status = 'claimed' and (b.claim_owner = %(owner)s or true)\n  and (%(attempt)s::integer is null or b.attempts = %(attempt)s)\nreturning {card}\n\n-- name: complete"),
    _version("owner-fences-complete", _QUERIES, "(b.status = 'claimed' and b.claim_owner = %(owner)s)", "true"),
    _version("expired-leases-are-not-renewed", _QUERIES, "or b.claimed_at + make_interval(secs => b.claim_ttl_seconds) > now())", "or true)"),
    _version("live-leases-are-not-claimed", _QUERIES, "       or b.status = 'claimed' and b.claimed_at + make_interval(secs => b.claim_ttl_seconds) <= now())", "       or b.status = 'claimed')"),
    _version("live-leases-are-not-reclaimed", _QUERIES, "      and claimed_at + make_interval(secs => claim_ttl_seconds) <= now()\n    order by id", "    order by id"),
    _version("done-cards-stay-done", _QUERIES, "and b.deleted_at is null and b.status <> 'done'", "and b.deleted_at is null"),
    _version("waiting-cards-are-not-claimed", _QUERIES, "where b.project = %(project)s and b.id = %(id)s and b.unmet = 0\n", "where b.project = %(project)s and b.id = %(id)s\n"),
    _lock("racing-claims-skip-locked-rows", _QUERIES, "    limit 1 for no key update skip locked", "    limit 1"),
    _lock("racing-claims-of-many-skip-locked-rows", _QUERIES, "    limit %(count)s for no key update skip locked", "    limit %(count)s"),
)  # fmt: skip

FEED: Final = (
    _version("feed-reads-its-xmin-again", _QUERIES, "left join backlog b on b.project = %(project)s and b.changed_xid >= %(xmin)s::xid8", "left join backlog b on b.project = %(project)s and b.changed_xid > %(xmin)s::xid8", _FEED_TESTS),
    _version("feed-goes-to-the-snapshots-xmin", _QUERIES, "from (select pg_snapshot_xmin(pg_current_snapshot()) as xmin, backlog_epoch() as epoch, now() as now) place\nleft join backlog b on b.project = %(project)s and", "from (select pg_snapshot_xmax(pg_current_snapshot()) as xmin, backlog_epoch() as epoch, now() as now) place\nleft join backlog b on b.project = %(project)s and", _FEED_TESTS),
    _version("first-read-goes-to-the-snapshots-xmin", _QUERIES, "from (select pg_snapshot_xmin(pg_current_snapshot()) as xmin, backlog_epoch() as epoch, now() as now) place\nleft join backlog b on b.project = %(project)s\n", "from (select pg_snapshot_xmax(pg_current_snapshot()) as xmin, backlog_epoch() as epoch, now() as now) place\nleft join backlog b on b.project = %(project)s\n", _FEED_TESTS),
    _version("feed-tells-of-deletions", _FEED, "frozenset(row[0] for row in gone), is_full=False)", "frozenset(), is_full=False)", _FEED_TESTS),
    _version("feed-reads-deletions-again", _QUERIES, "and h.xid >= %(xmin)s::xid8 and h.op in", "and h.xid > %(xmin)s::xid8 and h.op in", _FEED_TESTS),
    _version("feed-of-another-epoch", _FEED, "if feed.cursor.epoch != cursor.epoch or feed.cursor.xmin < cursor.xmin:", "if feed.cursor.xmin < cursor.xmin:", _FEED_TESTS),
    _version("feed-ahead-of-the-store", _FEED, "if feed.cursor.epoch != cursor.epoch or feed.cursor.xmin < cursor.xmin:", "if feed.cursor.epoch != cursor.epoch:", _FEED_TESTS),
    _verification("listener-proves-itself", _LISTENER, '                self._mode, beat_lost = "poll", float("inf")\n', '                beat_lost = float("inf")\n', _FEED_TESTS),
    _verification("listener-looks-when-connected", _LISTENER, "        self._wake()\n        poll_s = POLL_MIN_S\n        place", "        poll_s = POLL_MIN_S\n        place", _FEED_TESTS),
    _trigger("every-change-moves-the-version", Safeguard.VERSION, "    new.version := greatest(old.version + 1, new.version);", "    new.version := old.version;"),
    _trigger("unmet-moves-no-version", Safeguard.VERSION, "    kept.unmet := old.unmet;\n", ""),
    _trigger("every-change-carries-its-transaction", Safeguard.VERSION, "    new.changed_xid := pg_current_xact_id();\n", ""),
    _trigger("a-lease-ends-with-its-status", Safeguard.VERSION, "            new.claim_owner := null;\n", "            null;\n"),
    _trigger("claims-count-attempts", Safeguard.VERSION, "            new.attempts := old.attempts + 1;\n", "            null;\n"),
    _trigger("reborn-ids-go-on", Safeguard.VERSION, "array_agg(gone.version + 1)", "array_agg(1::bigint)"),
    _trigger("truncated-rows-are-recorded", Safeguard.JOURNAL, "    select b.project, b.id, b.version + 1, 'truncate',\n           backlog_record(to_jsonb(b))\n    from backlog b;", "    select b.project, b.id, b.version + 1, 'truncate',\n           backlog_record(to_jsonb(b))\n    from backlog b where false;"),
    _trigger("deleted-rows-are-recorded", Safeguard.JOURNAL, "    select o.project, o.id, o.version + 1, 'delete',\n           backlog_record(to_jsonb(o))\n    from replaced o;", "    select o.project, o.id, o.version + 1, 'update',\n           backlog_record(to_jsonb(o))\n    from replaced o;"),
)  # fmt: skip
