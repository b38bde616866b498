"""Reading ``mission.json``, in either spelling of its keys; what is not understood is not looked at.

May import ``syncd.schemas``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from syncd.schemas.mission import Milestone, Mission


def read_mission(data: bytes) -> Mission | None:
    """Return the mission that a file holds; ``None`` when it is no JSON, or no mission."""
    try:
        raw = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if not isinstance(raw, dict):
        return None
    id = _text(raw, "mission_id", "missionId", "id")
    if id is None:
        return None
    milestones = raw.get("milestones")
    return Mission(
        id=id,
        name=_text(raw, "name"),
        status=_text(raw, "status"),
        milestones=tuple(
            Milestone(id=found, name=_text(each, "name"), status=_text(each, "status"))
            for each in (milestones if isinstance(milestones, list) else [])
            if isinstance(each, dict) and (found := _text(each, "id")) is not None
        ),
    )


def _text(raw: dict[str, Any], *names: str) -> str | None:
    value = next((raw[name] for name in names if name in raw), None)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
