"""What init shows before and after it makes a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from syncd.cli.screen import plain
from syncd.cli.screens import setup
from syncd.core.plan import Change, ChangeKind
from syncd.engine.report import CycleReport
from syncd.first_contact import InitFile, InitPlan
from syncd.parsers.document import Problem
from syncd.wiring import Wiring

DUPLICATE = Problem("TASKS.md", 12, 3, "duplicate-id", "A1 stands a second time", "Give this row another id.")
UNKNOWN = Problem("TASKS.md", 5, 1, "unknown-dependency", "A1 depends on X9, which is unknown", "Add X9.")


def plan(*files: InitFile, store_cards: int = 0, first: CycleReport | None = None, note: str | None = None) -> InitPlan:
    """Return what init would do; nothing of it needs a store."""
    return InitPlan(
        root=Path("/home/me/shop"),
        config={},
        files=files,
        store_cards=store_cards,
        plan=first,
        already=False,
        store_note=note,
        wiring=cast(Wiring, None),
    )


def test_init_shows_each_file_and_the_first_sync() -> None:
    """File by file: dialects, cards, notes and problems; then the store, and what the first sync will do."""
    files = (
        InitFile("TASKS.md", True, ("table", "checklist"), 14, (DUPLICATE,), ("2 without an id; each gets one.",)),
        InitFile("docs/TASKS.md", False, (), 0, (), ("It is made, with an empty table.",)),
    )
    create = Change(ChangeKind.CREATE, "A1", {"title": "Schema"}, path="TASKS.md")
    first = CycleReport(to_store=(create,), problems=(DUPLICATE, UNKNOWN))
    assert plain(setup.init_plan(plan(*files, store_cards=3, first=first))) == (
        "Workspace /home/me/shop\n"
        "\n"
        "TASKS.md  14 cards, table and checklist\n"
        "  2 without an id; each gets one.\n"
        "  TASKS.md:12:3  A1 stands a second time\n"
        "      Give this row another id.\n"
        "\n"
        "docs/TASKS.md  is not there yet\n"
        "  It is made, with an empty table.\n"
        "\n"
        "The store holds 3 cards of this project already.\n"
        "\n"
        "The first sync\n"
        "Would make 1 change to the store.\n"
        "  A1  create  file → store  Schema\n"
        "\n"
        "Problems\n"
        "  TASKS.md:5:1  A1 depends on X9, which is unknown\n"
        "      Add X9.\n"
    )


def test_init_says_why_the_first_sync_cannot_be_told() -> None:
    """Where the store is still to be made, a note says so in the plan's place."""
    assert plain(setup.init_plan(plan(note="The embedded Postgres is made now."))).splitlines()[-1] == (
        "The embedded Postgres is made now."
    )


def test_init_ends_with_what_comes_next() -> None:
    """After init: what was made, for which project, and the two commands that come next."""
    settings = {"project": "shop", "tasks": ["TASKS.md", "docs/TASKS.md"]}
    assert plain(setup.init_done(settings, was_there=False)) == (
        "\nMade syncd.yaml and .syncd/: project shop, tasks in TASKS.md, docs/TASKS.md.\n"
        "Next:\n  syncd sync\n  syncd run\n"
    )
    assert "already: project shop" in plain(setup.init_done(settings, was_there=True))
