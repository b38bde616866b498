"""The manifest on disk: several processes, crashes in the middle, damage, and hands that should not be there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from syncd.cli.schemas import bundle
from syncd.core.plan import Conflict, Winner
from syncd.errors import Busy, ConfigError, InputOutputError, SchemaVersionError, StoreDamaged
from syncd.files.lock import MANIFEST_WAIT_S
from syncd.ports import Batch, CardFilter, NewCard
from syncd.schemas.card import Status
from syncd.store.flatfile import files as files_module
from syncd.store.flatfile.log import line_of
from syncd.store.flatfile.rules import ManifestStore
from tests.support.desk import DEADLINE_S, until
from tests.support.flatfile import delete_outright, flatfile


def make(store: ManifestStore, *ids: str) -> None:
    """Create cards."""
    for id in ids:
        store.create(NewCard(id=id, title=f"Title of {id}"))


def ids(store: ManifestStore) -> list[str]:
    """Return the ids of the live cards."""
    return [card.id for card in store.list(CardFilter())]


def fold(store: ManifestStore) -> None:
    """Fold the log into the manifest."""
    store._keeper.fold()  # type: ignore[attr-defined]


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file's bytes behind the store's back."""
    path.write_bytes(change(path.read_bytes()))


# --- what is on disk -------------------------------------------------------------------------------


def test_the_manifest_is_as_its_schema_says(tmp_path: Path) -> None:
    """Everything that a store may hold is written in the shape of the schema, sorted and readable."""
    store = flatfile(tmp_path)
    make(store, "B", "A")
    store.claim("w", 60)
    store.update("A", {"body": "Two\nlines", "extra.branch": "x", "dependsOn": ("B",)})
    store.block("A", "no key")
    store.commit(Batch("c1", (), (Conflict("A", "title", "a", "b", None, Winner.LOCAL),)))
    store.reserve_ids("T", 3, 0)
    store.touch_replica("r1", "host", "/path")
    delete_outright(store, "B")
    fold(store)
    text = (tmp_path / "manifest.json").read_text()
    kept = json.loads(text)
    Draft202012Validator(bundle("manifest")).validate(kept)
    assert text == json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert (kept["cards"].keys(), kept["gone"], kept["numbers"]) == ({"A"}, {"B": 3}, {"T": 4})


def test_everything_is_there_after_folding_and_without(tmp_path: Path) -> None:
    """Another process sees the same cards, conflicts, history and pause, from the log as from the manifest."""
    store = flatfile(tmp_path)
    make(store, "A", "B")
    store.link("B", "A")
    store.commit(Batch("c1", (), (Conflict("A", "title", "a", ("b",), 1, Winner.NONE),)))
    store.set_paused(True)

    def seen() -> list[Any]:
        other = flatfile(tmp_path)
        cards = [other.get("A"), other.get("B")]
        return [cards, other.conflicts(), other.has_commit("c1"), other.stats().paused, other.history().entries]

    before = seen()
    fold(store)
    assert (tmp_path / "manifest.log").read_bytes().count(b"\n") == 1
    assert seen() == before
    assert before[0][1].unmet == 1


def test_the_log_is_folded_when_it_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many changes the log begins anew, and nothing is lost on the way."""
    monkeypatch.setattr(files_module, "FOLD_LINES", 5)
    store, reader = flatfile(tmp_path), flatfile(tmp_path)
    for number in range(23):
        make(store, f"T{number}")
        assert len(ids(reader)) == number + 1
    assert (tmp_path / "manifest.log").read_bytes().count(b"\n") <= 5
    assert [entry.seq for entry in reader.history().entries] == list(range(1, 24))


def test_the_files_are_private(tmp_path: Path) -> None:
    """Nobody but the user can read the cards."""
    store = flatfile(tmp_path)
    make(store, "A")
    fold(store)
    assert {each.stat().st_mode & 0o077 for each in tmp_path.iterdir()} == {0}


def test_another_project_is_refused(tmp_path: Path) -> None:
    """A manifest holds one project's cards, and says whose."""
    make(flatfile(tmp_path), "A")
    with pytest.raises(ConfigError, match="project default, not of other"):
        flatfile(tmp_path, project="other").get("A")


# --- crashes and damage ----------------------------------------------------------------------------


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    """A change that was half written never happened, for readers and for the next writer."""
    store = flatfile(tmp_path)
    make(store, "A", "B")
    log = tmp_path / "manifest.log"
    whole = log.read_bytes()
    start = whole[:-1].rindex(b"\n") + 1
    for cut in (start + 1, start + 40, len(whole) - 1):
        log.write_bytes(whole[:cut])
        assert ids(flatfile(tmp_path)) == ["A"]
    make(flatfile(tmp_path), "C")
    assert ids(flatfile(tmp_path)) == ["A", "C"]


def test_a_last_line_of_zeros_is_dropped(tmp_path: Path) -> None:
    """What a power cut leaves of a block that was never written is no change."""
    make(flatfile(tmp_path), "A")
    edit(tmp_path / "manifest.log", lambda data: data + b"\0" * 300 + b"\n")
    make(flatfile(tmp_path), "B")
    assert ids(flatfile(tmp_path)) == ["A", "B"]


def test_a_bad_checksum_in_the_middle_stops(tmp_path: Path) -> None:
    """Damage before the end of the log is an error for every verb, and both files stay as they are."""
    store = flatfile(tmp_path)
    make(store, "A", "B", "C")
    edit(tmp_path / "manifest.log", lambda data: data.replace(b"Title of B", b"Title of X"))
    before = {each.name: each.read_bytes() for each in tmp_path.glob("manifest.[jl]*")}
    other = flatfile(tmp_path)
    for verb in (lambda: other.get("A"), lambda: other.claim("w", 60), lambda: other.read(None)):
        with pytest.raises(StoreDamaged, match="checksum") as raised:
            verb()
        assert raised.value.exit_code == 74
    assert {each.name: each.read_bytes() for each in tmp_path.glob("manifest.[jl]*")} == before


def test_a_missing_line_stops(tmp_path: Path) -> None:
    """A line that somebody took out of the log is noticed."""
    make(flatfile(tmp_path), "A", "B", "C")
    edit(tmp_path / "manifest.log", lambda data: b"".join(data.splitlines(keepends=True)[i] for i in (0, 1, 3)))
    with pytest.raises(StoreDamaged, match="change 2 is missing"):
        flatfile(tmp_path).get("A")


def test_a_line_of_another_shape_stops(tmp_path: Path) -> None:
    """A line that is whole but says what no card can hold is damage with a place, too."""
    make(flatfile(tmp_path), "A")
    change = {"seq": 2, "at": "2026-11-28T12:00:00Z", "cards": [{"id": "B", "title": "b", "priority": True}]}
    edit(tmp_path / "manifest.log", lambda data: data + line_of(change))
    with pytest.raises(StoreDamaged, match="change 2 cannot be read"):
        flatfile(tmp_path).get("A")


def test_case_60_a_manifest_edited_by_hand(tmp_path: Path) -> None:
    """A manifest that was edited by hand is refused: it is a cache with a checksum, not a place to edit."""
    store = flatfile(tmp_path)
    make(store, "A")
    fold(store)
    edit(tmp_path / "manifest.json", lambda data: data.replace(b"Title of A", b"Title of X"))
    with pytest.raises(StoreDamaged, match="by hand"):
        flatfile(tmp_path).get("A")


def test_a_manifest_of_a_newer_syncd(tmp_path: Path) -> None:
    """A format that is not known is refused as such."""
    store = flatfile(tmp_path)
    make(store, "A")
    fold(store)
    edit(tmp_path / "manifest.json", lambda data: data.replace(b'"format": 1', b'"format": 9'))
    with pytest.raises(SchemaVersionError, match="format 9"):
        flatfile(tmp_path).get("A")


def test_a_manifest_that_is_missing_is_not_an_empty_one(tmp_path: Path) -> None:
    """With its log begun after a change, a missing manifest is an error; a log that has it all is enough."""
    store = flatfile(tmp_path)
    make(store, "A")
    (tmp_path / "manifest.json").unlink()
    assert ids(flatfile(tmp_path)) == ["A"]
    make(flatfile(tmp_path), "B")
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(StoreDamaged, match="missing"):
        ids(flatfile(tmp_path))


def test_a_crash_while_folding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the manifest written and its log not yet begun anew, every change counts once."""
    store = flatfile(tmp_path)
    make(store, "A", "B")
    store.complete("A")
    log = (tmp_path / "manifest.log").read_bytes()
    history = store.history().entries
    fold(store)
    (tmp_path / "manifest.log").write_bytes(log)
    other = flatfile(tmp_path)
    assert (ids(other), other.get("A").status, other.history().entries) == (["A", "B"], Status.DONE, history)
    make(other, "C")
    assert [entry.id for entry in flatfile(tmp_path).history().entries] == ["A", "B", "A", "C"]


def test_an_older_log_takes_nothing_back(tmp_path: Path) -> None:
    """A log that ends before its manifest does, as a copy made meanwhile has it, undoes no change."""
    store = flatfile(tmp_path)
    make(store, "A")
    log = (tmp_path / "manifest.log").read_bytes()
    store.complete("A")
    fold(store)
    (tmp_path / "manifest.log").write_bytes(log)
    other = flatfile(tmp_path)
    assert other.get("A").status is Status.DONE
    make(other, "B")
    assert (ids(flatfile(tmp_path)), flatfile(tmp_path).get("A").status) == (["A", "B"], Status.DONE)


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that could not be made durable did not happen, and the next one does."""
    store = flatfile(tmp_path)
    make(store, "A")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(InputOutputError, match="No space left"):
            make(store, "B")
    assert ids(store) == ids(flatfile(tmp_path)) == ["A"]
    make(store, "C")
    assert ids(flatfile(tmp_path)) == ["A", "C"]


def test_a_change_is_durable_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each change is flushed to the disk before its caller is answered."""
    store = flatfile(tmp_path)
    make(store, "A")
    flushed: list[int] = []
    flush = os.fdatasync

    def noted(handle: int) -> None:
        flushed.append(os.fstat(handle).st_ino)
        flush(handle)

    monkeypatch.setattr(os, "fdatasync", noted)
    store.claim("w", 60)
    assert flushed == [(tmp_path / "manifest.log").stat().st_ino]


# --- several at once -------------------------------------------------------------------------------

CLAIMER = """
import sys
from pathlib import Path
from tests.support.flatfile import flatfile
store = flatfile(Path(sys.argv[1]))
while cards := store.claim(sys.argv[2], 60):
    print(cards[0].id, flush=True)
    store.complete(cards[0].id, owner=sys.argv[2], attempt=cards[0].attempts)
"""


def test_processes_share_one_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards claimed and completed by several processes at once are handed out once each.  Holds: I13."""
    store = flatfile(tmp_path)
    store.create_many([NewCard(id=f"T{number}", title="t") for number in range(60)])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(tmp_path), f"w{number}"], stdout=subprocess.PIPE, text=True
        )
        for number in range(3)
    ]
    claimed = [id for each in running for id in each.communicate(timeout=60)[0].split()]
    assert sorted(claimed) == sorted(f"T{number}" for number in range(60))
    assert store.stats().counts["done"] == 60
    assert not (tmp_path / "manifest.log").read_bytes().endswith(b"}}")


def test_threads_of_one_process_share_it_too(tmp_path: Path) -> None:
    """Threads that write through one store do so one after another."""
    store = flatfile(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: make(store, f"T{number}"), range(20)))
    assert len(ids(flatfile(tmp_path))) == 20


def test_flock_takes_the_same_lock_and_readers_never_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a shell script holds the lock, writers wait and are told by whom, and readers read on."""
    store = flatfile(tmp_path)
    make(store, "A")
    lock = tmp_path / "manifest.lock"
    with subprocess.Popen(
        ["flock", str(lock), "sh", "-c", "echo held; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        started = time.monotonic()
        assert ids(flatfile(tmp_path)) == ["A"]
        assert time.monotonic() - started < MANIFEST_WAIT_S / 2
        monkeypatch.setattr("syncd.files.lock.MANIFEST_WAIT_S", 0.2)
        with pytest.raises(Busy, match="process"):
            make(flatfile(tmp_path), "B")
        holder.stdin.write("\n")
    make(store, "C")
    assert ids(store) == ["A", "C"]


def test_changes_by_another_process_are_told(tmp_path: Path) -> None:
    """Whoever listens is woken by changes of this process and of others, until it is closed."""
    store, other = flatfile(tmp_path), flatfile(tmp_path)
    make(store, "A")
    woken = Event()
    listener = store.listen(woken.set)
    for writer in (store, other):
        woken.clear()
        writer.update("A", {"title": f"by {writer}"})
        assert woken.wait(DEADLINE_S)
    listener.close()
    woken.clear()
    make(store, "B")
    assert not woken.is_set()


def test_the_feed_goes_on_across_a_fold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that missed a fold reads everything again rather than miss a change."""
    reader, writer = flatfile(tmp_path), flatfile(tmp_path)
    make(writer, "A")
    cursor = reader.read(None).cursor
    assert not reader.read(cursor).is_full
    make(writer, "B")
    fold(writer)
    make(writer, "C")
    feed = reader.read(cursor)
    assert {"B", "C"} <= feed.cards.keys()
    assert not reader.read(feed.cursor).cards


def test_a_writer_that_is_killed_leaves_the_lock_free(tmp_path: Path) -> None:
    """The kernel frees the lock of a process that is gone."""
    make(flatfile(tmp_path), "A")
    script = "import sys,signal,os; from pathlib import Path; from tests.support.flatfile import flatfile\n"
    script += "with flatfile(Path(sys.argv[1]))._keeper.writing(): os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -9
    make(flatfile(tmp_path), "B")
    until(lambda: ids(flatfile(tmp_path)) == ["A", "B"], "the next writer has written")
