"""Shared by all integration tests: real servers for the session, a fresh database for each test."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from .composer_fixtures import bench, chromium, site, standin, standin_process
from .support.authority import Authority
from .support.installation import PUBLIC_URL, Platform
from .support.issuer import Issuer
from .support.openbao import OpenBao
from .support.places import place
from .support.postgres import Postgres
from .support.processes import Process
from .support.seaweed import Seaweed
from .support.small_disk import small_disk
from .support.stores import bare, stores, stores_template

__all__ = [
    "bare",
    "bench",
    "chromium",
    "place",
    "site",
    "small_disk",
    "standin",
    "standin_process",
    "stores",
    "stores_template",
]

#: Begun first, the longest at the head: a worker that got one of them last would be waited for alone.
SLOWEST = (
    "test_jobs_chaos",
    "test_tasks",
    "test_embedded",
    "test_runtime_settings",
    "test_jobs",
    "test_telemetry",
    "test_identity",
    "test_jobs_lifecycle",
)
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first."""
    place = {name: number for number, name in enumerate(SLOWEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def postgres(authority: Authority) -> Iterator[Postgres]:
    server = Postgres(authority)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def issuer(authority: Authority) -> Iterator[Issuer]:
    server = Issuer(authority, PUBLIC_URL)
    yield server
    server.close()


@contextlib.contextmanager
def new_platform(
    folder: Path, postgres: Postgres, issuer: Issuer, authority: Authority
) -> Iterator[Platform]:
    """Make an installation with its own database: the server's first is migrated, the others are copies."""
    name = f"composer_{next(_numbers)}"
    postgres.create_database(name, postgres.migrated)
    platform = Platform(folder, postgres, issuer, authority, name, migrated=postgres.migrated is not None)
    if postgres.migrated is None:
        postgres.create_database("migrated", name)
        postgres.migrated = "migrated"
    try:
        yield platform
    finally:
        # Also when a process of it did not start, or Ctrl-C was pressed meanwhile.
        platform.stop()
    postgres.drop_database(name)


@pytest.fixture
def platform(tmp_path: Path, postgres: Postgres, issuer: Issuer, authority: Authority) -> Iterator[Platform]:
    """A migrated database of its own, configuration and secrets; processes are started by the test."""
    with new_platform(tmp_path, postgres, issuer, authority) as platform:
        yield platform


@pytest.fixture(scope="module")
def standing(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, issuer: Issuer, authority: Authority
) -> Iterator[Platform]:
    """A platform with its web running, for all tests of a module that leave it as it is."""
    with new_platform(tmp_path_factory.mktemp("standing"), postgres, issuer, authority) as platform:
        platform.start_web()
        yield platform


@pytest.fixture(scope="module")
def standing_worker(standing: Platform) -> Process:
    return standing.start_tame_worker()


@pytest.fixture
def serving(standing: Platform, standing_worker: Process) -> Platform:
    """The standing platform with a tame worker and no jobs; what the worker says from now on is awaited."""
    standing.sql("truncate job, tenant_tag cascade")
    standing_worker.forget_output()
    return standing


@pytest.fixture(scope="session")
def openbao(authority: Authority) -> Iterator[OpenBao]:
    server = OpenBao(authority, PUBLIC_URL)
    yield server
    server.close()


@pytest.fixture(scope="session")
def seaweed(authority: Authority) -> Iterator[Seaweed]:
    server = Seaweed(authority)
    yield server
    server.close()
