"""An edit of a row by a command: as an author edits the file, and never over another's save.

May import ``syncd.core``, ``syncd.parsers``, ``syncd.schemas``, ``syncd.ports``, ``syncd.errors``.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from syncd.core.values import is_same
from syncd.errors import Busy, Held, NotFound, Refused
from syncd.parsers.document import Document, FileCard, ParseOptions, SetField
from syncd.parsers.padding import repadded
from syncd.parsers.render import apply, can_show
from syncd.parsers.tasks_md import parse
from syncd.ports import FileRead, TaskFiles
from syncd.schemas.card import EXTRA, Card, Status, Value

ATTEMPTS_MAX: Final = 20
"""How often a file that somebody saves at the same moment is read and edited again."""


class EditedRow(msgspec.Struct, frozen=True):
    """A card where it stands in a file, after an edit."""

    path: str
    card: FileCard

    def as_card(self, project: str) -> Card:
        """Return the card as its row has it, for as long as no store tells more."""
        fields = self.card.fields
        depends_on, priority, owner = fields.get("dependsOn"), fields.get("priority"), fields.get("claimOwner")
        texts = {name: _text(fields.get(name)) for name in ("title", "body", "phase")}
        return Card(
            id=self.card.id or "",
            title=texts["title"] or self.card.id or "",
            body=texts["body"],
            phase=texts["phase"],
            priority=priority if isinstance(priority, int) else 0,
            status=Status(str(fields.get("status") or Status.READY)),
            depends_on=depends_on if isinstance(depends_on, tuple) else (),
            claim_owner=_text(owner),
            acceptance=fields.get("acceptance"),
            project=project,
            path=self.path,
            line=self.card.line,
            extra={
                name.removeprefix(EXTRA): value
                for name, value in fields.items()
                if name.startswith(EXTRA) and value is not None
            },
        )


def _text(value: Value) -> str | None:
    return None if value is None else str(value)


def edit_row(
    files: TaskFiles,
    options: Callable[[str], ParseOptions],
    digest: Callable[[bytes], str],
    id: str,
    fields: Mapping[str, Value],
) -> EditedRow:
    """Set fields of a card in its task file; every other byte stays.

    Raises: NotFound when no file shows the card; Refused when its place cannot show a value; Held when
    the file has merge markers; Busy when it is saved by others all the time.
    Effects: replaces the file at once, unless it says so already.
    Holds: I2, I7.
    """
    for _ in range(ATTEMPTS_MAX):
        read, document, card = _found(files, options, id)
        data = _edited(document, card, fields)
        if document.options.repad and data != read.data:
            data = repadded(parse(data, path=read.path, options=document.options))
        after = parse(data, path=read.path, options=options(read.path)).card_by_id(id)
        if after is None or any(not is_same(name, after.fields.get(name), value) for name, value in fields.items()):
            raise _no_place(read.path, card, ", ".join(fields))
        if data == read.data:
            return EditedRow(read.path, after)
        if replaced(files, read, data, digest(data)):
            return EditedRow(read.path, after)
    raise Busy("the task file is saved by somebody else all the time", hint="syncd with-lock -- COMMAND")


def _found(files: TaskFiles, options: Callable[[str], ParseOptions], id: str) -> tuple[FileRead, Document, FileCard]:
    for path in files.paths():
        read = files.read(path)
        if read.data is None:
            continue
        document = parse(read.data, path=path, options=options(path))
        if (card := document.card_by_id(id)) is not None:
            return read, document, card
    raise NotFound(f"no task file shows a card {id}", hint=f"syncd backlog update {shlex.quote(id)} FIELD=VALUE")


def _edited(document: Document, card: FileCard, fields: Mapping[str, Value]) -> bytes:
    if document.has_markers is not None:
        raise Held(f"{document.path} has a merge marker in line {document.has_markers}", hint="Settle the merge first.")
    for name, value in fields.items():
        if not can_show(document, card.key, name, value):
            raise _no_place(document.path, card, name)
    return apply(document, [SetField(card.key, name, value) for name, value in fields.items()])


def _no_place(path: str, card: FileCard, names: str) -> Refused:
    return Refused(
        f"{path}:{card.line} cannot show this value of {names}",
        hint=f"In the store it has a place: syncd backlog update {shlex.quote(str(card.id))} FIELD=VALUE",
    )


def replaced(files: TaskFiles, read: FileRead, data: bytes, digest: str) -> bool:
    """Replace a file; return whether nobody had written in between, whose save then stands.

    No version is remembered: that is for a cycle to do, which may be reading the file at this moment.
    """
    staged = files.stage(read.path, data)
    outcome = files.replace(read.path, staged, read.digest)
    if outcome.matched:
        return True
    if outcome.displaced is None:
        files.discard(staged)
    elif not files.swap_back(read.path, outcome.displaced, digest):
        files.report_late(read.path, outcome.displaced, read.digest or "")
    return False
