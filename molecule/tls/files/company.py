"""Certificates as a company's own authority and a public one would make them, some of them unusable.

Usage: company.py FOLDER HOST NAME...  Makes, unless it is there: FOLDER/{root,public}.crt and, with keys,
HOST, front, other, and unusable, which has expired and lacks the names.
"""

from __future__ import annotations

import datetime
import ipaddress
import sys
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


class Party(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def make(name: str, issuer: Party | None = None, names: tuple[str, ...] = (), **given: Any) -> Party:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    above = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=9))
        .not_valid_after(NOW + datetime.timedelta(days=given.get("days", 90)))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names:
        uses = x509.ExtendedKeyUsage(given.get("uses", [SERVER, CLIENT]))
        alternatives = x509.SubjectAlternativeName([alternative(one) for one in names])
        builder = builder.add_extension(alternatives, critical=False).add_extension(uses, critical=False)
    else:
        signs = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(signs, critical=True)
    return Party(builder.sign(above, hashes.SHA256()), key)


def alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def main(folder: Path, host: str, names: tuple[str, ...]) -> None:
    # An address is another one when the hosts are made anew.
    made_for = folder / "made-for"
    if made_for.exists() and made_for.read_text() == " ".join(names):
        return
    folder.mkdir(parents=True, exist_ok=True)
    root, public = make("Company root"), make("Public root")
    middle = make("Company hosts", root)
    parties = {
        host: (make(host, middle, names), middle),
        "unusable": (make(host, middle, ("somebody.lab.test",), days=-1), middle),
        "other": (make(host, middle, names), middle),
        "front": (make("front", public, ("composer.lab.test",), uses=[SERVER]), public),
    }
    for name, (party, issuer) in parties.items():
        key = party.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(key)
        (folder / f"{name}.crt").write_bytes(party.pem + issuer.pem)
    (folder / "root.crt").write_bytes(root.pem)
    (folder / "public.crt").write_bytes(public.pem)
    made_for.write_text(" ".join(names))
    print("changed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], tuple(sys.argv[3:]))
