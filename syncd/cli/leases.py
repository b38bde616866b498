"""Commands about who works on a card: claim, renew, release, complete, fail, retry, block, reclaim."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from syncd.cli import completing
from syncd.cli.changes import change_card
from syncd.cli.options import command, group, workspace
from syncd.cli.output import emit

commands = group("Leases.")

TTL_S: Final = 900

Id = Annotated[str, typer.Option("--id", metavar="ID", help="The card.", autocompletion=completing.cards)]
Owner = Annotated[str, typer.Option("--owner", metavar="W", help="Who holds the lease.")]
OwnerOnly = Annotated[str | None, typer.Option("--owner", metavar="W", help="Only while this owner holds the lease.")]
Attempt = Annotated[int | None, typer.Option("--attempt", metavar="N", help="Only while this is the lease's attempt.")]


@command(
    commands,
    "claim",
    "syncd backlog claim --owner worker-1 --json",
    "syncd backlog claim --owner worker-1 --wait 60 --ttl 300",
)
def claim(
    context: typer.Context,
    owner: Annotated[str, typer.Option("--owner", metavar="W", help="Who claims; unique for each worker.")],
    ttl: Annotated[
        int, typer.Option("--ttl", metavar="SEC", min=1, help="When the lease expires unless it is renewed.")
    ] = TTL_S,
    id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="This card; null when it cannot be claimed.", autocompletion=completing.cards
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option("--wait", metavar="SEC", min=0, help="Wait so long for a card to be claimable.")
    ] = 0,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=1, help="Claim up to N cards; gives a list.")
    ] = None,
) -> None:
    """Take the best card to work on.

    The best is the first by priority, then age, of those that are ready and whose dependencies are done.
    Two claims never get the same card. With --wait it blocks until there is one, through a pause too.
    """
    from syncd.cli.screens import cards as card_screens
    from syncd.schemas.card import card_json

    with workspace(context) as opened:
        found = opened.backlog.claim_many(owner, ttl, id=id, count=count or 1, wait_seconds=wait)
    cards = [card_json(each) for each in found]
    value = cards if count is not None else next(iter(cards), None)
    emit(context, value, lambda: card_screens.claimed(cards))


@command(commands, "renew", "syncd backlog renew --id A4 --owner worker-1")
def renew(
    context: typer.Context,
    id: Id,
    owner: Owner,
    ttl: Annotated[
        int | None, typer.Option("--ttl", metavar="SEC", min=1, help="From now; else as it was claimed.")
    ] = None,
    attempt: Attempt = None,
) -> None:
    """Extend a lease: the heartbeat of a worker."""
    change_card(context, "Renewed", lambda opened: opened.backlog.renew(id, owner, ttl_seconds=ttl, attempt=attempt))


@command(commands, "release", "syncd backlog release --id A4 --owner worker-1")
def release(context: typer.Context, id: Id, owner: Owner, attempt: Attempt = None) -> None:
    """Give a lease back: the card is ready again."""
    change_card(context, "Released", lambda opened: opened.backlog.release(id, owner, attempt=attempt))


@command(
    commands,
    "complete",
    "syncd backlog complete --id A4",
    "syncd backlog complete --id A4 --owner worker-1 --attempt 2",
)
def complete(context: typer.Context, id: Id, owner: OwnerOnly = None, attempt: Attempt = None) -> None:
    """Mark a card as done.

    A card that is done stays as it is.
    """
    change_card(context, "Completed", lambda opened: opened.backlog.complete(id, owner=owner, attempt=attempt))


@command(
    commands,
    "fail",
    'syncd backlog fail --id A4 --error "tests failed"',
    'syncd backlog fail --id A4 --owner worker-1 --attempt 2 --error "timeout"',
)
def fail(
    context: typer.Context,
    id: Id,
    error: Annotated[str, typer.Option("--error", metavar="TEXT", help="What went wrong; kept with the card.")],
    owner: OwnerOnly = None,
    attempt: Attempt = None,
) -> None:
    """End a lease without success.

    The card is tried again after 1, 2, 4 … seconds, a minute at most, three times or as often as its
    --max-retries says; then it is blocked until 'retry'.
    """
    change_card(context, "Failed", lambda opened: opened.backlog.fail(id, error, owner=owner, attempt=attempt))


@command(commands, "retry", "syncd backlog retry --id A4")
def retry(context: typer.Context, id: Id) -> None:
    """Make a failed or blocked card ready at once.

    A pause after a failure ends, and the card has all its retries again.
    """
    change_card(context, "Ready again:", lambda opened: opened.backlog.retry(id))


@command(commands, "block", 'syncd backlog block --id A4 --reason "waits for the design"')
def block(
    context: typer.Context,
    id: Id,
    reason: Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; kept with the card.")] = None,
) -> None:
    """Take a card out of the queue until it is unblocked."""
    change_card(context, "Blocked", lambda opened: opened.backlog.block(id, reason))


@command(commands, "unblock", "syncd backlog unblock --id A4")
def unblock(context: typer.Context, id: Id) -> None:
    """Make a blocked card ready again."""
    change_card(context, "Unblocked", lambda opened: opened.backlog.unblock(id))


@command(commands, "reclaim", "syncd backlog reclaim", "syncd backlog reclaim --id A4")
def reclaim(
    context: typer.Context,
    id: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="ID", help="This lease; else all that have expired.", autocompletion=completing.cards
        ),
    ] = None,
) -> None:
    """Make cards ready again whose leases have expired."""
    from syncd.cli.screens import cards as card_screens

    with workspace(context) as opened:
        ids = list(opened.backlog.reclaim(id))
    emit(context, {"reclaimed": ids}, lambda: card_screens.reclaimed(ids))
