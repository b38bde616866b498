"""Commands about the store's cards: make, find, change, link and remove them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from syncd.cli import completing
from syncd.cli.changes import change_card
from syncd.cli.options import command, group, workspace
from syncd.cli.output import counting, emit
from syncd.cli.values import parse_acceptance, parse_cards, parse_extra, parse_fields, parse_ids
from syncd.errors import UsageError

if TYPE_CHECKING:
    from syncd.ports import NewCard

commands = group("Cards.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The card.", autocompletion=completing.cards)]
From = Annotated[
    str, typer.Option("--from", metavar="ID", help="The card that depends.", autocompletion=completing.cards)
]
To = Annotated[
    str, typer.Option("--to", metavar="ID", help="The card that it depends on.", autocompletion=completing.cards)
]


@command(
    commands,
    "create",
    'syncd backlog create --id A5 --title "Write the parser" --depends-on A1,A4 --priority 5',
    'syncd backlog create --id A6 --title "Ship" --acceptance "tests pass; docs built" --extra branch=feat/x',
    "syncd backlog create --stdin < cards.jsonl",
)
def create(
    context: typer.Context,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help="The new card's id.")] = None,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help="What is to be done.")] = None,
    body: Annotated[str | None, typer.Option(metavar="TEXT", help="Details.")] = None,
    phase: Annotated[str | None, typer.Option(metavar="TEXT", help="The milestone or phase.")] = None,
    priority: Annotated[int, typer.Option(metavar="N", help="Higher means sooner.")] = 0,
    depends_on: Annotated[
        str | None, typer.Option(metavar="A,B", help="Cards that must be done first; they may not exist yet.")
    ] = None,
    acceptance: Annotated[str | None, typer.Option(metavar='JSON|"a;b"', help="When it counts as done.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="The same key again gives the first card.")
    ] = None,
    max_retries: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="How often it is tried again after a failure.")
    ] = None,
    delay: Annotated[
        float | None, typer.Option("--delay", metavar="SEC", min=0, help="No claim before this time has passed.")
    ] = None,
    extra: Annotated[list[str] | None, typer.Option(metavar="K=V", help="Another field; may be repeated.")] = None,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Read the cards from stdin, each a JSON object on a line; gives a list.")
    ] = False,
) -> None:
    """Make a card, or many.

    An id that is taken is refused. With --stdin the lines hold the card's JSON names (id, title, dependsOn, …,
    and delay), may depend on one another in any order, and are all read before any card is made.
    """
    from syncd.ports import NewCard

    if stdin:
        if id is not None or title is not None:
            raise UsageError("--stdin takes ids and titles from the lines", hint=f"{context.command_path} --help")
        _create_many(context, parse_cards(sys.stdin.buffer.read()))
        return
    if id is None or title is None:
        missing = "--id" if id is None else "--title"
        raise UsageError(f"Missing option '{missing}'.", hint=f"{context.command_path} --help")
    new = NewCard(
        id=id,
        title=title,
        body=body,
        phase=phase,
        priority=priority,
        depends_on=parse_ids(depends_on),
        acceptance=parse_acceptance(acceptance),
        idempotency_key=idempotency_key,
        max_retries=max_retries,
        extra=parse_extra(extra),
        delay_s=delay,
    )
    change_card(context, "Created", lambda opened: opened.backlog.create(new))


def _create_many(context: typer.Context, new: list[NewCard]) -> None:
    """Make many cards, with a bar on a terminal that shows how many there are."""
    from syncd.cli.screens import cards as card_screens
    from syncd.schemas.card import card_json

    with workspace(context, shows_progress=False) as opened, counting(context.command_path, len(new)) as advance:
        cards = [card_json(each) for each in opened.backlog.create_many(new, on_progress=advance)]
    emit(context, cards, lambda: card_screens.created(len(cards)))


@command(commands, "list", "syncd backlog list --status ready --limit 10", "syncd backlog list --ready-only --json")
def list_(
    context: typer.Context,
    status: Annotated[
        Literal["ready", "claimed", "blocked", "done"] | None, typer.Option(help="Only cards in this state.")
    ] = None,
    phase: Annotated[str | None, typer.Option(metavar="TEXT", help="Only cards of this phase.")] = None,
    ready_only: Annotated[bool, typer.Option("--ready-only", help="Only cards that can be claimed now.")] = False,
    owner: Annotated[str | None, typer.Option(metavar="W", help="Only cards claimed by this owner.")] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many.")] = None,
    cursor: Annotated[
        str | None, typer.Option(metavar="ID", help="Go on after this card, the last of the page before.")
    ] = None,
) -> None:
    """List the cards.

    Done ones too; highest priority first, then oldest.
    """
    from syncd.cli.screens import cards as card_screens
    from syncd.ports import CardFilter
    from syncd.schemas.card import Status, card_json

    chosen = CardFilter(
        status=Status(status) if status else None,
        phase=phase,
        owner=owner,
        ready_only=ready_only,
        limit=limit,
        cursor=cursor,
    )
    with workspace(context) as opened:
        cards = [card_json(each) for each in opened.backlog.list(chosen)]
    next_page = cards[-1]["id"] if limit is not None and len(cards) == limit else None
    emit(context, cards, lambda: card_screens.cards(cards, next_page=next_page))


@command(commands, "show", "syncd backlog show A4")
def show(context: typer.Context, id: Id) -> None:
    """Show a card with all that is known of it."""
    from syncd.cli.screens import cards as card_screens
    from syncd.schemas.card import card_json

    with workspace(context) as opened:
        card = card_json(opened.backlog.show(id))
    emit(context, card, lambda: card_screens.card(card))


@command(
    commands,
    "update",
    "syncd backlog update A4 status=done priority=7",
    "syncd backlog update A4 dependsOn=A1,A2 extra.branch=feat/x --if-version 3",
)
def update(
    context: typer.Context,
    id: Id,
    assignments: Annotated[
        list[str],
        typer.Argument(
            metavar="FIELD=VALUE...",
            help="title, body, phase, priority, status, dependsOn, acceptance, extra.KEY; no value empties it.",
        ),
    ],
    if_version: Annotated[int | None, typer.Option(metavar="N", help="Only while the card has this version.")] = None,
) -> None:
    """Set fields of a card."""
    fields = parse_fields(assignments)
    change_card(context, "Updated", lambda opened: opened.backlog.update(id, fields, if_version=if_version))


@command(commands, "remove", "syncd backlog remove --id A4")
def remove(
    context: typer.Context,
    id: Annotated[str, typer.Option("--id", metavar="ID", help="The card.", autocompletion=completing.cards)],
    force: Annotated[bool, typer.Option("--force", help="Although other cards depend on it.")] = False,
) -> None:
    """Delete a card. Refused while others depend on it."""
    change_card(context, "Removed", lambda opened: opened.backlog.remove(id, force=force))


@command(commands, "link", "syncd backlog link --from A4 --to A1")
def link(context: typer.Context, from_: From, to: To) -> None:
    """Make one card depend on another. A cycle is refused, and shown."""
    change_card(context, "Linked", lambda opened: opened.backlog.link(from_, to))


@command(commands, "unlink", "syncd backlog unlink --from A4 --to A1")
def unlink(context: typer.Context, from_: From, to: To) -> None:
    """Take a dependency away.

    One that is not there is no error.
    """
    change_card(context, "Unlinked", lambda opened: opened.backlog.unlink(from_, to))


@command(commands, "stats", "syncd backlog stats --json")
def stats(context: typer.Context) -> None:
    """Count the cards, and say how the queue stands."""
    from syncd.cli.screens import cards as card_screens
    from syncd.engine.report import stats_json

    with workspace(context) as opened:
        found = stats_json(opened.backlog.stats())
    emit(context, found, lambda: card_screens.stats(found))
