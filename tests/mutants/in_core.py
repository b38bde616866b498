"""Mutants of the pure heart: the guards, the waits, the rules of reconcile and of the base."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant, Safeguard

_TRIPS: Final = "syncd/core/trips.py"
_SETTLING: Final = "syncd/core/settling.py"
_GUARD: Final = "syncd/core/guard.py"
_RECONCILE: Final = "syncd/core/reconcile.py"
_MERGE: Final = "syncd/core/card_merge.py"
_PLAN: Final = "syncd/core/plan.py"
_LEASE: Final = "syncd/core/lease.py"

_GUARD_TESTS: Final = ("tests/unit/core/test_guard.py", "tests/unit/core/test_guard_content.py", "tests/unit/core")
_RULE_TESTS: Final = ("tests/unit/core", "tests/property/test_reconcile_laws.py")


def _guard(name: str, old: str, new: str, file: str = _TRIPS) -> Mutant:
    return Mutant(name, Safeguard.GUARD, file, old, new, _GUARD_TESTS)


def _rule(name: str, file: str, old: str, new: str, takes_out: Safeguard = Safeguard.BASE) -> Mutant:
    return Mutant(name, takes_out, file, old, new, _RULE_TESTS)


GUARDS: Final = (
    # --- each guard as a whole
    _guard("guard-store-rewound", "    rewound,\n    markers,", "    markers,"),
    _guard("guard-markers", "    rewound,\n    markers,", "    rewound,"),
    _guard("guard-emptied", "    emptied,\n    time_travel,", "    time_travel,"),
    _guard("guard-time-travel", "    emptied,\n    time_travel,", "    emptied,"),
    _guard("guard-everything-changed", "    everything_changed,\n    deletions,", "    deletions,"),
    _guard("guard-deletions", "    everything_changed,\n    deletions,", "    everything_changed,"),
    _guard("guard-removed", "    removed,\n    ping_pong,", "    ping_pong,"),
    _guard("guard-ping-pong", "    removed,\n    ping_pong,", "    removed,"),
    _guard("guard-unsettled", "    if file.changed_ms_ago is None:", "    if True:", _SETTLING),
    _guard("guard-missing", "        step = _unsettled if file.exists else _missing", "        step = _unsettled", _SETTLING),
    _guard("guard-cycles", "    desk.judge(list(cycles(desk.open, sight, thresholds)))\n", "", _GUARD),
    # --- what each of them looks at
    _guard("rewound-holds-both-ways", "    known = {each.id for each in (*plan.to_store, *plan.to_file)} - new", "    known = {each.id for each in plan.to_file} - new"),
    _guard("rewound-spares-new-cards", "    known = {each.id for each in (*plan.to_store, *plan.to_file)} - new", "    known = {each.id for each in (*plan.to_store, *plan.to_file)}"),
    _guard("deletions-by-the-file", 'in (("files", plan.to_store), ("store", plan.to_file)):', 'in (("store", plan.to_file),):'),
    _guard("deletions-by-the-store", 'in (("files", plan.to_store), ("store", plan.to_file)):', 'in (("files", plan.to_store),):'),
    _guard("deletions-share", "max(thresholds.deletions_max, thresholds.deletions_share * size)", "max(thresholds.deletions_max, size)"),
    _guard("deletions-stand", "if len(going) > cap or is_unread or hold.fingerprint in sight.standing:", "if len(going) > cap or is_unread:"),
    _guard("deletions-beside-an-unreadable-id", "if len(going) > cap or is_unread or hold.fingerprint in sight.standing:", "if len(going) > cap or hold.fingerprint in sight.standing:"),
    _guard("time-travel-two-cards", "(cards >= thresholds.reverts_min or (cards == 1 and file.head_moved))", "cards >= 1"),
    _guard("time-travel-one-card-and-head", "(cards >= thresholds.reverts_min or (cards == 1 and file.head_moved))", "cards >= thresholds.reverts_min"),
    _guard("time-travel-older-bytes", "is_older = file.version_rank is not None and file.version_rank > 0", "is_older = file.version_rank != 0"),
    _guard("time-travel-stands", "if not has_tripped and hold.fingerprint not in sight.standing:", "if not has_tripped:"),
    _guard("time-travel-state-flows", "to_file=False),), (_state_to_file(sight, change),))", "to_file=False),))"),
    _guard("everything-changed-parser", "is_reread = sight.parser_changed and file is not None", "is_reread = False and file is not None"),
    _guard("everything-changed-one-side", "edits = [each for each in changes if each.kind in _EDITS and each.id in sight.base]", "edits = [each for each in (*changes, *plan.to_file) if each.kind in _EDITS and each.id in sight.base]"),
    _guard("ping-pong-both-sides", "if last.side == previous.side or is_same(", "if is_same("),
    _guard("ping-pong-stands", "if swings >= thresholds.swings_max or hold.fingerprint in sight.standing:", "if swings >= thresholds.swings_max:"),
    _guard("emptied-moved-rows", "if not gone or any(card.path == file.path for card in sight.local.values()):", "if not gone:"),
    _guard("cycles-cannot-be-accepted", "yield Trip(hold, (Part(id, fields),), may_pass=False)", "yield Trip(hold, (Part(id, fields),))"),
    # --- waits
    _guard("missing-grace", "    if left_ms > 0:", "    if False:", _SETTLING),
    _guard("missing-is-rendered-again", "return join(Plan(to_file=rows), rest), None", "return rest, None", _SETTLING),
    _guard("settle-truncation", "if file.is_truncation and text_ms > 0:", "if False:", _SETTLING),
    _guard("settle-deletions-longer", "rows_ms = thresholds.settle_deletions_ms - file.changed_ms_ago", "rows_ms = text_ms", _SETTLING),
    _guard("settle-shorter-text", "(is_empty(name, now) or _is_beginning(now, was))", "is_empty(name, now)", _SETTLING),
    _guard("settle-emptied-text", "(is_empty(name, now) or _is_beginning(now, was))", "_is_beginning(now, was)", _SETTLING),
    _guard("unsettled-is-not-written", 'return _unwritten(rest, file.path), Wait(file.path, f"text or rows', 'return rest, Wait(file.path, f"text or rows', _SETTLING),
    _guard("missing-is-not-written", "        rest = _unwritten(rest, file.path)\n        return rest, Wait(", "        return rest, Wait(", _SETTLING),
    _guard("waiting-files-ask-nothing", "desk.judge([replace(each, hold=None) if each.path in waiting else each for each in trips])", "desk.judge(trips)", _GUARD),
    _guard("waiting-files-are-guarded", "desk.judge([replace(each, hold=None) if each.path in waiting else each for each in trips])", "desk.judge([each for each in trips if each.path not in waiting])", _GUARD),
    _guard("decisions-wait-for-the-file", "if trip.hold is None or trip.hold.path in self.waiting:", "if trip.hold is None:", _GUARD),
    _guard("nothing-meanwhile-in-waiting-files", "for row in trip.meanwhile if row.path not in self.waiting)", "for row in trip.meanwhile)", _GUARD),
    _guard("accepted-store-is-offered", "offered(taken, self.sight) if is_offer else taken", "taken", _GUARD),
)  # fmt: skip

RULES: Final = (
    # --- existence
    _rule("frozen-file-sends-nothing", _RECONCILE, "if here.path in frozen or (known is not None and known.path in frozen):", "if False:"),
    _rule("frozen-file-deletes-nothing", _RECONCILE, "        elif known.path not in frozen:\n", "        else:\n"),
    _rule("frozen-file-forgets-nothing", _RECONCILE, "if id not in remote and id not in local and known.path not in frozen", "if id not in remote and id not in local"),
    _rule("frozen-file-gets-nothing", _RECONCILE, "if remote.presence is Presence.LIVE and remote.path not in self.frozen:", "if remote.presence is Presence.LIVE:"),
    _rule("forget-only-what-both-lost", _RECONCILE, "if id not in remote and id not in local and known.path", "if id not in local and known.path"),
    _rule("archived-cards-stay-out", _RECONCILE, "if remote.presence is Presence.LIVE and remote.path not in self.frozen:", "if remote.path not in self.frozen:"),
    _rule("edit-outlives-deletion-in-file", _RECONCILE, "elif is_changed_there(base, remote) or (base.id, CARD_FIELD) in self.recent:", "elif (base.id, CARD_FIELD) in self.recent:"),
    _rule("edit-outlives-deletion-in-store", _RECONCILE, "if is_edited(base, local, tombstone, self.policy):", "if False:"),
    _rule("deletion-against-edit-is-recorded-here", _RECONCILE, "            self._record_existence(base, local=_title(local.fields), remote=None, winner=Winner.LOCAL)\n", ""),
    _rule("deletion-against-edit-is-recorded-there", _RECONCILE, "            self._record_existence(base, local=None, remote=_title(remote.fields), winner=Winner.REMOTE)\n", ""),
    _rule("old-buffer-without-a-row", _RECONCILE, "elif is_changed_there(base, remote) or (base.id, CARD_FIELD) in self.recent:", "elif is_changed_there(base, remote):"),
    _rule("card-of-no-file-is-not-deleted", _RECONCILE, "elif base.path is None:", "elif False:"),
    _rule("gone-on-both-sides-is-forgotten", _RECONCILE, "        if remote.presence is not Presence.LIVE:\n            self.forgotten.append(base.id)\n        elif", "        if"),
    _rule("done-is-archived", _RECONCILE, 'self.policy.on_removed != "delete" and remote.fields.get(STATUS) == Status.DONE', "False"),
    _rule("removal-at-the-version-seen", _RECONCILE, "            version=remote.version,\n            path=base.path,", "            path=base.path,", Safeguard.VERSION),
    _rule("update-at-the-version-seen", _RECONCILE, "        version=merge.remote.version,\n", "", Safeguard.VERSION),
    _rule("restore-at-the-version-seen", _RECONCILE, "        version=None if remote is None else remote.version,\n", "", Safeguard.VERSION),
    _rule("settled-looks-at-the-file", _RECONCILE, "        if shown != base.fields:\n            return False\n", ""),
    _rule("settled-looks-at-the-version", _RECONCILE, "        remote.version != base.version\n        or local.path", "        local.path"),
    # --- fields
    _rule("first-contact-records-clashes", _MERGE, "        elif is_empty(name, there):\n            merge.keep_local(name)\n        else:\n            _merge_values(merge, name)", "        else:\n            merge.keep_local(name)"),
    _rule("clash-is-recorded", _MERGE, "        self.record(name, winner)\n        if winner", "        if winner"),
    _rule("old-buffer-of-a-field", _MERGE, "elif merge.has_changed_here(name) and merge.is_stale(name):", "elif False:"),
    _rule("old-buffer-of-a-status", _MERGE, "if merge.knows(STATUS) and merge.is_stale(STATUS):", "if False:"),
    _rule("old-buffer-of-a-claim", _MERGE, "if asks and not merge.is_stale(name) and not is_refused:", "if asks and not is_refused:"),
    _rule("old-buffer-of-a-heading", _MERGE, "has_moved and (merge.is_stale(name) or is_moved_there)", "has_moved and is_moved_there"),
    _rule("only-what-changed-there-is-a-clash", _MERGE, "    elif not merge.has_changed_there(name):\n        merge.keep_local(name)\n    elif not merge.has_changed_here(name):", "    elif not merge.has_changed_here(name):"),
    _rule("sets-merge", _MERGE, "if name in SETS and merge.policy.winner(name) is None:", "if False:"),
    _rule("bodies-merge", _MERGE, "if name == BODY and merge.knows(name):", "if False:"),
    _rule("body-clash-is-recorded", _MERGE, "    if not merged.is_clean:\n        merge.record(BODY, winner)\n", ""),
    _rule("ask-leaves-both-sides", _MERGE, 'return Winner.NONE if configured == "ask" else Winner(configured)', 'return Winner.REMOTE if configured == "ask" else Winner(configured)'),
    _rule("weak-phase", _MERGE, "        if name in local.weak:\n            _merge_heading(merge, name)\n        else:\n            _merge_field(merge, name)", "        _merge_field(merge, name)"),
    _rule("done-wins", _MERGE, "    if here == Status.DONE and yields_to_done(there):\n        return Winner.LOCAL\n", ""),
    _rule("done-of-another-owner", _MERGE, "return here == Status.DONE and lease.is_anothers_work(merge.base, merge.local, merge.remote)", "return False"),
    _rule("claim-against-a-lease", _LEASE, "return remote.has_live_lease and remote.fields.get(CLAIM_OWNER) != owner", "return False"),
    _rule("refused-claim-is-recorded", _MERGE, "    if asks:\n        merge.record(name, Winner.REMOTE)\n", ""),
    _rule("owner-follows-the-status", _MERGE, "    if STATUS in merge.to_file:\n        _follow_status(merge)\n    elif is_claimed_here", "    if is_claimed_here"),
    _rule("owner-left-by-a-claim", _MERGE, "    if is_empty(OWNER_TEXT, text) or text != merge.base_value(CLAIM_OWNER):", "    if True:"),
    _rule("owner-of-a-nameless-claim", _LEASE, "return None if owner == file_owner(policy) else owner", "return owner"),
    _rule("word-travels-with-its-state", _MERGE, "if STATUS in merge.to_store or (is_same_state and is_own):", "if is_own:"),
    # --- the base
    _rule("base-only-what-both-show", _PLAN, "        if is_same(name, value, current):\n", "        if True:\n"),
    _rule("base-keeps-what-differs", _PLAN, "            if name in held:\n                fields[name] = held[name]\n", "            pass\n"),
    _rule("base-takes-the-version", _PLAN, "fields=fields, version=remote.version,", "fields=fields, version=base.version if base else 0,"),
    _rule("base-settles-what-is-not-shown", _PLAN, "base is None or name not in held or name in unshown:", "base is None or name not in held:"),
    _rule("base-keeps-the-heading", _PLAN, "            heading = base.heading\n", ""),
    _rule("base-pairs-the-owner", _PLAN, "    _keep_owner(fields, held, local, remote)\n    return", "    return"),
)  # fmt: skip
