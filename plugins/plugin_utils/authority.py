# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""A private certificate authority in a folder of the controller, and one certificate per host.

The folder holds `authority.crt`, `authority.key` and `hosts/<name>/host.{crt,key}`; it is closed to everybody
but its owner. Parallel forks of one play take turns by a lock on the folder.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import ipaddress
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ImportError as missing:
    # Told with its remedy when a certificate is asked for; until then nobody needs the library.
    IMPORT_PROBLEM: ImportError | None = missing
else:
    IMPORT_PROBLEM = None

# A host whose clock is behind the controller's accepts a new certificate nevertheless.
CLOCK_SKEW = datetime.timedelta(hours=1)
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class AuthorityError(Exception):
    """The authority cannot be used; the message is for the operator."""


@dataclass(frozen=True)
class Wanted:
    """What a host's certificate must be. `names` are host names and addresses, in the order of importance."""

    name: str
    names: Sequence[str]
    valid_days: int = 365
    renew_days: int = 60


@dataclass(frozen=True)
class Issued:
    """Where a host's certificate is, and why it was made anew (None: it was not)."""

    certificate: Path
    key: Path
    authority: Path
    reason: str | None


@dataclass
class Authority:
    """The authority in `folder`. It makes itself on first use."""

    folder: Path
    common_name: str
    valid_days: int = 3650
    now: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))

    def issue(self, wanted: Wanted, check: bool = False) -> Issued:
        """Make the host's certificate unless the present one will do. With `check`, only say so."""
        if not PLAIN_NAME.fullmatch(wanted.name):
            raise AuthorityError(f"{wanted.name!r} cannot be the name of a certificate's folder.")
        home = self.folder / "hosts" / wanted.name
        issued = (home / "host.crt", home / "host.key", self.folder / "authority.crt")
        if check and not self.folder.exists():
            return Issued(*issued, reason="there is no authority yet")
        with self._turn():
            authority, key = self._load() or (None, None)
            reason = self._reason(wanted, *issued[:2], authority)
            if reason is None or check:
                return Issued(*issued, reason=reason)
            if authority is None or key is None:
                authority, key = self._found()
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sign(wanted, *issued[:2], authority, key)
        return Issued(*issued, reason=reason)

    def doubt(self, certificate: bytes, renew_days: int) -> str | None:
        """Why an authority below this one, in PEM form, will not do; None when it will."""
        if not self.folder.exists():
            return "there is no authority yet"
        with self._turn():
            authority, _key = self._load() or (None, None)
        if authority is None:
            return "there is no authority yet"
        if not certificate:
            return "there is none yet"
        lower = x509.load_pem_x509_certificate(certificate)
        try:
            lower.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError):
            return "another authority had certified it"
        left = (lower.not_valid_after_utc - self.now).days
        return f"it expires in {left} days" if left < renew_days else None

    def certify(self, request: bytes, valid_days: int) -> bytes:
        """The certificate, in PEM form, of an authority below this one, which may certify hosts only.

        Raises:
            AuthorityError: there is no authority, or it may have none below it.
        """
        asked = x509.load_pem_x509_csr(request)
        with self._turn():
            authority, key = self._load() or (None, None)
        if authority is None or key is None:
            raise AuthorityError(
                f"There is no authority in {self.folder} yet. Issue a host's certificate first."
            )
        if authority.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0:
            raise AuthorityError(
                f"The authority in {self.folder} may have none below it: an earlier release founded it. "
                "Found another one in another folder and let the hosts move to it (docs/certificates.md). "
                "Nothing was changed."
            )
        days = min(valid_days, (authority.not_valid_after_utc - self.now).days)
        signer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        own = x509.SubjectKeyIdentifier.from_public_key(asked.public_key())
        above = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer)
        certificate = (
            self._builder(asked.subject, authority.subject, asked.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(own, critical=False)
            .add_extension(above, critical=False)
            .sign(key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = stat.S_IMODE(self.folder.stat().st_mode)
        if mode & 0o077:
            raise AuthorityError(
                f"{self.folder} has mode {mode:04o}: others may read the authority's key. "
                f"Close it with `chmod 0700 {self.folder}` and consider who read it. Nothing was changed."
            )
        with (self.folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _load(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
        certificate, key = self.folder / "authority.crt", self.folder / "authority.key"
        present = [path for path in (certificate, key) if path.exists()]
        if not present:
            return None
        if len(present) == 1:
            raise AuthorityError(
                f"{self.folder} holds {present[0].name} but not its counterpart. Restore both from the "
                "backup, or move the folder away to found a new authority, which every host must then trust."
            )
        loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
        if loaded.not_valid_after_utc <= self.now:
            raise AuthorityError(
                f"The authority in {self.folder} expired on {loaded.not_valid_after_utc:%Y-%m-%d}. "
                "Move the folder away to found a new one, which every host must then trust."
            )
        return loaded, _load_key(key)

    def _found(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.common_name)])
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        certificate = (
            self._builder(name, name, key.public_key(), self.valid_days)
            # One below: OpenBao's.
            .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        _write(self.folder / "authority.key", _pem(key))
        _write(self.folder / "authority.crt", certificate.public_bytes(serialization.Encoding.PEM))
        return certificate, key

    def _sign(
        self,
        wanted: Wanted,
        certificate: Path,
        key_file: Path,
        authority: x509.Certificate,
        authority_key: ec.EllipticCurvePrivateKey,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, wanted.names[0][:64])])
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        leaf = (
            self._builder(subject, authority.subject, key.public_key(), wanted.valid_days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(_alternative_names(wanted.names)), critical=False)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False
            )
            .sign(authority_key, hashes.SHA256())
        )
        # The key first: a certificate without its key would be taken for usable if the run broke off here.
        _write(key_file, _pem(key))
        _write(certificate, leaf.public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, days: int
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - CLOCK_SKEW)
            .not_valid_after(self.now + datetime.timedelta(days=days))
        )

    def _reason(
        self, wanted: Wanted, certificate: Path, key_file: Path, authority: x509.Certificate | None
    ) -> str | None:
        """Why the present certificate will not do; None when it will."""
        if authority is None:
            return "there is no authority yet"
        if not certificate.exists() or not key_file.exists():
            return "there is none yet"
        leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
        if leaf.public_key() != _load_key(key_file).public_key():
            return "its key belongs to another certificate"
        try:
            leaf.verify_directly_issued_by(authority)
        except (InvalidSignature, ValueError):
            return "another authority had signed it"
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if set(names) != set(_alternative_names(wanted.names)):
            return "its names have changed"
        left = (leaf.not_valid_after_utc - self.now).days
        if left < wanted.renew_days:
            return f"it expires in {left} days" if left >= 0 else "it has expired"
        return None


def _alternative_names(names: Sequence[str]) -> list[x509.GeneralName]:
    if not names:
        raise AuthorityError("A certificate needs at least one name.")
    found: list[x509.GeneralName] = []
    for name in dict.fromkeys(names):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _key_usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError(f"{path} is not an elliptic-curve key.")
    return key


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Replace a file atomically; it is never readable by others."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as handle:
        handle.write(data)
        os.fsync(handle.fileno())
    new.replace(path)
