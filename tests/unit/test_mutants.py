"""The catalogue of mutants fits the code, and names every safeguard there is a list of."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncd.core.trips import GUARDS
from tests.mutants.catalogue import MUTANTS
from tests.mutants.mutant import Mutant, Safeguard, Stale

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code(mutant: Mutant) -> None:
    """What a mutant takes out stands exactly once where it says, what it leaves is Python, and its tests are there."""
    assert mutant.texts(ROOT)
    assert mutant.tests
    for each in (*mutant.made_for, *mutant.tests):
        path, _, name = each.partition("::")
        assert (ROOT / path).exists()
        assert not name or f"def {name}(" in (ROOT / path).read_text("utf-8")


def test_names_are_given_once() -> None:
    """Every mutant has a name of its own."""
    names = [each.name for each in MUTANTS]
    assert len(set(names)) == len(names)


def test_every_guard_can_be_taken_out() -> None:
    """Each guard of the list, the waits and the cycles have a mutant that takes the whole of it out."""
    whole = {each.name for each in MUTANTS if each.name.startswith("guard-")}
    named = {"store-rewound" if each.__name__ == "rewound" else each.__name__.replace("_", "-") for each in GUARDS}
    assert whole == {f"guard-{name}" for name in (*named, "unsettled", "missing", "cycles")}


def test_every_kind_of_safeguard_is_taken_out() -> None:
    """Guards, fsyncs, version checks, base rules, locks, journal and verification are all in the catalogue."""
    assert {each.takes_out for each in MUTANTS} == set(Safeguard)


def test_every_fsync_of_the_files_is_taken_out() -> None:
    """No fsync stands in the files' code that no mutant takes out."""
    calls = ("os.fsync(", "fsync_directory(", "make_durable(")
    covered = "".join(each.old for each in MUTANTS if each.takes_out is Safeguard.FSYNC)
    lines = [
        line.strip()
        for path in (ROOT / "syncd" / "files").glob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if any(call in line for call in calls) and "def " not in line
    ]
    assert lines
    assert not [line for line in lines if line not in covered]


def test_a_stale_entry_is_an_error(tmp_path: Path) -> None:
    """An entry whose text is missing, stands twice, or leaves no Python, is refused."""
    path = tmp_path / "code.py"
    path.write_text("x = 1\n")
    for old, new in (("y = 1", ""), ("x = 1", "x = ("), ("", "z")):
        mutant = Mutant("stale", Safeguard.GUARD, "code.py", old, new, ("tests",))
        with pytest.raises(Stale):
            mutant.texts(tmp_path)
