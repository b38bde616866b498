"""The dialects that are read.  A new one is a module of its own and a line here; CONTRIBUTING.md says how.

Where two of them look at the same kind of block, the first that takes it has it; they finish in this order.
"""

from __future__ import annotations

from typing import Final

from syncd.parsers.checklists import Checklists
from syncd.parsers.dialect import Dialect
from syncd.parsers.front_matter import FrontMatterCards
from syncd.parsers.headings import HeadingTasks
from syncd.parsers.tables import Tables

DIALECTS: Final[tuple[type[Dialect], ...]] = (HeadingTasks, Tables, Checklists, FrontMatterCards)
