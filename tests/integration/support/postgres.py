"""A private PostgreSQL with TLS, roles as the platform has them, and a start and stop for tests."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from pathlib import Path

from .authority import Authority
from .processes import free_port, run

PASSWORD = "app-password-of-the-test"
OWNER_PASSWORD = "owner-password-of-the-test"


class Postgres:
    """One cluster in a temporary folder, run by a user without privileges."""

    def __init__(self, authority: Authority, data: Path | None = None) -> None:
        """``data`` is where the tables lie; what it writes first, the log of changes, lies elsewhere then."""
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert found, "PostgreSQL is not installed: apt-get install postgresql"
        self._bin = found[-1]
        self.port = free_port()
        #: A database with this release's tables, once there is one: for copies, nobody connects to it.
        self.migrated: str | None = None
        self.authority = authority.certificate
        self._user = _unprivileged_user()
        self._folder = Path(tempfile.mkdtemp(prefix="composer-test-postgres-"))
        self._data = data or self._folder / "data"
        certificate, key = authority.issue("postgres")
        for source, name in ((certificate, "server.crt"), (key, "server.key")):
            shutil.copy(source, self._folder / name)
            (self._folder / name).chmod(0o600)
        self._own(self._folder)
        for path in self._folder.iterdir():
            self._own(path)
        if data is not None:
            self._own(data)
        self._run(
            "initdb", "--pgdata", str(self._data), "--waldir", str(self._folder / "wal"),
            "--username=postgres", "--auth=trust", "--no-sync",
        )  # fmt: skip
        settings = f"""
            listen_addresses = 'localhost'
            port = {self.port}
            unix_socket_directories = '{self._folder}'
            ssl = on
            ssl_cert_file = '{self._folder}/server.crt'
            ssl_key_file = '{self._folder}/server.key'
            fsync = off
            max_connections = 200
        """
        with (self._data / "postgresql.conf").open("a") as file:
            file.write("\n".join(line.strip() for line in settings.splitlines()))
        (self._data / "pg_hba.conf").write_text(
            "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
            "hostssl all all ::1/128 scram-sha-256\n"
        )
        self.start()
        self.sql("postgres", f"create role composer_owner login password '{OWNER_PASSWORD}'")
        self.sql("postgres", f"create role composer login password '{PASSWORD}'")

    def _own(self, path: Path) -> None:
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _run(self, program: str, *arguments: str) -> str:
        return run([str(self._bin / program), *arguments], user=self._user)

    def start(self) -> None:
        log = self._folder / "log"
        self._run("pg_ctl", "start", "--wait", "--pgdata", str(self._data), "--log", str(log))

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "--wait", "--pgdata", str(self._data), "--mode", mode)

    @property
    def socket(self) -> Path:
        """Where it listens without TLS, for whoever stands between it and a client."""
        return self._folder / f".s.PGSQL.{self.port}"

    def sql(self, database: str, statement: str) -> str:
        arguments = ["--host", str(self._folder), "--port", str(self.port), "--username", "postgres"]
        return self._run(
            "psql", *arguments, "--no-psqlrc", "--tuples-only", "--no-align",
            "--set", "ON_ERROR_STOP=1", "--command", statement, database,
        ).strip()  # fmt: skip

    def create_database(self, name: str, template: str | None = None) -> None:
        source = f" template {template}" if template else ""
        self.sql("postgres", f"create database {name} owner composer_owner{source}")

    def dump_schema(self, database: str) -> str:
        arguments = ["--host", str(self._folder), "--port", str(self.port), "--username", "postgres"]
        return self._run("pg_dump", *arguments, "--schema-only", database)

    def drop_database(self, name: str) -> None:
        self.sql("postgres", f"drop database {name} with (force)")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
