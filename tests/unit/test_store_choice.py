"""Which store a workspace means, and what ``syncd.yaml`` keeps of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncd.errors import StoreMismatch
from syncd.schemas.config import Config, StoreKind, StoreRecord
from syncd.stores import choose_store

ANN = {"HOME": "/home/ann"}
BEN = {"HOME": "/home/ben", "XDG_DATA_HOME": "/data/ben"}


def test_settings_of_one_machine_hold_on_another() -> None:
    """A ``syncd.yaml`` that was made with an embedded store and committed works for whoever clones it."""
    record = choose_store(Config(), ANN, None).record
    assert record == StoreRecord(StoreKind.EMBEDDED, "default")
    chosen = choose_store(replace(Config(), store=record), BEN, None)
    assert chosen.address == "/data/ben/syncd/postgres"


def test_a_place_of_ones_own_choice_is_written_down() -> None:
    """An embedded store that ``$SYNCD_DATA_DIR`` placed is named by its path, and another place is refused."""
    record = choose_store(Config(), {**ANN, "SYNCD_DATA_DIR": "/srv/pg"}, None).record
    assert record.address == "/srv/pg"
    with pytest.raises(StoreMismatch, match="at /srv/pg, but the default"):
        choose_store(replace(Config(), store=record), ANN, None)
    with pytest.raises(StoreMismatch, match=r"at its usual place, but \$SYNCD_DATA_DIR names"):
        choose_store(
            replace(Config(), store=StoreRecord(StoreKind.EMBEDDED, "default")), {**ANN, "SYNCD_DATA_DIR": "/srv"}, None
        )


def test_a_record_with_a_path_still_holds() -> None:
    """A workspace whose record names the usual place by its path is the same workspace."""
    record = StoreRecord(StoreKind.EMBEDDED, "/home/ann/.local/share/syncd/postgres")
    assert choose_store(replace(Config(), store=record), ANN, None).is_usual
