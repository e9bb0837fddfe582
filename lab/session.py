"""What a user does: log in, get a token, make a composition through the front door, look at its preview."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import hvac
import mcp_types as types
import requests
from hvac.exceptions import VaultError
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from lab import config
from lab.problem import Problem

Say = Callable[[str], None]

USER = "teacher"
ISSUER_ROLE = "composer"
CALL_SECONDS = 120
# A composition is made once: repeating the session finds it again by this key.
IDEMPOTENCY_KEY = "lab-first-lesson"
LESSON: dict[str, Any] = {
    "title": "O ciclo da água",
    "description": "A primeira composição do laboratório",
    "author": "Professora Ana",
    "subject": "science",
    "grade": "7º ano",
    "elements": [
        {"type": "heading", "title": "O ciclo da água", "category": "Ciências · 7º ano"},
        {"type": "text", "text": "A água evapora, forma nuvens e volta à terra como chuva.\n\nE recomeça."},
        {
            "type": "quiz",
            "questions": [
                {
                    "question": "O que faz a água evaporar?",
                    "choices": [{"text": "O calor do Sol", "correct": True}, {"text": "A gravidade"}],
                }
            ],
        },
    ],
}


@dataclass(frozen=True)
class Lesson:
    """What the user has in the end."""

    uid: str
    url: str
    picture: Path


def token(lab: config.Lab) -> str:
    """Log in as the lab's teacher and return a token for the front door.

    Raises:
        Problem: the secret server is not reachable or refuses.
    """
    address = f"https://{lab.address('core1')}:8200"
    try:
        client = hvac.Client(url=address, verify=str(lab.authority), timeout=15)
        client.auth.userpass.login(username=USER, password=_password(lab))
        answer = client.secrets.identity.generate_signed_id_token(name=ISSUER_ROLE)
        return str(answer["data"]["token"])
    except (OSError, requests.RequestException, VaultError, KeyError, TypeError) as cause:
        raise Problem(
            f"no token from the secret server at {address}: {type(cause).__name__}: {cause}",
            "A user needs one for every call.",
            "Look at it: make lab-ssh HOST=core1, then `journalctl -u openbao -n 50`.",
            "The lab is as it was.",
        ) from None


def _password(lab: config.Lab) -> str:
    return (lab.state / "secrets" / f"user-{USER}").read_text(encoding="utf-8").strip()


def act(lab: config.Lab, say: Say, waiting: Say) -> Lesson:
    """Make the lesson and save its picture; a repetition returns the composition made the first time.

    Raises:
        Problem: a step failed; it says which.
    """
    bearer = token(lab)
    say(f"{USER} has a token of the secret server")
    try:
        return asyncio.run(_act(lab, bearer, say, waiting))
    except* (MCPError, OSError, httpx2.HTTPError, TimeoutError) as causes:
        raise _failed(causes.exceptions[0]) from None


def _failed(cause: BaseException) -> Problem:
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return Problem(
        f"a call through the front door failed: {type(cause).__name__}: {cause}",
        "The lab is there to carry such calls.",
        "Look at the edge and the web process: make lab-ssh HOST=edge1, then `journalctl -u haproxy -n 50`;\n"
        "make lab-ssh HOST=app1, then `journalctl -u 'composer-*' -n 50`.",
        "The hosts are up; `make lab` tries again with the same idempotency key.",
    )


async def _act(lab: config.Lab, bearer: str, say: Say, waiting: Say) -> Lesson:
    context = ssl.create_default_context(cafile=str(lab.authority))
    headers = {"Authorization": f"Bearer {bearer}"}
    async with (
        httpx2.AsyncClient(verify=context, headers=headers, timeout=CALL_SECONDS, trust_env=False) as http,
        Client(streamable_http_client(lab.url, http_client=http)) as client,
    ):
        tools = await client.list_tools()
        say(f"connected to {lab.url}: {len(tools.tools)} tools")
        made = await _call(
            client, waiting, "create_composition", lesson=LESSON, idempotency_key=IDEMPOTENCY_KEY
        )
        composition = made.structured_content or {}
        say(f"composition {str(composition.get('uid'))[:24]}… made")
        seen = await _call(client, waiting, "preview_composition", uid=composition["uid"])
    picture = lab.out / "preview.png"
    picture.write_bytes(_picture(seen))
    say(f"its preview is in {picture.name}, {picture.stat().st_size // 1024} KiB")
    return Lesson(uid=composition["uid"], url=composition["url"], picture=picture)


async def _call(client: Client, waiting: Say, tool: str, **arguments: Any) -> types.CallToolResult:
    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        waiting(f"{tool}: {message or 'working'} ({progress / (total or 1):.0%})")

    waiting(f"{tool}: accepted")
    result = await client.call_tool(
        tool, arguments, read_timeout_seconds=CALL_SECONDS, progress_callback=on_progress
    )
    if result.is_error:
        text = " ".join(part.text for part in result.content if isinstance(part, types.TextContent))
        raise Problem(
            f"the tool {tool} answered: {text}",
            "The lab is there to carry such calls.",
            "Look at the workers: make lab-ssh HOST=app1, then `journalctl -u 'composer-worker@*' -n 50`.",
            "The hosts are up; `make lab` tries again with the same idempotency key.",
        )
    return result


def _picture(result: types.CallToolResult) -> bytes:
    for part in result.content:
        if isinstance(part, types.ImageContent):
            return base64.b64decode(part.data)
    raise Problem(
        "preview_composition answered without a picture.",
        "The picture is what shows that Chromium rendered the composition.",
        "Look at the workers: make lab-ssh HOST=app1, then `journalctl -u 'composer-worker@*' -n 50`.",
        "The composition was made and stays.",
    )
