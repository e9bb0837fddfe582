"""What the key fetcher promises: only sound keys, the last ones while an issuer is down."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.unit.host_programs import load

SCRIPT = (
    Path(__file__).resolve().parents[3] / "roles/haproxy/files/keys/usr/local/lib/composer-edge/refresh-keys"
)
ISSUER = "https://issuer.test"


CURVES: dict[str, tuple[ec.EllipticCurve, int]] = {
    "P-256": (ec.SECP256R1(), 32),
    "P-384": (ec.SECP384R1(), 48),
    "P-521": (ec.SECP521R1(), 66),
}


def text(number: int, size: int = 32) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def jwk(kid: str, **changes: Any) -> dict[str, Any]:
    curve, size = CURVES[changes.get("crv", "P-256")]
    point = ec.generate_private_key(curve).public_key().public_numbers()
    key = {"kty": "EC", "crv": "P-256", "use": "sig", "kid": kid}
    return {**key, "x": text(point.x, size), "y": text(point.y, size), **changes}


def rsa_numbers(bits: int) -> rsa.RSAPublicNumbers:
    # The shortest are refused by `cryptography` itself, so their modulus is any odd number of that length.
    if bits < 1024:
        return rsa.RSAPublicNumbers(65537, 2 ** (bits - 1) + 1)
    return rsa.generate_private_key(65537, bits).public_key().public_numbers()


def rsa_jwk(kid: str, bits: int = 2048, **changes: Any) -> dict[str, Any]:
    numbers = rsa_numbers(bits)
    key = {"kty": "RSA", "use": "sig", "kid": kid, "e": "AQAB", "n": text(numbers.n, bits // 8)}
    return {**key, **changes}


def ed25519_jwk(kid: str) -> dict[str, Any]:
    raw = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": text(int.from_bytes(raw, "big"))}


@pytest.fixture
def script() -> ModuleType:
    return load(SCRIPT)


#: Runs the fetcher; may be given the algorithms that are declared for the issuer and can be verified.
Refresh = Callable[..., int]


@pytest.fixture
def issuer(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the issuer publishes; an exception stands for its being down."""
    published: dict[str, Any] = {"answer": {"keys": [jwk("a")]}, "fetched": 0}

    def fetch(issuer: dict[str, Any], authority: str) -> Any:
        published["fetched"] += 1
        if isinstance(published["answer"], Exception):
            raise published["answer"]
        return script.read_keys(published["answer"], issuer["algorithms"])

    monkeypatch.setattr(script, "fetch", fetch)
    return published


@pytest.fixture
def refresh(
    script: ModuleType, issuer: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Refresh:
    monkeypatch.setattr("sys.argv", ["refresh-keys", "--config", str(tmp_path / "settings.json")])

    def run(algorithms: Sequence[str] = ("ES256",)) -> int:
        settings = {
            "authority": "/ca.crt",
            "folder": str(tmp_path / "keys"),
            "haproxy_config": str(tmp_path / "haproxy.cfg"),
            "issuers": [{"issuer": ISSUER, "jwks_url": f"{ISSUER}/keys", "algorithms": list(algorithms)}],
            "slots": 3,
        }
        (tmp_path / "settings.json").write_text(json.dumps(settings))
        return int(script.main())

    return run


def test_a_published_key_gets_a_slot_that_the_map_names(refresh: Refresh, tmp_path: Path) -> None:
    assert refresh() == 0
    assert (tmp_path / "keys/keys.map").read_text() == f"keys 1\n{ISSUER}|a 1\n{ISSUER}|a|ES256 1\n"
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


def slots_of(tmp_path: Path) -> dict[str, str]:
    """The slot of each key and algorithm."""
    lines = (tmp_path / "keys/keys.map").read_text().splitlines()[1:]
    pairs = (line.rsplit(" ", 1) for line in lines)
    return {name.removeprefix(f"{ISSUER}|"): slot for name, slot in pairs if name.count("|") == 2}


@pytest.mark.parametrize(
    ("key", "declared", "used"),
    [
        (jwk("a"), ["ES256", "ES384"], ["ES256"]),
        (jwk("a", crv="P-384"), ["ES256", "ES384"], ["ES384"]),
        (jwk("a", crv="P-521", alg="ES512"), ["ES512"], ["ES512"]),
        # As Entra publishes it, and as Keycloak does.
        (rsa_jwk("a"), ["RS256", "PS256", "ES256"], ["RS256", "PS256"]),
        (rsa_jwk("a", alg="RS256"), ["RS256", "PS256"], ["RS256"]),
        (rsa_jwk("a", bits=3072), ["RS512"], ["RS512"]),
    ],
)
def test_a_key_is_used_for_what_it_is_made_for_and_its_issuer_declared(
    refresh: Refresh,
    issuer: dict[str, Any],
    tmp_path: Path,
    key: dict[str, Any],
    declared: list[str],
    used: list[str],
) -> None:
    issuer["answer"] = {"keys": [key]}
    assert refresh(declared) == 0
    assert slots_of(tmp_path) == {f"a|{name}": "1" for name in used}
    public = load_pem_public_key((tmp_path / "keys/1.pem").read_bytes())
    if isinstance(public, rsa.RSAPublicKey):
        assert text(public.public_numbers().n, public.key_size // 8) == key["n"]
        assert public.public_numbers().e == 65537
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        size = CURVES[key["crv"]][1]
        numbers = public.public_numbers()
        assert (text(numbers.x, size), text(numbers.y, size)) == (key["x"], key["y"])


def test_a_key_that_cannot_be_used_harms_no_other(
    refresh: Refresh, issuer: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [
        rsa_jwk("weak", bits=1024),
        rsa_jwk("for encryption", use="enc", alg="RSA-OAEP"),
        ed25519_jwk("modern"),
        {"kty": "EC", "crv": "secp256k1", "kid": "coin"},
        jwk("not declared", crv="P-384"),
        jwk("two words"),
    ]
    issuer["answer"] = {"keys": [*odd, rsa_jwk("good"), jwk("also-good")]}
    assert refresh(["RS256", "ES256"]) == 0
    assert slots_of(tmp_path) == {"also-good|ES256": "1", "good|RS256": "2"}
    shown = capsys.readouterr().err
    assert "'weak' is left out: it has 1024 bits; less than 2048" in shown and "'two words'" in shown
    assert "modern" not in shown and "for encryption" not in shown


def test_an_issuer_that_haproxy_cannot_verify_is_not_asked(
    refresh: Refresh, issuer: dict[str, Any], tmp_path: Path
) -> None:
    assert refresh([]) == 0
    assert issuer["fetched"] == 0
    assert (tmp_path / "keys/keys.map").read_text() == "keys 0\n"


def test_what_an_earlier_release_fetched_stays_in_use(
    refresh: Refresh, issuer: dict[str, Any], tmp_path: Path
) -> None:
    refresh()
    store = tmp_path / "known-keys.json"
    pem = (tmp_path / "keys/1.pem").read_text()
    store.write_text(json.dumps({ISSUER: {"a": pem}}))
    issuer["answer"] = OSError("connection refused")
    assert refresh() == 0
    assert slots_of(tmp_path) == {"a|ES256": "1"} and (tmp_path / "keys/1.pem").read_text() == pem


def test_kept_keys_are_not_used_for_what_is_no_longer_declared(
    refresh: Refresh, issuer: dict[str, Any], tmp_path: Path
) -> None:
    refresh()
    issuer["answer"] = OSError("connection refused")
    assert refresh(["RS256"]) == 1
    assert slots_of(tmp_path) == {}


def test_the_configuration_of_the_release_before_finds_its_slots(refresh: Refresh, tmp_path: Path) -> None:
    # A deployment fetches keys first; until HAProxy has its new configuration, the old one reads this map.
    refresh()
    assert f"{ISSUER}|a 1" in (tmp_path / "keys/keys.map").read_text().splitlines()


@pytest.mark.parametrize(
    "key",
    [
        jwk("a", x=text(1), y=text(1)),
        jwk("a", x=text(2**256 - 1)),
        jwk("a b"),
        jwk("a|b"),
        jwk("a\n"),
        jwk(""),
        jwk("a", kty="RSA"),
        jwk("a", alg="RS256"),
        jwk("a", alg="ES384"),
        jwk("a", crv="P-384") | {"crv": "P-256"},
        jwk("a", use="enc"),
        {"kty": "EC", "crv": "P-256", "kid": "a"},
        {"kty": "oct", "alg": "HS256", "kid": "a", "k": "c2VjcmV0"},
        {"kty": "oct", "alg": "ES256", "kid": "a", "k": "c2VjcmV0"},
        rsa_jwk("a", bits=512),
        rsa_jwk("a", bits=1024),
        rsa_jwk("a", e="AQ"),
        rsa_jwk("a", e="BA"),
        rsa_jwk("a", n=text(2**2048 - 2, 256)),
        rsa_jwk("a", n="*"),
        rsa_jwk("a", alg="HS256"),
        rsa_jwk("a", alg="ES256"),
        ed25519_jwk("a"),
    ],
)
def test_an_unsound_key_is_never_used(
    refresh: Refresh, issuer: dict[str, Any], tmp_path: Path, key: dict[str, Any]
) -> None:
    issuer["answer"] = {"keys": [key]}
    assert refresh(["ES256", "ES384", "RS256", "PS256"]) == 1
    assert slots_of(tmp_path) == {}


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
