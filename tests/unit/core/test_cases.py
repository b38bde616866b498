"""The nasty cases that the pure heart decides, each named after its number in the list of cases."""

from __future__ import annotations

from msgspec.structs import replace

from syncd.core.guard import guard
from syncd.core.plan import (
    CARD_FIELD,
    BaseCard,
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
from syncd.core.sight import FileSight, Guarded, OwnWrite, Sight, Thresholds
from syncd.schemas.card import Value

PATH = "TASKS.md"
PLAIN: dict[str, Value] = {"title": "Task", "status": "ready", "priority": 0, "dependsOn": (), "body": None}


class Case:
    """Agreed cards of one file, each side changed by the test."""

    def __init__(self, count: int = 1, **fields: Value) -> None:
        known = {f"A{at}": {**PLAIN, **fields} for at in range(1, count + 1)}
        self.base = {id: BaseCard(id, each, 1, PATH) for id, each in known.items()}
        self.local = {id: LocalCard(id, each, PATH, at) for at, (id, each) in enumerate(known.items(), 1)}
        self.remote = {id: RemoteCard(id, each, 1, path=PATH) for id, each in known.items()}

    def row(self, id: str = "A1", **fields: Value) -> Case:
        """Change a row."""
        self.local[id] = replace(self.local[id], fields={**self.local[id].fields, **fields})
        return self

    def stored(self, id: str = "A1", presence: Presence = Presence.LIVE, **fields: Value) -> Case:
        """Change a card in the store."""
        card = self.remote[id]
        self.remote[id] = replace(card, fields={**card.fields, **fields}, version=card.version + 1, presence=presence)
        return self

    def plan(self) -> Plan:
        """Reconcile."""
        return reconcile(self.base, self.local, self.remote, Policy())

    def guarded(self, file: FileSight | None = None, **facts: object) -> Guarded:
        """Reconcile and guard."""
        sight = Sight(self.base, self.local, self.remote, {PATH: file or FileSight(PATH)}, **facts)  # type: ignore[arg-type]
        return guard(self.plan(), sight, Thresholds(), {})


def test_case_01_a_truncated_file_is_no_emptied_file_yet() -> None:
    """Size 0 seen in the middle of a write waits; only an empty file that settled is held."""
    case = Case(5)
    case.local = {}
    fresh = case.guarded(FileSight(PATH, changed_ms_ago=1, is_truncation=True))
    assert (fresh.plan, fresh.holds, len(fresh.waits)) == (Plan(), (), 1)
    settled = case.guarded(FileSight(PATH, changed_ms_ago=5_000))
    assert [hold.guard for hold in settled.holds] == ["emptied"]


def test_case_02_a_missing_tail_waits_and_the_head_goes_on() -> None:
    """Rows that are missing at the end of a slow write wait 2 s; edits above them go at once."""
    case = Case(10).row("A1", title="Edited")
    del case.local["A10"]
    guarded = case.guarded(FileSight(PATH, changed_ms_ago=500))
    assert [change.id for change in guarded.plan.to_store] == ["A1"]
    assert guarded.waits[0].retry_ms == 1_500


def test_case_09_the_same_value_on_both_sides_is_agreed() -> None:
    """Both sides set the same value: nothing is written, the base takes it."""
    case = Case().row(title="Same").stored(title="Same")
    assert case.plan() == Plan(agreed=("A1",))
    assert advance(case.base["A1"], case.local["A1"], case.remote["A1"]).fields["title"] == "Same"


def test_case_10_different_values_have_a_winner_and_a_record() -> None:
    """Both sides set different values: the rule decides, and the loser is in the record."""
    plan = Case().row(title="Here", priority=1).stored(title="There", priority=2).plan()
    assert plan.conflicts == (
        Conflict("A1", "title", "Task", "Here", "There", Winner.LOCAL),
        Conflict("A1", "priority", 0, 1, 2, Winner.REMOTE),
    )
    assert plan.to_store[0].fields == {"title": "Here"}
    assert plan.to_file[0].fields == {"priority": 2}


def test_case_11_different_fields_are_both_kept() -> None:
    """Edits of different fields of one card merge without a conflict."""
    plan = Case().row(title="Here").stored(priority=2).plan()
    assert (plan.to_store[0].fields, plan.to_file[0].fields, plan.conflicts) == ({"title": "Here"}, {"priority": 2}, ())


def test_case_12_sets_merge_per_element() -> None:
    """Dependencies that both sides changed merge, and removals are honoured."""
    plan = Case(dependsOn=("X", "Y")).row(dependsOn=("Y", "N")).stored(dependsOn=("X", "Y", "M")).plan()
    assert plan.to_store[0].fields == plan.to_file[0].fields == {"dependsOn": ("Y", "N", "M")}
    assert not plan.conflicts


def test_case_13_long_text_merges_by_lines_and_is_never_concatenated() -> None:
    """Bodies merge line by line; where the same line differs the file's stands and the clash is recorded."""
    clean = Case(body="1\n2\n3").row(body="1\n2\n3\n4").stored(body="0\n1\n2\n3").plan()
    assert clean.to_store[0].fields == clean.to_file[0].fields == {"body": "0\n1\n2\n3\n4"}
    assert not clean.conflicts
    clash = Case(body="1\n2\n3").row(body="1\nH\n3").stored(body="1\nT\n3\n4").plan()
    assert clash.to_store[0].fields == clash.to_file[0].fields == {"body": "1\nH\n3\n4"}
    assert [(each.local, each.remote, each.winner) for each in clash.conflicts] == [
        ("1\nH\n3", "1\nT\n3\n4", Winner.LOCAL)
    ]


def test_case_14_an_edit_outlives_a_deletion_on_either_side() -> None:
    """A deletion that met an edit is undone and recorded."""
    gone_here = Case().stored(title="Edited")
    del gone_here.local["A1"]
    plan = gone_here.plan()
    assert [change.kind for change in plan.to_file] == [ChangeKind.CREATE]
    assert plan.conflicts == (Conflict("A1", CARD_FIELD, "Task", None, "Edited", Winner.REMOTE),)
    gone_there = Case().row(title="Edited").stored(presence=Presence.DELETED).plan()
    assert [change.kind for change in gone_there.to_store] == [ChangeKind.RESTORE]
    assert gone_there.conflicts == (Conflict("A1", CARD_FIELD, "Task", "Edited", None, Winner.LOCAL),)


def test_case_15_what_both_sides_deleted_is_forgotten() -> None:
    """A card that went on both sides leaves the base, and nothing else happens."""
    case = Case().stored(presence=Presence.DELETED)
    del case.local["A1"]
    assert case.plan() == Plan(forgotten=("A1",))


def test_case_16_an_id_renamed_in_bulk_is_a_creation_and_a_held_deletion() -> None:
    """New ids are taken in; when many old ones vanish with that, their deletion asks first."""
    case = Case(8)
    case.local = {f"B{at}": LocalCard(f"B{at}", PLAIN, PATH) for at in range(1, 9)}
    guarded = case.guarded()
    assert {change.kind for change in guarded.plan.to_store} == {ChangeKind.CREATE}
    assert len(guarded.holds) == 8


def test_case_19_reordering_writes_nothing() -> None:
    """The order of rows is no content."""
    case = Case(5)
    case.local = {id: replace(card, line=99) for id, card in reversed(case.local.items())}
    assert case.plan() == Plan()


def test_case_23_merge_markers_hold_the_whole_file() -> None:
    """A file with merge markers is reported and not synced."""
    guarded = Case().row(title="Ours").guarded(FileSight(PATH, marker_line=3))
    assert (guarded.plan, [hold.guard for hold in guarded.holds]) == (Plan(), ["markers"])


def test_case_33_a_deleted_file_deletes_no_card() -> None:
    """A file that is gone is written again after its grace."""
    case = Case(5)
    case.local = {}
    gone = FileSight(PATH, exists=False, missing_ms=0)
    assert case.guarded(gone).plan == Plan()
    again = case.guarded(replace(gone, missing_ms=60_000)).plan
    assert (len(again.to_file), again.to_store) == (5, ())


def test_case_35_a_checkout_of_an_old_version_is_no_edit() -> None:
    """Bytes of an older version: what they would revert is held."""
    case = Case(5).row("A1", title="Old").row("A2", title="Old")
    guarded = case.guarded(FileSight(PATH, version_rank=3, head_moved=True))
    assert [hold.guard for hold in guarded.holds] == ["time-travel", "time-travel"]
    assert guarded.plan == Plan()


def test_case_40_a_crash_before_the_file_was_written_goes_on_from_the_store() -> None:
    """The store has the change, the file and the base do not: it flows to the file, with no conflict."""
    plan = Case().stored(title="Committed").plan()
    assert (plan.to_store, plan.conflicts, plan.to_file[0].fields) == ((), (), {"title": "Committed"})


def test_case_41_a_crash_before_the_base_advanced_writes_nothing() -> None:
    """Both sides have the change, the base does not: it is agreed."""
    assert Case().row(title="New").stored(title="New").plan() == Plan(agreed=("A1",))


def test_case_44_a_lost_base_is_a_union() -> None:
    """Without a base equal cards are adopted, one-sided ones created, different ones recorded, none deleted."""
    case = Case(2).row("A2", title="Here").stored("A2", title="There")
    case.base = {}
    case.local["L1"] = LocalCard("L1", PLAIN, PATH)
    case.remote["R1"] = RemoteCard("R1", PLAIN, 1, path=PATH)
    plan = case.plan()
    assert plan.agreed == ("A1",)
    assert [(change.id, change.kind) for change in plan.to_store] == [
        ("A2", ChangeKind.UPDATE),
        ("L1", ChangeKind.CREATE),
    ]
    assert [(change.id, change.kind) for change in plan.to_file] == [("R1", ChangeKind.CREATE)]
    assert [each.field for each in plan.conflicts] == ["title"]


def test_case_48_a_restored_store_deletes_and_overwrites_nothing() -> None:
    """A store that went back: the cards it lacks are not deleted from the files, its old values not written."""
    case = Case(3).stored("A1", title="Old")
    del case.remote["A2"]
    guarded = case.guarded(store_rewound="its last commit is gone")
    assert (guarded.plan, [hold.guard for hold in guarded.holds]) == (Plan(), ["store-rewound"])


def test_case_54_a_truncated_table_empties_no_file() -> None:
    """All rows of the store gone at once is more than the cap: the rows of the file stay."""
    case = Case(10)
    case.remote = {}
    guarded = case.guarded()
    assert (guarded.plan, len(guarded.holds)) == (Plan(), 10)


def test_case_56_what_the_store_made_of_a_value_flows_back_once() -> None:
    """A trigger changed what was written: the base keeps what both had, the store's value goes to the file."""
    case = Case().row(title="new").stored(title="New")
    case.base["A1"] = advance(case.base["A1"], case.local["A1"], case.remote["A1"])
    assert case.base["A1"].fields["title"] == "Task"
    settled = Case(title="New")
    settled.base["A1"] = advance(case.base["A1"], settled.local["A1"], case.remote["A1"])
    assert reconcile(settled.base, settled.local, case.remote, Policy()) == Plan()


def test_case_61_a_mass_change_of_one_field_is_held() -> None:
    """A reformat that gives every card another value of a field asks first."""
    case = Case(25)
    for id in case.base:
        case.row(id, priority=9)
    guarded = case.guarded()
    assert [(hold.id, hold.guard) for hold in guarded.holds] == [(PATH, "everything-changed")]
    assert guarded.plan == Plan()


def test_case_62_a_value_that_swings_between_the_sides_is_stopped() -> None:
    """syncd wrote one field to and fro three times: it stops and says so."""
    case = Case(2).row(title="a")
    writes = tuple(
        OwnWrite("A1", "title", side, value)  # type: ignore[arg-type]
        for side, value in (("file", "Task"), ("store", "a"), ("file", "Task"))
    )
    guarded = case.guarded(own_writes=writes)
    assert [(hold.id, hold.guard) for hold in guarded.holds] == [("A1", "ping-pong")]
    assert guarded.plan == Plan()
