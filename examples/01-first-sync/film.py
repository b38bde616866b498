"""A film of two panes as one SVG: what stood in each at each moment, played by the browser's own CSS.

No script, no font of the network, no picture in it.  A viewer that plays nothing, or was asked for less
motion, shows the last moment.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

CELL_PX, LINE_PX, PAD_PX, BAR_PX = 7.83, 19, 16, 30
"""The advance of a 13 px monospaced letter, a line, the room around the text, the bar above a pane."""

STYLE = """\
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d3dae6;white-space:pre}
.title{fill:#8b98ad}.prompt{fill:#7ee787}.typed{fill:#fff;font-weight:600}.changed{fill:#7ee787}.gone{fill:#8b98ad}
.warn{fill:#ffc069}.note{fill:#79c0ff}.hidden{visibility:hidden}
@media (prefers-reduced-motion:reduce){*{animation:none!important}}
"""


@dataclass(frozen=True)
class Text:
    """One line of a pane: its words with a style each."""

    spans: tuple[tuple[str, str], ...]


@dataclass
class Film:
    """Moments of two panes.

    Args:
        titles: what the bars say.
        columns: how wide each pane is.
        rows: how high both are.
    """

    titles: tuple[str, str]
    columns: tuple[int, int]
    rows: int
    _seconds: float = 0.0
    _seen: dict[tuple[int, int, Text], list[tuple[float, float]]] = field(default_factory=dict)

    def show(self, left: Sequence[Text], right: Sequence[Text], seconds: float) -> None:
        """Add a moment; of a pane with too many lines the last ones are seen."""
        for pane, lines in enumerate((left, right)):
            for row, text in enumerate(lines[-self.rows :]):
                lives = self._seen.setdefault((pane, row, text), [])
                if lives and lives[-1][1] == self._seconds:
                    lives[-1] = (lives[-1][0], self._seconds + seconds)
                else:
                    lives.append((self._seconds, self._seconds + seconds))
        self._seconds += seconds

    def svg(self, told: str) -> str:
        """Return the picture; ``told`` says in words what it shows."""
        widths = [2 * PAD_PX + columns * CELL_PX for columns in self.columns]
        height = BAR_PX + 2 * PAD_PX + self.rows * LINE_PX
        names: dict[tuple[float, float], str] = {}
        texts = [self._text(key, lives, widths, names) for key, lives in self._seen.items()]
        total = sum(widths)
        frame = f'x=".5" y=".5" width="{total - 1:.0f}" height="{height - 1}" rx="9"'
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total:.0f} {height}" role="img">',
            f"<title>{html.escape(told)}</title>",
            f"<style>{STYLE}{''.join(self._keyframes(life, name) for life, name in names.items())}</style>",
            f'<rect {frame} fill="#11161f" stroke="#3c4a60"/>',
            f'<path d="M0 {BAR_PX}H{total:.0f}M{widths[0]:.0f} 0V{height}" stroke="#2b3647"/>',
            *(
                f'<text class="title" x="{PAD_PX + pane * widths[0]:.0f}" y="20">{html.escape(title)}</text>'
                for pane, title in enumerate(self.titles)
            ),
            *texts,
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _text(
        self,
        key: tuple[int, int, Text],
        lives: list[tuple[float, float]],
        widths: Sequence[float],
        names: dict[tuple[float, float], str],
    ) -> str:
        pane, row, text = key
        x, y = PAD_PX + pane * widths[0], BAR_PX + PAD_PX + 12 + row * LINE_PX
        spans = "".join(
            f'<tspan class="{style}">{html.escape(words)}</tspan>' if style else html.escape(words)
            for words, style in text.spans
        )
        lines = []
        for life in lives:
            style = ""
            if life != (0.0, self._seconds):
                name = names.setdefault(life, f"k{len(names)}")
                hidden = "" if life[1] == self._seconds else ' class="hidden"'
                style = f'{hidden} style="animation:{name} {self._seconds:g}s step-end infinite"'
            lines.append(f'<text x="{x:.0f}" y="{y}"{style}>{spans}</text>')
        return "\n".join(lines)

    def _keyframes(self, life: tuple[float, float], name: str) -> str:
        start, end = (100 * at / self._seconds for at in life)
        first = "" if start == 0 else "0%{visibility:hidden}"
        last = "" if end == 100 else f"{end:.3f}%{{visibility:hidden}}"
        return f"@keyframes {name}{{{first}{start:.3f}%{{visibility:visible}}{last}}}"
