"""What the schema should be and what it is: the files of ``migrations/``, and which of them were applied.

Nothing here changes a database; ``migrate_postgres`` and ``migrate_sqlite`` do. Every process looks here
whether the schema is what its release needs, so it stays light.
"""

from __future__ import annotations

import hashlib
import logging
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING

from composer_mcp.settings import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import asyncpg

FILE = re.compile(r"(\d{4})_([a-z0-9_]+)(?:\.(down|grants))?\.sql")
NOTE = """insert into schema_version (version, name, checksum, applied_at)
values (:version, ':name', ':checksum', :now);"""
FORGET = "delete from schema_version where version = :version;"
FORGETS = re.compile(r"^-- forgets: (.+)$", re.MULTILINE)
LOSES = re.compile(r"^-- loses: ([^:]+): (select .+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; its number is its place in the order."""

    version: int
    name: str
    sql: str
    #: Takes the step back; ``None``: it cannot be taken back.
    down: str | None = None
    #: What the application may do with the step's tables, where that is not the usual.
    grants: str = ""

    @property
    def checksum(self) -> str:
        """Identifies the text that was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def losses(self) -> list[tuple[str, str]]:
        """Which rows going back removes or changes: what they are, and the query that counts them."""
        return LOSES.findall(self.down or "")

    @property
    def forgets(self) -> set[str]:
        """Which tables, and columns as ``table.column``, go without being missed."""
        return {name.strip() for line in FORGETS.findall(self.down or "") for name in line.split(",")}


@dataclass(frozen=True, slots=True)
class Applied:
    """One line of the table ``schema_version``."""

    version: int
    name: str
    checksum: str
    at: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Which steps lead to a version: first those back, from the newest, then those forward."""

    back: Sequence[Migration]
    forward: Sequence[Migration]


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    version: int
    steps: list[str] = field(default_factory=list)


def known(folder: str = "migrations") -> list[Migration]:
    """Return the migrations of this release, in order; numbers may be left out, and filled in later."""
    texts: dict[tuple[int, str], dict[str, str]] = {}
    for file in resources.files("composer_mcp.store").joinpath(folder).iterdir():
        match = FILE.fullmatch(file.name)
        if match is not None:
            kinds = texts.setdefault((int(match[1]), match[2]), {})
            kinds[match[3] or "apply"] = file.read_text()
    return [
        Migration(version, name, kinds["apply"], kinds.get("down"), kinds.get("grants", ""))
        for (version, name), kinds in sorted(texts.items())
    ]


def verify(applied: Mapping[int, str], migrations: Sequence[Migration], place: str) -> None:
    """See that what was applied is what this release has; ``applied`` has the checksum of each version.

    Raises:
        ConfigurationError: the database is newer than this release, or an applied file was edited.
    """
    newer = sorted(set(applied) - {migration.version for migration in migrations})
    if newer:
        raise ConfigurationError(
            f"{place} is at schema version {newer[-1]}, newer than this release knows "
            f"({migrations[-1].version}). Install the newer release; to go on with this one, take the schema "
            f"back with the newer one first: composer-mcp migrate --to {migrations[-1].version}. "
            "Nothing was changed."
        )
    for migration in migrations:
        if applied.get(migration.version, migration.checksum) != migration.checksum:
            raise ConfigurationError(
                f"migration {migration.version} ({migration.name}) was edited after it had been applied. "
                "Restore the file and add a new migration instead. Nothing was changed."
            )


def plan(applied: Mapping[int, str], migrations: Sequence[Migration], target: int | None) -> Plan:
    """Return the steps to ``target``, or to this release's version.

    Raises:
        ConfigurationError: this release has no such version, or a step on the way cannot be taken back.
    """
    versions = [migration.version for migration in migrations]
    if target is None:
        target = versions[-1]
    elif target not in {0, *versions}:
        raise ConfigurationError(
            f"there is no schema version {target}. Known: 0 (nothing), {', '.join(map(str, versions))}."
        )
    back = [each for each in reversed(migrations) if each.version > target and each.version in applied]
    for migration in back:
        if migration.down is None:
            raise ConfigurationError(
                f"migration {migration.version} ({migration.name}) cannot be taken back. Nothing was changed."
            )
    forward = [each for each in migrations if each.version <= target and each.version not in applied]
    return Plan(back, forward)


def permit(steps: Plan, *, back: bool) -> None:
    """See that whoever goes back means it.

    Raises:
        ConfigurationError: there are steps back, and nobody said that they are meant.
    """
    if steps.back and not back:
        raise ConfigurationError(
            f"this takes back {names(steps.back)}, which the release that is running may need. Run the older "
            "release first, and then say so with --back. Nothing was changed."
        )


def names(migrations: Sequence[Migration]) -> str:
    """Name migrations in a sentence."""
    return ", ".join(f"migration {migration.version} ({migration.name})" for migration in migrations)


def script(steps: Plan, now: str) -> str:
    """Return the SQL of the steps, as it would be run; ``now`` is the time, as the database asks for it."""
    parts = []
    note = NOTE.replace(":now", now)
    for migration in steps.back:
        parts.append(_transaction(f"back: {names([migration])}", migration.down or "", FORGET, migration))
    for migration in steps.forward:
        parts.append(_transaction(names([migration]), migration.sql, note, migration))
    return "\n".join(parts)


def _transaction(heading: str, sql: str, note: str, migration: Migration) -> str:
    for name in ("version", "name", "checksum"):
        note = note.replace(f":{name}", str(getattr(migration, name)))
    return f"-- {heading}\nbegin;\n\n{sql}\n{note}\ncommit;\n"


def hush() -> None:
    """Let Alembic log what is wrong and nothing else; before it is imported, because it begins there."""
    logging.getLogger("alembic").setLevel(logging.WARNING)


async def schema_version(connection: asyncpg.Connection | asyncpg.Pool) -> int:
    """Return the version of the schema in the database; 0 when there is none."""
    if await connection.fetchval("select to_regclass('schema_version')") is None:
        return 0
    return int(await connection.fetchval("select coalesce(max(version), 0) from schema_version"))


async def lacking(connection: asyncpg.Connection | asyncpg.Pool) -> str | None:
    """Return what the schema in the database lacks that this release needs; ``None`` if nothing."""
    applied: set[int] = set()
    if await connection.fetchval("select to_regclass('schema_version')") is not None:
        applied = {row["version"] for row in await connection.fetch("select version from schema_version")}
    missing = [migration.version for migration in known() if migration.version not in applied]
    if not missing:
        return None
    return f"schema version {max(applied, default=0)}, this release needs {missing[-1]}"
