"""The program that tells Prometheus when certificates expire, with real certificates and the real openssl."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.host_programs import load

PROGRAM = Path(__file__).parents[3] / "roles/tls/files/usr/local/lib/composer-certificate/metrics"
ENDS = datetime.datetime(2031, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load(PROGRAM)


def certificate(name: str, ends: datetime.datetime = ENDS) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - datetime.timedelta(days=900))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def samples(path: Path) -> dict[tuple[str, str, str], float]:
    """What a reader of the exposition format finds: value by metric, file's name, subject."""
    return {
        (sample.name, Path(sample.labels["file"]).name, sample.labels.get("subject", "")): sample.value
        for family in text_string_to_metric_families(path.read_text())
        for sample in family.samples
    }


EXPIRY, READABLE = "composer_certificate_expiry_timestamp_seconds", "composer_certificate_readable"


def test_each_certificate_of_a_file_is_told(program: ModuleType, tmp_path: Path) -> None:
    sooner = ENDS - datetime.timedelta(days=2)
    (tmp_path / "chain.crt").write_text("note\n" + certificate("host") + certificate("issuer", sooner))
    assert program.main(str(tmp_path / "c.prom"), str(tmp_path / "chain.crt")) == 0
    assert samples(tmp_path / "c.prom") == {
        (EXPIRY, "chain.crt", "CN=host"): ENDS.timestamp(),
        (EXPIRY, "chain.crt", "CN=issuer"): sooner.timestamp(),
        (READABLE, "chain.crt", ""): 1,
    }


@pytest.mark.parametrize("name", ['quote " backslash \\ comma ,', "línea ✓", "end\nX 1"])
def test_a_hostile_subject_stays_a_label(program: ModuleType, tmp_path: Path, name: str) -> None:
    (tmp_path / "odd.crt").write_text(certificate(name))
    assert program.main(str(tmp_path / "c.prom"), str(tmp_path / "odd.crt")) == 0
    found = samples(tmp_path / "c.prom")
    assert len(found) == 2 and set(found.values()) == {ENDS.timestamp(), 1}


def test_two_of_one_subject_are_told_by_the_sooner_end(program: ModuleType, tmp_path: Path) -> None:
    sooner = ENDS - datetime.timedelta(days=2)
    (tmp_path / "two.crt").write_text(certificate("authority", sooner) + certificate("authority"))
    assert program.main(str(tmp_path / "c.prom"), str(tmp_path / "two.crt")) == 0
    assert samples(tmp_path / "c.prom")[EXPIRY, "two.crt", "CN=authority"] == sooner.timestamp()


@pytest.mark.parametrize(
    "content", [None, "", certificate("cut")[:200], certificate("bad").replace("M", "N", 9)]
)
def test_a_broken_file_is_told_and_hides_no_other(
    program: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    broken, good = tmp_path / "broken.crt", tmp_path / "good.crt"
    good.write_text(certificate("good"))
    if content is not None:
        broken.write_text(content)
    assert program.main(str(tmp_path / "c.prom"), str(broken), str(good)) == 1
    assert samples(tmp_path / "c.prom") == {
        (EXPIRY, "good.crt", "CN=good"): ENDS.timestamp(),
        (READABLE, "broken.crt", ""): 0,
        (READABLE, "good.crt", ""): 1,
    }
    assert "broken.crt" in capsys.readouterr().err


def test_the_file_is_replaced_as_a_whole_for_all_to_read(program: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "host.crt").write_text(certificate("host"))
    target = tmp_path / "c.prom"
    target.write_text("old")
    inode = target.stat().st_ino
    program.main(str(target), str(tmp_path / "host.crt"))
    assert target.stat().st_ino != inode and target.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.glob("*.prom*")] == ["c.prom"]
