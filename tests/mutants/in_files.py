"""Mutants of the files: what is fsynced, what is verified, what is locked, what the state survives."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant, Safeguard

_ATOMIC: Final = "syncd/files/atomic.py"
_TASK_FILES: Final = "syncd/files/task_files.py"
_DISPLACED: Final = "syncd/files/displaced.py"
_READING: Final = "syncd/files/reading.py"
_STATE: Final = "syncd/files/state.py"
_DATABASE: Final = "syncd/files/database.py"
_LOCK: Final = "syncd/files/lock.py"
_REPLICA: Final = "syncd/files/replica.py"

_FILE_TESTS: Final = ("tests/integration/test_atomic.py", "tests/unit/files", "tests/integration/test_safeguards.py")
_STATE_TESTS: Final = ("tests/integration/test_state.py", "tests/integration/test_safeguards.py")


def _file(name: str, takes_out: Safeguard, file: str, old: str, new: str) -> Mutant:
    return Mutant(name, takes_out, file, old, new, _FILE_TESTS)


def _state(name: str, takes_out: Safeguard, old: str, new: str, file: str = _STATE) -> Mutant:
    return Mutant(name, takes_out, file, old, new, _STATE_TESTS)


FILES: Final = (
    # --- durable
    _file("staged-bytes-are-durable", Safeguard.FSYNC, _ATOMIC, "            _copy_attributes(handle, model, like)\n        os.fsync(handle)\n", "            _copy_attributes(handle, model, like)\n"),
    _file("whole-files-are-durable", Safeguard.FSYNC, _ATOMIC, "        staged.replace(path)\n        fsync_directory(path.parent)\n", "        staged.replace(path)\n"),
    _file("exchanged-names-are-durable", Safeguard.FSYNC, _TASK_FILES, "            return Replaced(None, atomic.digest_of(target), False)\n        atomic.fsync_directory(target.parent)\n        came_out", "            return Replaced(None, atomic.digest_of(target), False)\n        came_out"),
    _file("new-names-are-durable", Safeguard.FSYNC, _TASK_FILES, "        atomic.fsync_directory(target.parent)\n        return Replaced(None, None, True)", "        return Replaced(None, None, True)"),
    _file("names-put-back-are-durable", Safeguard.FSYNC, _TASK_FILES, "        atomic.fsync_directory(target.parent)\n        self._keep(path, target, displaced, expected)", "        self._keep(path, target, displaced, expected)"),
    # --- verified
    _file("look-before-the-exchange", Safeguard.VERIFICATION, _TASK_FILES, "        if found != expected:\n            return Replaced(None, found, False)\n", ""),
    _file("verify-after-the-exchange", Safeguard.VERIFICATION, _TASK_FILES, "came_out, came_out == expected)", "came_out, True)"),
    _file("look-before-putting-back", Safeguard.VERIFICATION, _TASK_FILES, "if atomic.digest_of(target) != expected or not os.path.lexists(displaced):", "if not os.path.lexists(displaced):"),
    _file("verify-after-putting-back", Safeguard.VERIFICATION, _TASK_FILES, "            if atomic.digest_of(displaced) != expected:", "            if False:"),
    _file("create-only-while-absent", Safeguard.VERIFICATION, _TASK_FILES, "            atomic.place_new(staged, target)", "            staged.rename(target)"),
    _file("linked-exchange-looks-again", Safeguard.VERIFICATION, _ATOMIC, "if is_linked and target.stat().st_ino != aside.stat().st_ino:", "if False:"),
    _file("linked-exchange-keeps-what-came-out", Safeguard.VERIFICATION, _ATOMIC, "    aside.rename(source)\n\n", "    aside.unlink()\n\n"),
    _file("two-stats-agree", Safeguard.VERIFICATION, _READING, "if len(data) != before.st_size or atomic.signature(target) != mark:", "if len(data) != before.st_size:"),
    _file("young-files-are-read-again", Safeguard.VERIFICATION, _READING, "        if abs(time.time_ns() - max(mark[:2])) < _RACY_NS:", "        if False:"),
    _file("what-came-out-is-watched", Safeguard.VERIFICATION, _TASK_FILES, "        self._watch().add(path, target, kept, digest, self._clock())\n        return kept", "        return kept"),
    _file("two-looks-agree-on-a-late-write", Safeguard.VERIFICATION, _DISPLACED, "            elif found not in (known, watched.unsettled):\n                watched.unsettled, watched.since, watched.looks = found, now, 0\n", "            elif found not in (known, watched.unsettled):\n                watched.late = LateWrite(watched.path, str(watched.kept), watched.digest, found)\n                self._advance(watched)\n"),
    _file("displaced-files-are-adopted", Safeguard.VERIFICATION, _DISPLACED, "                self.add(path, target, each.path, each.digest, now)", "                pass"),
    _file("what-is-taken-in-is-named", Safeguard.JOURNAL, _DISPLACED, "        renamed = self._folder.rename(kept, late.digest)\n", "        renamed = kept\n"),
    _file("links-that-lead-out-are-refused", Safeguard.VERIFICATION, "syncd/files/paths.py", "    if not real.is_relative_to(", "    if False and not real.is_relative_to("),
    # --- locks
    _file("a-lock-is-taken", Safeguard.LOCK, _LOCK, "            self._path.parent.stat()\n            self._lock.acquire()\n", "            self._path.parent.stat()\n"),
    _file("no-lock-in-an-empty-folder", Safeguard.LOCK, _LOCK, "            self._path.parent.stat()\n", ""),
)  # fmt: skip

STATE: Final = (
    # --- durable
    _state("state-is-synchronous", Safeguard.FSYNC, 'connection.execute("pragma synchronous=full")', 'connection.execute("pragma synchronous=normal")', _DATABASE),
    _state("durable-again-after-a-cheap-write", Safeguard.FSYNC, "            if is_durable is not self._is_durable:", "            if self._is_durable and not is_durable:", _DATABASE),
    _state("base-is-durable", Safeguard.FSYNC, "self._database.writing(is_durable=is_new)", "self._database.writing(is_durable=False)"),
    _state("journal-is-durable", Safeguard.FSYNC, '        with self._database.writing() as connection:\n            connection.execute("insert or replace into journal', '        with self._database.writing(is_durable=False) as connection:\n            connection.execute("insert or replace into journal'),
    _state("cleared-journal-is-durable", Safeguard.FSYNC, '                with self._database.writing() as connection:\n                    connection.execute("delete from journal")', '                with self._database.writing(is_durable=False) as connection:\n                    connection.execute("delete from journal")'),
    _state("decisions-are-durable", Safeguard.FSYNC, '            with self._database.writing() as connection:\n                connection.executemany("insert or replace into decision', '            with self._database.writing(is_durable=False) as connection:\n                connection.executemany("insert or replace into decision'),
    # --- whole
    _state("an-advance-is-one-transaction", Safeguard.VERIFICATION, "                self._connection.rollback()\n                raise", "                self._connection.commit()\n                raise", _DATABASE),
    _state("a-torn-state-is-noticed", Safeguard.VERIFICATION, 'elif not is_read_only and connection.execute("pragma quick_check(1)").fetchone()[0] != "ok":', "elif False:", _DATABASE),
    _state("a-newer-state-is-refused", Safeguard.VERSION, "if found > SCHEMA_VERSION:", "if False:", _DATABASE),
    _state("another-process-is-noticed", Safeguard.VERSION, "if self._base is None or (seen != self._seen and self._stored_generation() != self._generation):", "if self._base is None:"),
    _state("advances-of-others-are-read-again", Safeguard.VERSION, "            if stored != self._generation:\n", "            if False:\n"),
    _state("copied-state-has-no-base", Safeguard.BASE, "return text is not None and not msgspec.json.decode(text, type=Place).is_of(here)", "return False"),
    _state("another-project-has-no-base", Safeguard.BASE, "return self._is_copied(here) or self.meta(_PROJECT) not in (None, self._project)", "return self._is_copied(here)"),
    _state("moved-is-not-copied", Safeguard.BASE, "return (self.host, self.inode) == (now.host, now.inode) and not os.path.lexists(self.path)", "return (self.host, self.inode) == (now.host, now.inode)", _REPLICA),
    _state("copied-state-is-another-replica", Safeguard.BASE, "if self.meta(_REPLICA) is None or self._is_copied(here):", "if self.meta(_REPLICA) is None:"),
    _state("a-lost-base-loses-its-cursor", Safeguard.BASE, 'connection.execute("delete from meta where key in (?, ?)", (_CURSOR, _PROJECT))', 'connection.execute("delete from meta where key = ?", (_PROJECT,))'),
    _state("versions-seen-again-are-newest", Safeguard.BASE, '                connection.execute("delete from file_version where path = ? and digest = ?", (path, digest))\n                connection.execute(\n                    "insert into', '                connection.execute(\n                    "insert or ignore into'),
)  # fmt: skip
