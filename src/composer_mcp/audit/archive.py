"""Takes old entries out of the trail into a file, which verifies together with what is left.

An archive is JSON lines. The first says where its part of the chain begins (``composer_audit``, ``after``),
each further one is an entry: number, key, hash, and the entry itself. The last hash of a file is the first
``after`` of the next, and the anchor that the database keeps, sealed, of the newest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from composer_mcp.audit.chain import Checkpoint, Keys, Mark, link, sealed
from composer_mcp.audit.entry import encoded
from composer_mcp.audit.store import PAGE, AuditStore, Row, Snapshot
from composer_mcp.audit.verify import Verdict, verify_pages
from composer_mcp.settings import ConfigurationError

FORMAT = 1


class NotArchived(Exception):
    """Nothing was removed, and the message says why."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What was taken out: entries ``first`` to ``last``, and the SHA-256 of the file that has them now."""

    entries: int
    first: int
    last: int
    sha256: str

    def as_dict(self) -> dict[str, int | str]:
        """Return it for JSON."""
        return asdict(self)


async def archive(store: AuditStore, keys: Keys, before: datetime, file: Path) -> Archived | None:
    """Write what was recorded before a moment to a new file, then remove it; ``None`` if there is nothing.

    The store must have the owner's rights.

    Raises:
        NotArchived: the part is not intact, or somebody else archived meanwhile.
        ConfigurationError: the file is there already or cannot be written.
    """
    async with store.snapshot() as snapshot:
        last = await snapshot.number_before(before)
        anchor = snapshot.anchor
        if last <= anchor.number:
            return None
        with _new(file) as written:
            pages = _until(snapshot, last)
            verdict, end, _ = await verify_pages(
                _copied(pages, anchor, written), keys, Checkpoint(*anchor[:2])
            )
            if not verdict.ok or end.number != last:
                raise NotArchived(
                    "the part to be archived is not intact, so nothing was removed and no file was kept. "
                    "composer-mcp audit verify says where; composer-mcp audit restart keeps it as it is."
                )
    mark = sealed(keys.current, "anchor", end.number, end.hash)
    removed = await store.forget(mark, expected=anchor)
    if removed is None:
        raise NotArchived(f"another archive was made at the same time. Nothing was removed; remove {file}.")
    return Archived(removed, verdict.first, verdict.last, written.digest)


async def restart(store: AuditStore, keys: Keys, file: Path) -> Archived:
    """Write all there is to a new file, intact or not, and begin a new chain with the next number.

    For a trail that was tampered with, or whose key is lost. The store must have the owner's rights.

    Raises:
        ConfigurationError: the file is there already or cannot be written.
    """
    verdict = Verdict()
    async with store.snapshot() as snapshot:
        with _new(file) as written:
            async for rows in _copied(snapshot.pages(), snapshot.anchor, written):
                verdict.entries += len(rows)
                verdict.first, verdict.last = verdict.first or rows[0].number, rows[-1].number
        number = max(verdict.last, snapshot.head.number, 0)
    # A hash of its own: nothing of the old chain fits the new one.
    key = keys.current
    hash_ = link(key, number, bytes.fromhex(written.digest), "restart")
    marks = (sealed(key, "head", number, hash_), sealed(key, "anchor", number, hash_))
    removed = await store.restart(*marks)
    return Archived(removed, verdict.first, verdict.last, written.digest)


class Archive:
    """A file that was written by :func:`archive`."""

    def __init__(self, path: Path) -> None:
        """Read its first line.

        Raises:
            ConfigurationError: it cannot be read, or is no archive.
        """
        self.path = path
        try:
            with path.open(encoding="utf-8") as file:
                told = json.loads(file.readline())
            if told["composer_audit"] != FORMAT:
                raise ValueError(f"its format is {told['composer_audit']}")
            self.after = Checkpoint(int(told["after"]["number"]), bytes.fromhex(told["after"]["hash"]))
        except OSError as error:
            raise ConfigurationError(f"the archive {path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} is no archive of an audit trail: {error!r}.") from error

    async def pages(self) -> AsyncIterator[Sequence[Row]]:
        """Yield its entries, some at a time; a line that is none is an entry that fits nowhere."""
        rows: list[Row] = []
        with self.path.open(encoding="utf-8") as file:
            file.readline()
            for number, text in enumerate(file, start=self.after.number + 1):
                rows.append(_row(number, text))
                if len(rows) == PAGE:
                    yield rows
                    rows = []
        yield rows


async def verify_archives(
    archives: Iterable[Archive], keys: Keys, anchor: Mark, against: Iterable[Checkpoint] = ()
) -> tuple[list[tuple[Archive, Verdict]], set[Checkpoint]]:
    """Verify archives and that each ends where the next begins, the last at the anchor of the store.

    Returns what was found, in their order, and the checkpoints that were met in one of them.
    """
    ordered = sorted(archives, key=lambda each: each.after.number)
    found: list[tuple[Archive, Verdict]] = []
    met: set[Checkpoint] = set()
    ends = [each.after for each in ordered[1:]] + [Checkpoint(anchor.number, anchor.hash)]
    # Without an archive there is nothing that could end at the anchor.
    for each, end in zip(ordered, ends, strict=bool(ordered)):
        verdict, reached, missed = await verify_pages(each.pages(), keys, each.after, against)
        met |= {point for point in against if point.number not in missed}
        if reached != end:
            verdict.add(reached.number, f"it ends here, and what follows begins after entry {end.number}")
        found.append((each, verdict))
    return found, met


def _row(number: int, text: str) -> Row:
    try:
        told: dict[str, Any] = json.loads(text)
        entry = told["entry"]
        at = datetime.fromisoformat(entry["at"])
        names = (entry["tenant"], entry["actor"], entry["action"], entry["outcome"])
        return Row(told["number"], at, *names, encoded(entry), told["key"], bytes.fromhex(told["hash"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Row(number, datetime.min, "", "", "", "", "{}", "unreadable", b"")


class _Written:
    """A file that is being written, and its digest."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Of what was written so far."""
        return self._digest.hexdigest()

    def write(self, text: str) -> None:
        """Write one line."""
        data = text.encode() + b"\n"
        self._file.write(data)
        self._digest.update(data)


@contextlib.contextmanager
def _new(path: Path) -> Iterator[_Written]:
    """Give a file that is there, whole and on disk, once the context is left well, and not otherwise."""
    partial = path.with_name(path.name + ".partial")
    try:
        if path.exists():
            raise FileExistsError(17, "it exists already", str(path))
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigurationError(
            f"the file {error.filename} cannot be written: {error.strerror}. Name another one with --to."
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield _Written(file)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        partial.unlink(missing_ok=True)


async def _until(snapshot: Snapshot, last: int) -> AsyncIterator[Sequence[Row]]:
    async for rows in snapshot.pages():
        kept = [row for row in rows if row.number <= last]
        if kept:
            yield kept
        if len(kept) < len(rows):
            return


async def _copied(
    pages: AsyncIterator[Sequence[Row]], after: Mark, written: _Written
) -> AsyncIterator[Sequence[Row]]:
    """Yield pages on, and write each entry."""
    begin = {"number": after.number, "hash": after.hash.hex()}
    written.write(json.dumps({"composer_audit": FORMAT, "after": begin}))
    async for rows in pages:
        for row in rows:
            head = f'{{"number":{row.number},"key":{json.dumps(row.key)},"hash":"{row.hash.hex()}"'
            written.write(f'{head},"entry":{row.line}}}')
        yield rows
