"""Every kind of bad token is answered as it should be, by the real web process, which goes on."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import new_platform
from .support.authority import Authority
from .support.installation import PUBLIC_URL, Platform
from .support.issuer import ALGORITHMS, Issuer, Key
from .support.postgres import Postgres

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
METADATA = "https://composer.lab.test/.well-known/oauth-protected-resource/mcp"


class Stand:
    """A web process that trusts an issuer of its own, which has one key of each algorithm."""

    def __init__(self, platform: Platform, issuer: Issuer) -> None:
        self.platform = platform
        self.issuer = issuer
        self.good = issuer.token()

    def post(self, token: str | bytes | None) -> httpx.Response:
        headers: dict[str, str | bytes] = {"Accept": "application/json, text/event-stream"}
        if token is not None:
            headers["Authorization"] = b"Bearer " + (token if isinstance(token, bytes) else token.encode())
        return httpx.post(self.platform.url, json=PING, headers=headers, timeout=30)

    def refused(self, token: str | bytes | None, reason: str) -> None:
        """Expect 401 with its challenge, and that a good token is still answered."""
        answer = self.post(token)
        assert answer.status_code == 401, answer.text
        challenge = answer.headers["WWW-Authenticate"]
        assert f'resource_metadata="{METADATA}"' in challenge
        assert ('error="invalid_token"' in challenge) == (token is not None)
        assert reason in answer.json()["message"] and answer.json()["remedy"]
        assert self.post(self.good).status_code == 200


@pytest.fixture(scope="module")
def stand(
    tmp_path_factory: pytest.TempPathFactory, postgres: Postgres, authority: Authority
) -> Iterator[Stand]:
    issuer = Issuer(authority, PUBLIC_URL)
    for algorithm in ALGORITHMS:
        issuer.keys[algorithm] = Key(algorithm)
    folder: Path = tmp_path_factory.mktemp("hostile")
    with new_platform(folder, postgres, issuer, authority) as platform:
        platform.configure(
            issuer={
                "issuer": issuer.url,
                "jwks_url": f"{issuer.url}/keys",
                "authority": issuer.authority,
                "audience": PUBLIC_URL,
                "algorithms": list(ALGORITHMS),
            }
        )
        platform.start_web()
        yield Stand(platform, issuer)
    issuer.close()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_token_of_each_algorithm_is_accepted(stand: Stand, algorithm: str) -> None:
    issuer = stand.issuer
    assert stand.post(issuer.sign(issuer.keys[algorithm], algorithm, issuer.claims())).status_code == 200


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_nobody_else_can_sign(stand: Stand, algorithm: str) -> None:
    forged = stand.issuer.sign(Key(algorithm), algorithm, stand.issuer.claims())
    stand.refused(forged, "its signature is wrong")


def test_there_must_be_a_token(stand: Stand) -> None:
    stand.refused(None, "there is none")


NOW = int(time.time())


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": NOW - 3600}, "it has expired"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": 1e400}, "malformed"),
        ({"exp": None}, "lacks the claim exp"),
        ({"nbf": NOW + 36000}, "not valid yet"),
        ({"iat": NOW + 36000}, "not valid yet"),
        ({"iat": [1]}, "malformed"),
        ({"iss": "https://evil.test"}, "its issuer is not trusted"),
        ({"iss": ["https://evil.test"]}, "its issuer is not trusted"),
        ({"aud": "https://elsewhere.test/mcp"}, "another audience"),
        ({"aud": [PUBLIC_URL + "/more"]}, "another audience"),
        ({"aud": None}, "lacks the claim aud"),
        ({"sub": None}, "lacks the claim sub"),
        ({"sub": 7}, "malformed"),
        ({"sub": ""}, "empty or too long"),
        ({"sub": "x" * 301}, "empty or too long"),
        ({"jti": 7}, "malformed"),
        ({"jti": "x" * 301}, "empty or too long"),
        ({"tenant": None}, "does not name a tenant"),
        ({"tenant": "two\nlines"}, "does not name a tenant"),
    ],
)
def test_a_wrong_claim_is_refused(stand: Stand, claims: dict[str, Any], reason: str) -> None:
    stand.refused(stand.issuer.token(**claims), reason)


def test_clocks_may_differ_a_little(stand: Stand) -> None:
    now = int(time.time())
    assert stand.post(stand.issuer.token(exp=now - 5)).status_code == 200
    assert stand.post(stand.issuer.token(iat=now + 5, nbf=now + 5)).status_code == 200


def part(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


HEAD = part({"alg": "ES256", "kid": "ES256"})


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "", None, 7, ["ES256"]])
def test_a_token_without_a_signature_is_refused(stand: Stand, algorithm: Any) -> None:
    body = part(stand.issuer.claims())
    for signature in ("", "AAAA"):
        stand.refused(f"{part({'alg': algorithm, 'kid': 'ES256'})}.{body}.{signature}", "")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("named", ["HS256", "HS384", "HS512"])
def test_a_public_key_is_no_shared_secret(stand: Stand, algorithm: str, named: str) -> None:
    """The classical forgery: the algorithm of the header decides what the key is taken for."""
    signed = f"{part({'alg': named, 'kid': algorithm})}.{part(stand.issuer.claims())}"
    key = stand.issuer.keys[algorithm]
    for secret in (key.public_text, json.dumps(key.published(algorithm)).encode()):
        digest = hmac.new(secret, signed.encode(), getattr(hashlib, f"sha{named[2:]}")).digest()
        stand.refused(f"{signed}.{part(digest)}", "its algorithm is not allowed")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_is_good_for_its_own_algorithm_only(stand: Stand, algorithm: str) -> None:
    signed = stand.issuer.sign(stand.issuer.keys[algorithm], algorithm, stand.issuer.claims())
    for other in set(ALGORITHMS) - {algorithm}:
        _, body, signature = signed.split(".")
        stand.refused(f"{part({'alg': other, 'kid': algorithm})}.{body}.{signature}", "")
        stand.refused(
            stand.issuer.sign(stand.issuer.keys[algorithm], other, stand.issuer.claims()), "algorithm"
        )


def test_an_unknown_key_is_refused(stand: Stand) -> None:
    for name in ("unknown", "x" * 5000, None):
        stand.refused(stand.issuer.sign(Key(), name, stand.issuer.claims()), "does not publish")


@pytest.mark.parametrize(
    "headers",
    [
        {"jwk": Key().published("own")},
        {"jku": "https://evil.test/keys"},
        {"x5u": "https://evil.test/keys", "x5c": ["AAAA"]},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"kid": "../../etc/passwd"},
        {"kid": {"a": 1}},
    ],
    ids=lambda headers: "+".join(headers),
)
def test_a_header_brings_no_key_of_its_own(stand: Stand, headers: dict[str, Any]) -> None:
    head = {"alg": "ES256", "kid": "ES256"} | headers
    stand.refused(f"{part(head)}.{part(stand.issuer.claims())}.{part(bytes(64))}", "")


@pytest.mark.parametrize(
    "token",
    [
        "x", "a.b.c", "....", "." * 4000, "eyJhbGciOiJFUzI1NiJ9", b"\xff\xfe.\x80.\x80",
        f"{HEAD}.{part(b'[' * 3000)}.AAAA",
        f"{part(b'[' * 3000 + b']' * 2000)}.{part({})}.AAAA",
        HEAD + "." + part(b'{"iss":' * 800) + ".AAAA",
        f"{HEAD}.{part([])}.AAAA",
        HEAD + "." + part(b'{"iss": 1' + b"0" * 5000 + b"}") + ".AAAA",
    ],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_token_is_refused(stand: Stand, token: str | bytes) -> None:
    stand.refused(token, "")


def test_a_huge_header_is_refused_before_anybody_reads_it(stand: Stand) -> None:
    for size in (10_000, 20_000, 1_000_000):
        with contextlib.suppress(httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
            assert stand.post("x" * size).status_code == 431
    assert stand.post(stand.good).status_code == 200


def test_a_short_key_is_not_trusted(stand: Stand) -> None:
    stand.issuer.keys["short"] = Key("RS256", bits=1024)
    deadline = time.monotonic() + 30
    token = stand.issuer.sign(stand.issuer.keys["short"], "short", stand.issuer.claims())
    while "does not publish" in (message := stand.post(token).json()["message"]):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert "too short" in message


def test_a_key_that_was_just_made_is_found_without_a_restart(stand: Stand) -> None:
    """Rotated while calls are under way: none of either key is refused."""
    # What the tests before used up of looks is earned again.
    time.sleep(12)
    for algorithm in ALGORITHMS:
        old = stand.issuer.token(jti=f"old {algorithm}")
        with stand.issuer.rotated(f"next {algorithm}", algorithm):
            assert stand.post(stand.issuer.token()).status_code == 200
            assert stand.post(old).status_code == 200
        time.sleep(1.5)
    asked = stand.issuer.requests
    for number in range(30):
        assert (
            stand.post(stand.issuer.sign(Key(), f"invented {number}", stand.issuer.claims())).status_code
            == 401
        )
    assert stand.issuer.requests - asked <= 8


def test_known_keys_go_on_while_the_issuer_is_away(stand: Stand) -> None:
    stand.issuer.away = True
    try:
        time.sleep(11)
        unknown = stand.issuer.sign(Key(), "made while away", stand.issuer.claims())
        answer = stand.post(unknown)
        assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1 and answer.json()["retryable"]
        for algorithm in ALGORITHMS:
            fresh = stand.issuer.sign(stand.issuer.keys[algorithm], algorithm, stand.issuer.claims(jti="new"))
            assert stand.post(fresh).status_code == 200
    finally:
        stand.issuer.away = False
