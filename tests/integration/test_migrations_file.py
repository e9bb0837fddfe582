"""The file of a server that runs alone is migrated once, whoever comes at the same time, never by half."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from composer_mcp.store import migrate, migrate_sqlite

from .support.processes import Process

FOLDER = "sqlite_migrations"
JOB = """
insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, correlation_id, created_at,
                 updated_at, deadline) values ('a', 't', 'k', 'x', '{}', 'h', 'c', 1.0, 1.0, 2.0)
"""
NEWEST = migrate.known(FOLDER)[-1].version
MIGRATE = """
import sys
from pathlib import Path
from composer_mcp.store import migrate, migrate_sqlite
print("steps:", len(migrate_sqlite.migrate_to(Path(sys.argv[1])).steps))
"""
#: A further step that writes for a minute, so that it can be killed while it does.
SLOW = """
import sys
from pathlib import Path
from composer_mcp.store import migrate, migrate_sqlite
every = migrate.known("sqlite_migrations")
sql = '''
create table slow (n integer, t text);
with recursive c(n) as (select 1 union all select n + 1 from c limit 30000000)
insert into slow select n, hex(zeroblob(50)) from c;
'''
migrate.known = lambda folder: [*every, migrate.Migration(9001, "slow", sql)]
migrate_sqlite.migrate_to(Path(sys.argv[1]))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "composer.sqlite3"


def start(program: str, path: Path) -> Process:
    return Process([sys.executable, "-P", "-c", program, str(path)])


def test_several_at_once_do_it_once(path: Path) -> None:
    processes = [start(MIGRATE, path) for _ in range(4)]
    assert [process.wait(120) for process in processes] == [0] * 4, [each.output for each in processes]
    assert [each.version for each in migrate_sqlite.look(path)[0]] == [
        each.version for each in migrate.known(FOLDER)
    ]


@pytest.mark.parametrize("begun", [False, True], ids=["new", "with-data"])
def test_killed_in_the_middle_it_is_as_before(path: Path, begun: bool) -> None:
    if begun:
        migrate_sqlite.migrate_to(path, 1)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute(JOB)
            connection.commit()
    victim = start(SLOW, path)
    give_up = time.monotonic() + 60
    # Larger than SQLite's own memory for pages: the step's rows are on their way to the disk.
    while sum(file.stat().st_size for file in path.parent.iterdir()) < 20_000_000:
        assert time.monotonic() < give_up and not victim.has_ended, victim.output
        time.sleep(0.02)
    victim.signal(signal.SIGKILL)
    victim.wait()
    assert [each.version for each in migrate_sqlite.look(path)[0]] == ([1] if begun else [])
    assert migrate_sqlite.migrate_to(path).version == NEWEST
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("select count(*) from sqlite_schema where name = 'slow'").fetchone() == (0,)
        assert connection.execute("select count(*) from job").fetchone() == (int(begun),)
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
