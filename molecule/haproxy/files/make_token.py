"""Signs tokens as the issuer would, and as an attacker would; `new-key KID` publishes another key."""

import base64
import hashlib
import hmac
import json
import pathlib
import sys
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

FOLDER = pathlib.Path("/opt/around/issuer")


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def new_key(kid):
    FOLDER.mkdir(exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (FOLDER / (kid + ".pem")).write_bytes(pem)
    point = key.public_key().public_numbers()
    public = {"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid}
    public.update(x=encode(point.x.to_bytes(32, "big")), y=encode(point.y.to_bytes(32, "big")))
    (FOLDER / "keys.json").write_text(json.dumps({"keys": [public]}))


def token(header, claims, key_file):
    now = int(time.time())
    full = {
        "iss": "https://issuer.lab.test",
        "aud": "https://composer.lab.test/mcp",
        "sub": "teacher",
        "iat": now,
        "nbf": now,
        "exp": now + 600,
    }
    # Times are given relative to now; null leaves a claim out.
    full.update({k: now + v if k in ("exp", "nbf") and v is not None else v for k, v in claims.items()})
    full = {k: v for k, v in full.items() if v is not None}
    head = {"alg": "ES256", "kid": "k1", **header}
    signed = f"{encode(json.dumps(head).encode())}.{encode(json.dumps(full).encode())}"
    private = serialization.load_pem_private_key((FOLDER / key_file).read_bytes(), None)
    if head["alg"] == "none":
        signature = b""
    elif head["alg"] == "HS256":
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        signature = hmac.new(public, signed.encode(), hashlib.sha256).digest()
    else:
        r, s = decode_dss_signature(private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed}.{encode(signature)}"


if __name__ == "__main__":
    if sys.argv[1] == "new-key":
        new_key(sys.argv[2])
    else:
        wanted = json.loads(sys.argv[1])
        print(token(wanted.get("header", {}), wanted.get("claims", {}), wanted.get("key", "k1.pem")))
