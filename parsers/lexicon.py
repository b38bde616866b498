"""What one file's words mean: built-in tables, front matter and configuration joined.

Every dialect asks the same lexicon for the meaning of a header, a status word and an id.
May import ``syncd.schemas``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from syncd.parsers.document import ParseOptions
from syncd.parsers.fields import status_of
from syncd.parsers.words import CELL_WORDS, HEADERS, fold, fold_header
from syncd.schemas.card import EXTRA, Status

FIELDS: Final = frozenset(HEADERS)
"""The fields that have header words of their own; ``owner`` is one place for two fields."""

_RANKS: Final = {field: {word: rank for rank, word in enumerate(words)} for field, words in HEADERS.items()}
_ALIASES: Final = {"claimOwner": "owner", "depends_on": "dependsOn", "claim_owner": "owner"}
_FIRST: Final = -1
_REMARK: Final = re.compile(r"\s*\([^()]*\)\s*$")


class Lexicon:
    """The meanings that hold in one file.

    Args:
        options: the configuration's additions.
        statuses: the front matter's words, each with a state or a built-in word.
    """

    def __init__(self, options: ParseOptions, statuses: Mapping[str, str] | None = None) -> None:
        self.options = options
        self.statuses: dict[str, Status] = {}
        for word, state in {**(statuses or {}), **options.statuses}.items():
            if (meant := status_of(state)) is not None:
                self.statuses[fold(word)] = meant
        self._headers = {fold_header(word): _ALIASES.get(name, name) for word, name in options.headers.items()}

    def ranks(self, header: str) -> dict[str, int]:
        """Return the fields that a header can name, each with its rank; a lower rank wins."""
        found: dict[str, int] = {}
        for word in dict.fromkeys((fold_header(header), fold_header(_REMARK.sub("", header)))):
            if word in self._headers:
                return {self._headers[word]: _FIRST}
            found = found or {field: ranks[word] for field, ranks in _RANKS.items() if word in ranks}
        return found

    def field_of(self, key: str) -> str | None:
        """Return the one field that a key of a ``key: value`` list names, or ``None``."""
        ranks = self.ranks(key)
        for field in ("title", *ranks):
            if field in ranks:
                return field
        return None

    def status(self, word: str) -> Status | None:
        """Return the state that a word means, or ``None``."""
        return status_of(word, self.statuses)

    def is_state_name(self, word: str) -> bool:
        """Tell whether a word names a state also where it stands alone, as a heading or an item."""
        return self.status(word) is not None and (fold(word) not in CELL_WORDS or fold(word) in self.statuses)

    def id_of(self, token: str) -> str:
        """Return the card's id for an id in the file: with the namespace, unless it names one itself."""
        namespace = self.options.namespace
        return token if namespace is None or "/" in token else f"{namespace}/{token}"

    def token_of(self, id: str) -> str:
        """Return what the file writes for a card's id: the opposite of :meth:`id_of`."""
        namespace = self.options.namespace
        if namespace is None or not id.startswith(namespace + "/"):
            return id
        token = id[len(namespace) + 1 :]
        return id if "/" in token else token

    def is_ignored(self, heading: str) -> bool:
        """Tell whether the configuration says that checklists under this heading are no tasks."""
        return fold(heading.split(":")[0].split(" (")[0]) in self._ignored or fold(heading) in self._ignored

    @cached_property
    def _ignored(self) -> frozenset[str]:
        return frozenset(fold(each) for each in self.options.ignore_headings)


def extra_key(header: str) -> str:
    """Return the field name for a header that no field has: in lower case unless it is in ``camelCase``."""
    name = " ".join(header.replace("*", "").replace("`", "").split()).rstrip(":")
    is_camel = name[:1].islower() and not name.islower() and " " not in name
    return EXTRA + (name if is_camel else name.lower())
