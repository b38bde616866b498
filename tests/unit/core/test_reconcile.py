"""The rules of reconcile that need a word: claims and owners, states and words, headings, moves, old buffers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from syncd.core.plan import (
    CARD_FIELD,
    BaseCard,
    Change,
    ChangeKind,
    Conflict,
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

POLICY = Policy(replica="laptop")
PLAIN: dict[str, Value] = {"title": "Parser", "status": "ready", "priority": 0, "dependsOn": ()}
PATH = "TASKS.md"


def local(path: str = PATH, **fields: Value) -> LocalCard:
    """A row of A1."""
    return LocalCard("A1", {**PLAIN, **_named(fields)}, path)


def remote(version: int = 1, *, lease: bool = False, presence: Presence = Presence.LIVE, **fields: Value) -> RemoteCard:
    """A1 in the store; claimed with a live lease when ``lease``."""
    return RemoteCard("A1", {**PLAIN, "claimOwner": None, **_named(fields)}, version, presence, PATH, lease)


def base(path: str | None = PATH, **fields: Value) -> BaseCard:
    """A1 as agreed at version 1."""
    return BaseCard("A1", {**PLAIN, **_named(fields)}, 1, path)


def _named(fields: dict[str, Value]) -> dict[str, Value]:
    """Spell ``extra_owner`` as ``extra.owner``."""
    return {name.replace("extra_", "extra."): value for name, value in fields.items()}


def plan(
    known: BaseCard | None,
    here: LocalCard | None,
    there: RemoteCard | None,
    policy: Policy = POLICY,
    recent: dict[tuple[str, str], Value] | None = None,
) -> Plan:
    """Reconcile one card."""
    return reconcile(
        {known.id: known} if known else {},
        {here.id: here} if here else {},
        {there.id: there} if there else {},
        policy,
        recent=recent or {},
    )


def only(changes: tuple[Change, ...]) -> Change:
    """Return the one change."""
    (change,) = changes
    return change


# --- claims and owners ---------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "owner"), [("bob", "bob"), (None, "file:laptop")])
def test_in_progress_asks_for_a_claim(cell: str | None, owner: str) -> None:
    """A row that says in-progress claims for the owner that it names, else for its working copy."""
    result = plan(base(extra_owner=cell), local(status="claimed", claimOwner=cell), remote(extra_owner=cell))
    assert only(result.to_store) == Change(
        ChangeKind.CLAIM,
        "A1",
        {"status": "claimed", "claimOwner": owner},
        version=1,
        path=PATH,
        before={"status": "ready", "claimOwner": None},
    )
    assert not result.to_file
    assert not result.conflicts


def test_a_claim_against_a_live_lease_is_refused() -> None:
    """Both say claimed, for different owners: the lease stands, the row shows its holder, a conflict tells."""
    result = plan(
        base(claimOwner=None),
        local(status="claimed", claimOwner="bob"),
        remote(2, lease=True, status="claimed", claimOwner="alice"),
    )
    assert only(result.to_file).fields == {"claimOwner": "alice"}
    assert result.conflicts == (Conflict("A1", "claimOwner", None, "bob", "alice", Winner.REMOTE),)
    assert not result.to_store


def test_a_claim_over_an_expired_lease_is_granted() -> None:
    """Nobody works on a card whose lease expired: the row's owner may have it."""
    result = plan(base(), local(status="claimed", claimOwner="bob"), remote(2, status="claimed", claimOwner="alice"))
    assert only(result.to_store).kind is ChangeKind.CLAIM
    assert only(result.to_store).fields == {"status": "claimed", "claimOwner": "bob"}


def test_a_row_that_names_nobody_gets_the_holder() -> None:
    """Both say claimed, as before, and the row names nobody: it shows the holder, and that is no conflict."""
    result = plan(
        base(status="claimed", claimOwner=None),
        local(status="claimed", claimOwner=None),
        remote(2, lease=True, status="claimed", claimOwner="alice"),
    )
    assert only(result.to_file).fields == {"claimOwner": "alice"}
    assert not result.conflicts


def test_a_nameless_claim_that_lost_is_a_conflict() -> None:
    """A row that came to say in-progress without a name, while another got the lease, shows who holds it and why."""
    result = plan(
        base(claimOwner=None),
        local(status="claimed", claimOwner=None),
        remote(2, lease=True, status="claimed", claimOwner="alice"),
    )
    assert only(result.to_file).fields == {"claimOwner": "alice"}
    assert [(each.field, each.local, each.remote) for each in result.conflicts] == [("claimOwner", None, "alice")]


def test_finished_work_keeps_the_name_that_its_author_wrote() -> None:
    """Where the base knows of no text under the claim, done takes the status alone to the row."""
    claimed = {"status": "claimed", "claimOwner": "ann"}
    result = plan(base(**claimed), local(**claimed), remote(2, status="done", claimOwner=None))
    assert only(result.to_file).fields == {"status": "done"}


def test_finished_work_gives_the_cell_back_that_a_holder_took() -> None:
    """Where the base knows what stood there before a claim in the store, done brings that back."""
    claimed = {"status": "claimed", "claimOwner": "ann"}
    known = base(**claimed, **{"extra.owner": None})
    result = plan(known, local(**claimed), remote(2, status="done", claimOwner=None))
    assert only(result.to_file).fields == {"status": "done", "extra.owner": None}


def test_the_claim_of_a_row_that_named_nobody_leaves_its_cell_empty() -> None:
    """The owner ``file:<replica>`` stands for an empty cell and is not written into it."""
    there = remote(2, lease=True, status="claimed", claimOwner="file:laptop")
    result = plan(base(status="claimed"), local(status="claimed", claimOwner=None), there)
    assert not result.to_file
    assert not result.to_store


def test_done_counts_whoever_holds_the_lease() -> None:
    """A row's done finishes a card that another holds: work that is finished stays finished."""
    result = plan(
        base(), local(status="done", extra_owner=None), remote(2, lease=True, status="claimed", claimOwner="al")
    )
    assert only(result.to_store).fields == {"status": "done"}
    assert result.conflicts == (Conflict("A1", "status", "ready", "done", "claimed", Winner.LOCAL),)


def test_done_by_somebody_who_lost_the_card_is_a_conflict() -> None:
    """A row that names another owner than the holder does not finish the card."""
    result = plan(
        base(status="claimed", claimOwner="bob"),
        local(status="done", extra_owner="bob"),
        remote(2, lease=True, status="claimed", claimOwner="alice"),
    )
    assert only(result.to_file).fields == {"status": "claimed", "claimOwner": "alice"}
    assert Conflict("A1", "status", "claimed", "done", "claimed", Winner.REMOTE) in result.conflicts
    assert not result.to_store


def test_done_by_the_holder_is_done() -> None:
    """The owner's name that stays in the row after done is the holder's, and no text of the author."""
    known = base(status="claimed", claimOwner="alice", extra_owner="lead")
    here = local(status="done", extra_owner="alice")
    there = remote(1, lease=True, status="claimed", claimOwner="alice", extra_owner="lead")
    assert only(plan(known, here, there).to_store).fields == {"status": "done"}
    after = remote(2, status="done", extra_owner="lead")
    assert plan(advance(known, here, after), here, after) == Plan()


def test_a_claim_in_the_store_takes_the_cell_and_gives_it_back() -> None:
    """The cell shows the holder while the card is claimed, and the author's text again afterwards."""
    known, here = base(extra_owner="lead"), local(extra_owner="lead")
    claimed = remote(2, lease=True, status="claimed", claimOwner="alice", extra_owner="lead")
    assert only(plan(known, here, claimed).to_file).fields == {"status": "claimed", "claimOwner": "alice"}
    shown = local(status="claimed", claimOwner="alice")
    agreed = advance(known, shown, claimed)
    assert plan(agreed, shown, claimed) == Plan()
    done = remote(3, status="done", extra_owner="lead")
    assert only(plan(agreed, shown, done).to_file).fields == {"status": "done", "extra.owner": "lead"}


def test_reopening_is_an_ordinary_edit() -> None:
    """One side alone may turn done into ready."""
    result = plan(base(status="done"), local(), remote(status="done"))
    assert only(result.to_store).fields == {"status": "ready"}
    assert not result.conflicts


@pytest.mark.parametrize(
    ("here", "there", "winner"),
    [
        ("done", "claimed", Winner.LOCAL),
        ("blocked", "done", Winner.REMOTE),
        ("done", "blocked", Winner.REMOTE),
        ("claimed", "done", Winner.REMOTE),
        ("claimed", "blocked", Winner.REMOTE),
    ],
)
def test_done_wins_over_claimed_and_ready_and_else_the_store(here: str, there: str, winner: Winner) -> None:
    """Both changed the state: finished work stays finished, otherwise the store wins; the loser is recorded."""
    result = plan(base(), local(status=here), remote(2, status=there))
    assert [(each.field, each.winner) for each in result.conflicts] == [("status", winner)]


def test_without_a_base_the_state_follows_the_same_rule() -> None:
    """On first contact different states are a conflict by the rule of states."""
    assert only(plan(None, local(status="done"), remote()).to_store).fields == {"status": "done"}
    assert only(plan(None, local(status="blocked"), remote()).to_file).fields == {"status": "ready"}


# --- status words --------------------------------------------------------------------------------


def test_a_word_travels_with_its_state() -> None:
    """The author's word goes to the store with the state, and comes to the file with the state."""
    known = base(**{STATUS_WORD: None})
    here = local(status="blocked", **{STATUS_WORD: "needs-qa"})
    assert only(plan(known, here, remote()).to_store).fields == {"status": "blocked", STATUS_WORD: "needs-qa"}
    there = remote(2, status="blocked", **{STATUS_WORD: "needs-qa"})
    assert only(plan(known, local(**{STATUS_WORD: None}), there).to_file).fields == {
        "status": "blocked",
        STATUS_WORD: "needs-qa",
    }


def test_a_word_alone_goes_to_the_store_and_never_to_the_file() -> None:
    """Another word for the same state is the author's; the store's other word is nobody's business."""
    known = base(status="blocked", **{STATUS_WORD: "needs-qa"})
    other = {"status": "blocked", STATUS_WORD: "in review"}
    same = {"status": "blocked", STATUS_WORD: "needs-qa"}
    assert only(plan(known, local(**other), remote(**same)).to_store).fields == {STATUS_WORD: "in review"}
    quiet = plan(known, local(**same), remote(2, **other))
    assert not quiet.to_file
    assert not quiet.conflicts


# --- headings, moves -----------------------------------------------------------------------------


def under(heading: str, path: str = PATH) -> LocalCard:
    """A row whose phase is its heading."""
    return LocalCard("A1", {**PLAIN, "phase": heading}, path, weak=frozenset({"phase"}), heading=heading)


def test_a_heading_is_no_change_until_the_row_moves() -> None:
    """A heading that differs from the stored phase says nothing; under another heading it does."""
    there = remote(phase="M1")
    first = plan(None, under("Milestone 1"), there)
    assert first == Plan(agreed=("A1",))
    known = advance(None, under("Milestone 1"), there)
    assert plan(known, under("Milestone 1"), there) == Plan()
    assert only(plan(known, under("Milestone 2"), there).to_store).fields == {"phase": "Milestone 2"}


def test_a_phase_changed_in_the_store_moves_the_row_or_stays_there() -> None:
    """The phase goes to the file; where no heading can show it, the base takes it as settled."""
    known = advance(None, under("M1"), remote(phase="M1"))
    there = remote(2, phase="M9")
    assert only(plan(known, under("M1"), there).to_file).fields == {"phase": "M9"}
    settled = advance(known, under("M1"), there, unshown=frozenset({"phase"}))
    assert plan(settled, under("M1"), there) == Plan()


def test_a_row_moved_to_another_file_is_a_move() -> None:
    """A row that stands in another file now is recorded in the store and deletes nothing."""
    there = remote()
    result = plan(base(), local("done.md"), there)
    assert only(result.to_store) == Change(ChangeKind.UPDATE, "A1", version=1, path="done.md")
    moved = plan(base(), local("done.md"), replace(there, path="done.md"))
    assert moved == Plan(agreed=("A1",))


# --- existence -----------------------------------------------------------------------------------


def test_a_vanished_row_archives_what_is_done_and_deletes_what_is_open() -> None:
    """Pruning a done card archives it, pruning an open one deletes it; each at the version that was seen."""
    assert only(plan(base(status="done"), None, remote(status="done")).to_store).kind is ChangeKind.ARCHIVE
    assert only(plan(base(), None, remote()).to_store).kind is ChangeKind.REMOVE
    assert only(plan(base(), None, remote()).to_store).version == 1


@pytest.mark.parametrize(
    ("on_removed", "kind", "asks"),
    [("archive", ChangeKind.ARCHIVE, False), ("delete", ChangeKind.REMOVE, False), ("hold", ChangeKind.REMOVE, True)],
)
def test_the_configuration_says_what_a_vanished_row_does(on_removed: str, kind: ChangeKind, asks: bool) -> None:
    """``on_removed`` overrides what becomes of a card; ``hold`` asks first."""
    change = only(plan(base(), None, remote(), Policy(on_removed=on_removed)).to_store)
    assert (change.kind, change.asks) == (kind, asks)


def test_the_configuration_can_bring_vanished_rows_back() -> None:
    """``on_removed: restore`` puts the row back and changes nothing in the store."""
    result = plan(base(), None, remote(), Policy(on_removed="restore"))
    assert only(result.to_file).kind is ChangeKind.CREATE
    assert not result.to_store
    assert not result.conflicts


def test_a_card_of_no_file_is_never_deleted() -> None:
    """A base without a path implies no deletion; a version that moved is taken in."""
    assert plan(base(None), None, remote()) == Plan()
    assert plan(base(None), None, remote(2, title="Other")) == Plan(agreed=("A1",))


@pytest.mark.parametrize("presence", [Presence.ARCHIVED, Presence.DELETED])
def test_an_old_id_that_is_written_again_is_a_restore(presence: Presence) -> None:
    """A row with the id of an archived or deleted card brings it back, without a conflict."""
    result = plan(None, local(title="Again"), remote(7, presence=presence))
    change = only(result.to_store)
    assert (change.kind, change.version, change.fields["title"]) == (ChangeKind.RESTORE, 7, "Again")
    assert not result.conflicts


def test_a_row_deleted_outright_goes_and_an_edited_one_is_created_again() -> None:
    """A card that is in the store no more takes its row with it, unless the row was edited."""
    assert only(plan(base(), local(), None).to_file).kind is ChangeKind.REMOVE
    edited = plan(base(), local(title="Edited"), None)
    assert only(edited.to_store).kind is ChangeKind.CREATE
    assert edited.conflicts[0].field == CARD_FIELD


def test_a_new_card_goes_to_its_file_when_that_is_known() -> None:
    """A card of the store goes to the file that it names if the workspace has it; else the engine chooses."""
    others = {"B1": LocalCard("B1", PLAIN, PATH)}
    cards = {
        "A1": RemoteCard("A1", PLAIN, 1, path=PATH),
        "A2": RemoteCard("A2", PLAIN, 1, path="elsewhere.md"),
        "B1": RemoteCard("B1", PLAIN, 1),
    }
    result = reconcile({}, others, cards, POLICY)
    assert [(each.id, each.path) for each in result.to_file] == [("A1", PATH), ("A2", None)]


def test_creations_keep_the_order_of_each_side() -> None:
    """Cards go to the store in the file's order, and rows to the file in the store's."""
    ids = ["C", "A", "B"]
    here = {id: LocalCard(id, PLAIN, PATH) for id in ids}
    there = {id: RemoteCard(id, PLAIN, 1) for id in ids}
    assert [each.id for each in reconcile({}, here, {}, POLICY).to_store] == ids
    assert [each.id for each in reconcile({}, {}, there, POLICY).to_file] == ids


# --- fields --------------------------------------------------------------------------------------


def test_absent_is_never_a_change() -> None:
    """A field that the row has no place for is neither sent nor written."""
    here = LocalCard("A1", {"title": "Parser", "status": "ready"}, PATH)
    known = BaseCard("A1", here.fields, 1, PATH)
    result = plan(known, here, remote(2, priority=7, body="text", dependsOn=("X",)))
    assert result == Plan(agreed=("A1",))


def test_without_a_base_value_the_empty_side_yields() -> None:
    """A column that was just added fills from the store, and a value where the store has none goes there."""
    known = BaseCard("A1", {"title": "Parser", "status": "ready"}, 1, PATH)
    filled = plan(known, local(body=None), remote(priority=3, body="text"))
    assert only(filled.to_file).fields == {"priority": 3, "body": "text"}
    sent = plan(known, local(priority=2, dependsOn=("X",)), remote())
    assert only(sent.to_store).fields == {"priority": 2, "dependsOn": ("X",)}
    assert not filled.conflicts + sent.conflicts


def test_an_emptied_cell_reaches_the_store_in_the_column_s_form() -> None:
    """An empty priority is 0 and an empty list of dependencies is empty, never null."""
    result = plan(
        base(priority=3, dependsOn=("X",)), local(priority=None, dependsOn=None), remote(priority=3, dependsOn=("X",))
    )
    assert only(result.to_store).fields == {"priority": 0, "dependsOn": ()}


def test_the_order_of_dependencies_says_nothing() -> None:
    """Two lists of the same dependencies are the same, and the base takes that in."""
    result = plan(base(dependsOn=("X",)), local(dependsOn=("X", "Y")), remote(2, dependsOn=("Y", "X")))
    assert result == Plan(agreed=("A1",))


@pytest.mark.parametrize(
    ("configured", "winner"), [("local", Winner.LOCAL), ("remote", Winner.REMOTE), ("ask", Winner.NONE)]
)
def test_the_configuration_chooses_the_winner(configured: str, winner: Winner) -> None:
    """``policy`` decides a clash for a field or for all extra fields; ``ask`` writes neither side."""
    policy = Policy(winners={"extra.*": configured, "title": configured})
    result = plan(base(extra_pr="1"), local(title="H", extra_pr="2"), remote(2, title="T", extra_pr="3"), policy)
    assert {each.winner for each in result.conflicts} == {winner}
    assert len(result.conflicts) == 2
    assert bool(result.to_store) == (winner is Winner.LOCAL)
    assert bool(result.to_file) == (winner is Winner.REMOTE)


def test_an_old_buffer_saved_over_a_newer_file_loses() -> None:
    """A field that goes back to exactly what syncd's last write replaced is a conflict; the store's value stays."""
    known = base(title="New")
    recent: dict[tuple[str, str], Value] = {("A1", "title"): "Old"}
    result = plan(known, local(title="Old", priority=4), remote(title="New"), recent=recent)
    assert only(result.to_file).fields == {"title": "New"}
    assert only(result.to_store).fields == {"priority": 4}
    assert result.conflicts == (Conflict("A1", "title", "New", "Old", "New", Winner.REMOTE),)


def test_a_word_that_syncd_chose_is_no_edit() -> None:
    """The word in a new row brings no card back that was removed before the word itself was agreed on."""
    mine = local(**{STATUS_WORD: "todo"})
    gone = remote(version=2, presence=Presence.DELETED)
    assert [change.kind for change in plan(base(**{STATUS_WORD: None}), mine, gone).to_file] == [ChangeKind.REMOVE]
    edited = replace(mine, fields={**mine.fields, "title": "Another"})
    assert [change.kind for change in plan(base(**{STATUS_WORD: None}), edited, gone).to_store] == [ChangeKind.RESTORE]
