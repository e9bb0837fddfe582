"""A token is accepted only if a trusted issuer signed it, for us, for now, with a permitted algorithm."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from composer_mcp.errors import ComposerError
from composer_mcp.security import keys as keys_module
from composer_mcp.security.keys import IssuerKeys
from composer_mcp.security.tokens import TokenVerifier
from composer_mcp.settings import IssuerSettings

pytestmark = pytest.mark.anyio
ISSUER, AUDIENCE = "https://issuer.test", "https://composer.test/mcp"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FakeIssuer:
    """Signs tokens, and answers requests for its keys without a network."""

    def __init__(self) -> None:
        self.settings = IssuerSettings(issuer=ISSUER, jwks_url=f"{ISSUER}/keys", audience=AUDIENCE)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.requests = 0
        self.up = True
        self.published = {"one": self.key}
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.keys = IssuerKeys(self.settings, client)

    def _answer(self, _request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if not self.up:
            return httpx.Response(503)
        entries = [
            jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "alg": "ES256"}
            for name, key in self.published.items()
        ]
        return httpx.Response(200, json={"keys": entries})

    def verifier(self) -> TokenVerifier:
        return TokenVerifier([self.settings], {ISSUER: self.keys})

    def token(self, key: Any = None, algorithm: str = "ES256", kid: str | None = "one", **claims: Any) -> str:
        now = int(time.time())
        content = {
            "iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "iat": now, "exp": now + 60,
            "tenant": "school", "scope": "compositions:read jobs:read",
        } | claims  # fmt: skip
        content = {name: value for name, value in content.items() if value is not None}
        return jwt.encode(content, key or self.key, algorithm, headers={"kid": kid} if kid else {})


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer()


async def test_a_good_token_names_its_caller(issuer: FakeIssuer) -> None:
    caller = await issuer.verifier().verify(issuer.token())
    assert (caller.subject, caller.tenant) == ("ana", "school")
    assert caller.may_use("get_composition") and caller.may_use("get_job")
    assert not caller.may_use("create_composition")


async def test_scopes_may_come_as_a_list(issuer: FakeIssuer) -> None:
    caller = await issuer.verifier().verify(issuer.token(scope=["compositions:write", 7]))
    assert caller.scopes == {"compositions:write"}


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "lacks the claim exp"),
        ({"iat": None}, "lacks the claim iat"),
        ({"sub": None}, "lacks the claim sub"),
        ({"aud": None}, "lacks the claim aud"),
        ({"nbf": int(time.time()) + 3600}, "not valid yet"),
        ({"aud": "https://other.test/mcp"}, "another audience"),
        ({"iss": "https://evil.test"}, "not trusted"),
        ({"iss": None}, "not trusted"),
        ({"tenant": None}, "does not name a tenant"),
        ({"tenant": ["a"]}, "does not name a tenant"),
        ({"tenant": "a b"}, "does not name a tenant"),
    ],
)
async def test_a_wrong_claim_is_refused(issuer: FakeIssuer, claims: dict[str, Any], reason: str) -> None:
    assert reason in await refusal(issuer, issuer.token(**claims))


async def test_a_stranger_cannot_sign(issuer: FakeIssuer) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert "signature is wrong" in await refusal(issuer, issuer.token(stranger))
    assert "does not publish" in await refusal(issuer, issuer.token(stranger, kid="two"))
    assert "does not publish" in await refusal(issuer, issuer.token(kid=None))


async def test_another_algorithm_is_refused(issuer: FakeIssuer) -> None:
    public = issuer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # The classical forgery: the public key taken as a shared secret.
    forged = sign_with_secret(issuer, public)
    unsigned = jwt.encode({"iss": ISSUER}, None, "none", headers={"kid": "one"})
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    for token in (forged, unsigned, issuer.token(rsa_key, "RS256")):
        assert "algorithm is not allowed" in await refusal(issuer, token)


@pytest.mark.parametrize("token", ["", "a.b.c", "eyJhbGciOiJFUzI1NiJ9", "x" * 20_000, "ã"])
async def test_what_is_no_token_is_refused(issuer: FakeIssuer, token: str) -> None:
    await refusal(issuer, token)
    assert issuer.requests == 0


async def test_a_verified_token_is_remembered_until_it_expires(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier, token, now = issuer.verifier(), issuer.token(), time.time()
    assert await verifier.verify(token) is await verifier.verify(token)
    monkeypatch.setattr(time, "time", lambda: now + 61)
    with pytest.raises(ComposerError):
        await TokenVerifier([issuer.settings], {ISSUER: issuer.keys}).verify(issuer.token(exp=int(now) + 1))


async def test_a_new_key_is_found_but_the_issuer_is_not_hammered(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    verifier = issuer.verifier()
    await verifier.verify(issuer.token())
    new = ec.generate_private_key(ec.SECP256R1())
    issuer.published["two"] = new
    clock.now += keys_module.PAUSE_SECONDS + 1
    assert (await verifier.verify(issuer.token(new, kid="two"))).tenant == "school"
    for _ in range(50):
        await refusal(issuer, issuer.token(new, kid="three"))
    assert issuer.requests == 2


async def test_known_keys_outlive_an_issuer_that_is_away(
    issuer: FakeIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    await issuer.verifier().verify(issuer.token())
    issuer.up = False
    clock.now += 3600
    await issuer.verifier().verify(issuer.token(jti="another"))
    clock.now += keys_module.STALE_SECONDS
    with pytest.raises(ComposerError) as error:
        await issuer.verifier().verify(issuer.token(jti="a third"))
    assert error.value.code.code == "issuer_unavailable"


async def test_without_keys_the_answer_is_not_that_the_token_is_bad(issuer: FakeIssuer) -> None:
    issuer.up = False
    with pytest.raises(ComposerError) as error:
        await issuer.verifier().verify(issuer.token())
    assert (error.value.code.code, error.value.code.status) == ("issuer_unavailable", 503)


async def test_an_endless_key_set_is_refused(issuer: FakeIssuer) -> None:
    client = httpx.AsyncClient(
        transport=httpx.MockTransport(lambda _request: httpx.Response(200, content=b" " * 300_000))
    )
    with pytest.raises(ValueError, match="larger than"):
        await IssuerKeys(issuer.settings, client).fetch()


class Clock:
    """The monotonic clock, under the test's hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(keys_module.time, "monotonic", lambda: self.now)


async def refusal(issuer: FakeIssuer, token: str) -> str:
    with pytest.raises(ComposerError) as error:
        await issuer.verifier().verify(token)
    assert error.value.code.code == "invalid_token"
    return error.value.sentence


def sign_with_secret(issuer: FakeIssuer, secret: bytes) -> str:
    import hashlib
    import hmac

    _, payload, _ = issuer.token().split(".")
    header = (
        base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "one"}).encode()).rstrip(b"=").decode()
    )
    signature = hmac.new(secret, f"{header}.{payload}".encode(), hashlib.sha256).digest()
    return f"{header}.{payload}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
