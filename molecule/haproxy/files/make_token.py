"""Signs tokens as issuers would, and as an attacker would.

`publish NAME KID:ALGORITHM…` makes keys and publishes only these as NAME. Any other argument says in
JSON which tokens are wanted; each is a line of what is printed.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

FOLDER = pathlib.Path("/opt/around/issuer")
CURVES = {
    "ES256": (ec.SECP256R1(), "P-256", 32, hashes.SHA256()),
    "ES384": (ec.SECP384R1(), "P-384", 48, hashes.SHA384()),
}


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def whole(value, size):
    return encode(value.to_bytes(size, "big"))


def new_key(algorithm):
    """A private key, and what a JWKS says of it."""
    if algorithm in CURVES:
        curve, name, size, _ = CURVES[algorithm]
        key = ec.generate_private_key(curve)
        point = key.public_key().public_numbers()
        return key, {"kty": "EC", "crv": name, "x": whole(point.x, size), "y": whole(point.y, size)}
    if algorithm == "EdDSA":
        key = ed25519.Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return key, {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.public_key().public_numbers()
    return key, {"kty": "RSA", "n": whole(numbers.n, 256), "e": whole(numbers.e, 3)}


def publish(name, wanted):
    FOLDER.mkdir(exist_ok=True)
    published = []
    for kid, algorithm in (words.split(":") for words in wanted):
        key, public = new_key(algorithm)
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (FOLDER / (kid + ".pem")).write_bytes(pem)
        # Without a word for the algorithm, as some issuers do: the kind of key has to say it.
        published.append({**public, "kid": kid, "use": "sig"})
    (FOLDER / (name + ".json")).write_text(json.dumps({"keys": published}))


def sign(private, algorithm, data):
    if algorithm == "none":
        return b""
    if algorithm == "HS256":
        public = private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hmac.new(public, data, hashlib.sha256).digest()
    if algorithm == "RS256":
        return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "PS256":
        return private.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    if algorithm == "EdDSA":
        return private.sign(data)
    _, _, size, digest = CURVES[algorithm]
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(digest)))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def token(header, claims, key_file, algorithm):
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
    return f"{signed}.{encode(sign(private, algorithm or head['alg'], signed.encode()))}"


if __name__ == "__main__":
    if sys.argv[1] == "publish":
        publish(sys.argv[2], sys.argv[3:])
    else:
        for given in json.loads(sys.argv[1]):
            # `signed_with` is for a header that lies.
            print(
                token(
                    given.get("header", {}),
                    given.get("claims", {}),
                    given.get("key", "k1.pem"),
                    given.get("signed_with"),
                )
            )
