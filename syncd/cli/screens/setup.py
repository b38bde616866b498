"""What stands at the beginning: ``init`` and the store's schema."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from syncd.cli.screen import BLANK, Element, Screen, Span, Table, command, line
from syncd.cli.screens.drift import SHOWN_MAX, cycle, problems
from syncd.cli.screens.words import count, joined, more, title, value_text
from syncd.engine.report import problem_json

if TYPE_CHECKING:
    from syncd.first_contact import InitFile, InitPlan

Json = dict[str, Any]


def init_plan(plan: InitPlan) -> Screen:
    """Return what syncd sees, file by file, and what the first sync will do."""
    screen: list[Element] = [line("Workspace ", Span(str(plan.root), "bold"))]
    for each in plan.files:
        screen += _file(each)
    if plan.store_cards:
        screen += [BLANK, line(f"The store holds {count(plan.store_cards, 'card')} of this project already.")]
    if plan.store_note:
        screen += [BLANK, line(plan.store_note)]
    if plan.plan is not None:
        shown = {problem for file in plan.files for problem in file.problems}
        report = plan.plan.to_json()
        report["problems"] = [problem_json(each) for each in plan.plan.problems if each not in shown]
        screen += [*title("The first sync"), *cycle(report, is_dry=True, most=2 * SHOWN_MAX)]
    return screen


def init_done(settings: Json, *, was_there: bool) -> Screen:
    """Return what was made and what comes next."""
    done = "This is a workspace already" if was_there else "Made syncd.yaml and .syncd/"
    return [
        BLANK,
        line(f"{done}: project {settings['project']}, tasks in {value_text(settings['tasks'])}."),
        line("Next:"),
        command("syncd sync", indent=2),
        command("syncd run", indent=2),
    ]


def database(found: Json) -> Screen:
    """Return which store this is and how its schema stands."""
    version = found["serverVersion"]
    rows = [
        ("store", f"{found['kind']} at {found['address']}"),
        (
            "server",
            f"PostgreSQL {version}" if version else "none: the cards are in files",
        ),
        ("schema", _schema(found)),
    ]
    screen: list[Element] = [Table(tuple((Span(name, "dim"), Span(text)) for name, text in rows))]
    if found["pending"]:
        screen += title("Migrations that would run")
        screen += [line(each, indent=2) for each in found["pending"]]
        screen.append(command("syncd db migrate", indent=6))
    return screen


def adopted(found: Json) -> Screen:
    """Return what adopting a table did, or would do."""
    head = "Adopted:" if found["done"] else "This would, in one transaction:"
    screen: list[Element] = [line(head), *(line(f"- {each}", indent=2) for each in found["steps"])]
    if not found["done"]:
        screen += [BLANK, line("Nothing was changed. To do it:"), command("syncd db adopt", indent=6)]
    return screen


def moved(found: Json) -> Screen:
    """Return what moving to another store did, or would do."""
    there, counts = found["target"], found["moved"]
    kinds = [
        count(counts["cards"], "card"),
        *([count(counts["missions"], "mission")] if counts["missions"] else []),
        count(counts["conflicts"], "open conflict"),
    ]
    head = "Moved" if found["done"] else "To move"
    screen: list[Element] = [line(f"{head}: {joined(kinds)} to {there['kind']} at {there['address']}.")]
    before = found["source"]
    if found["done"]:
        screen.append(line(f"What was in {before['kind']} at {before['address']} is still there.", indent=2))
    return screen


def pruned(found: Json) -> Screen:
    """Return what was forgotten, or would be."""
    counts = found["pruned"]
    kinds = [
        count(counts["history"], "history entry", "history entries"),
        count(counts["commits"], "commit id"),
        count(counts["replicas"], "working copy", "working copies"),
    ]
    return [line(f"{'Pruned' if found['done'] else 'To prune'}: {joined(kinds)}.")]


def backed_up(found: Json) -> Screen:
    """Return what a backup holds."""
    kinds = [count(found["cards"], "card"), count(found["history"], "history entry", "history entries")]
    return [line(f"Wrote {found['path']}: {joined(kinds)} of project {found['project']}.")]


def upgraded(found: Json) -> Screen:
    """Return from which version to which, and where the old data is."""
    if found["kept"] is None:
        return [line(f"The data is of PostgreSQL {found['to']} already.")]
    return [
        line(f"Upgraded the data from PostgreSQL {found['from']} to {found['to']}."),
        line(f"The old data is in {found['kept']}; delete it when you no longer need it."),
    ]


def restored(found: Json) -> Screen:
    """Return what restoring a backup changed, or would."""
    kinds = [f"{found[kind]} {kind}" for kind in ("added", "changed", "removed")]
    return [line(f"{'Restored' if found['done'] else 'To restore'} the backup of {found['at']}: {joined(kinds)}.")]


def _schema(found: Json) -> str:
    if found["schemaVersion"] is None:
        return f"none; this syncd knows {found['schemaKnown']}"
    if found["schemaVersion"] == found["schemaKnown"]:
        return f"{found['schemaVersion']}, up to date"
    return f"{found['schemaVersion']}; this syncd knows {found['schemaKnown']}"


def _file(file: InitFile) -> Iterator[Element]:
    """Yield what is seen in one task file."""
    yield BLANK
    if not file.exists:
        yield line(Span(file.path, "bold"), "  is not there yet")
    else:
        seen = f", {' and '.join(file.dialects)}" if file.dialects else ""
        yield line(Span(file.path, "bold"), f"  {count(file.cards, 'card')}{seen}")
    for note in file.notes:
        yield line(Span(note, "dim"), indent=2)
    yield from problems([problem_json(each) for each in file.problems[:SHOWN_MAX]])
    yield from more(len(file.problems) - SHOWN_MAX, f"syncd parse {shlex.quote(file.path)}")
