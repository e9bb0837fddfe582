"""An artifact is named after its content, stored once, and found again; nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.settings import Credentials, ObjectStoreSettings
from composer_mcp.store.artifacts import ArtifactStore

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore.open(ObjectStoreSettings(url=f"file://{tmp_path}/artifacts"), Credentials(None))


async def test_equal_bytes_are_stored_once(store: ArtifactStore, tmp_path: Path) -> None:
    keys = {await store.put(b"picture", "image/png") for _ in range(3)}
    assert len(keys) == 1
    key = keys.pop()
    assert key.endswith(".png") and await store.get(key) == b"picture"
    assert len([path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("key", ["../secret", "/etc/passwd", "", "00/" + "0" * 64 + ".png", "x" * 5000])
async def test_what_is_not_there_is_unknown(store: ArtifactStore, key: str) -> None:
    with pytest.raises(ComposerError) as error:
        await store.get(key)
    assert error.value.code.code == "artifact_unknown"
