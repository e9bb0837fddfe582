"""Keeps what was measured: a JSON file and a plot for each bench, and one page of tables made of all."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks import machine, plot
from benchmarks.measure import Report, Row

FOLDER = Path(__file__).with_name("results")
PAGE = FOLDER / "README.md"
ORDER = ("protocol", "overhead", "tasks", "queue", "tokens", "browser", "hosts", "runs")


def earlier(name: str) -> dict[str, Any] | None:
    """What the last run of a bench has kept."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def recorded(name: str, who: str) -> list[Row]:
    """The figures of a peer from the last run that had it, marked with that run's day."""
    before = earlier(name)
    if before is None:
        return []
    return [
        Row(row["what"], row["who"], row["figures"], row["recorded"] or before["measured"][:10])
        for row in before["rows"]
        if row["who"] == who
    ]


def keep(report: Report, facts: Mapping[str, str]) -> Path:
    """Write a report's JSON file and plot, and the page anew."""
    FOLDER.mkdir(exist_ok=True)
    content = report.as_dict() | {
        "measured": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        "machine": dict(facts),
        "versions": machine.versions() | report.versions,
    }
    path = FOLDER / f"{report.name}.json"
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    picture = plot.draw(content)
    if picture:
        (FOLDER / f"{report.name}.svg").write_text(picture, encoding="utf-8")
    PAGE.write_text("\n".join(_page()) + "\n", encoding="utf-8")
    return path


def _page() -> Iterator[str]:
    yield "# Results"
    yield ""
    yield "Written by `make bench`; [what is compared and how](../../docs/benchmarks.md)."
    for name in ORDER:
        content = earlier(name)
        if content is not None:
            yield from _section(content)


def _section(content: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## {content['title']}", "")
    yield from (content["about"].replace("\n", " "), "")
    facts = ", ".join(f"{name} {value}" for name, value in content["machine"].items())
    yield f"Measured {content['measured']} on: {facts}."
    yield "With: " + ", ".join(f"{name} {version}" for name, version in content["versions"].items()) + "."
    if (FOLDER / f"{content['name']}.svg").exists():
        yield from ("", f"![{content['title']}]({content['name']}.svg)")
    if content["promises"]:
        yield from ("", "| promise | measured | limit | |", "|---|---:|---:|---|")
        for promise in content["promises"]:
            sign = "≥" if promise["at_least"] else "≤"
            verdict = "holds" if promise["holds"] else "**missed**"
            value, limit = (_number(promise[key]) for key in ("value", "limit"))
            unit = f" {promise['unit']}" if promise["unit"] else ""
            yield f"| {promise['text']} | {value}{unit} | {sign} {limit}{unit} | {verdict} |"
    for group in _groups(content["rows"]):
        names = list(dict.fromkeys(name for row in group for name in row["figures"]))
        yield from ("", "| | | " + " | ".join(names) + " |", "|---|---|" + "---:|" * len(names))
        for row in group:
            who = row["who"] + (f" (recorded {row['recorded']})" if row["recorded"] else "")
            cells = (_number(row["figures"][name]) if name in row["figures"] else "" for name in names)
            yield f"| {row['what']} | {who} | " + " | ".join(cells) + " |"
    for remark in content["remarks"]:
        yield from ("", remark)


def _groups(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows with the same figures share a table."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row["figures"]), []).append(row)
    yield from groups.values()


def _number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
