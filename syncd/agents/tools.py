"""The tools that agents call: a name, what it does, the arguments that it takes, and the call of the api.

Arguments are records: their JSON Schema is what the client is shown, and what comes in is converted to
them, with a message that says which argument is wrong and why.  May import ``syncd.api``, ``syncd.ports``,
``syncd.core``, ``syncd.schemas``, ``syncd.errors`` and ``syncd.agents``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from syncd.agents import answers
from syncd.agents.opening import Opening
from syncd.errors import BadValue
from syncd.ports import CardFilter, NewCard
from syncd.schemas.card import Fields, Status, Value

if TYPE_CHECKING:
    from syncd.api import Workspace

LIST_LIMIT: Final = 50
LIST_MAX: Final = 500
WAIT_MAX_S: Final = 50
"""A client gives a call about a minute."""

Json = dict[str, Any]


class Caller(msgspec.Struct, frozen=True):
    """Who calls: the workspace to work on, and the owner of claims that name none."""

    opening: Opening
    owner: str

    @property
    def workspace(self) -> Workspace:
        """The workspace, opened by the first call.  Raises the errors of opening it."""
        return self.opening()


def _about(text: str, **more: Any) -> Meta:
    return Meta(description=text, **more)


_Count: TypeAlias = Annotated[int, Meta(ge=0)]
_Whole: TypeAlias = Annotated[int, Meta(ge=1)]
_Span: TypeAlias = Annotated[float, Meta(ge=0)]
Id: TypeAlias = Annotated[str, _about("The card's id.")]
Owner: TypeAlias = Annotated[str | None, _about("Who holds the lease; you, by default.")]
Attempt: TypeAlias = Annotated[int | None, _about("What the claim gave: refused when a later one stands.")]
Ttl: TypeAlias = Annotated[int, _about("Seconds until the lease ends unless renewed.", ge=1)]
Limit: TypeAlias = Annotated[int, _about("Cards at most.", ge=1, le=LIST_MAX)]
Cursor: TypeAlias = Annotated[str | None, _about("'next' of the page before.")]


class Arguments(Struct, forbid_unknown_fields=True, kw_only=True):
    """What a tool takes: nothing, here."""


class _Card(Arguments):
    id: Id


class _List(Arguments):
    status: Annotated[Literal["ready", "claimed", "blocked", "done"] | None, _about("Only these.")] = None
    phase: Annotated[str | None, _about("Only cards of this phase.")] = None
    owner: Annotated[str | None, _about("Only cards leased to this owner.")] = None
    ready_only: Annotated[bool, _about("Only what could be claimed now.")] = False
    limit: Limit = LIST_LIMIT
    cursor: Cursor = None


class _Create(Arguments):
    id: Id
    title: str
    body: str | None = None
    phase: str | None = None
    priority: Annotated[int, _about("Higher is sooner.")] = 0
    depends_on: Annotated[list[str], _about("Ids of cards that have to be done first.")] = []
    acceptance: Annotated[list[str], _about("When it counts as done.")] = []
    idempotency_key: Annotated[str | None, _about("Repeated, it gives the first card.")] = None
    max_retries: Annotated[_Count | None, _about("Retries after a failure; 3 by default.")] = None
    delay: Annotated[_Span | None, _about("Seconds before it can be claimed.")] = None
    extra: Annotated[dict[str, str], _about("Further columns by name.")] = {}


class _Update(Arguments):
    id: Id
    title: str | UnsetType = UNSET
    body: str | None | UnsetType = UNSET
    phase: str | None | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    status: Literal["ready", "claimed", "blocked", "done"] | UnsetType = UNSET
    depends_on: list[str] | UnsetType = UNSET
    acceptance: list[str] | UnsetType = UNSET
    extra: Annotated[dict[str, str | None], _about("Further columns by name; null empties one.")] = {}
    if_version: Annotated[int | None, _about("Refused when the card is at another version.")] = None


class _Claim(Arguments):
    id: Annotated[str | None, _about("This card; the best one by default.")] = None
    owner: Annotated[str | None, _about("Who claims; you, by default.")] = None
    ttl: Ttl = 900
    wait: Annotated[float, _about("Seconds to wait for a card.", ge=0, le=WAIT_MAX_S)] = 0


class _Renew(Arguments):
    id: Id
    owner: Owner = None
    attempt: Attempt = None
    ttl: Annotated[_Whole | None, _about("Seconds from now; as it was claimed by default.")] = None


class _Lease(Arguments):
    id: Id
    owner: Owner = None
    attempt: Attempt = None


class _Complete(Arguments):
    id: Id
    owner: Annotated[str | None, _about("Only while this owner holds the lease.")] = None
    attempt: Attempt = None


class _Fail(Arguments):
    id: Id
    error: Annotated[str, _about("What went wrong; kept with the card.")]
    owner: Annotated[str | None, _about("Only while this owner holds the lease.")] = None
    attempt: Attempt = None


class _Block(Arguments):
    id: Id
    reason: str | None = None


class _Reclaim(Arguments):
    id: Annotated[str | None, _about("This lease; else all that have expired.")] = None


class _Remove(Arguments):
    id: Id
    force: Annotated[bool, _about("Although others depend on it.")] = False


class _Link(Arguments):
    id: Annotated[str, _about("The card that waits.")]
    depends_on: Annotated[str, _about("The card that has to be done first.")]


class _Events(Arguments):
    since: Annotated[int | None, _about("The seq of the last event seen; from the oldest kept by default.")] = None
    limit: Annotated[int, _about("Events at most.", ge=1, le=LIST_MAX)] = answers.EVENTS_MAX


class Tool(msgspec.Struct, frozen=True):
    """One tool.  ``is_reading`` and ``is_destructive`` are hints for clients that ask their user."""

    name: str
    about: str
    takes: type[Arguments]
    call: Callable[[Caller, Any], Any]
    is_reading: bool = False
    is_destructive: bool = False

    def schema(self) -> Json:
        """Return the JSON Schema of the arguments, complete in itself."""
        (schema,), parts = msgspec.json.schema_components([self.takes], ref_template="#/$defs/{name}")
        found: Json = dict(parts.pop(schema["$ref"].rpartition("/")[2]))
        for key in ("title", "description"):
            found.pop(key, None)
        found["properties"] = {name: _short(each) for name, each in found["properties"].items()}
        return found

    def run(self, caller: Caller, arguments: Mapping[str, Any] | None) -> Any:
        """Call the tool.  Raises BadValue for arguments that are wrong, and what the api raises."""
        try:
            given = msgspec.convert(arguments or {}, self.takes)
        except msgspec.ValidationError as error:
            hint = f"It takes {', '.join(self.takes.__struct_fields__) or 'nothing'}"
            raise BadValue(f"{self.name}: {error}", hint=hint) from None
        return self.call(caller, given)


def _short(schema: Json) -> Json:
    """Return an argument's schema without what says nothing: that one may give null, or leave it out."""
    kept = {name: value for name, value in schema.items() if (name, value) != ("default", None)}
    kinds = [each for each in kept.pop("anyOf", ()) if each.get("type") != "null"]
    if len(kinds) == 1:
        return {**kinds[0], **kept}
    if isinstance(values := kept.get("enum"), list):
        kept["enum"] = [each for each in values if each is not None]
    return {**kept, "anyOf": kinds} if kinds else kept


def _mission_status(caller: Caller, _: Arguments) -> Json:
    report = caller.workspace.status().to_json()
    ready = caller.workspace.backlog.list(CardFilter(ready_only=True, limit=10))
    found: Json = {"project": report["project"], "inSync": report["inSync"], "cards": report["cards"]}
    if missions := caller.workspace.missions.all():
        found["missions"] = [answers.mission(each) for each in missions]
    if ready:
        found["claimable"] = [each.id for each in ready]
    for name in ("conflicts", "held", "problems"):
        if report[name]:
            found[name] = len(report[name])
    return found


def _list(caller: Caller, given: _List) -> Json:
    chosen = CardFilter(
        status=Status(given.status) if given.status else None,
        phase=given.phase,
        owner=given.owner,
        ready_only=given.ready_only,
        limit=given.limit + 1,
        cursor=given.cursor,
    )
    return answers.page(caller.workspace.backlog.list(chosen), given.limit)


def _create(caller: Caller, given: _Create) -> Json:
    new = NewCard(
        id=given.id,
        title=given.title,
        body=given.body,
        phase=given.phase,
        priority=given.priority,
        depends_on=tuple(given.depends_on),
        acceptance=given.acceptance or None,
        idempotency_key=given.idempotency_key,
        max_retries=given.max_retries,
        extra=given.extra,
        delay_s=given.delay,
    )
    return answers.changed(caller.workspace.backlog.create(new))


def _update(caller: Caller, given: _Update) -> Json:
    named: dict[str, Value | UnsetType] = {
        "title": given.title,
        "body": given.body,
        "phase": given.phase,
        "priority": given.priority,
        "status": given.status,
        "dependsOn": _tuple(given.depends_on),
        "acceptance": _tuple(given.acceptance),
        **{f"extra.{name}": value for name, value in given.extra.items()},
    }
    fields: Fields = {name: value for name, value in named.items() if not isinstance(value, UnsetType)}
    if not fields:
        raise BadValue("nothing to change was given", hint="Give at least one field beside the id")
    return answers.changed(caller.workspace.backlog.update(given.id, fields, if_version=given.if_version))


def _tuple(values: list[str] | UnsetType) -> tuple[str, ...] | UnsetType:
    return values if isinstance(values, UnsetType) else tuple(values)


def _claim(caller: Caller, given: _Claim) -> Json:
    owner = given.owner or caller.owner
    card = caller.workspace.backlog.claim(owner, given.ttl, id=given.id, wait_seconds=given.wait)
    if card is not None:
        return {"card": answers.leased(card)}
    if given.id is None:
        return {"card": None}
    return {"card": None, "reasons": answers.why(caller.workspace.backlog.why(given.id))["reasons"]}


def _renew(caller: Caller, given: _Renew) -> Json:
    owner = given.owner or caller.owner
    return answers.changed(caller.workspace.backlog.renew(given.id, owner, given.ttl, attempt=given.attempt))


def _release(caller: Caller, given: _Lease) -> Json:
    owner = given.owner or caller.owner
    return answers.changed(caller.workspace.backlog.release(given.id, owner, attempt=given.attempt))


def _complete(caller: Caller, given: _Complete) -> Json:
    return answers.changed(caller.workspace.backlog.complete(given.id, owner=given.owner, attempt=given.attempt))


def _fail(caller: Caller, given: _Fail) -> Json:
    backlog = caller.workspace.backlog
    return answers.changed(backlog.fail(given.id, given.error, owner=given.owner, attempt=given.attempt))


def _set_paused(caller: Caller, *, is_paused: bool) -> Json:
    backlog = caller.workspace.backlog
    (backlog.pause if is_paused else backlog.resume)()
    return {"paused": is_paused}


def _graph(caller: Caller, _: Arguments) -> Json:
    cards = caller.workspace.backlog.list(CardFilter())
    return {"waits": {each.id: list(each.depends_on) for each in cards if each.depends_on and each.status != "done"}}


def _events(caller: Caller, given: _Events) -> Json:
    found = list(islice(caller.workspace.backlog.events(given.since), given.limit))
    answer: Json = {"events": [answers.event(each) for each in found]}
    if len(found) == given.limit:
        answer["next"] = found[-1].seq
    return answer


_TABLE: Final = (
    Tool(
        "coord_mission_status",
        "The state of the project: counts of cards, milestones, what can be claimed now, what needs a person.",
        Arguments,
        _mission_status,
        is_reading=True,
    ),
    Tool("coord_list_tasks", "List cards, highest priority first.", _List, _list, is_reading=True),
    Tool(
        "coord_task_detail",
        "One card with all that is known of it, and where it stands in the task file.",
        _Card,
        lambda caller, given: answers.whole(caller.workspace.backlog.show(given.id)),
        is_reading=True,
    ),
    Tool("backlog_create", "Add a card.", _Create, _create),
    Tool("backlog_list", "List cards, highest priority first.", _List, _list, is_reading=True),
    Tool(
        "backlog_show",
        "One card with all that is known of it.",
        _Card,
        lambda caller, given: answers.whole(caller.workspace.backlog.show(given.id)),
        is_reading=True,
    ),
    Tool("backlog_update", "Set fields of a card; null empties one.", _Update, _update),
    Tool(
        "backlog_remove",
        "Delete a card; it can be restored.",
        _Remove,
        lambda caller, given: answers.changed(caller.workspace.backlog.remove(given.id, force=given.force)),
        is_destructive=True,
    ),
    Tool("backlog_claim", "Lease the best claimable card, or one by its id; nobody else gets it.", _Claim, _claim),
    Tool("backlog_renew", "Extend your lease while you work.", _Renew, _renew),
    Tool("backlog_release", "Give a lease back: the card is for others.", _Lease, _release),
    Tool("backlog_complete", "Mark a card done.", _Complete, _complete),
    Tool("backlog_fail", "End a lease without success: retried after a pause, then blocked.", _Fail, _fail),
    Tool(
        "backlog_block",
        "Take a card out of the queue.",
        _Block,
        lambda caller, given: answers.changed(caller.workspace.backlog.block(given.id, given.reason)),
    ),
    Tool(
        "backlog_unblock",
        "Put a blocked card back.",
        _Card,
        lambda caller, given: answers.changed(caller.workspace.backlog.unblock(given.id)),
    ),
    Tool(
        "backlog_retry",
        "Make a failed or blocked card ready at once, with all its retries.",
        _Card,
        lambda caller, given: answers.changed(caller.workspace.backlog.retry(given.id)),
    ),
    Tool(
        "backlog_reclaim",
        "Put expired leases back to ready.",
        _Reclaim,
        lambda caller, given: {"reclaimed": list(caller.workspace.backlog.reclaim(given.id))},
    ),
    Tool(
        "backlog_link",
        "Make a card depend on another.",
        _Link,
        lambda caller, given: answers.changed(caller.workspace.backlog.link(given.id, given.depends_on)),
    ),
    Tool(
        "backlog_unlink",
        "Take a dependency away.",
        _Link,
        lambda caller, given: answers.changed(caller.workspace.backlog.unlink(given.id, given.depends_on)),
    ),
    Tool(
        "backlog_stats",
        "Counts of the queue.",
        Arguments,
        lambda caller, _: answers.stats(caller.workspace.backlog.stats()),
        is_reading=True,
    ),
    Tool(
        "backlog_why",
        "What stands between a card and a claim.",
        _Card,
        lambda caller, given: answers.why(caller.workspace.backlog.why(given.id)),
        is_reading=True,
    ),
    Tool("backlog_graph", "What waits for what, done cards left out.", Arguments, _graph, is_reading=True),
    Tool("backlog_pause", "Hand out no cards.", Arguments, lambda caller, _: _set_paused(caller, is_paused=True)),
    Tool("backlog_resume", "Hand out cards again.", Arguments, lambda caller, _: _set_paused(caller, is_paused=False)),
    Tool("backlog_events", "What happened in the queue, in order.", _Events, _events, is_reading=True),
)

TOOLS: Final[Mapping[str, Tool]] = {each.name: each for each in _TABLE}
