"""SCRAM verifiers are the ones PostgreSQL would make."""

from __future__ import annotations

import base64
import hmac

import pytest

from ansible_collections.euconquisto.composer.plugins.module_utils import scram

# The example of RFC 7677, section 3.
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
NONCE = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
CONVERSATION = (
    f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={NONCE}"
).encode()
SERVER_SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_verifier_signs_the_conversation_of_the_standard():
    verifier = scram.make("pencil", SALT, 4096)
    server_key = base64.b64decode(verifier.rsplit(":", 1)[1])
    signature = hmac.digest(server_key, CONVERSATION, "sha256")
    assert base64.b64encode(signature).decode() == SERVER_SIGNATURE


def test_two_verifiers_of_one_password_differ_and_both_match():
    one, other = scram.make("a password"), scram.make("a password")
    assert one != other
    assert scram.matches(one, "a password")
    assert scram.matches(other, "a password")


@pytest.mark.parametrize(
    "verifier",
    [None, "", "md5abcdef", "SCRAM-SHA-256$4096:%%$a:b", scram.make("another password")],
    ids=["none", "empty", "md5", "broken", "another password"],
)
def test_anything_else_does_not_match(verifier):
    assert not scram.matches(verifier, "a password")


def test_the_password_is_not_in_its_verifier():
    assert "plain-password" not in scram.make("plain-password")
