"""From the words of a command line to values: ``FIELD=VALUE``, lists, acceptance, ``k=v``.

Pure; everything that does not fit is a BadValue that names what would.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from syncd.errors import BadValue

if TYPE_CHECKING:
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
            return json.loads(text)
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
    if name not in _FIELDS:
        raise BadValue(
            f"unknown field {name!r}", hint=f"fields: {', '.join(_FIELDS)}, extra.KEY (empty text empties a field)"
        )
    return _FIELDS[name](text)


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


_FIELDS: Final[dict[str, Callable[[str], Value]]] = {
    "title": _title,
    "body": _text,
    "phase": _text,
    "priority": _priority,
    "status": _status,
    "dependsOn": parse_ids,
    "acceptance": _acceptance,
}
