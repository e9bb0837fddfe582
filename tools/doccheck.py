"""python -m tools.doccheck: what the documents point at exists.

Checks every relative link and anchor, every `make` target, every path in backticks that begins with one of
our folders, and that the index of decisions is complete. Links to other sites are not followed: a check that
needs the internet fails for reasons that are not ours.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.tracked import ROOT, tracked

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
# a target is looked for where a command is shown: at the start of a code line, or in backticks
MAKE = re.compile(r"(?:^\s*(?:\$ )?|`)make ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*(?: [a-z][a-z-]*)*):", re.MULTILINE)
CODE_PATH = re.compile(
    r"`((?:docs|roles|playbooks|inventories|plugins|src|molecule|lab|tests|tools|benchmarks|scripts|requirements)"
    r"/[\w./-]*)`"
)
ELSEWHERE = ("http://", "https://", "mailto:")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing a document promises and the project does not have."""

    document: Path
    text: str

    def __str__(self) -> str:
        """As compilers print it."""
        return f"{self.document.relative_to(ROOT)}: {self.text}"


def documents() -> list[Path]:
    """Every tracked or new Markdown file that people read."""
    return [ROOT / name for name in tracked("*.md")]


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings make, in the form that common hosts use."""
    plain = (
        re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in HEADING.findall(FENCE.sub("", text))
    )
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def broken_links(document: Path, text: str) -> Iterator[Complaint]:
    """Relative links whose file or heading is missing."""
    for target in LINK.findall(FENCE.sub("", text)):
        if target.startswith(ELSEWHERE):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name).resolve() if name else document
        if not path.is_relative_to(ROOT):
            yield Complaint(document, f"the link {target} leads out of the project")
        elif not path.exists():
            yield Complaint(document, f"the link {target} leads nowhere")
        elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text(encoding="utf-8")):
            yield Complaint(document, f"the link {target} names a heading that the page does not have")


def unknown_targets(document: Path, text: str, targets: set[str]) -> Iterator[Complaint]:
    """`make X` where the Makefile has no X."""
    for words in MAKE.findall(text):
        if words.split()[0] not in targets:
            yield Complaint(document, f"`make {words}` is not a target of the Makefile")


def missing_paths(document: Path, text: str) -> Iterator[Complaint]:
    """Paths in backticks that are not there."""
    for name in CODE_PATH.findall(text):
        if not (ROOT / name).exists():
            yield Complaint(document, f"`{name}` does not exist")


def unlisted_decisions() -> Iterator[Complaint]:
    """Decisions that the index does not link to."""
    index = ROOT / "docs/decisions/README.md"
    if not index.exists():
        yield Complaint(index, "is missing: it lists the decisions")
        return
    listed = index.read_text(encoding="utf-8")
    for page in sorted(index.parent.glob("[0-9]*.md")):
        if f"({page.name})" not in listed:
            yield Complaint(index, f"does not link to {page.name}")


def stale_errors() -> Iterator[Complaint]:
    """The error reference differs from the table that the server uses."""
    page = ROOT / "docs/errors.md"
    table = subprocess.run(
        [sys.executable, "-m", "composer_mcp.errors"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.strip()
    if not page.exists() or table not in page.read_text(encoding="utf-8"):
        yield Complaint(page, "is not what `python -m composer_mcp.errors` prints now")


def stale_tools() -> Iterator[Complaint]:
    """The reference of tools differs from what the server offers."""
    page = ROOT / "docs/tools.md"
    command = [sys.executable, "-m", "composer_mcp.mcp.reference", "--check", str(page)]
    if subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=60).returncode:
        yield Complaint(page, "is not what `python -m composer_mcp.mcp.reference` prints now")


def make_targets() -> set[str]:
    """The names that the Makefile can make."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {name for names in TARGET.findall(text) for name in names.split()}


def complaints(pages: Iterable[Path]) -> Iterator[Complaint]:
    """Everything wrong with these documents."""
    targets = make_targets()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        yield from broken_links(page, text)
        yield from unknown_targets(page, text, targets)
        yield from missing_paths(page, text)
    yield from unlisted_decisions()


def main() -> int:
    """Print what is wrong; the exit code says whether anything is."""
    pages = documents()
    found = [*complaints(pages), *stale_errors(), *stale_tools()]
    for complaint in found:
        print(complaint)
    print(f"{len(pages)} documents, {len(found)} complaints")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
