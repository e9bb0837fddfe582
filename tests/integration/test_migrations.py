"""The schema goes forward and back on both stores: with data, twice at once, killed in the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from composer_mcp.settings import ConfigurationError
from composer_mcp.store import migrate, migrate_alembic

from .support.stores import Stores

FOLDERS = {"postgresql": "migrations", "sqlite": "sqlite_migrations"}
ROWS = Path(__file__).parent / "support" / "store_rows"
TABLES = {
    "postgresql": "select table_name as name from information_schema.tables "
    "where table_schema = 'public' and table_name not like 'pgqueuer%'",
    "sqlite": "select name from sqlite_schema where type = 'table'",
}

Row = dict[str, Any]
Content = dict[str, list[Row]]


def known(store: Stores) -> list[migrate.Migration]:
    return migrate.known(FOLDERS[store.name])


def content(store: Stores) -> Content:
    """Return all rows of all tables; who keeps the book of migrations is not a matter of theirs."""
    names = {row["name"] for row in store.rows(TABLES[store.name])} - {migrate_alembic.LEDGER}
    return {name: store.rows(f"select * from {name}") for name in sorted(names)}


def fill(store: Stores, version: int) -> None:
    """Put data into what is new in this version."""
    file = ROWS / store.name / f"{version:04}.sql"
    if file.exists():
        store.run(file.read_text())
    assert all(content(store).values()), f"a table is empty: add rows to {file}"


def assert_unharmed(before: Content, after: Content) -> None:
    """See that what was there before is there, in the columns that there were."""
    for name, rows in before.items():
        columns = set(rows[0])
        kept = [{key: row[key] for key in columns & set(row)} for row in after[name]]
        assert all(row in kept for row in rows), name


def test_from_nothing_to_the_newest_and_back_and_again(bare: Stores) -> None:
    newest = known(bare)[-1].version
    assert bare.migrate().version == newest
    first = bare.schema()
    gone = bare.migrate(0, back=True)
    assert gone.version == 0 and len([step for step in gone.steps if "took back" in step]) == len(known(bare))
    assert [row["name"] for row in bare.rows(TABLES[bare.name])] == [migrate_alembic.LEDGER]
    assert bare.migrate().version == newest
    assert bare.schema() == first
    assert bare.migrate().steps == []


@pytest.mark.parametrize(
    ("bare", "version"),
    [(kind, each.version) for kind, folder in FOLDERS.items() for each in migrate.known(folder)],
    indirect=["bare"],
)
def test_each_step_leaves_the_data_of_the_version_before_unharmed(bare: Stores, version: int) -> None:
    earlier = [each.version for each in known(bare) if each.version < version]
    before = max(earlier, default=0)
    for each in earlier:
        bare.migrate(each)
        fill(bare, each)
    data, schema = content(bare), bare.schema()

    bare.migrate(version)
    assert_unharmed(data, content(bare))
    fill(bare, version)
    filled = content(bare)
    bare.migrate(before, back=True, lose=True)
    assert bare.schema() == schema or before == 0
    assert_unharmed(data, content(bare))
    bare.migrate(version)
    assert_unharmed(data, content(bare))
    assert set(content(bare)) == set(filled)


def test_from_the_newest_to_nothing_with_data_in_every_table(bare: Stores) -> None:
    for migration in known(bare):
        bare.migrate(migration.version)
        fill(bare, migration.version)
    data = content(bare)
    with pytest.raises(ConfigurationError, match=r"takes back migration .*--back. Nothing was changed"):
        bare.migrate(0)
    with pytest.raises(
        ConfigurationError, match=r"would lose .*--lose-data .*Nothing was changed"
    ) as refusal:
        bare.migrate(0, back=True)
    assert "table job (" in str(refusal.value) and "table composition (1 rows)" in str(refusal.value)
    assert content(bare) == data
    bare.migrate(0, back=True, lose=True)
    assert content(bare) == {}


def test_what_nobody_misses_does_not_keep_from_going_back(bare: Stores) -> None:
    """A server that has only just begun has lines in its counters, and nothing that is lost."""
    bare.migrate()
    bare.migrate(0, back=True)


def test_a_version_that_there_is_not_is_refused(bare: Stores) -> None:
    with pytest.raises(
        ConfigurationError, match=r"there is no schema version 999. Known: 0 \(nothing\), 1, 2"
    ):
        bare.migrate(999)
    assert bare.migrate(2).version == 2


def test_an_edited_file_is_refused_before_anything_is_changed(bare: Stores) -> None:
    bare.migrate(2)
    schema = bare.schema()
    bare.run("update schema_version set checksum = 'x' where version = 1")
    with pytest.raises(ConfigurationError, match=r"migration 1 \(jobs\) was edited"):
        bare.migrate()
    assert bare.schema() == schema


def test_a_gap_is_filled_later(bare: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two releases were prepared at the same time, and the one with the lower number comes second."""
    every = known(bare)
    made = {
        number: migrate.Migration(
            number, "late", f"create table late_{number} (n integer);", f"drop table late_{number};"
        )
        for number in (9001, 9002)
    }
    for present in ([9002], [9001, 9002]):
        monkeypatch.setattr(
            migrate, "known", lambda *_, present=present: every + [made[number] for number in present]
        )
        bare.migrate()
    assert {row["version"] for row in bare.rows("select version from schema_version")} >= {9001, 9002}
    assert "late_9001" in content(bare)
    assert bare.migrate(every[-1].version, back=True).version == every[-1].version


def test_a_step_that_fails_leaves_nothing_of_itself(bare: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    every = known(bare)
    bare.migrate()
    schema = bare.schema()
    broken = migrate.Migration(
        9001, "broken", "create table half (n integer); insert into half values (1, 2);"
    )
    monkeypatch.setattr(migrate, "known", lambda *_: [*every, broken])
    with pytest.raises(Exception, match=r"more expressions than target columns|has 1 columns but 2 values"):
        bare.migrate()
    assert bare.schema() == schema
    assert max(row["version"] for row in bare.rows("select version from schema_version")) == every[-1].version
