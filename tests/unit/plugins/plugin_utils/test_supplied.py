"""A supplied certificate is judged before any host sees it; what is wrong is told all at once."""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ansible_collections.euconquisto.composer.plugins.plugin_utils.authority import _alternative_names
from ansible_collections.euconquisto.composer.plugins.plugin_utils.supplied import (
    Demands,
    Judged,
    Refused,
    judge,
)

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
NAMES = ("app1", "app1.example.org", "192.0.2.11")
BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
CERTIFIES = x509.KeyUsage(
    digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
)  # fmt: skip
NO_PASSWORD = serialization.NoEncryption()


@dataclass
class Party:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, protection: serialization.KeySerializationEncryption = NO_PASSWORD) -> bytes:
        pem: bytes = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
        )
        return pem


def party(
    name: str,
    issuer: Party | None = None,
    *,
    names: tuple[str, ...] = (),
    uses: tuple[x509.ObjectIdentifier, ...] = BOTH,
    days: tuple[int, int] = (-1, 90),
    path_length: int | None = None,
    key: Any = None,
) -> Party:
    """A host's certificate if it has names, else an authority's."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=not names, path_length=path_length), critical=True)
    )
    # Without these Python 3.13 accepts no certificate, whoever issued it.
    above = issuer.key if issuer else key
    builder = builder.add_extension(
        x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
    ).add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
    if not names:
        builder = builder.add_extension(CERTIFIES, critical=True)
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(_alternative_names(names)), critical=False
        ).add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    return Party(builder.sign(above, hashes.SHA256()), key)


ROOT = party("Root", days=(-1, 3650))
MIDDLE = party("Middle", ROOT, days=(-1, 1000))
HOST = party("app1", MIDDLE, names=NAMES)


def judged(
    chain: bytes = HOST.pem + MIDDLE.pem,
    key: bytes | None = None,
    authorities: bytes = ROOT.pem,
    names: tuple[str, ...] = NAMES,
    now: datetime.datetime = NOW,
) -> Judged:
    demands = Demands(names, uses=("server", "client"), now=now)
    return judge(chain, HOST.key_pem() if key is None else key, authorities, demands)


def complaints(**given: Any) -> str:
    with pytest.raises(Refused) as refused:
        judged(**given)
    return str(refused.value)


def test_what_is_accepted_serves_a_client_that_trusts_the_authority(tmp_path: Path) -> None:
    accepted = judged()
    assert (accepted.subject, accepted.days_left) == ("CN=app1", 89)
    for name, content in {"crt": HOST.pem + MIDDLE.pem, "key": HOST.key_pem(), "root": ROOT.pem}.items():
        (tmp_path / name).write_bytes(content)
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    listening.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    calling = ssl.create_default_context(cafile=str(tmp_path / "root"))
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = calling.wrap_bio(here, there, server_hostname="app1.example.org")
    server = listening.wrap_bio(there, here, server_side=True)
    for end in (client, server, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.getpeercert()


def test_a_chain_may_end_with_its_root_and_authorities_may_be_several() -> None:
    judged(chain=HOST.pem + MIDDLE.pem + ROOT.pem)
    judged(authorities=party("Other").pem + ROOT.pem)


def test_a_key_of_another_certificate_is_refused() -> None:
    assert "does not belong to the certificate of CN=app1" in complaints(key=ROOT.key_pem())


def test_a_chain_in_the_wrong_order_is_told_how_to_be_put_right() -> None:
    told = complaints(chain=MIDDLE.pem + HOST.pem)
    assert "the host's own must come first" in told


def test_issuers_in_the_wrong_order_are_told_apart() -> None:
    told = complaints(chain=HOST.pem + ROOT.pem + MIDDLE.pem)
    assert "CN=app1 was issued by CN=Middle, but the file goes on with CN=Root" in told


def test_a_key_with_a_passphrase_is_refused() -> None:
    protected = HOST.key_pem(serialization.BestAvailableEncryption(b"secret"))
    assert "passphrase" in complaints(key=protected)


@pytest.mark.parametrize(
    ("key", "word"),
    [
        (rsa.generate_private_key(65537, 1024), "1024 bits"),
        (ed25519.Ed25519PrivateKey.generate(), "neither an RSA nor an elliptic-curve key"),
    ],
)
def test_a_key_that_clients_refuse_is_refused_here(key: Any, word: str) -> None:
    weak = party("app1", MIDDLE, names=NAMES, key=key)
    assert word in complaints(chain=weak.pem + MIDDLE.pem, key=weak.key_pem())


def test_an_rsa_key_of_usual_size_will_do() -> None:
    usual = party("app1", MIDDLE, names=NAMES, key=rsa.generate_private_key(65537, 2048))
    assert judged(chain=usual.pem + MIDDLE.pem, key=usual.key_pem())


@pytest.mark.parametrize(
    ("later", "word"),
    [
        (-3, "not valid before"),
        (91, "CN=app1 expired on"),
        (1001, "CN=Middle expired on"),
        (3651, "CN=Root expired on"),
    ],
)
def test_a_certificate_outside_of_its_time_is_refused(later: int, word: str) -> None:
    assert word in complaints(now=NOW + later * DAY)


def test_every_missing_name_is_told() -> None:
    told = complaints(names=(*NAMES, "localhost", "192.0.2.12"))
    assert "lacks localhost, 192.0.2.12;" in told and "app1.example.org" in told


@pytest.mark.parametrize(
    ("name", "covered"), [("a.example.org", True), ("a.b.example.org", False), ("example.org", False)]
)
def test_a_star_stands_for_one_label(name: str, covered: bool) -> None:
    star = party("star", MIDDLE, names=("*.example.org",))
    given = {"chain": star.pem + MIDDLE.pem, "key": star.key_pem(), "names": (name,)}
    if covered:
        assert judged(**given)
    else:
        assert f"lacks {name}" in complaints(**given)


def test_a_public_certificate_is_not_taken_for_one_of_the_inside() -> None:
    public = party("app1", MIDDLE, names=NAMES, uses=(ExtendedKeyUsageOID.SERVER_AUTH,))
    assert "lacks clientAuth" in complaints(chain=public.pem + MIDDLE.pem, key=public.key_pem())


def test_a_chain_with_a_gap_names_the_issuer_that_is_missing() -> None:
    told = complaints(chain=HOST.pem)
    assert "incomplete" in told and "CN=Middle" in told


def test_a_chain_that_brings_its_own_root_is_not_trusted_for_that() -> None:
    other = party("Other")
    told = complaints(chain=HOST.pem + MIDDLE.pem + ROOT.pem, authorities=other.pem)
    assert "CN=Root, with which the chain ends, is none of the authorities" in told


def test_an_authority_of_the_same_name_is_no_issuer() -> None:
    assert "incomplete" in complaints(authorities=party("Root").pem)


def test_a_host_cannot_issue_certificates() -> None:
    forged = party("app2", HOST, names=("app2",))
    told = complaints(chain=forged.pem + HOST.pem + MIDDLE.pem, key=forged.key_pem(), names=("app2",))
    assert "CN=app1 may not issue CN=app2" in told


def test_an_authority_for_hosts_only_cannot_make_authorities() -> None:
    narrow = party("Narrow", ROOT, path_length=0)
    below = party("Below", narrow)
    host = party("app1", below, names=NAMES)
    told = complaints(chain=host.pem + below.pem + narrow.pem, key=host.key_pem())
    assert "CN=Narrow may not issue CN=Below" in told


@pytest.mark.parametrize("what", ["chain", "key", "authorities"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff nonsense", HOST.key_pem()[:80]], ids=["empty", "nonsense", "cut short"]
)
def test_what_is_no_pem_is_told_by_file(what: str, content: bytes) -> None:
    word = {"chain": "certificate file", "key": "key file", "authorities": "authority file"}[what]
    assert word in complaints(**{what: content})


def test_an_authority_that_cannot_be_read_hides_no_other() -> None:
    unreadable = b"-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n"
    assert judged(authorities=unreadable + ROOT.pem)


def test_a_certificate_of_which_no_name_is_demanded_is_not_waved_through() -> None:
    assert "No name is demanded" in complaints(names=())


def test_no_complaint_shows_the_key() -> None:
    told = complaints(key=ROOT.key_pem(), names=("other",), authorities=b"")
    assert "PRIVATE" not in told and ROOT.key_pem().decode().splitlines()[1] not in told
    assert len(told.splitlines()) == 3
