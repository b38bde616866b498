"""The screens, word for word: what a person reads without --json."""

from __future__ import annotations

from datetime import UTC, datetime
from textwrap import dedent
from typing import Any

import pytest

from syncd.cli.schemas import bundle
from syncd.cli.screen import Screen, plain
from syncd.cli.screens import cards, decisions, drift, files, setup

NOW = datetime(2026, 11, 22, 6, 5, 10, tzinfo=UTC)

HOLD = {
    "id": "A9",
    "guard": "deletions",
    "reason": "5 of 12 cards would go",
    "release": "syncd accept A9",
    "path": "TASKS.md",
    "accepting": [{"kind": "remove", "count": 1, "noun": "card", "path": None, "fields": []}],
    "rejecting": [{"kind": "create", "count": 1, "noun": "row", "path": "TASKS.md", "fields": []}],
}
CONFLICT = {
    "seq": 1,
    "replica": "r1",
    "id": "A4",
    "field": "title",
    "base": "Schema",
    "local": "Schema, file",
    "remote": "Schema, store",
    "winner": "local",
    "at": "2026-11-22T06:05:00.000Z",
    "settled": None,
    "settledAt": None,
}
PROBLEM = {
    "path": "TASKS.md",
    "line": 12,
    "column": 3,
    "code": "duplicate-id",
    "message": "A1 stands a second time",
    "hint": "Give this row another id.",
}
CARD = {
    "id": "A4",
    "title": "Schema",
    "body": "First line\nsecond line",
    "phase": "M1",
    "priority": 5,
    "status": "ready",
    "dependsOn": ["A1", "A2"],
    "claimOwner": None,
    "claimTtlSeconds": None,
    "claimedAt": None,
    "attempts": 0,
    "idempotencyKey": None,
    "acceptance": ["tests pass"],
    "createdAt": "2026-11-22T06:05:00.000Z",
    "updatedAt": "2026-11-22T06:05:01.000Z",
    "project": "default",
    "version": 3,
    "unmet": 1,
    "maxRetries": 3,
    "runAfter": None,
    "lastError": None,
    "path": "TASKS.md",
    "line": 14,
    "extra": {"branch": "feat/x"},
}


def entry(id: str, field: str | None, local: Any, remote: Any, direction: str, **more: Any) -> dict[str, Any]:
    """Return one entry of the drift list."""
    place = {"path": "TASKS.md", "line": 7}
    return {
        "id": id,
        "field": field,
        "base": remote,
        "local": local,
        "remote": remote,
        "direction": direction,
        **place,
        **more,
    }


def report(**parts: Any) -> dict[str, Any]:
    """Return a status report in which all is well but for these parts."""
    return {
        "workspace": "/home/me/shop",
        "project": "shop",
        "replica": "r1",
        "mode": "poll",
        "inSync": True,
        "store": {"kind": "embedded", "reachable": True, "since": None, "serverVersion": "18.1"},
        "daemon": {"running": False, "pid": None, "since": None, "lastCycleAt": None, "lastCycleMs": None},
        "cards": {"total": 4, "ready": 2, "claimed": 1, "blocked": 0, "done": 1},
        "drift": [],
        "conflicts": [],
        "held": [],
        "problems": [],
        "waits": [],
        "mission": None,
        "missions": [],
        "paused": False,
        **parts,
    }


def reads(screen: Screen, expected: str) -> None:
    """Assert that a screen reads so, as plain text."""
    assert plain(screen) == dedent(expected).lstrip("\n")


def is_valid(name: str, value: Any) -> None:
    """Assert that a value is what a schema describes: the screens are tested with what commands really print."""
    from jsonschema import Draft202012Validator

    Draft202012Validator(bundle(name)).validate(value)


def test_status_names_who_holds_a_file() -> None:
    """A file that a script edits is shown with the process that holds its lock."""
    reason = "process 7 holds the lock for editing task files"
    wait = {"path": "TASKS.md", "reason": reason, "retryMs": 100, "hint": None}
    found = report(waits=[wait])
    is_valid("status", found)
    shown = plain(drift.status(found, NOW))
    assert "Waiting\n  TASKS.md  process 7 holds the lock for editing task files\n" in shown


def test_status_says_what_becomes_of_a_missing_file() -> None:
    """A file that is gone has the time that is left, what happens then, and how to have something else."""
    hint = "Then it is written again. To delete its cards instead: touch TASKS.md && syncd accept TASKS.md"
    wait = {"path": "TASKS.md", "reason": "TASKS.md is missing; its 4 cards stay", "retryMs": 28_400, "hint": hint}
    shown = plain(drift.status(report(waits=[wait]), NOW))
    assert shown.startswith("In sync, with 1 file to be looked at again\n")
    assert f"  TASKS.md  TASKS.md is missing; its 4 cards stay (28 s more)\n      {hint}\n" in shown


def test_what_went_from_a_file_that_settles_is_no_edit_yet() -> None:
    """Rows that have just gone are not told as deletions on their way: the file is looked at again first."""
    wait = {"path": "TASKS.md", "reason": "text or rows just went from TASKS.md", "retryMs": 1_800, "hint": None}
    gone = [entry(f"A{at}", None, None, None, "to-store", line=None) for at in range(1, 9)]
    shown = plain(drift.status(report(inSync=False, drift=gone, waits=[wait]), NOW))
    assert shown.startswith("Not in sync: 1 file to be looked at again\n")
    assert "gone" not in shown
    assert "  TASKS.md  text or rows just went from TASKS.md\n" in shown


def test_rows_of_an_unfinished_merge_are_no_twins() -> None:
    """Both sides of a merge have the same id until somebody finishes it: another id is no way out."""
    twin = PROBLEM | {"code": "duplicate-id"}
    held = HOLD | {"id": "TASKS.md", "guard": "markers"}
    assert "A1 stands a second time" not in plain(drift.status(report(problems=[twin], held=[held]), NOW))
    assert "A1 stands a second time" in plain(drift.status(report(problems=[twin], held=[HOLD]), NOW))


def test_status_in_sync_is_two_lines() -> None:
    """Where nothing needs a hand, the screen says so and is quiet."""
    found = report(
        mode="live",
        daemon={
            "running": True,
            "pid": 7,
            "since": "2026-11-22T06:00:00.000Z",
            "lastCycleAt": "2026-11-22T06:05:08.000Z",
            "lastCycleMs": 4.12,
        },
    )
    is_valid("status", found)
    reads(
        drift.status(found, NOW),
        """
        In sync

        4 cards (2 ready, 1 claimed, 1 done) · embedded 18.1, answers · daemon 7 (live, cycle 2 s ago in 4.1 ms)
        """,
    )


def test_status_tells_what_needs_a_hand_with_its_command() -> None:
    """The first line says why, and each thing that needs a hand stands with the command that settles it."""
    found = report(
        inSync=False,
        drift=[
            entry("A1", "status", "done", "ready", "to-store"),
            entry("A2", "title", "Parser", "The parser", "to-file", line=8),
            entry("A3", None, None, None, "to-file", line=None),
            entry("A9", None, None, None, "held", line=None),
        ],
        conflicts=[
            CONFLICT,
            CONFLICT | {"seq": 2, "settled": "local"},
            CONFLICT | {"seq": 3, "id": "A5", "winner": "none"},
        ],
        held=[HOLD],
        problems=[PROBLEM],
        missions=[
            {
                "id": "M",
                "milestones": [
                    {"id": "M1", "status": "done", "cards": {"total": 4, "done": 2}, "agrees": False},
                    {"id": "M2", "status": None, "cards": {"total": 1, "done": 0}, "agrees": True},
                ],
            }
        ],
    )
    is_valid("status", found)
    reads(
        drift.status(found, NOW),
        """
        Not in sync: 1 edit waits for the store, 2 changes wait for the files, 2 conflicts, 1 held, 1 problem

        Held
          A9  deletions  5 of 12 cards would go
              syncd accept A9  deletes A9
              syncd reject A9  writes A9 into TASKS.md

        Problems
          TASKS.md:12:3  A1 stands a second time
              Give this row another id.

        Waiting
          A1  status  file → store  TASKS.md:7  ready → done
          A2  title   store → file  TASKS.md:8  Parser → The parser
          A3  card    store → file  TASKS.md    new
              syncd sync

        Conflicts
          A5  title  both sides stay as they are  2026-11-22 06:05Z
              base   Schema
              file   Schema, file
              store  Schema, store
              syncd resolve A5 --field title --use local|remote|value:TEXT

        1 conflict, settled by rule: syncd conflicts
          A4  title  the file's value stands  Schema, file

        Mission
          M1 says done, but 2 of 4 cards are done

        4 cards (2 ready, 1 claimed, 1 done) · embedded 18.1, answers · no daemon
        """,
    )


def test_status_with_the_store_away_says_so_first() -> None:
    """A store that does not answer is the first thing that the screen says, with what to do about it."""
    found = report(
        inSync=False,
        mode="offline",
        store={
            "kind": "postgres",
            "reachable": False,
            "since": "2026-11-22T06:03:00.000Z",
            "serverVersion": None,
            "error": "db.example.org does not answer",
            "hint": "syncd db status",
        },
        drift=[entry("A1", "status", "done", "ready", "to-store")],
    )
    is_valid("status", found)
    reads(
        drift.status(found, NOW),
        """
        Not in sync: the store has not answered for 2 min, 1 edit waits for the store

        Store (postgres)
          db.example.org does not answer
              syncd db status

        Waiting
          A1  status  file → store  TASKS.md:7  ready → done

        4 cards (2 ready, 1 claimed, 1 done) · postgres, away · no daemon
        """,
    )


def test_status_tells_that_the_daemon_fails() -> None:
    """A daemon whose last cycle failed is something that needs a look."""
    daemon = {"running": True, "pid": 7, "since": None, "lastCycleAt": None, "lastCycleMs": None, "error": "disk full"}
    found = report(daemon=daemon)
    is_valid("status", found)
    assert "Daemon\n  its last cycle failed: disk full\n" in plain(drift.status(found, NOW))


def test_status_tells_that_the_queue_is_paused() -> None:
    """Who waits for a card sees that nobody is given one, and what ends it; a pause is no drift."""
    found = report(paused=True)
    is_valid("status", found)
    reads(
        drift.status(found, NOW),
        """
        In sync

        Queue
          paused: nobody is given a card
              syncd backlog resume

        4 cards (2 ready, 1 claimed, 1 done) · embedded 18.1, answers · no daemon
        """,
    )


def test_status_shows_the_first_five_of_a_kind() -> None:
    """The screen stays short: of many entries it shows five and says where the others are."""
    found = report(inSync=False, drift=[entry(f"A{number}", "priority", 1, 0, "to-store") for number in range(8)])
    text = plain(drift.status(found, NOW))
    assert text.count("priority") == 5
    assert "… and 3 more: syncd diff" in text


def test_problems_alone_leave_it_in_sync() -> None:
    """Problems and conflicts are told, and do not make it out of sync."""
    found = report(problems=[PROBLEM], conflicts=[CONFLICT])
    assert plain(drift.status(found, NOW)).startswith("In sync, with 1 conflict and 1 problem\n")


def test_diff_reads_like_a_diff() -> None:
    """Minus is what goes, plus is what comes, whichever way it goes; long text shows what differs."""
    body_was, body_is = "one\ntwo\nthree\nfour", "one\ntwo\n3\nfour"
    entries = [
        entry("A1", "status", "done", "ready", "to-store"),
        entry("A1", "dependsOn", ["A2", "A3"], [], "to-file"),
        entry("A1", "body", body_is, body_was, "to-store"),
        entry("A4", "title", "File", "Store", "conflict", base="Base"),
        entry("A5", None, None, None, "to-store"),
        entry("A6", None, None, None, "to-store", line=None),
        entry("A7", None, None, None, "to-file", path=None, line=None),
        entry("A8", None, None, None, "to-file"),
        entry("A9", None, None, None, "held", line=None),
    ]
    for each in entries:
        is_valid("drift", each)
    reads(
        drift.diff(entries),
        """
        A1  TASKS.md:7
          status  file → store
            - ready
            + done
          dependsOn  store → file
            - A2, A3
            + —
          body  file → store
              two
            - three
            + 3
              four

        A4  TASKS.md:7
          title  conflict
            base   Base
            file   File
            store  Store

        A5  TASKS.md:7
          + card is new  file → store

        A6  TASKS.md
          - card is gone  file → store

        A7
          + card is new  store → file

        A8  TASKS.md:7
          - card is gone  store → file

        A9  TASKS.md
            card is only in the store  held
        """,
    )


def test_diff_of_nothing() -> None:
    """Without drift the screen says so."""
    reads(drift.diff([]), "No differences.\n")


def test_sync_tells_what_it_did() -> None:
    """A cycle's screen counts what was carried over, and names it."""
    found = {
        "toStore": [
            {
                "kind": "update",
                "id": "A1",
                "path": "TASKS.md",
                "fields": {"status": "done"},
                "before": {"status": "ready"},
            },
            {"kind": "create", "id": "A5", "path": "TASKS.md", "fields": {"title": "New"}, "before": {}},
        ],
        "toFile": [],
        "conflicts": [],
        "held": [],
        "problems": [],
    }
    is_valid("sync", found)
    reads(
        drift.cycle(found, is_dry=False),
        """
        Made 2 changes to the store.
          A1  update  file → store  status done
          A5  create  file → store  New
        """,
    )
    assert plain(drift.cycle(found, is_dry=True)).startswith("Would make 2 changes")


def test_a_cycle_without_work_says_so() -> None:
    """A cycle that had nothing to do is one line."""
    found = {name: [] for name in ("toStore", "toFile", "conflicts", "held", "problems")}
    reads(drift.cycle(found, is_dry=False), "Nothing to do.\n")


def test_conflicts_show_values_whole() -> None:
    """The list of conflicts shows what status cuts short; commands are quoted for a shell."""
    long = "word " * 20 + "end"
    found = CONFLICT | {"local": long, "id": "a;b", "field": "*", "winner": "remote"}
    is_valid("conflict", found)
    text = plain(decisions.conflicts([found]))
    assert long in text
    assert "a;b  deleted on one side, edited on the other  the store's value stands" in text
    assert "syncd resolve 'a;b' --field '*' --use local|remote\n" in text


def test_decisions_without_anything_to_decide() -> None:
    """Empty lists are a sentence, not an empty screen."""
    reads(decisions.conflicts([]), "No conflicts.\n")
    reads(decisions.held([]), "Nothing is held.\n")
    reads(decisions.decided("Accepted", []), "Nothing is held.\n")


def test_decided_holds_are_named() -> None:
    """What was accepted is listed with its guard and reason."""
    is_valid("hold", HOLD)
    reads(
        decisions.decided("Accepted", [HOLD]),
        """
        Accepted 1 hold.
          A9  deletions  5 of 12 cards would go
        """,
    )


def test_a_list_of_cards_is_aligned() -> None:
    """A list has a header and aligned columns; columns that are empty everywhere are left out."""
    found = [
        CARD | {"unmet": 0},
        CARD | {"id": "A5", "unmet": 1},
        CARD | {"id": "FED-M3-04", "title": "\x1b[2JShip", "status": "done", "phase": None, "priority": -10},
    ]
    is_valid("card", found[2])
    reads(
        cards.cards(found, next_page="FED-M3-04"),
        r"""
        ID         STATUS        PRIO  PHASE  TITLE
        A4         ready         5     M1     Schema
        A5         ready, waits  5     M1     Schema
        FED-M3-04  done          -10          \x1b[2JShip
        more: syncd backlog list --cursor FED-M3-04 …
        """,
    )
    reads(cards.cards([]), "No cards.\n")


def test_a_card_is_shown_with_all_that_is_known() -> None:
    """show gives every fact that there is, and leaves out what there is not."""
    is_valid("card", CARD)
    reads(
        cards.card(CARD),
        """
        A4  Schema
        status        ready, waits for 1 dependency
        phase         M1
        priority      5
        depends on    A1, A2
        extra.branch  feat/x
        where         TASKS.md:14
        project       default
        version       3
        created       2026-11-22T06:05:00.000Z
        updated       2026-11-22T06:05:01.000Z

        acceptance
          - tests pass

        First line
        second line
        """,
    )


def test_a_lease_is_shown() -> None:
    """A claimed card tells its owner, since when and for how long, and how often it was tried."""
    found = CARD | {
        "status": "claimed",
        "claimOwner": "w1",
        "claimTtlSeconds": 900,
        "claimedAt": "2026-11-22T06:05:00.000Z",
        "attempts": 2,
    }
    text = plain(cards.card(found))
    assert "claimed by    w1 at 2026-11-22T06:05:00.000Z for 15 min\n" in text
    assert "attempts      2\n" in text


def test_claims_are_one_line_each() -> None:
    """A claim names the card; without one it says that there is nothing."""
    reads(cards.claimed([CARD | {"attempts": 1}]), "Claimed A4  Schema  attempt 1\n")
    reads(cards.claimed([]), "Nothing to claim.\n")
    reads(cards.reclaimed(["A1", "A2"]), "Reclaimed A1, A2.\n")
    reads(cards.reclaimed([]), "No lease has expired.\n")


def test_stats_read_as_sentences() -> None:
    """Counts of the queue, with what needs a hand."""
    found = {
        "counts": {"ready": 2, "claimed": 1, "blocked": 0, "done": 1},
        "total": 4,
        "oldestReadyAgeSeconds": 7300.5,
        "expiredClaimCount": 1,
        "queue": {"pending": 2, "active": 1, "completed": 1, "failed": 0, "delayed": 0},
        "paused": True,
    }
    is_valid("stats", found)
    reads(
        cards.stats(found),
        """
        4 cards: 2 ready, 1 claimed, 0 blocked, 1 done
        Queue: 2 pending, 1 active, 1 completed, 0 failed, 0 delayed
        The oldest ready card waits for 2 h.
        1 lease has expired: syncd backlog reclaim
        Paused: no claims.
        """,
    )


PARSED = {
    "cards": [
        {
            "id": "A4",
            "title": "Schema",
            "status": "ready",
            "phase": "M1",
            "dependsOn": ["A1"],
            "extra": {"branch": "feat/x"},
            "line": 14,
            "column": 3,
            "dialect": "table",
            "weak": ["phase"],
        },
        {"id": None, "title": "Later", "extra": {}, "line": 15, "column": 3, "dialect": "table", "weak": []},
    ],
    "problems": [PROBLEM],
}


def test_parse_shows_cards_with_their_lines() -> None:
    """Each card stands with its line; a row without an id or a status shows a dash."""
    is_valid("parse", PARSED)
    reads(
        files.parsed("TASKS.md", PARSED),
        """
        TASKS.md: 2 cards, 1 problem
          14  A4  ready  Schema
          15  —   —      Later

        Problems
          TASKS.md:12:3  A1 stands a second time
              Give this row another id.
        """,
    )


def block(at: int, kind: str, dialect: str | None, cards: int, reason: str) -> Any:
    """Return a block that checklists had nothing to say about."""
    others = [{"dialect": "checklist", "reason": "reads lists"}]
    return {"line": at, "kind": kind, "dialect": dialect, "cards": cards, "reason": reason, "others": others}


def test_parse_explains() -> None:
    """Explained, each card shows every field and where it came from, and each block what it was taken for."""
    found = PARSED | {
        "problems": [],
        "blocks": [
            block(3, "table", "table", 2, "has an id and a status column"),
            block(20, "fence", None, 0, "code is no task"),
        ],
    }
    is_valid("parse", found)
    reads(
        files.parsed("TASKS.md", found),
        """
        TASKS.md: 2 cards, 0 problems

        A4  Schema  line 14, table
          status        ready
          phase         M1      from its surroundings
          dependsOn     A1
          extra.branch  feat/x

        no id  Later  line 15, table

        Parts of the file
          line 3   table  2 cards  has an id and a status column
          line 20  fence           code is no task

        What each dialect reads
          checklist  reads lists
        """,
    )


@pytest.mark.parametrize(
    ("version", "said"),
    [(3, "3, up to date"), (1, "1; this syncd knows 3"), (None, "none; this syncd knows 3")],
)
def test_the_database_tells_its_schema(version: int | None, said: str) -> None:
    """The schema's version is told against the one that this syncd knows."""
    found = {
        "kind": "postgres",
        "address": "db.example.org/app",
        "reachable": True,
        "serverVersion": "15.4",
        "schemaVersion": version,
        "schemaKnown": 3,
        "pending": [] if version == 3 else ["0002_leases"],
    }
    is_valid("db", found)
    text = plain(setup.database(found))
    assert f"schema  {said}\n" in text
    assert ("syncd db migrate" in text) is (version != 3)


def test_holds_of_one_guard_and_file_stand_together() -> None:
    """Eleven deletions are one entry that names a few, with the commands for all and for one."""
    reason = "11 of the 15 cards of TASKS.md went at once"
    many = [HOLD | {"id": f"G-{n:02}", "reason": reason, "release": f"syncd accept G-{n:02}"} for n in range(1, 12)]
    text = plain(decisions.held(many))
    assert text.count("\n") == 5
    assert "G-01, G-02, G-03, … and 8 more" in text
    assert "syncd accept  deletes 11 cards\n" in text
    assert "syncd reject  writes 11 rows into TASKS.md\n" in text
    assert "one alone: syncd accept G-01" in text
    assert plain(decisions.decided("Accepted", many)).count("\n") == 3


def test_holds_of_several_files_are_decided_file_by_file() -> None:
    """Where other things are held too, the command for a group names its file and nothing else."""
    other = HOLD | {"id": "B1", "path": "OTHER.md", "release": "syncd accept B1"}
    text = plain(decisions.held([HOLD, HOLD | {"id": "A8", "release": "syncd accept A8"}, other]))
    assert "syncd accept TASKS.md" in text
    assert "syncd accept B1" in text


def test_a_circle_has_two_ways_out() -> None:
    """A hold that can only be rejected names the other way out instead of the same command twice."""
    hold = HOLD | {"guard": "cycle", "release": "syncd reject A9", "accepting": None}
    text = plain(decisions.held([hold]))
    assert text.count("syncd reject A9") == 1
    assert "take one of the dependencies out of TASKS.md, or" in text


def test_a_decision_that_cannot_help_is_not_offered() -> None:
    """Markers that were there from the start are edited out or accepted: there is nothing to put back."""
    told = [{"kind": "create", "count": 3, "noun": "card", "path": None, "fields": []}]
    hold = HOLD | {"id": "TASKS.md", "guard": "markers", "release": "syncd accept TASKS.md", "accepting": told}
    text = plain(decisions.held([hold | {"reason": "TASKS.md has a merge marker in line 5", "rejecting": None}]))
    assert text == (
        "  TASKS.md  markers  TASKS.md has a merge marker in line 5\n"
        "      finish the merge: edit the markers out of TASKS.md, or\n"
        "      syncd accept TASKS.md  adds 3 cards to the store\n"
    )
    asked = HOLD | {"guard": "ask", "release": "syncd resolve A9 --field title --use local|remote"}
    text = plain(decisions.held([asked | {"accepting": None, "rejecting": None}]))
    assert text.endswith("      syncd resolve A9 --field title --use local|remote\n")


def test_deeds_are_told_in_numbers() -> None:
    """What a decision does is one sentence, however many kinds of things it does; nothing is said to be nothing."""
    edit = {"kind": "update", "count": 2, "noun": "card", "path": None, "fields": ["title", "extra.statusWord"]}
    gone = {"kind": "archive", "count": 1, "noun": "card", "path": None, "fields": []}
    many = {"kind": "update", "count": 21, "noun": "row", "path": "TASKS.md", "fields": ["a", "b", "c", "d"]}
    back = {"kind": "put-back", "count": 4, "noun": "row", "path": "TASKS.md", "fields": []}
    hold = HOLD | {"id": "TASKS.md", "accepting": [edit, gone, many], "rejecting": [back]}
    is_valid("hold", hold)
    text = plain(decisions.held([hold]))
    assert "changes title of 2 cards in the store, archives 1 card and changes 4 fields of 21 rows in TASKS.md" in text
    assert "puts TASKS.md back as it was, with 4 rows" in text
    assert "changes nothing" in plain(decisions.held([hold | {"rejecting": []}]))


def test_a_wrong_configuration_is_no_store_that_is_away() -> None:
    """Only a store that is away is said not to answer."""
    away = {"kind": "postgres", "reachable": False, "since": None, "serverVersion": None, "error": "wrong password"}
    text = plain(drift.status(report(inSync=False, mode="poll", store=away), NOW))
    assert text.startswith("Not in sync: the store cannot be used\n")


def test_an_emptied_list_is_shown_in_a_change() -> None:
    """A field that becomes empty stands in the line of its change."""
    change = {"kind": "update", "id": "T-2", "path": None, "fields": {"dependsOn": []}, "before": {}}
    found = {"toStore": [], "toFile": [change], "conflicts": [], "held": [], "problems": []}
    assert "store → file  dependsOn —" in plain(drift.cycle(found, is_dry=False))


def test_the_preview_of_a_first_sync_is_cut() -> None:
    """Of ten thousand changes a preview shows ten."""
    change = {"kind": "create", "path": None, "fields": {"title": "One"}, "before": {}}
    changes = [change | {"id": f"T-{number}"} for number in range(10_000)]
    found = {"toStore": changes, "toFile": [], "conflicts": [], "held": [], "problems": []}
    text = plain(drift.cycle(found, is_dry=True, most=10))
    assert text.count("create") == 10
    assert "and 9990 more" in text


def test_a_removed_card_is_said_to_be_deleted() -> None:
    """The line about a card that is gone does not show the state that it had."""
    reads(cards.changed("Removed", CARD, is_deleted=True), "Removed A4  Schema  deleted\n")


def test_a_state_is_told_once() -> None:
    """The author's word for a state is no second edit beside the state itself; alone it is shown."""
    place = {"base": None, "direction": "to-store", "path": "TASKS.md", "line": 7}
    state = {"id": "A1", "field": "status", "local": "done", "remote": "ready", **place}
    word = {"id": "A1", "field": "extra.statusWord", "local": None, "remote": "todo", **place}
    other = {**word, "id": "A2", "local": "needs-qa"}
    shown = plain(drift.status(report(inSync=False, drift=[state, word, other]), NOW))
    assert "2 edits wait" in shown
    assert shown.count("statusWord") == 1
    assert "statusWord" not in plain(drift.diff([state, word]))
