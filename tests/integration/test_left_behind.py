"""What an absence leaves when the memory of it is lost, and what is remembered of a database while it is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd import api
from syncd.core.plan import Winner
from syncd.ports import CardFilter, NewCard
from syncd.schemas.card import Status
from tests.support.laptop import Line, back, laptop, put_on
from tests.support.workspace import TABLE, Site, site


@pytest.fixture
def here(tmp_path: Path, postgres_dsn: str) -> Iterator[tuple[Site, Line]]:
    """A working copy in sync, and its line."""
    with laptop(tmp_path / "laptop", postgres_dsn, TABLE) as (made, line):
        made.sync()
        yield made, line


def forget(made: Site, line: Line) -> None:
    """Lose the state beside the files, and begin a process."""
    made.wiring.close()
    for each in (made.root / ".syncd").glob("state.db*"):
        each.unlink()
    made.restart()
    put_on(made, line)


@pytest.mark.parametrize("is_back_at_once", [False, True])
def test_a_state_that_is_lost_while_away_takes_no_work_with_it(here: tuple[Site, Line], is_back_at_once: bool) -> None:
    """The manifest's cards are local work: new ones are made, and what differs is a conflict that the database won."""
    made, line = here
    line.is_cut = True
    store = made.wiring.store()
    store.create(NewCard(id="B1", title="Made away"))
    store.claim("laptop", 900, id="B1")
    store.update("A2", {"title": "Title from away", "extra.note": "kept"})
    store.remove("A3")
    line.is_cut = not is_back_at_once
    made.sql("update backlog set priority = 9 where id = 'A2'")
    forget(made, line)
    if not is_back_at_once:
        assert made.card("A2").title == "Title from away", "work goes on where it was"
        assert made.card("B1").claim_owner == "laptop"
    back((made, line))
    assert not list((made.root / ".syncd").glob("manifest.json*"))
    assert {each.id for each in made.wiring.store().list(CardFilter())} == {"A1", "A2", "A3", "B1"}
    assert (made.column("title", "B1"), made.column("claim_owner", "B1")) == ("Made away", "laptop")
    assert made.column("title", "A2") == "Write the parser"
    assert made.column("priority", "A2") == 9
    told = {(each.conflict.id, each.conflict.field): each.conflict for each in made.wiring.store().conflicts()}
    assert (told["A2", "title"].local, told["A2", "title"].winner) == ("Title from away", Winner.REMOTE)
    report = made.sync()
    assert (report.to_store, report.to_file, report.held) == ((), (), ())


def test_a_manifest_of_before_a_move_is_nobodys_work(here: tuple[Site, Line]) -> None:
    """A store in files that a workspace has left is not taken for the work of an absence."""
    made, line = here
    line.is_cut = True
    made.wiring.store().create(NewCard(id="B1", title="Made away"))
    made.wiring.manifest.fold()
    path = made.root / ".syncd" / "manifest.json"
    kept = path.read_bytes()
    back(here)
    from syncd.store.flatfile.text import manifest_of, text_of

    left = manifest_of(kept, "kept")
    left.is_standin = False
    left.cards["C1"] = left.cards["B1"]
    path.write_bytes(text_of(left))
    forget(made, line)
    made.sync()
    assert made.wiring.absence() is None
    assert path.exists()


def test_conflicts_are_remembered_and_can_be_settled_away(
    here: tuple[Site, Line], tmp_path: Path, postgres_dsn: str
) -> None:
    """Those of the last contact are shown while the database is away, once, and what is settled of them stays so."""
    made, line = here
    with site(tmp_path / "office", postgres_dsn, TABLE) as there:
        there.sync()
        for title, each in (("From the laptop", made), ("From the office", there)):
            each.edit("Write the parser", title)
            each.sync()
        made.edit("From the laptop", "Once more")
        there.edit("From the office", "Again")
        there.sync()
        made.sync()
        before = [(each.seq, each.conflict) for each in made.wiring.store().conflicts()]
        assert before
        line.is_cut = True
        away = made.wiring.store().conflicts()
        assert [(each.seq, each.conflict) for each in away] == before
        workspace = api.Workspace(made.wiring)
        assert workspace.away_since is not None
        workspace.resolve("A2", "title", "remote")
        assert made.wiring.store().conflicts() == []
        made.wiring.store().claim("laptop", 900, id="A2")
        there.wiring.store().claim("office", 900, id="A2")
        back(here)
        told = [each.conflict.field for each in made.wiring.store().conflicts()]
        assert told == ["claimOwner"], "those that were there are not told again, and what was settled stays so"
        assert made.card("A2").status is Status.CLAIMED
