"""Commands with which a person settles what syncd does not decide: conflicts, and what a guard holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from syncd.cli import completing
from syncd.cli.changes import change_card
from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit
from syncd.cli.values import parse_use
from syncd.errors import UsageError

commands = group("Conflicts and holds.")

HeldIds = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Cards or files as 'syncd held' names them; else all.")
]


@command(commands, "conflicts", "syncd conflicts", "syncd conflicts --all --json")
def conflicts(
    context: typer.Context,
    all: Annotated[bool, typer.Option("--all", help="Settled ones too.")] = False,
) -> None:
    """Show what both sides changed differently.

    With both values, which one stands, and the command that settles it.
    """
    from syncd.cli.screens import decisions as screens
    from syncd.engine.report import record_json

    with workspace(context) as opened:
        found = [record_json(each) for each in opened.conflicts(settled=all)]
        since = opened.away_since
    emit(context, found, lambda: [*screens.conflicts(found), *screens.away(since)])


@command(
    commands,
    "resolve",
    "syncd resolve A4 --field title --use local",
    'syncd resolve A4 --field title --use "value:Schema, second try"',
    "syncd resolve --all --use remote",
)
def resolve(
    context: typer.Context,
    *,
    id: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="The card, or what of a mission.", autocompletion=completing.cards),
    ] = None,
    field: Annotated[
        str | None,
        typer.Option(
            "--field",
            metavar="FIELD",
            help="The field that clashed, where several did.",
            autocompletion=completing.fields,
        ),
    ] = None,
    use: Annotated[
        str,
        typer.Option(
            "--use",
            metavar="local|remote|value:TEXT",
            help="The file's value, the store's, or this one.",
            autocompletion=completing.one_of("local", "remote", "value:"),
        ),
    ],
    all: Annotated[bool, typer.Option("--all", help="Every conflict; prints the list of cards.")] = False,
) -> None:
    """Settle a conflict.

    With the file's value, the store's value, or another one.
    """
    from syncd.cli.mission_shapes import mission_json
    from syncd.cli.screens import decisions as screens
    from syncd.cli.screens import mission as mission_screens
    from syncd.schemas.card import card_json
    from syncd.schemas.mission import RecordKey

    choice = parse_use(use)
    if all == (id is not None) or (all and field is not None):
        raise UsageError("name one card, or say --all and neither a card nor a field", hint="syncd resolve --help")
    if id is None:
        with workspace(context) as opened:
            settled = opened.resolve_all(choice)
        cards = [card_json(each) for each in settled.cards]
        emit(context, cards, lambda: screens.resolved(len(cards), len(settled.records)))
        return
    if RecordKey.parse(id) is not None:
        with workspace(context) as opened:
            state = mission_json(opened.missions.resolve(id, field, choice))
        emit(context, state, lambda: mission_screens.status(state, datetime.now(UTC)))
        return
    change_card(context, "Settled", lambda opened: opened.resolve(id, field, choice))


@command(commands, "held", "syncd held")
def held(context: typer.Context) -> None:
    """Show what a guard keeps back, why, and how to release it."""
    from syncd.cli.screens import decisions as screens
    from syncd.engine.report import hold_json

    with workspace(context) as opened:
        found = [hold_json(each) for each in opened.held()]
    emit(context, found, lambda: screens.held(found))


@command(commands, "accept", "syncd accept A9", "syncd accept")
def accept(context: typer.Context, ids: HeldIds = None) -> None:
    """Let through what a guard keeps back."""
    _decide(context, ids, is_accepted=True)


@command(commands, "reject", "syncd reject A9", "syncd reject TASKS.md")
def reject(context: typer.Context, ids: HeldIds = None) -> None:
    """Undo in the file what a guard keeps back.

    The values that go are kept as conflicts.
    """
    _decide(context, ids, is_accepted=False)


def _decide(context: typer.Context, ids: list[str] | None, *, is_accepted: bool) -> None:
    """Accept or reject the named holds, or all that there are."""
    from syncd.cli.screens import decisions as screens
    from syncd.engine.report import hold_json

    with workspace(context) as opened:
        decide = opened.accept if is_accepted else opened.reject
        decided = [hold_json(each) for each in decide(ids or ())]
    word = "Accepted" if is_accepted else "Rejected"
    emit(context, decided, lambda: screens.decided(word, decided))
