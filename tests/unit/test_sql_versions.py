"""The SQL says nothing that the oldest PostgreSQL that is promised would not understand.

The tests run on PostgreSQL 15 and 18, so what came later than 15 fails there; this looks for what 15 brought.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import syncd

ROOT = Path(syncd.__file__).resolve().parents[1]
NEW_IN_15 = {
    "merge": r"\bmerge\s+into\b",
    "minimum and maximum of transaction ids": r"\b(?:min|max)\([^()]*\b\w*xid\w*\)",
    "unique with nulls": r"\bnulls\s+not\s+distinct\b",
    "views that run as their caller": r"\bsecurity_invoker\b",
    "regular expression functions": r"\bregexp_(?:like|count|instr|substr)\b",
    "columns in on delete set": r"\bon\s+delete\s+set\s+(?:null|default)\s*\(",
    "ranges put together from multiranges": r"\brange_intersect_agg\b|\brange_agg\(\s*\w+multirange",
    "rights on parameters": r"\bgrant\s+(?:set|alter\s+system)\s+on\s+parameter\b|\bhas_parameter_privilege\b",
    "unlogged sequences": r"\bunlogged\s+sequence\b",
}
SOURCES = [*sorted(ROOT.glob("schemas/sql/**/*.sql")), *sorted(ROOT.glob("syncd/store/**/*.py"))]


@pytest.mark.parametrize("what", NEW_IN_15)
def test_sql_needs_nothing_that_came_after_14(what: str) -> None:
    """No statement uses what PostgreSQL 15 brought."""
    pattern = re.compile(NEW_IN_15[what], re.IGNORECASE)
    found = {
        f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, each.start()) + 1}: {each[0]}"
        for path in SOURCES
        for text in [_without_comments(path.read_text("utf-8"))]
        for each in pattern.finditer(text)
    }
    assert not found


def test_it_would_be_found() -> None:
    """The patterns find the statements that they are for, so that an empty result says something."""
    statement = "select max(changed_xid) from backlog; create unique index on t (a) nulls not distinct"
    named = [what for what, pattern in NEW_IN_15.items() if re.search(pattern, statement, re.IGNORECASE)]
    assert named == ["minimum and maximum of transaction ids", "unique with nulls"]
    assert len(SOURCES) > 20


def _without_comments(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)
