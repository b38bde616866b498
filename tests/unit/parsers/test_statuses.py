"""Statuses as people write them: words with remarks and signs, and the headings of boards."""

from __future__ import annotations

import pytest

from syncd.parsers.document import ParseOptions
from syncd.parsers.lexicon import Lexicon
from syncd.parsers.statuses import read_status, section_state, section_word
from syncd.schemas.card import Status

LEXICON = Lexicon(ParseOptions())


@pytest.mark.parametrize(
    ("text", "state", "word"),
    [
        ("Done in v1.2", Status.DONE, "Done in v1.2"),
        ("Blocked by W-1", Status.BLOCKED, "Blocked by W-1"),
        ("In progress since Monday", Status.CLAIMED, "In progress since Monday"),
        ("waiting for review", Status.BLOCKED, "waiting for review"),
        ("Ready for QA", Status.BLOCKED, "Ready for QA"),
        ("ready-for-dev", Status.READY, "ready-for-dev"),
        ("ready for the moon", None, "ready for the moon"),
        ("on hold", Status.BLOCKED, "on hold"),
        ("►&nbsp;in-progress", Status.CLAIMED, "in-progress"),
        ("?&nbsp;review", Status.BLOCKED, "review"),
        ("x cancelled", Status.BLOCKED, "cancelled"),
        ("partially done", None, "partially done"),
        ("~~todo~~ done", Status.DONE, "done"),
        ("~~in-progress~~ **cancelled** (#4)", Status.BLOCKED, "**cancelled** (#4)"),
        ("~~done~~", Status.DONE, "done"),
        ("~~~ done", Status.DONE, "~~~ done"),
    ],
)
def test_a_word_with_a_remark_or_a_sign(text: str, state: Status | None, word: str) -> None:
    """A known word counts before a remark and behind a sign; a word that only holds a known one does not."""
    spelling = read_status(text, LEXICON)
    assert (spelling.state, spelling.word) == (state, word)


@pytest.mark.parametrize(
    ("heading", "state"),
    [
        ("In Progress (2)", Status.CLAIMED),
        ("✅ Done [12]", Status.DONE),
        ("Testing", None),
        ("New", None),
        ("Phase (2)", None),
    ],
)
def test_the_heading_of_a_section(heading: str, state: Status | None) -> None:
    """The number of its cards is no part of a section's name; words that name a part of the work are no states."""
    assert section_state(heading, LEXICON) is state


def test_words_that_the_settings_give_a_state_are_states_everywhere() -> None:
    """A word that would name a part of the work is a section when the settings say what it means."""
    lexicon = Lexicon(ParseOptions(statuses={"testing": "claimed"}))
    assert section_state("Testing (3)", lexicon) is Status.CLAIMED
    assert section_word("Testing (3)", lexicon) == "Testing"
