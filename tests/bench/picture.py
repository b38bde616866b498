"""A line chart as SVG: sizes on a logarithmic axis against shares from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 380
LEFT, RIGHT, TOP, BOTTOM = 60, 205, 50, 50
COLOURS = ("#1f6feb", "#54a0ff", "#1a7f37", "#bc4c00", "#8250df", "#6e7781")


@dataclass(frozen=True)
class Line:
    """One line: its name, its points (size, share), how it is dashed, and the goal that it should stay above."""

    name: str
    points: Sequence[tuple[float, float]]
    dash: str = ""
    goal: float | None = None


def picture(title: str, axis: str, lines: Sequence[Line]) -> str:
    """Return the chart; a line without points is left out."""
    drawn = [each for each in lines if each.points]
    sizes = sorted({size for each in drawn for size, _ in each.points}) or [1.0]
    low, high = math.log10(sizes[0]), math.log10(sizes[-1])

    def x(size: float) -> float:
        share = (math.log10(size) - low) / (high - low) if high > low else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - min(share, 1.0) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="28" font-size="15">{escape(title)}</text>',
    ]
    for tenth in range(0, 11, 2):
        at = y(tenth / 10)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#d8dee4"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>')
    for size in sizes:
        parts.append(f'<text x="{x(size):.1f}" y="{HEIGHT - 28}" text-anchor="middle">{size:,.0f}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(axis)}</text>')
    for number, each in enumerate(drawn):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(f"{x(size):.1f},{y(share):.1f}" for size, share in each.points)
        dash = f' stroke-dasharray="{each.dash}"' if each.dash else ""
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts += [
            f'<circle cx="{x(size):.1f}" cy="{y(share):.1f}" r="3" fill="{colour}"/>' for size, share in each.points
        ]
        goal = "" if each.goal is None else f" (goal {each.goal})"
        at = TOP + 12 + 20 * number
        parts.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{at - 9}" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 30}" y="{at}">{escape(each.name + goal)}</text>')
        if each.goal is not None:
            parts.append(
                f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(each.goal):.1f}" y2="{y(each.goal):.1f}"'
                f' stroke="{colour}" stroke-width="1" stroke-dasharray="1 4"/>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"
