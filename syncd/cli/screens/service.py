"""The daemon as a service: whether it runs, and what to do when it does not."""

from __future__ import annotations

from typing import Any, Final

from syncd.cli.screen import BLANK, Element, Screen, Span, Style, Table, command, line

Json = dict[str, Any]

_STYLES: Final[dict[str, Style]] = {"active": "green", "reloading": "green", "failed": "red", "activating": "yellow"}
_LEVELS: Final[dict[str, Style]] = {"warning": "yellow", "error": "red", "critical": "red", "debug": "dim"}


def installed(found: Json) -> Screen:
    """Return that the service is there, what it reads, and what is left to do."""
    said = "Installed" if found["changed"] else "Installed already"
    state = " and running." if found["active"] == "active" else "; it starts with your next login."
    screen: list[Element] = [line(f"{said}{state}"), line(Span(found["unit"], "bold"), indent=2)]
    if found["environmentFile"]:
        screen.append(line("What it needs of this shell's environment is kept, for you alone, in", indent=2))
        screen.append(line(Span(found["environmentFile"], "bold"), indent=2))
    return [*screen, *_lingering(found), *_commands("syncd status", "syncd service logs --follow")]


def uninstalled(found: Json) -> Screen:
    """Return whether there was anything to take out."""
    return [line("Uninstalled." if found["changed"] else "It was not installed.")]


def status(found: Json) -> Screen:
    """Return how the service stands, in its first line, and what to do about it."""
    if not (found["installed"] and (found["enabled"] or found["active"] != "inactive")):
        return [line(Span("Not installed", "yellow"), ": nothing keeps this workspace in sync by itself."), *_install()]
    word, style = found["active"], _STYLES.get(found["active"], "yellow")
    rows = [
        ("unit", found["unit"]),
        ("process", str(found["pid"]) if found["pid"] else None),
        ("memory", _mebibytes(found["memoryBytes"])),
        ("restarts", str(found["restarts"]) if found["restarts"] else None),
        ("program", " ".join(found["program"])),
    ]
    head = Span(word.capitalize(), style), f": {found['text']}" if found["text"] else ""
    screen: list[Element] = [line(*head)]
    screen.append(Table(tuple((Span(name, "dim"), Span(text)) for name, text in rows if text), indent=2))
    if word in ("failed", "activating") and found["exitCode"]:
        screen += [
            BLANK,
            line(f"It ended with {found['exitCode']}; why stands in"),
            command("syncd service logs", indent=6),
        ]
    elif word == "inactive":
        screen += [BLANK, line("It does not run. To start it:"), *_install()]
    return [*screen, *_lingering(found)]


def entry(found: Json) -> Screen:
    """Return one entry of the journal on one line."""
    at = found["at"][:19].replace("T", " ") + "Z"
    return [line(Span(f"{at}  ", "dim"), Span(found["message"], _LEVELS.get(found["level"], "")))]


def _mebibytes(number: int | None) -> str | None:
    return None if number is None else f"{number / 2**20:.0f} MiB"


def _install() -> list[Element]:
    return [command("syncd service install", indent=6)]


def _lingering(found: Json) -> list[Element]:
    """Return what to type so that the service outlives the last logout."""
    if found["lingers"] is not False:
        return []
    said = "It ends when you have logged out everywhere. To have it run without a login, and from each boot on:"
    return [BLANK, line(said), command("loginctl enable-linger", indent=6)]


def _commands(*words: str) -> list[Element]:
    return [BLANK, line("Next:"), *(command(each, indent=6) for each in words)]
