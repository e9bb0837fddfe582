"""Reads the trail for people: entries as they are shown, checkpoints, and a verification of all there is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from composer_mcp.audit.archive import Archive, verify_archives
from composer_mcp.audit.chain import Checkpoint, Keys, genuine
from composer_mcp.audit.store import AuditStore, Filter, Row
from composer_mcp.audit.verify import Bounds, OnProgress, Problem, Verdict, verify
from composer_mcp.errors import AUDIT_BROKEN, AUDIT_ENTRY_UNKNOWN
from composer_mcp.settings import ConfigurationError

if TYPE_CHECKING:
    from composer_mcp.audit.opening import Opened

#: How long a stretch is worked on: long enough to get on, short enough for whoever shares the process.
STRETCH_SECONDS = 2.0
#: How long a database is waited for in all meanwhile.
PATIENCE_SECONDS = 10.0


def as_dict(row: Row) -> dict[str, Any]:
    """Return an entry as it is shown."""
    return {"number": row.number, **json.loads(row.line), "hash": row.hash.hex()}


async def one(store: AuditStore, number: int) -> Row:
    """Return one entry.

    Raises:
        audit_entry_unknown: there is none of this number.
    """
    rows = await store.find(Filter(before=number + 1), 1)
    if not rows or rows[0].number != number:
        async with store.snapshot() as snapshot:
            first, last = snapshot.anchor.number + 1, snapshot.head.number
        raise AUDIT_ENTRY_UNKNOWN.error(number=number, first=first, last=last)
    return rows[0]


async def present(store: AuditStore, keys: Keys) -> Checkpoint:
    """Return where the chain stands.

    Raises:
        audit_broken: the head was not sealed by this server.
    """
    head = await store.head()
    if not genuine(keys, "head", head):
        raise AUDIT_BROKEN.error()
    return Checkpoint(head.number, head.hash)


def checkpoints(given: Iterable[str]) -> list[Checkpoint]:
    """Return the checkpoints that are given, as such or as files with at least one each.

    Raises:
        ConfigurationError: there is none in one of them.
    """
    found = []
    for text in given:
        content = text
        if Checkpoint.parse(text) is None:
            try:
                content = Path(text).read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                raise ConfigurationError(
                    f"{text[:200]} is no checkpoint, and no file that can be read ({error.strerror})."
                ) from error
        points = Checkpoint.every(content)
        if not points:
            raise ConfigurationError(f"there is no checkpoint in the file {text[:200]}.")
        found += points
    return found


async def stretch(store: AuditStore, keys: Keys, after: Checkpoint | None, limit: int) -> Verdict:
    """Verify the next entries, at most ``limit`` and for :data:`STRETCH_SECONDS`; see ``AuditTrail.verify``.

    Raises:
        audit_entry_unknown: the entry of the checkpoint was archived.
    """
    async with asyncio.timeout(PATIENCE_SECONDS), store.snapshot() as snapshot:
        first, last = snapshot.anchor.number + 1, snapshot.head.number
        if after is not None and after.number < first - 1:
            raise AUDIT_ENTRY_UNKNOWN.error(number=after.number, first=first, last=last)
        return await verify(snapshot, keys, after=after, bounds=Bounds(limit, STRETCH_SECONDS))


@dataclass(frozen=True, slots=True)
class Part:
    """What was found in the database, or in one archive."""

    name: str
    first: int
    last: int
    entries: int
    problems: Sequence[Problem]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@dataclass(slots=True)
class Findings:
    """What a verification found, oldest part first."""

    parts: list[Part] = field(default_factory=list)
    checkpoint: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong anywhere."""
        return all(part.ok for part in self.parts)

    def add(self, name: str, verdict: Verdict) -> None:
        """Take over what was found in one part."""
        part = Part(name, verdict.first, verdict.last, verdict.entries, verdict.problems)
        self.parts.append(part)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        parts = [
            {
                "name": part.name,
                "ok": part.ok,
                "first": part.first,
                "last": part.last,
                "entries": part.entries,
                "problems": [{"number": problem.number, "what": problem.what} for problem in part.problems],
            }
            for part in self.parts
        ]
        return {"ok": self.ok, "checkpoint": self.checkpoint, "parts": parts}


async def examine(
    opened: Opened,
    against: Sequence[Checkpoint] = (),
    archives: Sequence[Path] = (),
    on_progress: OnProgress | None = None,
) -> Findings:
    """Verify the trail in the database, and archives of it, against checkpoints.

    Raises:
        ConfigurationError: an archive cannot be read.
    """
    findings = Findings()
    files = [Archive(path) for path in archives]
    async with opened.store.snapshot() as snapshot:
        found, met = await verify_archives(files, opened.keys, snapshot.anchor, against)
        for archive, verdict in found:
            findings.add(str(archive.path), verdict)
        left = [point for point in against if point not in met]
        verdict = await verify(snapshot, opened.keys, against=left, on_progress=on_progress)
        findings.add("the database", verdict)
    findings.checkpoint = verdict.checkpoint
    return findings
