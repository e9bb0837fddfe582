"""What the key fetcher promises: only sound keys, the last ones while an issuer is down."""

from __future__ import annotations

import base64
import importlib.machinery
import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SCRIPT = (
    Path(__file__).resolve().parents[3] / "roles/haproxy/files/keys/usr/local/lib/composer-edge/refresh-keys"
)
ISSUER = "https://issuer.test"


def text(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()


def jwk(kid: str, **changes: Any) -> dict[str, Any]:
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    key = {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid}
    return {**key, "x": text(point.x), "y": text(point.y), **changes}


@pytest.fixture
def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("refresh_keys", str(SCRIPT))
    spec = importlib.util.spec_from_loader("refresh_keys", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


Refresh = Callable[[], int]


@pytest.fixture
def issuer(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the issuer publishes; an exception stands for its being down."""
    published: dict[str, Any] = {"answer": {"keys": [jwk("a")]}}

    def fetch(issuer: dict[str, str], authority: str) -> Any:
        if isinstance(published["answer"], Exception):
            raise published["answer"]
        return script.read_keys(published["answer"])

    monkeypatch.setattr(script, "fetch", fetch)
    return published


@pytest.fixture
def refresh(
    script: ModuleType, issuer: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Refresh:
    settings = {
        "authority": "/ca.crt",
        "folder": str(tmp_path / "keys"),
        "haproxy_config": str(tmp_path / "haproxy.cfg"),
        "issuers": [{"issuer": ISSUER, "jwks_url": f"{ISSUER}/keys"}],
        "slots": 3,
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    monkeypatch.setattr("sys.argv", ["refresh-keys", "--config", str(tmp_path / "settings.json")])
    return lambda: int(script.main())


def test_a_published_key_gets_a_slot_that_the_map_names(refresh: Refresh, tmp_path: Path) -> None:
    assert refresh() == 0
    assert (tmp_path / "keys/keys.map").read_text() == f"keys 1\n{ISSUER}|a 1\n"
    for slot in (1, 2, 3):
        key = load_pem_public_key((tmp_path / f"keys/{slot}.pem").read_bytes())
        assert isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"


def test_the_last_keys_stay_while_the_issuer_is_down(
    refresh: Refresh, issuer: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refresh()
    before = (tmp_path / "keys/keys.map").read_text(), (tmp_path / "keys/1.pem").read_text()
    issuer["answer"] = OSError("connection refused")
    assert refresh() == 0 and refresh() == 0
    assert ((tmp_path / "keys/keys.map").read_text(), (tmp_path / "keys/1.pem").read_text()) == before
    assert "last keys stay in use" in capsys.readouterr().err


def test_an_issuer_that_never_answered_is_a_failure_with_a_remedy(
    refresh: Refresh, issuer: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    issuer["answer"] = OSError("connection refused")
    assert refresh() == 1
    shown = capsys.readouterr().err
    assert "connection refused" in shown and "Check that the issuer runs" in shown
    assert (tmp_path / "keys/keys.map").read_text() == "keys 0\n"


@pytest.mark.parametrize(
    "key",
    [
        jwk("a", x=text(1), y=text(1)),
        jwk("a b"),
        jwk("a|b"),
        jwk("a\n"),
        jwk(""),
        jwk("a", kty="RSA"),
        jwk("a", alg="RS256"),
        jwk("a", use="enc"),
        {"kty": "EC", "crv": "P-256", "kid": "a"},
    ],
)
def test_an_unsound_key_is_never_used(refresh: Refresh, issuer: dict[str, Any], key: dict[str, Any]) -> None:
    issuer["answer"] = {"keys": [key]}
    assert refresh() == 1


@pytest.mark.parametrize("answer", [{}, {"keys": []}, {"keys": "x"}, [], "text", {"keys": [3]}])
def test_nonsense_instead_of_keys_changes_nothing(
    refresh: Refresh, issuer: dict[str, Any], answer: Any, tmp_path: Path
) -> None:
    refresh()
    before = (tmp_path / "keys/keys.map").read_text()
    issuer["answer"] = answer
    assert refresh() == 0
    assert (tmp_path / "keys/keys.map").read_text() == before


def test_more_keys_than_slots_change_nothing(
    refresh: Refresh, issuer: dict[str, Any], tmp_path: Path
) -> None:
    refresh()
    before = (tmp_path / "keys/keys.map").read_text()
    issuer["answer"] = {"keys": [jwk(str(number)) for number in range(4)]}
    assert refresh() == 1
    assert (tmp_path / "keys/keys.map").read_text() == before


@pytest.fixture
def haproxy(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A gateway whose configuration uses the keys; records what is asked of it and may find the keys bad."""
    (tmp_path / "haproxy.cfg").write_text(f"jwt_verify(ES256,{tmp_path}/keys/1.pem)")
    seen: dict[str, Any] = {"commands": [], "accepts": True}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        seen["commands"].append(" ".join(command))
        return subprocess.CompletedProcess(command, 0 if seen["accepts"] else 1, "", "bad key")

    monkeypatch.setattr(script, "run", run)
    return seen


def test_the_gateway_is_reloaded_only_when_keys_changed(
    refresh: Refresh, issuer: dict[str, Any], haproxy: dict[str, Any]
) -> None:
    refresh()
    assert [command.split()[0].split("/")[-1] for command in haproxy["commands"]] == ["haproxy", "systemctl"]
    assert "try-reload-or-restart" in haproxy["commands"][1]
    haproxy["commands"].clear()
    refresh()
    assert haproxy["commands"] == []
    issuer["answer"] = {"keys": [jwk("b")]}
    refresh()
    assert len(haproxy["commands"]) == 2


def test_keys_that_the_gateway_does_not_accept_are_taken_back(
    refresh: Refresh, issuer: dict[str, Any], haproxy: dict[str, Any], tmp_path: Path
) -> None:
    refresh()
    before = {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()}
    issuer["answer"] = {"keys": [jwk("b")]}
    haproxy.update(accepts=False, commands=[])
    assert refresh() == 1
    assert {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()} == before
    assert not any("systemctl" in command for command in haproxy["commands"])
