"""One platform for all suites: real PostgreSQL, the web with the fixtures, a worker that does tame work."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.integration.conftest import authority, issuer, new_platform, postgres
from tests.integration.support.authority import Authority
from tests.integration.support.installation import Platform
from tests.integration.support.issuer import Issuer
from tests.integration.support.postgres import Postgres

from .suite import LOGS, python_path

__all__ = ["authority", "issuer", "postgres"]

DAY_SECONDS = 24 * 3600


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


class Web(NamedTuple):
    """A running web with the fixtures."""

    platform: Platform
    token_file: Path

    @property
    def url(self) -> str:
        return self.platform.url


@contextlib.contextmanager
def web_with_fixtures(name: str, platform: Platform, **web: Any) -> Iterator[Web]:
    """Start the application with fixtures, its settings in ``web``, and a worker; the web's log is kept."""
    platform.configure(web=web)
    # A page of the same host may call: the suite checks that foreign origins are told apart.
    own = f'["http://localhost:{platform.port}", "http://127.0.0.1:{platform.port}"]'
    platform.config.write_text(f"allowed_origins = {own}\n{platform.config.read_text()}")
    token = platform.folder / "token"
    token.write_text(platform.issuer.token(exp=int(time.time()) + DAY_SECONDS))
    command = [
        sys.executable, "-m", "tests.conformance.server", "--config", str(platform.config),
        "--credentials", str(platform.credentials), "--token", str(token),
        "--bind", f"127.0.0.1:{platform.port}",
    ]  # fmt: skip
    worker = [
        sys.executable,
        "-m",
        "tests.conformance.worker",
        str(platform.config),
        str(platform.credentials),
    ]
    platform.start(worker, "worker.ready", PYTHONPATH=python_path(), TAME_FOLDER=str(platform.tame))
    process = platform.start(command, "ASGI server listening", PYTHONPATH=python_path())
    yield Web(platform, token)
    LOGS.mkdir(parents=True, exist_ok=True)
    (LOGS / f"{name}.log").write_text(process.output, encoding="utf-8")


@pytest.fixture(scope="session")
def serving(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, issuer: Issuer, authority: Authority
) -> Iterator[Web]:
    """The application as the platform runs it: no sessions, and any of its processes answers any call."""
    folder = tmp_path_factory.mktemp("serving")
    with (
        new_platform(folder, postgres, issuer, authority) as platform,
        web_with_fixtures("serving", platform, workers=2) as web,
    ):
        yield web


@pytest.fixture(scope="session")
def conversing(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, issuer: Issuer, authority: Authority
) -> Iterator[Web]:
    """The application with sessions, in which the server can ask clients of the time before 2026."""
    folder = tmp_path_factory.mktemp("conversing")
    with (
        new_platform(folder, postgres, issuer, authority) as platform,
        web_with_fixtures("conversing", platform, workers=1, sessions=True) as web,
    ):
        yield web
