"""Draws a run of the fleet: a row for each worker, a bar for each attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LEFT, TOP, ROW, BAR = 960, 56, 64, 30, 20
COLOURS = {"done": "#3a9d5d", "failed": "#d4572a", "hung": "#c99a1c", "killed": "#7c6f9f"}
WORDS = {
    "done": "done",
    "failed": "crashed, tried again",
    "hung": "hung, ended at its limit",
    "killed": "its worker killed, back by itself",
}
FONT = 'font-family="sans-serif" font-size="11"'
TITLE = "Ten workers, one repository: every card done once"
CHARACTER = 6.2


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt: seconds since the epoch, and how it ended."""

    worker: str
    card: str
    start: float
    end: float
    how: str


def draw(bars: Sequence[Bar], workers: Sequence[str]) -> str:
    """Return the run as an SVG."""
    first, last = min(each.start for each in bars), max(each.end for each in bars)
    scale = (WIDTH - LEFT - 20) / (last - first)
    height = TOP + ROW * len(workers) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT}>',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="16" y="22" font-size="14" font-weight="bold">{TITLE}</text>',
        *_legend(),
    ]
    for row, worker in enumerate(workers):
        y = TOP + ROW * row
        parts.append(f'<text x="16" y="{y + 14}" fill="#333">{worker}</text>')
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - 20}" y1="{y + BAR / 2}" y2="{y + BAR / 2}" stroke="#e4e4e4"/>')
    for each in bars:
        x, y = LEFT + (each.start - first) * scale, TOP + ROW * workers.index(each.worker)
        width = max(2.0, (each.end - each.start) * scale)
        about = f"{each.card}: {WORDS[each.how]}, {each.end - each.start:.1f} s"
        parts.append(f'<g><title>{escape(about)}</title><rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}"')
        parts.append(f' rx="3" fill="{COLOURS[each.how]}"/>')
        if width > len(each.card) * CHARACTER + 6:
            parts.append(f'<text x="{x + 4:.1f}" y="{y + 14}" fill="#fff">{escape(each.card)}</text>')
        parts.append("</g>")
    parts.append(f'<text x="{LEFT}" y="{height - 12}" fill="#777">0 s</text>')
    end = f"{last - first:.0f} s"
    parts.append(f'<text x="{WIDTH - 20}" y="{height - 12}" fill="#777" text-anchor="end">{end}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> list[str]:
    parts, x = [], 16.0
    for how, word in WORDS.items():
        parts.append(f'<rect x="{x}" y="34" width="11" height="11" rx="2" fill="{COLOURS[how]}"/>')
        parts.append(f'<text x="{x + 16}" y="44" fill="#333">{word}</text>')
        x += 16 + len(word) * CHARACTER + 22
    return parts
