"""What a dialect is: the one interface through which a file's blocks become cards.

The blocks of a file are walked once, and each is offered to the dialects that look at its kind.  A dialect takes the
cards that begin there, or says why it does not.  May import ``syncd.schemas``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from syncd.parsers.blocks import Block
from syncd.parsers.document import Heading
from syncd.parsers.reading import Reading
from syncd.parsers.yaml_block import FrontBlock

FRONT_MATTER = "front matter"
"""The kind of the block at the top that is YAML."""


class Offer(msgspec.Struct, frozen=True):
    """A block in its surroundings: ``blocks[index]``, below ``heading``.

    ``is_ignored`` tells that a heading above says that checklists below it are no tasks; ``front`` are the
    keys of a block that is front matter.
    """

    blocks: Sequence[Block]
    index: int
    heading: Heading | None
    is_ignored: bool
    front: FrontBlock | None = None

    @property
    def block(self) -> Block:
        """The block itself."""
        return self.blocks[self.index]


class Dialect(Protocol):
    """One way of writing tasks; made anew for each file that is read.

    ``name`` is what its cards and containers are said to be; ``reads`` says in a few words what it
    takes for tasks; ``kinds`` are the kinds of blocks that it wants to see (``blocks.py`` names them).
    """

    name: str
    reads: str
    kinds: frozenset[str]

    def __init__(self, reading: Reading) -> None:
        """Begin with a file."""

    def offer(self, offer: Offer) -> int | None:
        """Take the cards that begin at a block.

        Returns:
            The index of the block behind what was taken, or ``None`` when another dialect may look at it.
        """

    def finish(self) -> None:
        """Read what shows only when all blocks were seen."""
