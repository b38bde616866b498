"""How a state is spelled: a word, an emoji, a checkbox mark, or several of them beside each other.

A spelling is read into its parts, and written again by the file's habit or, where there is none, in the
dress of the text that it replaces.  May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from syncd.parsers.fields import is_empty, like
from syncd.parsers.words import (
    BLOCKED_SYNONYMS,
    DEFAULT_EMOJI,
    DEFAULT_MARKS,
    DEFAULT_WORDS,
    EMOJI_STATES,
    HABITUAL_MARKS,
    MARK_STATES,
    PICTOGRAPH,
    SECTION_WORDS,
    fold,
)
from syncd.schemas.card import Status

if TYPE_CHECKING:
    from syncd.parsers.lexicon import Lexicon

_MARK: Final = re.compile(rf"(?:[-*+][ ]+)?\[([{re.escape(''.join(MARK_STATES))}])\]\s*")
_WORD_GAP: Final = re.compile(r"[^\W\d_]([ _-])[^\W\d_]")
_FOLDED_DEFAULTS: Final = frozenset(map(fold, DEFAULT_WORDS.values()))
_EMOJI: Final = re.compile(PICTOGRAPH)
_EMOJI_RUN: Final = re.compile(rf"(?:{PICTOGRAPH}|\u200d|\s)+")
_DRESS: Final = re.compile(r"(\*\*|__|~~|`|\*|_)(.+)\1", re.DOTALL)
_STRUCK: Final = re.compile(r"~~[^~]+~~")
_HEAD_WORD: Final = re.compile(
    r"(.+?) ?(?:[(\[:,;@|%–—]| - | \d|\. | (?:by|in|on|at|since|until|with|via|as)(?= )|(?<!ready) for(?= )).*",
    re.IGNORECASE,
)
_SIGN: Final = re.compile(r"\S +(?=\S)")
_COUNT: Final = re.compile(r"\s*[(\[]\d{1,5}[)\]]\s*$")
_HEAD_MAX: Final = 200
_HARD_SPACE: Final = "&nbsp;"


class Spelling(msgspec.Struct, frozen=True):
    """A status as written, in its parts.

    ``state`` is ``None`` when nothing is written or nothing is understood.  ``word`` is the author's
    word without emoji, mark and dress.  ``is_plain`` tells that it says the state and no more, so that it can
    serve as a habit.
    """

    text: str
    state: Status | None
    word: str | None
    mark: str | None = None
    emoji: str = ""
    is_plain: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the place is there and nothing stands in it."""
        return is_empty(self.text.strip())


def read_status(text: str, lexicon: Lexicon) -> Spelling:
    """Take a status text apart; a word counts before a mark, a mark before an emoji.

    A word that is struck out counts no more, when another stands beside it.
    """
    text = text.strip()
    left = _STRUCK.sub("", text).strip() if "~~" in text else text
    if not left or left == text:
        return _spelling(text, lexicon)
    return replace(_spelling(left, lexicon), text=text, is_plain=False)


def _spelling(text: str, lexicon: Lexicon) -> Spelling:
    if is_empty(text):
        return Spelling(text, None, None)
    bare = text.replace(_HARD_SPACE, " ")
    while dress := _DRESS.fullmatch(bare):
        bare = dress[2].strip()
    mark = None
    if found := _MARK.match(bare):
        mark, bare = found[1], bare[found.end() :]
    emoji = "".join(each[0] for each in _EMOJI.finditer(bare))
    word = " ".join(_EMOJI.sub(" ", bare).replace("\u200d", " ").split()) if emoji else bare.strip()
    while dress := _DRESS.fullmatch(word):
        word = dress[2].strip()
    if word and (state := lexicon.status(word)):
        plain = state is not Status.BLOCKED or fold(word) in BLOCKED_SYNONYMS
        return Spelling(text, state, word, mark, emoji, plain)
    if (sign := _SIGN.match(word)) and (state := lexicon.status(word[sign.end() :])):
        return Spelling(text, state, word[sign.end() :], mark, emoji)
    if (
        word
        and (head := _HEAD_WORD.fullmatch(" ".join(word.partition("\n")[0][:_HEAD_MAX].split())))
        and (state := lexicon.status(head[1]))
    ):
        return Spelling(text, state, word, mark, emoji)
    state = MARK_STATES[mark] if mark else emoji_state(emoji)
    return Spelling(text, state, word or None, mark, emoji, not word and (mark is None or mark in HABITUAL_MARKS))


def _head(word: str) -> str:
    """Return the word that stands before a remark: ``done`` of ``done (see #4)``; else nothing."""
    line = " ".join(word.partition("\n")[0][:_HEAD_MAX].split())
    if found := _HEAD_WORD.fullmatch(line):
        return found[1]
    return line if "\n" in word else ""


def emoji_state(text: str) -> Status | None:
    """Return the state that the first meaningful emoji of a text shows."""
    return next((EMOJI_STATES[sign] for sign in text if sign in EMOJI_STATES), None)


def leading_emoji(text: str) -> str:
    """Return the run of emoji that a text begins with, when one of them shows a state; else nothing."""
    run = _EMOJI_RUN.match(text)
    return run[0] if run and emoji_state(run[0]) else ""


def section_word(heading: str, lexicon: Lexicon) -> str:
    """Return the word of a section's heading, without emoji and without the number of its cards."""
    return read_status(_COUNT.sub("", heading), lexicon).word or heading


def section_state(heading: str, lexicon: Lexicon) -> Status | None:
    """Return the state that the heading of a board's section means, or ``None``."""
    spelling = read_status(_COUNT.sub("", heading), lexicon)
    if spelling.state is not None and spelling.word is not None and lexicon.is_state_name(spelling.word):
        return spelling.state
    return SECTION_WORDS.get(fold(spelling.word or ""))


def author_word(spelling: Spelling) -> str | None:
    """Return the author's word for ``extra.statusWord``: ``None`` when it is the default word of its state."""
    if spelling.word is None or spelling.state is None or fold(spelling.word) == fold(DEFAULT_WORDS[spelling.state]):
        return None
    return spelling.word


def write_status(
    state: Status, word: str | None, current: Spelling, habits: Mapping[str, int], lexicon: Lexicon
) -> str:
    """Return the text for a state.

    Args:
        word: the word to say it with, or ``None`` for the habit.
        current: the text to be replaced; its dress is kept where there is no habit.
        habits: how often each status text stands around it.
    """
    if word is not None:
        return _dressed(word, state, current)
    for text in ranked(habits):
        spelling = read_status(text, lexicon)
        if spelling.state is state and spelling.is_plain:
            return text
    return default_text(state, current if current.text else _most_worn(habits, lexicon) or current, habits)


def _most_worn(habits: Mapping[str, int], lexicon: Lexicon) -> Spelling | None:
    """Return the spelling whose dress an empty place takes: the most usual one that shows its state."""
    spellings = (read_status(text, lexicon) for text in ranked(habits))
    return next((each for each in spellings if each.is_plain and (not each.emoji or emoji_state(each.emoji))), None)


def ranked(habits: Mapping[str, int]) -> list[str]:
    """Return texts by how often they stand; of equals the default words come first, and lower case.

    It does not matter in which order they were seen: a file that is read in part has the same habits.
    """
    return sorted(habits, key=lambda text: (-habits[text], fold(text) not in _FOLDED_DEFAULTS, text.swapcase()))


def default_text(state: Status, current: Spelling, habits: Mapping[str, int]) -> str:
    """Return the text that says a state by its default word, in the dress of the texts around it."""
    if current.mark or (current.word is None and current.emoji):
        return _dressed("", state, current)
    models = [each for each in (current.word, *ranked(habits)) if each]
    word = DEFAULT_WORDS[state]
    own = " " if models and like("a", models[0]) == "A" else "-"
    gap = next((found[1] for model in models if (found := _WORD_GAP.search(model))), own)
    return _dressed(like(word.replace("-", gap), models[0]) if models else word, state, current)


def write_mark(state: Status, marks: Iterable[str]) -> str:
    """Return the checkbox mark for a state, by the habit of other marks."""
    habits = Counter(mark for mark in marks if mark in HABITUAL_MARKS and MARK_STATES[mark] is state)
    return habits.most_common(1)[0][0] if habits else DEFAULT_MARKS[state]


def write_emoji(state: Status, seen: Mapping[str, int]) -> str:
    """Return the emoji for a state where emoji alone show it, by habit; rows without one are ready."""
    habits = (sign for sign in ranked(seen) if (emoji_state(sign) or Status.READY) is state)
    return next(habits, DEFAULT_EMOJI[state])


def _dressed(word: str, state: Status, current: Spelling) -> str:
    parts = [word] if word else []
    shows_state = emoji_state(current.emoji)
    emoji = DEFAULT_EMOJI[state] if shows_state and shows_state is not state else current.emoji
    if emoji:
        text = current.text.replace(_HARD_SPACE, " ")
        is_behind = current.word is not None and text.find(current.word) < text.find(current.emoji[0])
        parts.insert(len(parts) if is_behind else 0, emoji)
    if current.mark:
        mark = current.mark if MARK_STATES[current.mark] is state else DEFAULT_MARKS[state]
        parts.insert(0, f"[{mark}]")
    dress = _DRESS.fullmatch(current.text)
    wrap = dress[1] if dress and dress[1] != "~~" else ""
    space = _HARD_SPACE if _HARD_SPACE in current.text else " "
    return f"{wrap}{space.join(parts)}{wrap}"
