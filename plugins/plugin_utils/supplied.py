# Copyright: (c) 2026, the EuConquisto Composer platform contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Judge a certificate that an operator supplies, before any host sees it.

Works on the bytes of the files and changes nothing. Everything that is wrong is told at once.
"""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import itertools
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.euconquisto.composer.plugins.plugin_utils.authority import IMPORT_PROBLEM

if IMPORT_PROBLEM is None:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID

    USES = {
        "server": (ExtendedKeyUsageOID.SERVER_AUTH, "serverAuth"),
        "client": (ExtendedKeyUsageOID.CLIENT_AUTH, "clientAuth"),
    }

SMALLEST_RSA_KEY = 2048
BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
NO_CERTIFICATE = "{} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)."


class Refused(Exception):
    """The certificate cannot be used; `complaints` has a sentence for everything that is wrong."""

    def __init__(self, complaints: Sequence[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = list(complaints)


@dataclass(frozen=True)
class Demands:
    """What a certificate has to be good for: names and addresses, and uses (`server`, `client`)."""

    names: Sequence[str]
    uses: Sequence[str] = ("server",)
    now: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.timezone.utc))


@dataclass(frozen=True)
class Judged:
    """What an operator wants to see of an accepted certificate."""

    subject: str
    issuer: str
    names: Sequence[str]
    ends: datetime.datetime
    days_left: int


def judge(chain: bytes, key: bytes, authorities: bytes, demands: Demands) -> Judged:
    """Judge a chain (the host's certificate first), its key, and the authorities to descend from; all PEM.

    Raises:
        Refused: with everything that is wrong.
    """
    certificates, problems = _certificates(chain, "The certificate file")
    trusted = _authorities(authorities)
    if not trusted:
        problems.append(NO_CERTIFICATE.format("The authority file"))
    if not demands.names:
        problems.append("No name is demanded of the certificate, so any would do. Say which it must have.")
    if not certificates:
        raise Refused(problems)
    leaf = certificates[0]
    problems += _of_key(certificates, key)
    problems += _of_leaf(leaf, demands)
    problems += _of_path(certificates, trusted, demands.now)
    if problems:
        raise Refused(problems)
    ends = min(certificate.not_valid_after_utc for certificate in certificates)
    return Judged(
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        names=_names(leaf),
        ends=ends,
        days_left=(ends - demands.now).days,
    )


def _certificates(pem: bytes, what: str) -> tuple[list[x509.Certificate], list[str]]:
    try:
        return x509.load_pem_x509_certificates(pem), []
    except ValueError:
        return [], [NO_CERTIFICATE.format(what)]


def _authorities(pem: bytes) -> list[x509.Certificate]:
    """Those that can be read: a system's trust store has some whose form is no longer allowed."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in BLOCK.findall(pem):
            with contextlib.suppress(ValueError):
                found.append(x509.load_pem_x509_certificate(block))
    return found


def _of_key(certificates: Sequence[x509.Certificate], pem: bytes) -> list[str]:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        return [
            "The key is protected by a passphrase, which no service can type. Write it without one "
            "(openssl pkey) and protect that file with ansible-vault."
        ]
    except (ValueError, UnsupportedAlgorithm):
        return ["The key file holds no private key in PEM form."]
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey)):
        return ["The key is neither an RSA nor an elliptic-curve key; not every client can use it."]
    problems = []
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < SMALLEST_RSA_KEY:
        problems.append(f"The key has {key.key_size} bits; RSA keys need {SMALLEST_RSA_KEY}.")
    public = key.public_key()
    if certificates[0].public_key() != public:
        if any(certificate.public_key() == public for certificate in certificates[1:]):
            problems.append(
                "The key belongs to a later certificate of the file; the host's own must come first."
            )
        else:
            problems.append(
                f"The key does not belong to the certificate of {_called(certificates[0])}. "
                "Supply the key for which it was requested."
            )
    return problems


def _of_leaf(leaf: x509.Certificate, demands: Demands) -> list[str]:
    problems = []
    if _is_authority(leaf):
        problems.append(f"{_called(leaf)} is an authority's certificate; the host's own must come first.")
    has = _names(leaf)
    missing = [name for name in dict.fromkeys(demands.names) if not _covers(has, name)]
    if missing:
        problems.append(
            f"The certificate lacks {', '.join(missing)}; it is valid for {', '.join(has) or 'no name'}. "
            "Request one with all these names as subject alternative names."
        )
    try:
        allowed = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return problems
    for use in demands.uses:
        oid, name = USES[use]
        if not allowed & {oid, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}:
            problems.append(f"The certificate may not be a {use}'s: its extended key usage lacks {name}.")
    return problems


def _of_path(
    certificates: Sequence[x509.Certificate], trusted: Sequence[x509.Certificate], now: datetime.datetime
) -> list[str]:
    problems = [problem for certificate in certificates for problem in _of_time(certificate, now)]
    for below, (lower, upper) in enumerate(itertools.pairwise(certificates)):
        if not _issued(lower, upper):
            problems.append(
                f"{_called(lower)} was issued by {lower.issuer.rfc4514_string()}, but the file goes on with "
                f"{_called(upper)}. Put the issuers in order, each after what it issued."
            )
        elif not _is_authority(upper, below):
            problems.append(f"{_called(upper)} may not issue {_called(lower)}: it is no authority for that.")
    last = certificates[-1]
    roots = [root for root in trusted if root == last or (_issued(last, root) and _is_authority(root))]
    if trusted and not roots and last.issuer == last.subject:
        problems.append(f"{_called(last)}, with which the chain ends, is none of the authorities.")
    elif trusted and not roots:
        problems.append(
            f"The chain is incomplete: none of the authorities issued {_called(last)}. Append the "
            f"certificate of its issuer, {last.issuer.rfc4514_string()}, or supply the authority above it."
        )
    elif roots and not [root for root in roots if not _of_time(root, now)]:
        problems += _of_time(roots[0], now)
    return problems


def _of_time(certificate: x509.Certificate, now: datetime.datetime) -> list[str]:
    starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= now:
        return [f"{_called(certificate)} expired on {ends:%Y-%m-%d %H:%M} UTC. Supply its successor."]
    if starts > now:
        return [
            f"{_called(certificate)} is not valid before {starts:%Y-%m-%d %H:%M} UTC; it is "
            f"{now:%Y-%m-%d %H:%M} UTC by the controller's clock. Wait, or set the clock."
        ]
    return []


def _issued(lower: x509.Certificate, upper: x509.Certificate) -> bool:
    try:
        lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(certificate: x509.Certificate, authorities_below: int = 0) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    return constraints.ca and (
        constraints.path_length is None or constraints.path_length >= authorities_below
    )


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return [*found.get_values_for_type(x509.DNSName), *addresses]


def _covers(has: Sequence[str], name: str) -> bool:
    try:
        address = str(ipaddress.ip_address(name))
    except ValueError:
        wanted = name.lower().rstrip(".")
        # A star stands for exactly one label.
        star = f"*.{wanted.split('.', 1)[1]}" if "." in wanted else wanted
        return bool({wanted, star} & {one.lower() for one in has})
    return address in has


def _called(certificate: x509.Certificate) -> str:
    return (
        certificate.subject.rfc4514_string() or f"the certificate with number {certificate.serial_number:x}"
    )
