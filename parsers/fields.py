"""How ids, dependencies, priorities and empty values are spelled in task files.

Pure functions from text to canonical values and back.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from syncd.parsers.words import EMPTY, PICTOGRAPH, PRIORITY_SCALES, PRIORITY_WORDS, STATUS_WORDS, fold
from syncd.schemas.card import Status, Value

ID_MAX: Final = 128
"""Characters in an id at most."""

_RANGE_MAX: Final = 1000
"""Ids that one range may stand for; a longer one is a slip of the pen."""

_ID: Final = re.compile(rf"[^\s|\x00-\x1f\x7f-\x9f]{{1,{ID_MAX}}}")
_PLAIN_ID: Final = re.compile(r"(?=[A-Za-z0-9_.-]*[0-9])[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_FILE_NAME: Final = re.compile(r".*[A-Za-z0-9_-]\.[a-z]{1,4}")
_PLACEHOLDER: Final = re.compile(
    r"[A-Za-z]{0,8}[-_]?(?:XXX+|xxx+|YYY+|ZZZ+|NNN+|nnn+|##+|\?\?+)(?:\.\d+)*|[A-Z]{1,4}-?XX|.*\{\{.*\}\}.*"
    r"|<[^<>]*>|\[[A-Z_# ]+\]|\.{2,}|…"
)
_DECORATION: Final = re.compile(r"\*\*|__|~~|`|<a [^<>]*>|</a>")
LINK_TARGET: Final = r"\((?:[^()]|\([^()]*\))*\)"
"""Where a link leads, as a pattern; an address may hold parentheses of its own."""

_LINK: Final = re.compile(rf"\[([^\[\]]*)\](?:{LINK_TARGET})?")
_REMARK: Final = re.compile(r"\([^()]*\)")
_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TO: Final = re.compile(r" (?:through|thru|to|bis) (?=\S*\d)")
_LIST_GAP: Final = re.compile(r"[\s,;，；、]+")
_JOINERS: Final = frozenset({"and", "&", "+", "/", "und", "et", "y", "e", "task", "tasks"})
_DOTS: Final = re.compile(r"(.*?)(\d+)(?:\.{2,3}|…|–|—)(.*?)(\d+)")
_SLASHES: Final = re.compile(r"(.*?)(\d+)((?:/\d+)+)")
_SIGNS: Final = re.compile(PICTOGRAPH)
_NUMBER: Final = re.compile(r"[+-]?\d{1,9}")
_RANK: Final = re.compile(r"[Pp]([0-4])")
_RANK_OF_ZERO: Final = 3
_WORDED: Final = re.compile(r"task\s+(?=\d)", re.IGNORECASE)


def is_id(text: str) -> bool:
    """Tell whether the text can be a card's id: 1 to 128 characters, no white space, ``|`` or control character."""
    if text.isascii() and text.isprintable():
        return 0 < len(text) <= ID_MAX and " " not in text and "|" not in text
    return _ID.fullmatch(text) is not None


def looks_like_id(text: str) -> bool:
    """Tell whether a leading word is an id and no ordinary word: letters and digits with ``-_.``, one digit.

    Dates and file names (``utils2.py``) have that shape too and are none.
    """
    return (
        len(text) <= ID_MAX
        and _PLAIN_ID.fullmatch(text) is not None
        and not _DATE.fullmatch(text)
        and not (_FILE_NAME.fullmatch(text) and not text[text.rindex(".") + 1 :].isdigit())
    )


def is_placeholder(text: str) -> bool:
    """Tell whether the text is an id to be filled in, as templates have it: ``TXXX``, ``{{slug}}-001``, ``[ID]``."""
    return len(text) <= ID_MAX and _PLACEHOLDER.fullmatch(text) is not None


def undecorated(text: str) -> str:
    """Return an id as written without bold, strike, code marks, brackets and link target."""
    text = text.strip()
    if text[:1] not in "*_~`[<":
        return text
    text = _DECORATION.sub("", text).strip()
    if link := _LINK.fullmatch(text):
        text = link[1]
    return text.strip("*`~ ")


def is_empty(text: str) -> bool:
    """Tell whether a stripped value is one of the spellings of *nothing*."""
    return not text or (len(text) <= 4 and text.casefold() in EMPTY)


def decode(text: str) -> str:
    """Return the value of a cell's text: pipes unescaped, ``<br>`` a line break."""
    text = text.strip()
    if "\\" in text:
        text = text.replace("\\|", "|")
    if "<" in text:
        text = _BREAK.sub("\n", text)
    return text


def encode(value: str) -> str:
    """Return a cell's text for a value: the opposite of :func:`decode`."""
    return value.replace("|", "\\|").replace("\r\n", "\n").replace("\r", "\n").replace("\n", "<br>")


def status_of(word: str, statuses: Mapping[str, Status] | None = None) -> Status | None:
    """Return the state that a status word means, or ``None``.

    Args:
        word: as written; case, ``-``, ``_``, space and marks do not count.
        statuses: folded words of the file and the configuration, looked at before the built-in ones.
    """
    folded = fold(word)
    if statuses and (found := statuses.get(folded)):
        return found
    return STATUS_WORDS.get(folded)


def split_ids(text: str) -> tuple[str, ...]:
    """Return the ids of a dependency list: ``A, B``, ``A B``, ``A; B``, ``A1..3``, ``A-1 through A-3``, ``M3-04/07``.

    Links, code marks and remarks in parentheses are taken off; each id is given once, in order.
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]") and "](" not in text:
        text = text[1:-1]
    if is_empty(text):
        return ()
    if text.replace("-", "").isalnum() and is_id(text):
        return (text,)
    text = _BREAK.sub(" ", _DECORATION.sub("", _LINK.sub(r"\1", text)))
    text = _with_dots(_REMARK.sub(" ", text))
    ids: dict[str, None] = {}
    for token in _LIST_GAP.split(text):
        token = token.strip("\"'").rstrip(".:")
        if is_empty(token) or token.casefold() in _JOINERS or not is_id(token):
            continue
        ids.update(dict.fromkeys(_expanded(token)))
    return tuple(ids)


def are_ids(text: str) -> bool:
    """Tell whether a remark in a title is a dependency list and no prose: one word an entry, or words like ids."""
    entries = [each.strip() for each in re.split(r"[,;]", _with_dots(text))]
    return bool(split_ids(text)) and all(
        is_id(entry)
        or all(looks_like_id(word.split("..")[0]) for word in entry.split() if word.casefold() not in _JOINERS)
        for entry in entries
        if entry
    )


def _with_dots(text: str) -> str:
    """Return a list with its ranges in words written with dots."""
    return _TO.sub("..", " ".join(text.split()))


def _expanded(token: str) -> Iterable[str]:
    if dots := _DOTS.fullmatch(token):
        prefix, first, prefix_again, last = dots.groups()
        if prefix_again in ("", prefix) and 0 <= int(last) - int(first) < _RANGE_MAX:
            return [f"{prefix}{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]
    if slashes := _SLASHES.fullmatch(token):
        prefix, first, rest = slashes.groups()
        return [prefix + number for number in (first, *rest[1:].split("/"))]
    return [token]


def read_priority(text: str) -> int | None:
    """Return the priority that a text means, or ``None``: a number, ``P0`` to ``P4`` (3 to -1), a word, nothing (0)."""
    text = text.strip()
    if is_empty(text):
        return 0
    if _NUMBER.fullmatch(text):
        return int(text)
    if rank := _RANK.fullmatch(text):
        return _RANK_OF_ZERO - int(rank[1])
    word = fold(_SIGNS.sub("", text))
    if word in PRIORITY_WORDS:
        return PRIORITY_WORDS[word]
    if rank := _RANK.fullmatch(word):
        return _RANK_OF_ZERO - int(rank[1])
    return int(word) if _NUMBER.fullmatch(word) else None


def write_priority(value: int, habits: Iterable[str]) -> str:
    """Return a priority in the manner of other texts.

    Args:
        habits: priorities as the author wrote them, the nearest first; their first readable one decides
            between number, word and rank.  A word that is used for this very value is taken as it stands.
    """
    texts = [text.strip() for text in habits if not is_empty(text.strip()) and read_priority(text) is not None]
    if not texts:
        return str(value)
    for text in texts:
        if read_priority(text) == value:
            return text
    model = texts[0]
    if _NUMBER.fullmatch(model):
        return str(value)
    if _RANK.fullmatch(model):
        number = _RANK_OF_ZERO - value
        return f"{model[0]}{number}" if 0 <= number <= 4 else str(value)
    own = fold(_SIGNS.sub("", model))
    scale = next((each for each in PRIORITY_SCALES if own in each), PRIORITY_SCALES[0])
    word = next((word for word, number in scale.items() if number == value), None)
    return str(value) if word is None else like(word, model)


def like(word: str, model: str) -> str:
    """Return a word in the case of another: ``UPPER``, ``Title Case``, ``Sentence case`` or as it is."""
    letters = [each for each in model if each.isalpha()]
    if len(letters) > 1 and all(each.isupper() for each in letters):
        return word.upper()
    if not letters or not letters[0].isupper():
        return word
    inner = re.findall(r"(?<=[\s_-])[^\W\d_]", model)
    if inner and not any(each.isupper() for each in inner):
        return word[:1].upper() + word[1:]
    return re.sub(r"(?:^|(?<=[\s_-]))[^\W\d_]", lambda letter: letter[0].upper(), word)


def join_list(values: Iterable[str], model: str) -> str:
    """Return ids joined in the manner of another list: its separator, brackets and code marks."""
    inner = model.strip()
    bracketed = inner.startswith("[") and inner.endswith("]") and "](" not in inner
    if bracketed:
        inner = inner[1:-1]
    separator = next((each for each in ("; ", ", ", ";", ",") if each in inner), None)
    if separator is None:
        separator = " " if len(inner.split()) > 1 and ".." not in _with_dots(inner) else ", "
    mark = "`" if inner.startswith("`") else ""
    worded = _WORDED.match(inner)
    word = worded[0] if worded else ""
    text = separator.join(f"{word if value[:1].isdigit() else ''}{mark}{value}{mark}" for value in values)
    return f"[{text}]" if bracketed else text


def text_of(value: Value) -> str:
    """Return a field's value as plain text, lists joined by commas."""
    if value is None:
        return ""
    return ", ".join(value) if isinstance(value, tuple) else str(value)
