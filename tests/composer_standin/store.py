"""What the stand-in keeps: compositions and their versions, in memory and in a journal that can be read.

``writes.jsonl`` has one line per write, in order; it is replayed at start.
"""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import time
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

UID_BLOCK = 354


def new_uid() -> str:
    """Return a storage id: base64url of a gzip member with one stored block of 354 bytes."""
    block = secrets.token_bytes(UID_BLOCK)
    length = UID_BLOCK.to_bytes(2, "little")
    complement = (UID_BLOCK ^ 0xFFFF).to_bytes(2, "little")
    member = (
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # header without time or name: H4sIAAAA…
        + b"\x01" + length + complement + block
        + zlib.crc32(block).to_bytes(4, "little") + UID_BLOCK.to_bytes(4, "little")
    )  # fmt: skip
    assert gzip.decompress(member) == block
    return base64.urlsafe_b64encode(member).decode().rstrip("=")


@dataclass
class Version:
    """One saved state of a composition."""

    content: str
    content_type: str
    content_uid: str
    user_uid: str
    created_at: str


@dataclass
class Composition:
    """One composition with all its versions, oldest first."""

    uid: str
    project_uid: str
    versions: list[Version] = field(default_factory=list)
    stored_at: float = 0.0

    @property
    def title(self) -> str:
        """Title of the newest version; templates have none."""
        content = json.loads(self.versions[-1].content)
        return (
            str(content["metadata"].get("title"))
            if isinstance(content, dict) and "metadata" in content
            else ""
        )

    def described(self, version: Version) -> dict[str, Any]:
        """Return the description of a version that Composer gives after a save."""
        return {
            "content_uid": version.content_uid,
            "content_type": version.content_type,
            "content_size": len(version.content.encode()),
            "project_uid": self.project_uid,
            "user_uid": version.user_uid,
            "created_at": self.versions[0].created_at,
            "last_modified": version.created_at,
            "processing_status": "Pending",
        }


class Store:
    """All compositions."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._journal = directory / "writes.jsonl"
        self.compositions: dict[str, Composition] = {}
        self._versions: dict[str, Version] = {}
        if self._journal.exists():
            for line in self._journal.read_text(encoding="utf-8").splitlines():
                self._apply(json.loads(line))

    def create(self, content: str, content_type: str, project_uid: str, user_uid: str) -> Composition:
        """Keep a new composition."""
        # Guess: each version has a uid of its own, by which it can be read.
        where = {"uid": new_uid(), "content_uid": new_uid(), "project_uid": project_uid}
        return self._write(where, content, content_type, user_uid)

    def content(self, uid: str) -> Version | None:
        """Return the newest version of a composition, or a version by its own uid."""
        found = self.compositions.get(uid)
        return found.versions[-1] if found is not None else self._versions.get(uid)

    def save(self, composition: Composition, content: str, content_type: str, user_uid: str) -> Composition:
        """Keep a new version of a composition."""
        return self._write(
            {"uid": composition.uid, "content_uid": new_uid(), "project_uid": composition.project_uid},
            content,
            content_type,
            user_uid,
        )

    def _write(self, where: dict[str, str], content: str, content_type: str, user_uid: str) -> Composition:
        entry: dict[str, Any] = {
            **where,
            "user_uid": user_uid,
            "created_at": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "content_type": content_type,
            "content": content,
        }
        with self._journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry, ensure_ascii=True) + "\n")
        return self._apply(entry)

    def _apply(self, entry: dict[str, Any]) -> Composition:
        composition = self.compositions.setdefault(
            entry["uid"], Composition(entry["uid"], entry["project_uid"], stored_at=time.monotonic())
        )
        version = Version(
            content=entry["content"],
            content_type=entry["content_type"],
            content_uid=entry["content_uid"],
            user_uid=entry["user_uid"],
            created_at=entry["created_at"],
        )
        composition.versions.append(version)
        self._versions[version.content_uid] = version
        return composition
