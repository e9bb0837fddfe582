"""A server that runs alone accepts the tokens that it made itself, and no others."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from composer_mcp.alone.defaults import local_issuer
from composer_mcp.alone.issuer import LocalIssuer
from composer_mcp.errors import ComposerError
from composer_mcp.security.tokens import TokenVerifier
from composer_mcp.settings import ConfigurationError, IssuerSettings

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def verifier(folder: Path) -> TokenVerifier:
    return TokenVerifier([IssuerSettings(**local_issuer(folder))])


async def test_its_token_opens_what_was_asked_for(tmp_path: Path) -> None:
    folder = tmp_path / "with a space"
    token = LocalIssuer(folder / "issuer").token(["compositions:read"], minutes=5)
    who = await verifier(folder).verify(token)
    assert who.tenant == "local" and who.may_use("get_composition") and not who.may_use("create_composition")


async def test_the_key_stays_the_same_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    token = LocalIssuer(tmp_path / "issuer").token(["jobs:read"], minutes=5)
    LocalIssuer(tmp_path / "issuer")
    await verifier(tmp_path).verify(token)
    assert stat.S_IMODE((tmp_path / "issuer").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "issuer/signing-key.pem").stat().st_mode) == 0o600


async def test_a_token_of_another_state_directory_is_refused(tmp_path: Path) -> None:
    LocalIssuer(tmp_path / "ours/issuer")
    token = LocalIssuer(tmp_path / "theirs/issuer").token(["jobs:read"], minutes=5)
    with pytest.raises(ComposerError, match="does not publish"):
        await verifier(tmp_path / "ours").verify(token)


async def test_an_old_token_is_refused(tmp_path: Path) -> None:
    token = LocalIssuer(tmp_path / "issuer").token(["jobs:read"], minutes=-2)
    with pytest.raises(ComposerError, match="expired"):
        await verifier(tmp_path).verify(token)


async def test_without_keys_nobody_is_let_in(tmp_path: Path) -> None:
    token = LocalIssuer(tmp_path / "issuer").token(["jobs:read"], minutes=5)
    (tmp_path / "issuer/keys.json").unlink()
    with pytest.raises(ComposerError, match="cannot be fetched"):
        await verifier(tmp_path).verify(token)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n"])
def test_a_broken_key_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "signing-key.pem").write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"signing-key\.pem is not a key of this server.*Remove it"):
        LocalIssuer(tmp_path)
