"""Makes what surrounds a gateway: an authority, an issuer's key, and units for two servers."""

import datetime
import ipaddress
import pathlib
import shutil
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TLS = pathlib.Path("/etc/ssl/composer")
AROUND = pathlib.Path("/opt/around")
NOW = datetime.datetime.now(datetime.timezone(datetime.timedelta(0)))
USAGES = [
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
]
UNIT = """[Service]
ExecStart=/usr/bin/python3 /opt/around/{program} %i
{more}
"""


def certificate(key, subject, issuer, issuer_key, names=None):
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(hours=1))
        .not_valid_after(NOW + datetime.timedelta(days=2))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
    )
    # Python 3.13 is strict: without these no certificate verifies.
    ours, theirs = key.public_key(), issuer_key.public_key()
    usage = dict.fromkeys(USAGES, False) | {"digital_signature": bool(names), "key_cert_sign": not names}
    for extension in (
        x509.AuthorityKeyIdentifier.from_issuer_public_key(theirs),
        x509.SubjectKeyIdentifier.from_public_key(ours),
        x509.KeyUsage(**usage),
    ):
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.KeyUsage))
    if names:
        general = [x509.DNSName(name) for name in names] + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def save(name, key, cert):
    (TLS / (name + ".crt")).write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = TLS / (name + ".key")
    path.touch(mode=0o640)
    path.write_bytes(pem)


def main(hostname):
    TLS.mkdir(parents=True, exist_ok=True)
    root = ec.generate_private_key(ec.SECP256R1())
    authority = certificate(root, "test authority", "test authority", root)
    save("authority", root, authority)
    for name, names in {
        "first": ["first"],
        "second": ["second"],
        "host": [hostname, "localhost", "composer.lab.test"],
    }.items():
        key = ec.generate_private_key(ec.SECP256R1())
        save(name, key, certificate(key, name, "test authority", root, names))
    realm = ["rsa:RS256", "p384:ES384", "ed:EdDSA"]
    # The last are nobody's: an attacker's own.
    for name, keys in {
        "keys": ["k1:ES256"],
        "realm": realm,
        "forged": ["forged:RS256", "forged-ed:EdDSA"],
    }.items():
        subprocess.run([sys.executable, str(AROUND / "make_token.py"), "publish", name, *keys], check=True)
    units = pathlib.Path("/etc/systemd/system")
    # A stopping host says so first and goes on answering for a while, as the real one does.
    drain = "ExecStop=/bin/sh -c 'touch /run/%i-draining; sleep 3'\nExecStopPost=/bin/rm -f /run/%i-draining"
    (units / "small-host@.service").write_text(UNIT.format(program="small_host.py", more=drain))
    (units / "small-issuer@.service").write_text(UNIT.format(program="small_issuer.py", more=""))
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    names = ["small-host@first", "small-host@second", "small-issuer@all"]
    subprocess.run(["systemctl", "start", *names], check=True)
    assert shutil.which("curl")


if __name__ == "__main__":
    main(sys.argv[1])
