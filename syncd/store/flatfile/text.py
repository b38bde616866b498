"""``manifest.json``: a manifest as people can read and compare it, with a checksum that tells of their edits.

May import ``syncd.errors``, ``syncd.ports``, ``syncd.schemas`` and the store's own modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec

from syncd.core.history import HistoryEntry
from syncd.errors import SchemaVersionError, StoreDamaged
from syncd.ports import ConflictRecord
from syncd.schemas.card import Card
from syncd.store.flatfile.manifest import Manifest
from syncd.store.flatfile.records import Committed, KeptReplica, MissionRow

FORMAT: Final = 1

_DIGEST_BYTES: Final = 16
_UNKNOWN: Final = "0" * (2 * _DIGEST_BYTES)
_UNKEPT: Final = ("project", "unmet")
_MARK: Final = b'\n  "checksum": "'
"""Where the checksum begins: JSON has no line end within a text, so nothing else can look like it."""


class _Kept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    format: int
    checksum: str = _UNKNOWN
    project: str
    epoch: str
    seq: int
    history_seq: int
    paused: bool
    cards: Mapping[str, Card]
    gone: Mapping[str, int]
    conflicts: tuple[ConflictRecord, ...]
    commits: Mapping[str, Committed]
    numbers: Mapping[str, int]
    replicas: Mapping[str, KeptReplica]
    missions: tuple[MissionRow, ...] = ()
    mission_trail: tuple[HistoryEntry, ...] = ()
    missions_place: int = 0
    stands_in: bool = False


class _Format(msgspec.Struct, frozen=True):
    format: int


_decode: Final = msgspec.json.Decoder(_Kept).decode
_decode_format: Final = msgspec.json.Decoder(_Format).decode


def text_of(manifest: Manifest) -> bytes:
    """Return what ``manifest.json`` is to hold: sorted, indented, without what is empty."""
    kept = _Kept(
        format=FORMAT,
        project=manifest.project,
        epoch=manifest.epoch,
        seq=manifest.seq,
        history_seq=manifest.history_seq,
        paused=manifest.is_paused,
        cards=manifest.cards,
        gone={id: version for id, (_, version) in manifest.gone.items()},
        conflicts=tuple(each for _, each in sorted(manifest.conflicts.items())),
        commits=manifest.commits,
        numbers=manifest.numbers,
        replicas=manifest.replicas,
        missions=tuple(row for _, row in sorted(manifest.missions.items())),
        mission_trail=manifest.mission_trail,
        missions_place=manifest.missions_place,
        stands_in=manifest.is_standin,
    )
    plain: dict[str, Any] = msgspec.to_builtins(kept)
    plain["cards"] = {id: _without_nothing(card) for id, card in plain["cards"].items()}
    data = msgspec.json.format(msgspec.json.encode(plain, order="sorted"), indent=2) + b"\n"
    before, after = _around_checksum(data)
    return before + _checksum(before, after) + after


def manifest_of(data: bytes, place: str) -> Manifest:
    """Return the manifest that a file holds.

    Raises: StoreDamaged for bytes that are not as they were written, SchemaVersionError for a newer format.
    """
    try:
        if (found := _decode_format(data).format) != FORMAT:
            raise SchemaVersionError(
                f"{place} is of format {found}; this syncd knows {FORMAT}.", hint="Use the newer syncd that wrote it."
            )
        before, after = _around_checksum(data)
        if data != before + _checksum(before, after) + after:
            raise damaged(f"{place} was changed by hand, or is damaged: its checksum is another")
        kept = _decode(data)
    except (msgspec.MsgspecError, ValueError) as error:
        raise damaged(f"{place} is damaged: {error}") from error
    manifest = Manifest(
        epoch=kept.epoch,
        project=kept.project,
        seq=kept.seq,
        history_seq=kept.history_seq,
        is_standin=kept.stands_in,
    )
    manifest.fill(kept.cards.values(), gone=kept.gone)
    manifest.conflicts = {each.seq: each for each in kept.conflicts}
    manifest.commits, manifest.numbers = dict(kept.commits), dict(kept.numbers)
    manifest.replicas, manifest.is_paused = dict(kept.replicas), kept.paused
    manifest.missions = {row.key: row for row in kept.missions}
    manifest.mission_trail, manifest.missions_place = kept.mission_trail, kept.missions_place
    return manifest


def damaged(message: str) -> StoreDamaged:
    """Return the error for a manifest or log that cannot be trusted."""
    return StoreDamaged(
        message,
        hint="Put a whole copy back. Without one, move .syncd/manifest.json and .syncd/manifest.log away, then "
        "`syncd sync` and `syncd accept`: the cards are made anew from the task files.",
    )


def _around_checksum(data: bytes) -> tuple[bytes, bytes]:
    """Return the bytes before and after the checksum.  Raises ValueError where there is none."""
    at = data.index(_MARK) + len(_MARK)
    return data[:at], data[at + len(_UNKNOWN) :]


def _checksum(before: bytes, after: bytes) -> bytes:
    return blake2b(before + after, digest_size=_DIGEST_BYTES).hexdigest().encode()


def _without_nothing(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a card without what is empty, and what is told or counted anew when it is read."""
    return {name: value for name, value in card.items() if (value or value in (0, "")) and name not in _UNKEPT}
