"""Object stores of both kinds, empty: a test that takes the fixture ``place`` runs on a folder and on S3."""

from __future__ import annotations

import contextlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import LocalStore, S3Store

from composer_mcp.settings import Credentials, ObjectStoreSettings
from composer_mcp.store import objects
from composer_mcp.store.artifacts import ArtifactStore

from .authority import Authority
from .seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, Seaweed


class Place(ABC):
    """One object store, as its operator sees it."""

    name: str
    settings: ObjectStoreSettings
    credentials: Credentials

    def open(self) -> ArtifactStore:
        return ArtifactStore.open(self.settings, self.credentials)

    @property
    def raw(self) -> LocalStore | S3Store:
        return objects.open_store(self.settings, self.credentials)

    def paths(self) -> list[str]:
        return sorted(each["path"] for portion in self.raw.list() for each in portion)

    @abstractmethod
    def away(self) -> contextlib.AbstractContextManager[None]:
        """Have it not answer."""


class Folder(Place):
    name = "folder"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "artifacts"
        self.settings = ObjectStoreSettings(url=f"file://{self.folder}")
        self.credentials = Credentials(None)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        # Also root cannot make a folder in a file.
        elsewhere = self.folder.with_name("elsewhere")
        self.folder.rename(elsewhere)
        self.folder.write_bytes(b"")
        try:
            yield
        finally:
            self.folder.unlink()
            elsewhere.rename(self.folder)


class Bucket(Place):
    name = "s3"

    def __init__(self, seaweed: Seaweed, authority: Authority, folder: Path) -> None:
        self.seaweed = seaweed
        folder.mkdir()
        for name, value in (("access", ACCESS_KEY), ("secret", SECRET_KEY)):
            (folder / f"object-store-{name}-key").write_text(value)
        self.credentials = Credentials(folder)
        self.settings = ObjectStoreSettings(
            url=f"s3://{BUCKET}", endpoint=seaweed.endpoint, authority=authority.certificate
        )

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self.seaweed.freeze()
        try:
            yield
        finally:
            self.seaweed.thaw()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, authority: Authority) -> Place:
    if request.param == "folder":
        folder = Folder(tmp_path)
        shutil.rmtree(folder.folder, ignore_errors=True)
        folder.open()
        return folder
    bucket = Bucket(request.getfixturevalue("seaweed"), authority, tmp_path / "keys")
    if left := bucket.paths():
        bucket.raw.delete(left)
    return bucket
