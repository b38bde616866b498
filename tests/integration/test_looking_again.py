"""Looking, with nothing new: what a status costs beside a daemon."""

from __future__ import annotations

from pathlib import Path

from tests.support.workspace import site


def test_a_look_is_kept_until_something_moves(tmp_path: Path, postgres_dsn: str) -> None:
    """Looking again costs no plan, and what was looked at is still acted on when it moves."""
    text = "| id | status | title |\n|----|--------|-------|\n| A1 | not-started | One |\n"
    with site(tmp_path / "shop", postgres_dsn, text) as here:
        here.sync()
        here.cycle.run()
        first = here.cycle.preview()
        here.cycle.run()
        assert here.cycle.preview() is first
        here.file.write_text(text.replace("not-started", "done"))
        assert [each.field for each in here.cycle.preview().drift] == ["status"]
        assert [each.id for each in here.cycle.run().to_store] == ["A1"]
        here.cycle.run()
        assert here.cycle.preview().drift == ()
