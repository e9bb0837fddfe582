"""A certificate that a host gets for itself is looked at before it takes the place of another."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.unit.host_programs import load

PROGRAM = Path(__file__).parents[3] / "roles/tls/files/usr/local/lib/composer-certificate/pair.py"
DAY = datetime.timedelta(days=1)
NAMES = ["door.example.org", "192.0.2.7", "2001:db8::7"]


@pytest.fixture(scope="module")
def pair() -> ModuleType:
    return load(PROGRAM)


def make(folder: Path, name: str = "door", life: int = 90, left: float = 60) -> tuple[Path, Path]:
    """A certificate that was made for `life` days, of which `left` are left."""
    end = datetime.datetime.now(datetime.UTC) + left * DAY
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "door.example.org")])
    alternatives: list[x509.GeneralName] = [x509.DNSName(NAMES[0])]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in NAMES[1:]]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - life * DAY)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.crt", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths


def test_a_good_one_will_do(pair: ModuleType, tmp_path: Path) -> None:
    assert pair.complaint(*make(tmp_path), NAMES, 30) == ""


def test_without_one_there_is_a_reason_to_get_one(pair: ModuleType, tmp_path: Path) -> None:
    assert pair.complaint(tmp_path / "door.crt", tmp_path / "door.key", NAMES) == "there is none yet"


def test_a_key_of_another_certificate_is_refused(pair: ModuleType, tmp_path: Path) -> None:
    certificate, _ = make(tmp_path)
    _, key = make(tmp_path, "other")
    assert "do not belong together" in pair.complaint(certificate, key, NAMES)


def test_what_is_no_certificate_is_refused(pair: ModuleType, tmp_path: Path) -> None:
    certificate, key = make(tmp_path)
    certificate.write_text("<html>We are sorry</html>")
    assert "do not belong together" in pair.complaint(certificate, key, NAMES)


@pytest.mark.parametrize("name", ["other.example.org", "192.0.2.8", "2001:db8::8", "example.org"])
def test_a_name_that_is_missing_is_named(pair: ModuleType, tmp_path: Path, name: str) -> None:
    assert pair.complaint(*make(tmp_path), [*NAMES, name]) == f"it lacks {name}"


def test_one_that_has_expired_is_refused(pair: ModuleType, tmp_path: Path) -> None:
    assert "has expired" in pair.complaint(*make(tmp_path, left=-1))


def test_one_that_is_not_valid_yet_is_refused(pair: ModuleType, tmp_path: Path) -> None:
    assert "not valid before" in pair.complaint(*make(tmp_path, life=10, left=11))


@pytest.mark.parametrize(
    ("life", "left", "due"), [(90, 31, False), (90, 29, True), (6, 2.1, False), (6, 1.9, True)]
)
def test_it_is_due_before_it_ends_but_never_at_once(
    pair: ModuleType, tmp_path: Path, life: int, left: float, due: bool
) -> None:
    """A short-lived one would otherwise be asked for again and again, until the authority refuses."""
    assert bool(pair.complaint(*make(tmp_path, life=life, left=left), NAMES, 30)) is due


def test_a_key_is_never_readable_by_others_and_unchanged_files_stay(pair: ModuleType, tmp_path: Path) -> None:
    _, key = make(tmp_path)
    place = tmp_path / "place.key"
    assert pair.put(key, place, 0o600) is True
    assert place.stat().st_mode & 0o777 == 0o600 and place.read_bytes() == key.read_bytes()
    written = place.stat().st_ino
    assert pair.put(key, place, 0o600) is False
    assert place.stat().st_ino == written
