"""One picture a bench, as SVG made by hand: bars for each thing that was done, one colour for each server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

#: For each bench: the figure of its bars, what it says, and a pattern for what was done in the rows shown.
CHARTS: Mapping[str, Sequence[tuple[str, str, str]]] = {
    "protocol": (
        ("calls/s", "calls a second (more is better)", r"wire.*tools$"),
        ("cpu ms/call", "processor time of a call, ms (less is better)", r"growth"),
    ),
    "tasks": (
        ("tasks/s", "tasks a second (more is better)", r"throughput"),
        ("p50 ms", "one caller: ms until a result is known, p50 (less is better)", r"one task|pushed"),
        ("seconds", "seconds until tenant B's task begins (less is better)", r"tenant"),
        ("seconds", "seconds until a killed worker's task begins again (less is better)", r"killed"),
    ),
    "queue": (
        ("all p50 ms", "ms of a job's statements behind so many others, p50 (less is better)", r"queued$"),
        ("p50 ms", "ms until a result is known, p50 (less is better)", r"no time"),
        ("seconds", "seconds until a job begins (less is better)", r"tenant B|killed"),
    ),
    "tokens": (
        (
            "both",
            "tokens of the descriptions of the tools used, and of the results (less is better)",
            r"lesson",
        ),
        ("round trips", "round trips (less is better)", r"lesson"),
    ),
    "hosts": (
        ("seconds", "seconds (less is better)", r"hardening"),
        ("seconds a host", "seconds a host, nothing to change (less is better)", r"growth"),
    ),
}
OURS = "composer-mcp"
#: Ours first, then the peers.
COLOURS = ("#c8553d", "#5f7f93", "#a9b8c2", "#81b29a")
WIDTH, LABEL, BAR, GAP, HEAD = 900, 350, 20, 12, 44


def draw(content: Mapping[str, Any]) -> str:
    """Return the picture of a bench, or nothing for one that has none."""
    parts: list[str] = []
    top = 24
    found = {row["who"] for row in content["rows"] if _charted(content, row)}
    names = [OURS, *sorted(found - {OURS})]
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    for figure, title, wanted in CHARTS.get(content["name"], ()):
        rows = [row for row in content["rows"] if figure in row["figures"] and re.search(wanted, row["what"])]
        if rows:
            drawn, top = _chart(rows, figure, title, colours, top)
            parts += drawn
    if not parts:
        return ""
    day = (
        f"{content['measured'][:10]}, {content['machine']['cores']} cores, {content['machine']['processor']}"
    )
    parts.append(_text(16, top + 16, day, "#666", 11))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 32}" '
        f'viewBox="0 0 {WIDTH} {top + 32}" font-family="DejaVu Sans, Verdana, sans-serif">'
        f'<title>{escape(content["title"])}</title><rect width="100%" height="100%" fill="#fff"/>'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _charted(content: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return any(
        figure in row["figures"] and bool(re.search(wanted, row["what"]))
        for figure, _, wanted in CHARTS.get(content["name"], ())
    )


def _chart(
    rows: Sequence[Mapping[str, Any]], figure: str, title: str, colours: Mapping[str, str], top: int
) -> tuple[list[str], int]:
    parts = [_text(16, top, title, "#222", 15, weight="bold")]
    at = top + 16
    left = LABEL + 16
    room = WIDTH - left - 120
    most = max(row["figures"][figure] for row in rows) or 1.0
    for what in dict.fromkeys(row["what"] for row in rows):
        group = sorted(
            (row for row in rows if row["what"] == what), key=lambda row: list(colours).index(row["who"])
        )
        parts.append(_text(16, at + BAR * len(group) / 2 + 4, what, "#222", 12))
        for row in group:
            value = row["figures"][figure]
            length = max(1.0, room * value / most)
            parts.append(
                f'<rect x="{left}" y="{at}" width="{length:.1f}" height="{BAR - 3}" rx="2" '
                f'fill="{colours[row["who"]]}"/>'
            )
            label = f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
            note = f"{label}  {row['who']}" + (" (recorded)" if row["recorded"] else "")
            parts.append(_text(left + length + 6, at + BAR - 7, note, "#222", 11))
            at += BAR
        at += GAP
    return parts, at + HEAD - GAP


def _text(x: float, y: float, text: str, colour: str, size: int, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>"
    )
