"""A certificate that was made for ninety days and has so many left, with its key.

Usage: old_pair.py NAME DAYS_LEFT PATH...  Writes PATH.crt and PATH.key.
"""

import datetime
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

name, left, *places = sys.argv[1:]
now = datetime.datetime.now(datetime.UTC)
end = now + datetime.timedelta(days=int(left))
key = ec.generate_private_key(ec.SECP256R1())
subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
certificate = (
    x509.CertificateBuilder()
    .subject_name(subject)
    .issuer_name(subject)
    .public_key(key.public_key())
    .serial_number(x509.random_serial_number())
    .not_valid_before(end - datetime.timedelta(days=90))
    .not_valid_after(end)
    .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    .sign(key, hashes.SHA256())
)
pem = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
for place in places:
    # A new file under the old name, as the programs write it.
    for suffix, content in ((".key", pem), (".crt", certificate.public_bytes(serialization.Encoding.PEM))):
        new = pathlib.Path(place + ".new")
        new.write_bytes(content)
        new.chmod(0o600)
        new.rename(place + suffix)
