"""From the words of a command line to values: ``FIELD=VALUE``, lists, acceptance, ``k=v``.

Pure; everything that does not fit is a BadValue that names what would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from syncd.errors import BadValue

if TYPE_CHECKING:
    from syncd.ports import NewCard
    from syncd.schemas.card import Value

EXTRA: Final = "extra."
STATUSES: Final = ("ready", "claimed", "blocked", "done")
_SPELLINGS: Final = {"depends_on": "dependsOn", "depends-on": "dependsOn"}


def parse_ids(text: str | None) -> tuple[str, ...]:
    """Return the ids of a comma list, in order, each once."""
    return tuple(dict.fromkeys(each.strip() for each in (text or "").split(",") if each.strip()))


def parse_acceptance(text: str | None) -> Any:
    """Return acceptance criteria: JSON where the text is JSON, else the parts between semicolons.

    Raises:
        BadValue: it begins like JSON and is none.
    """
    if text is None or not text.strip():
        return None
    if text.lstrip()[0] in '[{"':
        try:
            return _json(text)
        except ValueError as error:
            raise BadValue(
                f"acceptance is not JSON: {error}", hint="""'["first", "second"]' or "first; second\""""
            ) from error
    return [each.strip() for each in text.split(";") if each.strip()]


def parse_extra(pairs: Sequence[str] | None) -> dict[str, str]:
    """Return the ``k=v`` pairs of ``--extra``."""
    return dict(map(_pair, pairs or ()))


def parse_fields(pairs: Sequence[str]) -> dict[str, Value]:
    """Return the synced fields that ``FIELD=VALUE`` words set; an empty value empties the field.

    Raises:
        BadValue: a word without ``=``, an unknown field, a field twice, or a value that does not fit.
    """
    fields: dict[str, Value] = {}
    for name, text in map(_pair, pairs):
        name = _SPELLINGS.get(name, name)
        if name in fields:
            raise BadValue(f"{name} is given twice")
        fields[name] = _field(name, text)
    return fields


def parse_cards(lines: bytes) -> list[NewCard]:
    """Return the new cards of JSON lines; an empty line is none.

    Raises:
        BadValue: a line that is no JSON object with the names and values of a card; it names the line.
    """
    found = []
    for number, text in enumerate(lines.split(b"\n"), 1):
        if text.strip():
            try:
                found.append(_new_card(_json(text)))
            except BadValue as error:
                raise BadValue(f"line {number}: {error.message}", hint=error.hint) from error
            except ValueError as error:
                raise BadValue(f"line {number} is not JSON: {error}") from error
    return found


def _json(text: str | bytes) -> Any:
    """Return what JSON says.  Raises ValueError for what is none, nests without end, or names no number."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _new_card(value: Any) -> NewCard:
    from syncd.ports import NewCard

    if not isinstance(value, dict):
        raise BadValue("not a JSON object")
    for name, given in value.items():
        shape = _NEW.get(name)
        if shape is None:
            raise BadValue(f"unknown name {name!r}", hint=f"names: {', '.join(_NEW)}")
        if given is not None and not _is_a(shape[1], given):
            raise BadValue(f"{name} is {shape[2]}, not {json.dumps(given)[:40]}")
    missing = next((name for name in ("id", "title") if not value.get(name)), None)
    if missing:
        raise BadValue(f"{missing} is missing")
    if isinstance(depends_on := value.get("dependsOn"), list):
        value["dependsOn"] = tuple(depends_on)
    return NewCard(**{_NEW[name][0]: given for name, given in value.items() if given is not None})


def _is_a(kind: Any, value: Any) -> bool:
    if kind is list:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    return isinstance(value, kind) and not (isinstance(value, bool) and kind is not object)


def parse_use(text: str) -> str:
    """Return the choice of ``resolve --use``.

    Raises:
        BadValue: it is neither ``local``, ``remote``, nor ``value:TEXT``.
    """
    if text in ("local", "remote") or text.startswith("value:"):
        return text
    raise BadValue(
        f"--use takes local, remote or value:TEXT, not {text!r}",
        hint="local is the file's value, remote the store's",
    )


def _pair(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name.strip():
        raise BadValue(f"{word!r} is not of the form NAME=VALUE")
    return name.strip(), value


def _field(name: str, text: str) -> Value:
    if name.startswith(EXTRA) and len(name) > len(EXTRA):
        return text.strip() or None
    if name not in FIELDS:
        raise BadValue(
            f"unknown field {name!r}", hint=f"fields: {', '.join(FIELDS)}, extra.KEY (empty text empties a field)"
        )
    return FIELDS[name](text)


def _title(text: str) -> Value:
    if not text.strip():
        raise BadValue("a title cannot be empty")
    return text.strip()


def _text(text: str) -> Value:
    return text.strip() or None


def _priority(text: str) -> Value:
    try:
        return int(text.strip() or "0")
    except ValueError:
        raise BadValue(f"priority is a whole number, not {text!r}", hint="higher means sooner") from None


def _status(text: str) -> Value:
    if text not in STATUSES:
        raise BadValue(f"status is one of {', '.join(STATUSES)}, not {text!r}")
    return text


def _acceptance(text: str) -> Value:
    from syncd.schemas.card import canonical

    return canonical(parse_acceptance(text))


FIELDS: Final[dict[str, Callable[[str], Value]]] = {
    "title": _title,
    "body": _text,
    "phase": _text,
    "priority": _priority,
    "status": _status,
    "dependsOn": parse_ids,
    "acceptance": _acceptance,
}

_NEW: Final[dict[str, tuple[str, Any, str]]] = {
    "id": ("id", str, "text"),
    "title": ("title", str, "text"),
    "body": ("body", str, "text"),
    "phase": ("phase", str, "text"),
    "priority": ("priority", int, "a whole number"),
    "dependsOn": ("depends_on", list, "a list of ids"),
    "acceptance": ("acceptance", object, "any JSON"),
    "idempotencyKey": ("idempotency_key", str, "text"),
    "maxRetries": ("max_retries", int, "a whole number"),
    "delay": ("delay_s", int | float, "a number of seconds"),
    "extra": ("extra", dict, "a JSON object"),
    "path": ("path", str, "text"),
}
"""A line's names: the field of a new card, what it may hold, and that in words."""
