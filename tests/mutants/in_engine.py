"""Mutants of the cycle: its facts, its eight steps in their order, and what a crash leaves behind."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant, Safeguard

_CYCLE: Final = "syncd/engine/cycle.py"
_BASE: Final = "syncd/engine/base.py"
_RECOVERY: Final = "syncd/engine/recovery.py"
_SIGHTING: Final = "syncd/engine/sighting.py"
_OBSERVE: Final = "syncd/engine/observe.py"
_PLACING: Final = "syncd/engine/placing.py"
_POSTPONEMENT: Final = "syncd/engine/postponement.py"
_DRAFT: Final = "syncd/engine/draft.py"
_NAMING: Final = "syncd/engine/naming.py"
_LATE: Final = "syncd/engine/late_writes.py"
_REMOTE: Final = "syncd/engine/remote.py"
_PROBLEMS: Final = "syncd/engine/problems.py"

_CRASH_TESTS: Final = (
    "tests/integration/test_safeguards.py",
    "tests/integration/test_crashes.py",
    "tests/integration/test_nasty_cases.py",
    "tests/integration/test_cycle.py",
)
_FACT_TESTS: Final = (
    "tests/integration/test_safeguards.py",
    "tests/integration/test_nasty_cases.py",
    "tests/integration/test_cycle.py",
)


def _fact(name: str, file: str, old: str, new: str, takes_out: Safeguard = Safeguard.GUARD) -> Mutant:
    return Mutant(name, takes_out, file, old, new, _FACT_TESTS)


def _step(name: str, takes_out: Safeguard, file: str, old: str, new: str) -> Mutant:
    return Mutant(name, takes_out, file, old, new, _CRASH_TESTS)


FACTS: Final = (
    _fact("truncation-by-prefix", _SIGHTING, "if before is not None and len(data) < len(before) and before.startswith(data):", "if False:"),
    _fact("truncation-by-last-line-end", _SIGHTING, 'if (before is None or before.endswith(b"\\n")) and not data.endswith(b"\\n"):', "if False:"),
    _fact("truncation-by-cells", _SIGHTING, 'problem.code == "too-few-cells" and problem.line == last', "False"),
    _fact("ages-are-known", _SIGHTING, "            changed_ms_ago=age_ms,\n", ""),
    _fact("missing-files-have-an-age", _SIGHTING, "missing_ms=age_ms)", "missing_ms=10**9)"),
    _fact("markers-are-seen", _SIGHTING, "marker_line=document.has_markers if document is not None else None,", "marker_line=None,"),
    _fact("known-versions-are-ranked", _SIGHTING, "            version_rank=rank,\n", ""),
    _fact("versions-are-remembered", _SIGHTING, '                self._state.remember_version(path, read.digest or "", read.data)', "                pass"),
    _fact("held-bytes-are-no-version", _SIGHTING, "read.digest is not None and path not in closed", "read.digest is not None"),
    _fact("head-moves-are-seen", _SIGHTING, "head_moved=is_news and self._state.meta(_HEAD) not in (None, self._files.head()),", "head_moved=False,"),
    _fact("another-epoch-is-seen", _SIGHTING, "if known.epoch != cursor.epoch:", "if False:", Safeguard.VERSION),
    _fact("forgotten-transactions-are-seen", _SIGHTING, "if known.xmin > cursor.xmin:", "if False:", Safeguard.VERSION),
    _fact("another-parser-is-seen", _SIGHTING, "parser_changed=self._state.meta(_PARSER) not in (None, str(PARSER_VERSION)),", "parser_changed=False,"),
    _fact("another-parser-stays-until-decided", _SIGHTING, 'if not any(hold.guard == "everything-changed" for hold in holds):', "if True:"),
    _fact("holds-stand", _SIGHTING, "standing = json.dumps(sorted(stand))", 'standing = "[]"'),
    _fact("own-writes-are-known", _SIGHTING, 'self._own.append(OwnWrite(change.id, name, "store", value))', "pass"),
    _fact("editors-end-ping-pong", _SIGHTING, "if self._observer.saw_editor or remote.saw_foreign_writer:", "if remote.saw_foreign_writer:"),
    _fact("foreign-writers-end-ping-pong", _SIGHTING, "if self._observer.saw_editor or remote.saw_foreign_writer:", "if self._observer.saw_editor:"),
    _fact("old-buffers-are-known", _SIGHTING, "                    self._replaced[change.id, name] = (before.fields[name], now)", "                    pass", Safeguard.BASE),
    _fact("old-buffers-without-a-row-are-known", _SIGHTING, "                self._replaced[change.id, CARD_FIELD] = (None, now)", "                pass", Safeguard.BASE),
    _fact("old-buffers-grow-too-old", _SIGHTING, "if now - each[1] < RECENT_S}", "if True}", Safeguard.BASE),
    _fact("unreadable-files-are-frozen", _OBSERVE, "                problems.append(_unreadable(path, read.error))\n                frozen.add(path)", "                problems.append(_unreadable(path, read.error))", Safeguard.BASE),
    _fact("files-that-are-no-text-are-frozen", _OBSERVE, "                else:\n                    frozen.add(path)", "                else:\n                    pass", Safeguard.BASE),
    _fact("own-writes-are-settled", _OBSERVE, '        self._seen_at[path] = (digest, float("-inf"))\n        self.signatures', "        self.signatures"),
    _fact("first-of-two-rows-is-the-card", _OBSERVE, "            elif card.id in local:\n", "            elif False:\n", Safeguard.BASE),
    _fact("stale-words-are-left-out", _REMOTE, "        del fields[STATUS_WORD]\n", "        pass\n", Safeguard.BASE),
    _fact("ended-leases-are-seen", _REMOTE, "return end is None or self.now is None or end > self.now", "return True", Safeguard.VERSION),
    _fact("archived-cards-are-not-live", _REMOTE, "            presence = Presence.ARCHIVED", "            pass", Safeguard.BASE),
    _fact("deleted-cards-are-not-live", _REMOTE, "            presence = Presence.DELETED", "            pass", Safeguard.BASE),
    _fact("cards-gone-outright-are-gone", _REMOTE, "            cards.pop(id, None)\n", "            pass\n", Safeguard.BASE),
)  # fmt: skip

STEPS: Final = (
    # --- the order of the steps
    _step("cycles-take-the-lock", Safeguard.LOCK, _CYCLE, "        with self._lock():\n            done", "        if True:\n            done"),
    _step("recovery-comes-first", Safeguard.JOURNAL, _CYCLE, "            self._names.learn(recovery.recover(self._files, self._store, self._state))\n", "            pass\n"),
    _step("recovery-after-an-error", Safeguard.JOURNAL, _CYCLE, "        self._must_recover = True\n        self._state.write_journal", "        self._state.write_journal"),
    _step("files-are-durable-before-the-base", Safeguard.FSYNC, _CYCLE, "            self._secure(view)\n", "            pass\n"),
    _step("journal-before-the-write", Safeguard.JOURNAL, _CYCLE, "        self._must_recover = True\n        self._state.write_journal(self._journal(write, batch))\n", "        self._must_recover = True\n"),
    _step("journal-names-the-staged-files", Safeguard.JOURNAL, _CYCLE, "            staged=tuple(write.staged.values()),\n", "            staged=(),\n"),
    _step("journal-names-what-was-sent", Safeguard.JOURNAL, _CYCLE, "            sent=sent,\n", "            sent={},\n"),
    _step("journal-names-what-was-written", Safeguard.JOURNAL, _CYCLE, "            written=dict(write.written),\n", "            written={},\n"),
    _step("journal-names-the-ids-given", Safeguard.JOURNAL, _CYCLE, "            ids=dict(self._names.pending),\n            sent=", "            ids={},\n            sent="),
    _step("journal-stays-until-all-is-written", Safeguard.JOURNAL, _CYCLE, "        if is_whole:\n            self._clear_journal()", "        if True:\n            self._state.clear_journal()"),
    _step("journal-is-cleared", Safeguard.JOURNAL, _CYCLE, "            self._clear_journal()\n        self._must_recover = False", "            pass\n        self._must_recover = False"),
    _step("losers-go-with-the-batch", Safeguard.JOURNAL, _CYCLE, "            conflicts=tuple(each for each in conflicts if each not in self._recorded),", "            conflicts=(),"),
    _step("losers-alone-are-committed", Safeguard.JOURNAL, _CYCLE, "        if not (batch.changes or batch.conflicts):\n            return BatchResult", "        if not batch.changes:\n            return BatchResult"),
    _step("clashes-are-recorded-once", Safeguard.JOURNAL, _CYCLE, "tuple(each for each in conflicts if each not in self._recorded)", "tuple(conflicts)"),
    _step("clash-of-a-moved-card-comes-again", Safeguard.JOURNAL, _CYCLE, "self._recorded.update(each for each in batch.conflicts if each.id not in result.moved)", "self._recorded.update(batch.conflicts)"),
    _step("refused-changes-are-not-sent-again", Safeguard.VERSION, _CYCLE, "if not self._refusals.stands(change)),", "if True),"),
    _step("files-wait-for-the-store", Safeguard.VERSION, _CYCLE, "            drafting.restage(write, failed, self._files, self._settings.options, self._digest)\n", "            pass\n"),
    _step("restaged-files-are-journalled", Safeguard.JOURNAL, _CYCLE, "            drafting.restage(write, failed, self._files, self._settings.options, self._digest)\n            self._state.write_journal(self._journal(write, batch))\n", "            drafting.restage(write, failed, self._files, self._settings.options, self._digest)\n"),
    _step("what-moved-is-planned-again", Safeguard.VERSION, _CYCLE, "bool(result.moved or not is_whole or self._differs(batch, result))", "bool(not is_whole or self._differs(batch, result))"),
    _step("what-was-displaced-is-planned-again", Safeguard.VERIFICATION, _CYCLE, "bool(result.moved or not is_whole or self._differs(batch, result))", "bool(result.moved or self._differs(batch, result))"),
    _step("what-the-store-made-of-it-flows-at-once", Safeguard.BASE, _CYCLE, "bool(result.moved or not is_whole or self._differs(batch, result))", "bool(result.moved or not is_whole)"),
    _step("rows-as-stored-are-taken", Safeguard.BASE, _CYCLE, "        self.remote.take(result.cards.values(), self._settings.statuses)\n", ""),
    _step("late-writes-are-taken-in", Safeguard.VERIFICATION, _CYCLE, "        for late in self._files.late_writes():\n", "        for late in ():\n"),
    _step("late-clashes-wait-for-their-record", Safeguard.JOURNAL, _CYCLE, "            if found:\n                clashes[late] = found\n            elif found is not None:", "            if found is not None:"),
    _step("quiet-looks-at-the-files", Safeguard.VERIFICATION, _CYCLE, "has_news or self._observer.has_moved() or (look_s", "has_news or (look_s"),
    _step("quiet-asks-the-store", Safeguard.VERIFICATION, _CYCLE, "return not (has_news or self._observer", "return not (self._observer"),
    _step("quiet-looks-at-displaced-files", Safeguard.VERIFICATION, _CYCLE, " or (look_s is not None and look_s <= 0))", ")"),
    _step("waiting-files-are-looked-at-again", Safeguard.GUARD, _CYCLE, "if last.waits or self.obstacles or", "if self.obstacles or"),
    # --- placing a file
    _step("what-stood-there-is-remembered", Safeguard.BASE, _PLACING, "        state.remember_version(staged.path, staged.expected, before)\n", "        pass\n"),
    _step("what-was-put-there-is-the-newest", Safeguard.BASE, _PLACING, "    if outcome.matched:\n        state.remember_version(staged.path, staged.new, data)\n    elif", "    if outcome.matched:\n        pass\n    elif"),
    _step("an-edit-in-between-is-put-back", Safeguard.VERIFICATION, _PLACING, "    elif not files.swap_back(staged.path, outcome.displaced, staged.new):\n", "    elif False:\n"),
    _step("what-cannot-be-put-back-is-late", Safeguard.VERIFICATION, _PLACING, '        files.report_late(staged.path, outcome.displaced, staged.expected or "")\n', "        pass\n"),
    _step("a-file-not-put-in-place-is-no-success", Safeguard.VERIFICATION, _PLACING, "    return outcome.matched\n", "    return True\n"),
    _step("writes-keep-their-pace", Safeguard.GUARD, _POSTPONEMENT, "            self._pace.wrote(path)\n", "            pass\n"),
    _step("scripts-with-the-lock-are-waited-for", Safeguard.LOCK, _POSTPONEMENT, "if self._edit_lock is not None and (holder := self._edit_lock.holder()) is not None:", "if False:"),
    _step("scripts-are-locked-out-of-a-write", Safeguard.LOCK, _POSTPONEMENT, "return nullcontext(True) if self._edit_lock is None else self._edit_lock.taken()", "return nullcontext(True)"),
    # --- what a write may touch
    _step("closed-files-are-not-written", Safeguard.GUARD, _DRAFT, "elif change.path not in closed and (change.fields or", "elif (change.fields or"),
    _step("rows-of-closed-files-stay-nameless", Safeguard.GUARD, _DRAFT, "    for path in closed:\n        _leave_nameless(result, path)\n", ""),
    _step("rows-of-files-that-refuse-stay-nameless", Safeguard.BASE, _DRAFT, "    write.written.pop(path, None)\n    _leave_nameless(write, path)\n", "    write.written.pop(path, None)\n"),
    _step("staged-against-what-was-read", Safeguard.VERIFICATION, _DRAFT, "StagedFile(path, staged, write.view.reads[path].digest, digest(data))", "StagedFile(path, staged, files.read(path).digest, digest(data))"),
    _step("ids-wait-for-the-store", Safeguard.BASE, _DRAFT, "    write.ids = {row: id for row, id in write.ids.items() if id not in failed}\n", ""),
    # --- the base, from results
    _step("base-from-what-was-shown", Safeguard.BASE, _BASE, "                if name in here and is_same(name, here[name], value)\n", ""),
    _step("base-from-what-was-written", Safeguard.BASE, _BASE, "        if change.path in replaced:\n", "        if True:\n"),
    _step("base-without-what-failed", Safeguard.BASE, _BASE, "return Outcome(touched - failed - forgotten,", "return Outcome((touched | failed) - forgotten,"),
    _step("base-forgets-only-what-is-gone", Safeguard.BASE, _BASE, "gone = {change.id for change in done if", "gone = {change.id for change in batch.changes if"),
    _step("base-takes-what-was-on-both-sides", Safeguard.BASE, _BASE, "if sent := outcome.sent.get(id):", "if sent := None:"),
    _step("base-of-a-rewound-store", Safeguard.VERSION, _BASE, "place = known_place if is_rewound else remote.cursor", "place = remote.cursor"),
    _step("base-knows-its-history", Safeguard.VERSION, _BASE, "if agreed or gone or is_new_history:", "if agreed or gone:"),
    # --- what a crash left
    _step("recovery-asks-the-store", Safeguard.JOURNAL, _RECOVERY, "is_committed = bool(journal.sent) and store.has_commit(journal.commit_id)", "is_committed = bool(journal.sent)"),
    _step("recovery-takes-over-what-was-sent", Safeguard.JOURNAL, _RECOVERY, "= dict(journal.sent) if is_committed else {}", "= {}"),
    _step("recovery-takes-over-what-was-written", Safeguard.JOURNAL, _RECOVERY, "                agreed[id] = {**agreed.get(id, {}), **fields}\n", "                pass\n"),
    _step("recovery-makes-what-it-found-durable", Safeguard.FSYNC, _RECOVERY, "            files.make_durable(staged.path)\n", ""),
    _step("recovery-knows-the-ids", Safeguard.JOURNAL, _RECOVERY, "    return journal.ids\n", "    return {}\n"),
    _step("recovery-keeps-a-journal-with-ids", Safeguard.JOURNAL, _RECOVERY, "    if not journal.ids:\n        state.clear_journal()", "    if True:\n        state.clear_journal()"),
    _step("recovery-looks-at-the-file", Safeguard.VERIFICATION, _RECOVERY, "return files.read(staged.path).digest == staged.new", "return True"),
    _step("recovery-discards-what-was-not-used", Safeguard.JOURNAL, _RECOVERY, "        files.discard(staged.staged)\n", ""),
    _step("recovery-keeps-what-came-out", Safeguard.VERIFICATION, _RECOVERY, "        files.set_aside(staged.path, staged.staged)\n", ""),
    _step("recovery-puts-an-edit-back", Safeguard.VERIFICATION, _RECOVERY, "if files.swap_back(staged.path, staged.staged, staged.new):", "if False:"),
    _step("recovery-reports-what-cannot-be-put-back", Safeguard.VERIFICATION, _RECOVERY, '    files.report_late(staged.path, staged.staged, staged.expected or "")\n', ""),
    # --- ids, late writes, refusals
    _step("ids-are-kept-until-seen", Safeguard.JOURNAL, _NAMING, "known = self._given.get((row.path, row.mark)) or lost", "known = lost"),
    _step("lost-ids-come-back", Safeguard.BASE, _NAMING, "        lost = self._lost(view)\n", "        lost: dict[tuple[str, str], str] = {}\n"),
    _step("lost-ids-only-where-unique", Safeguard.BASE, _NAMING, "if card.id and texts[card.text] == 1", "if card.id"),
    _step("an-id-is-given-once", Safeguard.BASE, _NAMING, "if known is not None and known not in taken:", "if known is not None:"),
    _step("ids-are-reserved-in-the-store", Safeguard.LOCK, _NAMING, "self._store.reserve_ids(prefix, len(group), floor) if reserve else floor + 1", "floor + 1"),
    _step("late-writes-wait-for-the-editor", Safeguard.VERIFICATION, _LATE, "now.digest is None or digest(meant) != late.digest:", "now.digest is None:"),
    _step("late-writes-wait-for-the-cycle", Safeguard.VERIFICATION, _LATE, "if state.version_rank(late.path, now.digest) != 0:", "if False:"),
    _step("late-writes-are-placed-with-care", Safeguard.VERIFICATION, _LATE, "        if not place(files, state, staged, folded.data, now.data):\n            return None\n", "        place(files, state, staged, folded.data, now.data)\n"),
    _step("late-clashes-are-told", Safeguard.JOURNAL, _LATE, "    return folded.conflicts\n", "    return ()\n"),
    _step("refusals-are-kept", Safeguard.VERSION, _PROBLEMS, "                self._kept[change.id] = (change.fields, refusal)\n", "                pass\n"),
)  # fmt: skip
