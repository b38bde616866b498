"""An editor that saves an old buffer, and moves and words that wait: what one card's merge must not take for news."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from syncd.core.plan import (
    CARD_FIELD,
    BaseCard,
    ChangeKind,
    LocalCard,
    Plan,
    Policy,
    Presence,
    RemoteCard,
    Winner,
    advance,
)
from syncd.core.reconcile import reconcile
from syncd.schemas.card import STATUS_WORD, Value

PATH = "TASKS.md"
PLAIN: dict[str, Value] = {"title": "Parser", "status": "ready", "priority": 0}
HEADED = {**PLAIN, "phase": "M1"}
WEAK = frozenset({"phase"})


def base(**fields: Value) -> BaseCard:
    return BaseCard("A1", {**PLAIN, **fields}, 1, PATH)


def local(**fields: Value) -> LocalCard:
    return LocalCard("A1", {**PLAIN, **fields}, PATH)


def remote(**fields: Value) -> RemoteCard:
    return RemoteCard("A1", {**PLAIN, **fields}, 1, path=PATH)


def under(heading: str) -> LocalCard:
    """The row under a heading, which is its phase."""
    return LocalCard("A1", {**PLAIN, "phase": heading}, PATH, 1, WEAK, heading)


def plan(
    known: BaseCard,
    here: LocalCard,
    there: RemoteCard,
    recent: dict[tuple[str, str], Value] | None = None,
    policy: Policy | None = None,
) -> Plan:
    return reconcile({"A1": known}, {"A1": here}, {"A1": there}, policy or Policy(), recent=recent or {})


def test_an_old_buffer_does_not_undo_a_status() -> None:
    """A status that goes back to what syncd's own write replaced is a conflict; the store's stays."""
    result = plan(base(status="blocked"), local(), remote(status="blocked"), {("A1", "status"): "ready"})
    assert not result.to_store
    assert result.to_file[0].fields == {"status": "blocked"}
    assert [(each.field, each.local, each.winner) for each in result.conflicts] == [("status", "ready", Winner.REMOTE)]


def test_an_old_buffer_does_not_take_a_lease_back() -> None:
    """An owner that goes back to what syncd's own write replaced asks for no claim, though the lease has ended."""
    claimed: dict[str, Value] = {"status": "claimed", "claimOwner": "bob"}
    here = local(status="claimed", claimOwner="ann")
    result = plan(base(**claimed), here, remote(**claimed), {("A1", "claimOwner"): "ann"})
    assert not result.to_store
    assert result.to_file[0].fields == {"claimOwner": "bob"}
    assert plan(base(**claimed), here, remote(**claimed)).to_store[0].kind is ChangeKind.CLAIM


def test_an_old_buffer_does_not_move_a_row_back() -> None:
    """A row that stands again under the heading from which syncd moved it is a conflict; the store's phase stays."""
    known = BaseCard("A1", {**PLAIN, "phase": "M2"}, 1, PATH, "M2")
    result = plan(known, under("M1"), remote(phase="M2"), {("A1", "phase"): "M1"})
    assert not result.to_store
    assert result.to_file[0].fields == {"phase": "M2"}
    assert [each.field for each in result.conflicts] == ["phase"]


def test_a_move_that_is_not_settled_stays_a_move() -> None:
    """A row that moved while its phase waits to be decided is still seen as moved by the next cycle."""
    known = BaseCard("A1", HEADED, 1, PATH, "M1")
    ask = Policy(winners={"phase": "ask"})
    here, there = under("M2"), replace(remote(phase="M3"), version=2)
    first = plan(known, here, there, policy=ask)
    advanced = advance(known, here, there)
    assert (advanced.heading, advanced.fields["phase"]) == ("M1", "M1")
    assert plan(advanced, here, there, policy=ask).conflicts == first.conflicts != ()


def test_a_word_waits_with_its_status() -> None:
    """The author's word for a status that is not sent is not sent either: it would name a status that is not there."""
    here = local(status="blocked", **{STATUS_WORD: "in review"})
    result = plan(base(), here, remote(status="done"), policy=Policy(winners={"status": "ask"}))
    assert not result.to_store
    assert [each.field for each in result.conflicts] == ["status"]


TOMBSTONE = replace(remote(), version=2, presence=Presence.DELETED)


@pytest.mark.parametrize("there", [{"A1": TOMBSTONE}, {}])
def test_an_old_buffer_does_not_bring_a_card_back(there: dict[str, RemoteCard]) -> None:
    """A row that syncd took out a moment ago, and that is back as it was, goes again, with a record of it."""
    result = reconcile({}, {"A1": local()}, there, Policy(), taken_out={"A1": PLAIN})
    assert not result.to_store
    assert [(change.kind, change.id) for change in result.to_file] == [(ChangeKind.REMOVE, "A1")]
    assert [(each.field, each.local, each.remote, each.winner) for each in result.conflicts] == [
        (CARD_FIELD, "Parser", None, Winner.REMOTE)
    ]


def test_an_edit_in_an_old_buffer_outlives_the_deletion() -> None:
    """A row that comes back edited is a restore, and the deletion that loses is recorded."""
    here = {"A1": local(title="Better")}
    result = reconcile({}, here, {"A1": TOMBSTONE}, Policy(), taken_out={"A1": PLAIN})
    assert [(change.kind, change.fields["title"]) for change in result.to_store] == [(ChangeKind.RESTORE, "Better")]
    assert not result.to_file
    assert [(each.field, each.local, each.winner) for each in result.conflicts] == [
        (CARD_FIELD, "Better", Winner.LOCAL)
    ]


def test_an_id_that_reappears_later_is_a_restore() -> None:
    """A row that nobody took out a moment ago is written down again on purpose."""
    result = reconcile({}, {"A1": local()}, {"A1": TOMBSTONE}, Policy())
    assert [change.kind for change in result.to_store] == [ChangeKind.RESTORE]
    assert result.conflicts == ()
