from __future__ import annotations

import datetime
import multiprocessing
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.euconquisto.composer.plugins.plugin_utils.authority import (
    Authority,
    AuthorityError,
    Issued,
    Wanted,
)

NAMES = ("app1", "app1.example.org", "192.0.2.11", "::1", "localhost")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "authority"


def issue(
    folder: Path,
    *,
    name: str = "app1",
    days_later: int = 0,
    check: bool = False,
    names: tuple[str, ...] = NAMES,
) -> Issued:
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days_later)
    return Authority(folder, "Test authority", now=now).issue(Wanted(name, names), check=check)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def handshake(server: Issued, client: Issued | None, server_name: str) -> ssl.SSLObject:
    """Both ends of a TLS connection in memory, each verifying the other."""
    here, there = ssl.MemoryBIO(), ssl.MemoryBIO()
    listening = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(server.authority))
    listening.verify_mode = ssl.CERT_REQUIRED
    listening.load_cert_chain(server.certificate, server.key)
    calling = ssl.create_default_context(cafile=str(server.authority))
    # What Python 3.13 demands of certificates by default.
    calling.verify_flags |= ssl.VERIFY_X509_STRICT
    if client is not None:
        calling.load_cert_chain(client.certificate, client.key)
    ends = [
        calling.wrap_bio(here, there, server_hostname=server_name),
        listening.wrap_bio(there, here, server_side=True),
    ]
    done: set[int] = set()
    while len(done) < 2:
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                continue
    return ends[1]


@pytest.mark.parametrize("name", ["app1", "app1.example.org", "192.0.2.11", "localhost"])
def test_hosts_verify_each_other_by_every_name(folder: Path, name: str) -> None:
    server, client = issue(folder), issue(folder, name="edge1", names=("edge1",))
    peer = handshake(server, client, name).getpeercert()
    assert peer is not None and peer["subjectAltName"] == (("DNS", "edge1"),)


def test_a_name_that_was_not_asked_for_is_refused(folder: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="app2"):
        handshake(issue(folder), issue(folder, name="edge1"), "app2")


def test_a_caller_without_a_certificate_is_refused(folder: Path) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        handshake(issue(folder), None, "app1")


def test_a_second_run_changes_nothing(folder: Path) -> None:
    first = issue(folder)
    before = first.certificate.read_bytes(), first.key.read_bytes()
    second = issue(folder)
    assert (first.reason, second.reason) == ("there is no authority yet", None)
    assert before == (second.certificate.read_bytes(), second.key.read_bytes())


def test_it_is_renewed_with_a_new_key_when_its_end_is_near(folder: Path) -> None:
    first = issue(folder)
    old_key = first.key.read_bytes()
    assert issue(folder, days_later=304).reason is None
    assert issue(folder, days_later=306).reason == "it expires in 58 days"
    assert first.key.read_bytes() != old_key
    assert issue(folder, days_later=306).reason is None


def test_changed_names_make_a_new_one(folder: Path) -> None:
    issue(folder)
    assert issue(folder, names=(*NAMES, "extra")).reason == "its names have changed"
    assert issue(folder, names=(*reversed(NAMES), "extra")).reason is None


def test_check_mode_leaves_no_trace(folder: Path) -> None:
    assert issue(folder, check=True).reason == "there is no authority yet"
    assert not folder.exists()
    issue(folder)
    assert issue(folder, name="app2", check=True).reason == "there is none yet"
    assert not (folder / "hosts/app2").exists()


def test_nothing_of_it_is_readable_by_others(folder: Path) -> None:
    issue(folder)
    assert all(
        path.stat().st_mode & 0o077 == 0 for path in [folder, *folder.glob("hosts/*"), *folder.rglob("*.key")]
    )


def test_a_folder_open_to_others_is_refused(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    with pytest.raises(AuthorityError, match=r"chmod 0700"):
        issue(folder)


def test_a_lost_key_or_an_expired_authority_is_never_replaced_silently(folder: Path) -> None:
    issue(folder)
    with pytest.raises(AuthorityError, match="expired"):
        issue(folder, days_later=4000)
    (folder / "authority.key").unlink()
    with pytest.raises(AuthorityError, match="counterpart"):
        issue(folder)


def test_another_authority_or_a_foreign_key_make_a_new_one(folder: Path, tmp_path: Path) -> None:
    mine, other = issue(folder), issue(tmp_path / "other")
    mine.key.write_bytes(other.key.read_bytes())
    assert issue(folder).reason == "its key belongs to another certificate"
    for name in ("authority.crt", "authority.key"):
        (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    assert issue(folder).reason == "another authority had signed it"


def test_a_host_name_cannot_lead_out_of_the_folder(folder: Path) -> None:
    with pytest.raises(AuthorityError, match="cannot be the name"):
        issue(folder, name="../evil")


def _issue_for(arguments: tuple[Path, int]) -> bytes:
    folder, number = arguments
    issued = issue(folder, name=f"app{number}", names=(f"app{number}",))
    return issued.authority.read_bytes()


def test_parallel_forks_found_one_authority_only(folder: Path) -> None:
    with multiprocessing.get_context("fork").Pool(4) as forks:
        authorities = forks.map(_issue_for, [(folder, number) for number in range(4)])
    assert len(set(authorities)) == 1
    root = certificate(folder / "authority.crt")
    for number in range(4):
        certificate(folder / f"hosts/app{number}/host.crt").verify_directly_issued_by(root)


def request(name: str = "Below") -> bytes:
    """What an authority below asks with."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    asked = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return asked.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(
        serialization.Encoding.PEM
    )


def test_an_authority_below_may_certify_hosts_and_no_further_authority(folder: Path) -> None:
    above = certificate(issue(folder).authority)
    below = x509.load_pem_x509_certificate(Authority(folder, "").certify(request(), 1825))
    below.verify_directly_issued_by(above)
    constraints = below.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    usage = below.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign and not usage.digital_signature


def test_an_authority_below_does_not_outlive_the_one_above(folder: Path) -> None:
    above = certificate(issue(folder).authority)
    below = x509.load_pem_x509_certificate(Authority(folder, "").certify(request(), 36500))
    assert below.not_valid_after_utc <= above.not_valid_after_utc


def test_an_authority_below_is_certified_anew_when_there_is_a_reason(folder: Path, tmp_path: Path) -> None:
    authority = Authority(folder, "")
    assert authority.doubt(b"", 365) == "there is no authority yet"
    issue(folder)
    assert authority.doubt(b"", 365) == "there is none yet"
    below = authority.certify(request(), 400)
    assert authority.doubt(below, 365) is None
    assert authority.doubt(below, 401) == "it expires in 399 days"
    issue(tmp_path / "other")
    assert Authority(tmp_path / "other", "").doubt(below, 365) == "another authority had certified it"


def test_an_authority_that_may_have_none_below_is_told_with_its_remedy(folder: Path) -> None:
    """Earlier releases founded such ones."""
    issued = issue(folder)
    key = serialization.load_pem_private_key((folder / "authority.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    old = certificate(issued.authority)
    narrow = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.subject)
        .public_key(old.public_key())
        .serial_number(1)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    issued.authority.write_bytes(narrow.public_bytes(serialization.Encoding.PEM))
    with pytest.raises(AuthorityError, match="may have none below it"):
        Authority(folder, "").certify(request(), 100)
