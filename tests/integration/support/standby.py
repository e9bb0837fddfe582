"""A second PostgreSQL that follows the first one and can take its place."""

from __future__ import annotations

import shutil
import time

from .authority import Authority
from .postgres import Postgres
from .processes import free_port


class Primary(Postgres):
    """A server that may be followed; it confirms nothing that its follower has not on disk too."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        rules = self._data / "pg_hba.conf"
        rules.write_text("local replication postgres trust\n" + rules.read_text())
        self.sql("postgres", "select pg_reload_conf()")

    def follow(self) -> Standby:
        """Start a follower, and confirm nothing without it from now on."""
        standby = Standby(self)
        self.sql("postgres", "alter system set synchronous_standby_names = '*'")
        self.sql("postgres", "select pg_reload_conf()")
        give_up = time.monotonic() + 30
        while self.sql("postgres", "select sync_state from pg_stat_replication") != "sync":
            assert time.monotonic() < give_up, "the follower does not follow"
            time.sleep(0.05)
        return standby

    def remove(self) -> None:
        """End whichever of the two runs, and remove both."""
        for data in (self._data, self._folder / "standby" / "data"):
            if (data / "postmaster.pid").exists():
                self._run("pg_ctl", "stop", "--wait", "--pgdata", str(data), "--mode", "immediate")
        shutil.rmtree(self._folder)


class Standby(Postgres):
    """The follower: a copy with a port of its own, read-only until it is promoted."""

    def __init__(self, primary: Primary) -> None:
        self._bin, self._user = primary._bin, primary._user
        self._folder = primary._folder / "standby"
        self._data = self._folder / "data"
        self.authority = primary.authority
        self.port = free_port()
        self._folder.mkdir()
        self._own(self._folder)
        place = ["--host", str(primary._folder), "--port", str(primary.port), "--username", "postgres"]
        self._run(
            "pg_basebackup", *place, "--pgdata", str(self._data), "--write-recovery-conf", "--checkpoint=fast"
        )
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"\nport = {self.port}\nunix_socket_directories = '{self._folder}'\n")
        self.start()

    def promote(self) -> None:
        """Let it take the other one's place."""
        self._run("pg_ctl", "promote", "--wait", "--pgdata", str(self._data))
