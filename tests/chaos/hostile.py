"""Callers that nobody should let in, or that want more than there is."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from .callers import lesson
from .stage import QUEUE_LIMIT, Stage

FLOOD = 10 * QUEUE_LIMIT
FLOOD_AT_ONCE = 80
ANSWER_SECONDS = 200.0
VERSION = "2026-07-28"


class Broken(Exception):
    """Something happened that must not happen; the message says what."""


def _request(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    client = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "chaos", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    parameters = {"name": tool, "arguments": arguments, "_meta": client}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}


async def _post(
    http: httpx2.AsyncClient, url: str, token: str | None, tool: str, arguments: dict[str, Any]
) -> httpx2.Response:
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": VERSION,
        "Mcp-Method": "tools/call",
        "Mcp-Name": tool,
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return await http.post(url, json=_request(tool, arguments), headers=headers)


async def flood(stage: Stage) -> str:
    """Ten times what the queue holds arrives at once: each call is done, or refused with a time to come back.

    Nobody waits without an answer, and the queue never holds more than its limit.
    """
    token = stage.issuer.token("flood", sub="flood")
    done, refused = 0, 0
    turnstile = asyncio.Semaphore(FLOOD_AT_ONCE)
    async with httpx2.AsyncClient(timeout=ANSWER_SECONDS) as http:

        async def call(number: int) -> None:
            nonlocal done, refused
            title = f"{stage.mark} flood {number}"
            arguments = {"lesson": lesson(title), "idempotency_key": title.replace(" ", "-")}
            async with turnstile:
                answer = await _post(http, stage.platform.url, token, "create_composition", arguments)
            found = _structured(answer)
            error = found.get("error")
            if error is None:
                done += 1
            elif error["code"] == "queue_full" and error["details"].get("retry_after", 0) > 0:
                refused += 1
            else:
                raise Broken(f"flooded call {number}: {error}")

        await asyncio.gather(*(call(number) for number in range(FLOOD)))
    return f"{done} done, {refused} told when to come back"


def _structured(answer: httpx2.Response) -> dict[str, Any]:
    if answer.status_code != 200:
        raise Broken(f"HTTP {answer.status_code}: {answer.text[:300]}")
    text = answer.text
    if not text.startswith("{"):
        text = [line for line in text.splitlines() if line.startswith("data:") and len(line) > 6][-1][5:]
    content: dict[str, Any] = json.loads(text)["result"]["structuredContent"]
    return content


def _tokens(stage: Stage) -> Iterator[tuple[str, str | None]]:
    """Every way in which a token can be wrong."""
    issuer, now = stage.issuer, int(time.time())
    good = issuer.token("intruder")
    header, payload, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    stranger = ec.generate_private_key(ec.SECP256R1())
    yield "none", None
    yield "not even a token", "="
    yield "not a token", "abc"
    yield "expired", issuer.token("intruder", exp=now - 120, iat=now - 400)
    yield "not valid yet", issuer.token("intruder", nbf=now + 600)
    yield "wrong issuer", issuer.token("intruder", iss="https://elsewhere.example")
    yield "wrong audience", issuer.token("intruder", aud="https://elsewhere.example/mcp")
    yield "no tenant", issuer.token("")
    yield "no subject", issuer.token("intruder", sub=None)
    yield "no end", issuer.token("intruder", exp=None)
    yield "algorithm none", f"{_part({'alg': 'none', 'typ': 'JWT'})}.{payload}."
    public = json.dumps(issuer.key_set()["keys"][0]).encode()
    yield "public key as secret", _signed_with_secret(claims, public, issuer.key_set()["keys"][0]["kid"])
    yield "unknown key", jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": "nobody's"})
    kid = issuer.key_set()["keys"][0]["kid"]
    yield "known key, wrong signature", jwt.encode(claims, stranger, algorithm="ES256", headers={"kid": kid})
    changed = _part(claims | {"tenant": "school-0"})
    yield "changed after signing", f"{header}.{changed}.{signature}"
    yield "far too long", good + "A" * 10_000


def _part(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def _signed_with_secret(claims: dict[str, Any], secret: bytes, kid: str) -> str:
    """The classic confusion: what everybody knows is taken for the secret of a symmetric signature.

    By hand, because the library refuses to sign such a thing.
    """
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{_part(claims)}"
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


async def bad_tokens(stage: Stage) -> str:
    """Each wrong token is refused as the protocol says, and nothing of its call is done."""
    count = 0
    async with httpx2.AsyncClient(timeout=30) as http:
        for name, token in _tokens(stage):
            title = f"{stage.mark} intruder {name}"
            arguments = {"lesson": lesson(title)}
            answer = await _post(http, stage.platform.url, token, "create_composition", arguments)
            # Above a certain length the web server itself does not read a header.
            if answer.status_code != 401 and not (
                name == "far too long" and answer.status_code in (400, 431)
            ):
                raise Broken(f"token {name}: HTTP {answer.status_code}: {answer.text[:200]}")
            if answer.status_code == 401 and "www-authenticate" not in answer.headers:
                raise Broken(f"token {name}: no word about where to get a good one")
            count += 1
    strangers = stage.compositions(f"{stage.mark} intruder")
    if strangers:
        raise Broken(f"made for an intruder: {strangers}")
    return f"{count} of {count} refused"


async def keys_change(stage: Stage) -> str:
    """The issuer signs with a new key, then stops to answer: who has a good token goes on."""
    with stage.issuer.rotated(f"key-{time.monotonic_ns()}"):
        await asyncio.sleep(5)
        stage.issuer.away = True
        try:
            await asyncio.sleep(5)
        finally:
            stage.issuer.away = False
    return ""
