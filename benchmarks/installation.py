"""Our server as an operator would install it, for a bench: real PostgreSQL, real tokens, our own processes.

The parts are those of the integration tests, with two differences: the database waits for its disk, as in
production, and nothing on the loopback is encrypted, neither calls nor the database, since no peer's is.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.processes import Child, free_port
from tests.integration.support.authority import Authority
from tests.integration.support.installation import PUBLIC_URL, Platform
from tests.integration.support.issuer import Issuer
from tests.integration.support.postgres import Postgres

SCOPES = "compositions:read compositions:write jobs:read jobs:write"
TOKEN_SECONDS = 4 * 3600


class BenchPostgres(Postgres):
    """A cluster that waits for its disk, and is asked without encryption."""

    def start(self) -> None:
        """See :class:`Postgres`; called by it."""
        (self._data / "pg_hba.conf").write_text(
            "local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
            "host all all ::1/128 scram-sha-256\n"
        )
        with (self._data / "postgresql.conf").open("a") as file:
            file.write("\nfsync = on\nsynchronous_commit = on\n")
        super().start()


class Installation:
    """A migrated database, an issuer of tokens, a configuration; servers are started one by one."""

    def __init__(self, folder: Path, postgres: Postgres, issuer: Issuer, authority: Authority) -> None:
        self.folder = folder
        self.postgres = postgres
        self._issuer = issuer
        postgres.create_database("bench")
        self.platform = Platform(folder, postgres, issuer, authority, "bench")
        #: Settings that a bench changes; for all servers that are started from then on.
        self.sections: dict[str, dict[str, Any]] = {}
        self._children: list[Child] = []

    def token(self, tenant: str = "school") -> str:
        """Return a signed token that outlives the bench."""
        return self._issuer.token(tenant, SCOPES, exp=int(time.time()) + TOKEN_SECONDS)

    def start(self, command: list[str], name: str, core: int | None = None, **environment: str) -> Child:
        """Start a process; its log is ``NAME.log``."""
        child = Child(command, self.folder / f"{name}.log", environment=environment, core=core)
        self._children.append(child)
        return child

    async def serve(self, name: str, further_tools: int = 0, core: int | None = None) -> tuple[Child, int]:
        """Start a web process with so many further tools; return it and its port."""
        port = free_port()
        self.platform.port = port
        self.configure()
        arguments = [str(self.platform.config), str(self.platform.credentials)]
        command = [sys.executable, "-m", "benchmarks.our_server", *arguments]
        child = self.start([*command, f"127.0.0.1:{port}", str(further_tools)], name, core)
        await child.listens(port)
        return child, port

    def configure(self) -> None:
        """Write the configuration with what this bench changes."""
        self.platform.configure(**self.sections)
        authority = f'authority = "{self.postgres.authority}"\n'
        written = self.platform.config.read_text()
        start, database = written.split("[database]\n", 1)
        self.platform.config.write_text(f"{start}[database]\n{database.replace(authority, '', 1)}")

    def stop(self) -> None:
        """End all processes."""
        for child in reversed(self._children):
            child.stop()
        self.platform.stop()


@contextlib.contextmanager
def installed() -> Iterator[Installation]:
    """Provide an installation for the time of a bench."""
    with tempfile.TemporaryDirectory(prefix="composer-bench-") as name:
        folder = Path(name)
        authority = Authority(folder / "authority")
        postgres = BenchPostgres(authority)
        issuer = Issuer(authority, PUBLIC_URL)
        try:
            home = folder / "server"
            home.mkdir()
            installation = Installation(home, postgres, issuer, authority)
            try:
                yield installation
            finally:
                installation.stop()
        finally:
            issuer.close()
            postgres.remove()
