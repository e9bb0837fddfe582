"""Which signatures the front door accepts: those of algorithms that the operator declared for the issuer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from door import TLS, call, log_entry, restart, token, tokens

UNITS = ["haproxy", "composer-edge-keys"]
CONFIG = "/etc/haproxy/haproxy.cfg"
REALM = "https://realm.lab.test"
# Refusals are counted by address; these do not use up what other tests may have.
ELSEWHERE = "--interface 127.0.0.50"
UNVERIFIABLE = "an algorithm that this gateway cannot verify"
ALGORITHM = "an algorithm that is accepted from this issuer"
KEY = "a key that its issuer does not publish, or not for this algorithm"
SIGNATURE = "The signature of the token is wrong"


def wanted(
    algorithm: Any, kid: str | None, key: str | None = None, signed_with: str | None = None, **claims: Any
) -> dict[str, Any]:
    """A token of the second issuer, which signs with more than ES256."""
    return {
        "header": {"alg": algorithm, "kid": kid},
        "claims": {"iss": REALM, "sub": "pupil", **claims},
        "key": f"{key or kid}.pem",
        "signed_with": signed_with,
    }


def of_realm(host: Any, *words: Any, **claims: Any) -> str:
    return token(host, **wanted(*words, **claims))


def verifies_pss(host: Any) -> bool:
    """Whether this Debian's HAProxy does."""
    return int(host.system_info.release.split(".")[0]) >= 13


@pytest.mark.parametrize(("algorithm", "kid"), [("RS256", "rsa"), ("ES384", "p384")])
def test_each_declared_algorithm_opens_the_door_and_names_the_caller(
    host: Any, algorithm: str, kid: str
) -> None:
    answer = call(host, of_realm(host, algorithm, kid))
    assert answer.status == 200
    assert log_entry(host, answer)["subject"] == "pupil"


def test_pss_is_verified_where_haproxy_can_and_refused_elsewhere(host: Any) -> None:
    answer = call(host, of_realm(host, "PS256", "rsa"), ELSEWHERE)
    if verifies_pss(host):
        assert answer.status == 200
        assert call(host, of_realm(host, "PS256", "rsa", key="forged"), ELSEWHERE).status == 401
    else:
        assert answer.status == 401 and UNVERIFIABLE in answer.json["message"]


FORGED = [
    # A key of the attacker's own.
    (("RS256", "rsa", "forged"), SIGNATURE),
    # Published keys, used for something else than they are made for.
    (("ES384", "rsa", "rsa", "RS256"), KEY),
    (("RS256", "p384", "p384", "ES384"), KEY),
    # The public key as a secret, which everybody has.
    (("HS256", "rsa"), ALGORITHM),
    (("HS256", "p384"), ALGORITHM),
    (("none", "rsa"), ALGORITHM),
    # What was never declared.
    (("RS384", "rsa", "rsa", "RS256"), ALGORITHM),
    (("rs256", "rsa", "rsa", "RS256"), ALGORITHM),
    (("RS256 ", "rsa", "rsa", "RS256"), ALGORITHM),
    ((["RS256"], "rsa", "rsa", "RS256"), ALGORITHM),
    # The first issuer's algorithm and key under the second's name.
    (("ES256", "k1", "k1", "ES256"), ALGORITHM),
    # A signature without a word for its algorithm or its key.
    ((None, "rsa", "rsa", "RS256"), ALGORITHM),
    (("RS256", None, "rsa", "RS256"), KEY),
]


@pytest.fixture(scope="module")
def forged(host: Any) -> list[str]:
    return tokens(host, [wanted(*words) for words, _ in FORGED])


@pytest.mark.parametrize("number", range(len(FORGED)), ids=[str(words) for words, _ in FORGED])
def test_a_token_that_lies_about_its_algorithm_is_refused(host: Any, forged: list[str], number: int) -> None:
    answer = call(host, forged[number], ELSEWHERE)
    assert answer.status == 401 and FORGED[number][1] in answer.json["message"]


@pytest.mark.parametrize(("algorithm", "kid"), [("RS256", "rsa"), ("ES384", "p384"), ("EdDSA", "ed")])
def test_an_issuer_is_not_believed_what_another_may_sign_with(host: Any, algorithm: str, kid: str) -> None:
    foreign = of_realm(host, algorithm, kid, iss="https://issuer.lab.test")
    answer = call(host, foreign, ELSEWHERE)
    assert answer.status == 401 and ALGORITHM in answer.json["message"]


def test_what_nobody_can_verify_here_is_refused_unless_the_operator_says_otherwise(host: Any) -> None:
    answer = call(host, of_realm(host, "EdDSA", "ed"), ELSEWHERE)
    assert answer.status == 401 and UNVERIFIABLE in answer.json["message"]


@pytest.fixture
def passing(host: Any) -> Iterator[None]:
    """The configuration with `haproxy_unverifiable_tokens: pass`, for one test.

    That there is no other difference is seen to in tests/unit/haproxy.
    """
    host.check_output(f"cp {CONFIG} {CONFIG}.refusing && sed -i 's/str(refuse)/str(pass)/' {CONFIG}")
    restart(host)
    yield
    host.check_output(f"mv {CONFIG}.refusing {CONFIG}")
    restart(host)


@pytest.mark.usefixtures("passing")
def test_what_passes_is_left_to_the_application_as_it_came(host: Any) -> None:
    # The gateway cannot tell the forged one; whoever stands behind it must.
    for bearer in tokens(host, [wanted("EdDSA", "ed"), wanted("EdDSA", "ed", "forged-ed")]):
        answer = call(host, bearer)
        assert answer.status == 200
        seen = {name.lower(): value for name, value in answer.events[0]["headers"].items()}
        assert seen["authorization"] == f"Bearer {bearer}"


@pytest.mark.usefixtures("passing")
def test_passing_some_tokens_opens_the_door_to_no_others(host: Any, forged: list[str]) -> None:
    wrong: list[dict[str, Any]] = [
        {"exp": -1},
        {"aud": "https://other.test/mcp"},
        {"iss": "https://issuer.lab.test"},
    ]
    for bearer in forged + tokens(host, [wanted("EdDSA", "ed", **claims) for claims in wrong]):
        assert call(host, bearer, ELSEWHERE).status == 401, bearer
    assert call(host, of_realm(host, "RS256", "rsa"), ELSEWHERE).status == 200


@pytest.mark.usefixtures("passing")
def test_who_passes_unverified_is_counted_by_address_and_never_named(host: Any) -> None:
    source = "--interface 127.0.0.88"
    bearers = tokens(host, [wanted("EdDSA", "ed", sub=f"unproven-{number}") for number in range(2)])
    each = " ".join(f"'Authorization: Bearer {bearer}'" for bearer in bearers)
    knock = f"curl -s -o /dev/null -w '%{{http_code}} ' {source} {TLS} -H \"$who\" -d '{{}}' https://localhost/mcp"
    loop = f"for i in $(seq 35); do for who in {each}; do {knock}; done; done"
    codes = host.check_output(loop).split()
    assert codes[0] == "200" and codes[-1] == "429" and set(codes) == {"200", "429"}
    answer = call(host, bearers[0], source)
    assert answer.status == 429 and "from your address" in answer.json["message"]
    # Neither somebody at another address nor a caller who is known is slowed down by it.
    assert call(host, bearers[0], "--interface 127.0.0.89").status == 200
    assert call(host, of_realm(host, "RS256", "rsa"), source).status == 200
    assert log_entry(host, answer)["subject"] == "-"
    assert "unproven" not in host.check_output("journalctl -u haproxy -o cat")
    ask = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/haproxy/admin.sock'); "
        "s.sendall(b'show table identities\\n'); print(b''.join(iter(lambda: s.recv(65536), b'')).decode())"
    )
    table = host.check_output(f'/usr/bin/python3 -c "{ask}"')
    assert "key=127.0.0.88 " in table and "unproven" not in table
