"""The columns of a task table: which field each of them holds, by its header and, where that is unsure, its cells.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncd.parsers.fields import decode, is_empty, looks_like_id, undecorated
from syncd.parsers.lexicon import Lexicon, extra_key
from syncd.parsers.rows import Column
from syncd.parsers.statuses import leading_emoji, read_status
from syncd.parsers.words import DONE_HEADERS, UNSURE_ID_HEADERS, fold_header


def columns_of(lexicon: Lexicon, headers: Sequence[str], sample: Sequence[Sequence[str]]) -> list[Column]:
    """Give each field the column whose header names it best; the columns left over are extra."""
    ranks = [lexicon.ranks(header) for header in headers]
    taken: dict[int, str] = {}
    for field in ("id", "status", "title", *dict.fromkeys(name for each in ranks for name in each)):
        if field in taken.values():
            continue
        candidates = sorted((each[field], index) for index, each in enumerate(ranks) if field in each)
        for _, index in candidates:
            if index in taken:
                continue
            unsure = field == "id" and fold_header(headers[index]) in UNSURE_ID_HEADERS
            if unsure and not _look_like_ids(sample, index):
                continue
            taken[index] = field
            break
    if "status" not in taken.values():
        ticked = (index for index, header in enumerate(headers) if fold_header(header) in DONE_HEADERS)
        taken.update((index, "status") for index in list(ticked)[:1] if _tell_progress(lexicon, sample, index))
    columns: list[Column] = []
    names = set(taken.values())
    for index, header in enumerate(headers):
        name = taken.get(index) or extra_key(header or str(index + 1))
        while index not in taken and name in names:
            name += "'"
        names.add(name)
        columns.append(Column(index, header, name))
    return columns


def _look_like_ids(sample: Sequence[Sequence[str]], index: int) -> bool:
    texts = [undecorated(without_emoji(cells[index])) for cells in sample if index < len(cells)]
    texts = [text for text in texts if not is_empty(text)]
    return sum(map(looks_like_id, texts)) * 2 > len(texts) if texts else False


def _tell_progress(lexicon: Lexicon, sample: Sequence[Sequence[str]], index: int) -> bool:
    """Tell whether a column says how far the cards are: most of what stands in it is a state."""
    spellings = [read_status(decode(cells[index]), lexicon) for cells in sample if index < len(cells)]
    told = [each.state for each in spellings if not each.is_empty]
    return sum(state is not None for state in told) * 2 >= len(told)


def emoji_field_of(fields: dict[str, Column], rows: Sequence[Sequence[str]]) -> str | None:
    """Return the field whose cells begin with a status emoji: one such id is enough, of titles it takes half."""
    for field, share in (("id", 0.0), ("title", 0.5)):
        if (column := fields.get(field)) is None:
            continue
        texts = [cells[column.index].strip() for cells in rows if column.index < len(cells)]
        shown = sum(bool(leading_emoji(text)) for text in texts)
        if shown and shown >= share * len(texts):
            return field
    return None


def without_emoji(text: str) -> str:
    """Return a text without the emoji that show its state in front."""
    text = text.strip()
    return text[len(leading_emoji(text)) :]
