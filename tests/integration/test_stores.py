"""Artifacts in a real object store, tokens of a real issuer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from composer_mcp.errors import ComposerError
from composer_mcp.security.tokens import TokenVerifier
from composer_mcp.settings import Credentials, IssuerSettings, ObjectStoreSettings
from composer_mcp.store.artifacts import ArtifactStore

from .support.installation import PUBLIC_URL
from .support.openbao import OpenBao
from .support.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, Seaweed

pytestmark = pytest.mark.anyio


def open_store(seaweed: Seaweed, folder: Path, authority: Path, **secrets: str) -> ArtifactStore:
    values = {"object-store-access-key": ACCESS_KEY, "object-store-secret-key": SECRET_KEY} | secrets
    for name, value in values.items():
        (folder / name).write_text(value)
    settings = ObjectStoreSettings(url=f"s3://{BUCKET}", endpoint=seaweed.endpoint, authority=authority)
    return ArtifactStore.open(settings, Credentials(folder))


async def test_artifacts_are_kept_once_over_tls(seaweed: Seaweed, tmp_path: Path, authority: Any) -> None:
    store = open_store(seaweed, tmp_path, authority.certificate)
    picture = bytes(range(256)) * 1000
    key = await store.put(picture, "image/png")
    assert await store.put(picture, "image/png") == key
    assert await store.get(key) == picture
    with pytest.raises(ComposerError) as missing:
        await store.get("00/" + "0" * 64 + ".png")
    assert missing.value.code.code == "artifact_unknown"


async def test_a_store_of_another_authority_is_not_trusted(seaweed: Seaweed, tmp_path: Path) -> None:
    from .support.authority import Authority

    stranger = Authority(tmp_path / "stranger").certificate
    with pytest.raises(ComposerError) as refusal:
        await open_store(seaweed, tmp_path, stranger).put(b"x", "image/png")
    assert refusal.value.code.code == "store_unavailable"


async def test_a_wrong_key_of_the_store_is_an_error(seaweed: Seaweed, tmp_path: Path, authority: Any) -> None:
    store = open_store(seaweed, tmp_path, authority.certificate, **{"object-store-secret-key": "wrong-key"})
    with pytest.raises(ComposerError) as refusal:
        await store.put(b"x", "image/png")
    assert refusal.value.code.code == "store_unavailable"


async def test_a_token_of_openbao_names_tenant_and_scopes(openbao: OpenBao) -> None:
    openbao.add_user("ana", "school", "compositions:read jobs:read")
    settings = IssuerSettings(
        issuer=openbao.issuer, jwks_url=openbao.jwks_url, authority=openbao.authority, audience=PUBLIC_URL
    )
    verifier = TokenVerifier([settings])
    caller = await verifier.verify(openbao.token("ana"))
    await verifier.close()
    assert caller.tenant == "school"
    assert caller.scopes == {"compositions:read", "jobs:read"}
