"""Requests: a right one for every tool and method, in both eras, spoilt in one of many ways.

``case(surface, seed, number)`` always returns the same case for the same server: that is how one is replayed.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from . import damage, values

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
META = "io.modelcontextprotocol/"


@dataclass(frozen=True, slots=True)
class Surface:
    """What can be called, and by whom."""

    host: str
    token: str
    other_tokens: Sequence[str]
    tools: Sequence[dict[str, Any]]
    prompts: Sequence[dict[str, Any]]
    resources: Sequence[str]


@dataclass(slots=True)
class Case:
    """One request and what is peculiar about it."""

    kind: str
    body: bytes = b""
    method: str = "POST"
    path: str = "/mcp"
    headers: list[tuple[str, str]] = field(default_factory=list)
    cut_off: bool = False
    stream: bool = False
    raw: bytes | None = None
    """The request's bytes, where it is not even HTTP."""

    @property
    def request(self) -> bytes:
        """What goes over the connection."""
        if self.raw is not None:
            return self.raw
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if all(name.lower() != "content-length" for name, _ in self.headers):
            lines.append(f"Content-Length: {len(self.body)}")
        head = "\r\n".join(lines) + "\r\n\r\n"
        return head.encode("latin-1", "replace") + self.body


def case(surface: Surface, seed: str, number: int) -> Case:
    """Return the case with this number."""
    random = Random(f"{seed}/{number}")
    message, listens = _message(random, surface)
    kind, spoil = random.choices(_KINDS, weights=_WEIGHTS)[0]
    made = Case(kind, stream=listens)
    made.headers = _headers(random, surface, message)
    spoil(random, surface, message, made)
    if not made.body and made.raw is None:
        made.body = dumped(random, message)
    return made


def dumped(random: Random, message: Any) -> bytes:
    """Return JSON in one of the ways in which it can be written; unpaired surrogates become wrong UTF-8."""
    style = random.choice([{}, {"ensure_ascii": False}, {"indent": 1}])
    return json.dumps(message, **style).encode("utf-8", "surrogatepass")


# --- right requests ------------------------------------------------------------------------------


def _message(random: Random, surface: Surface) -> tuple[dict[str, Any], bool]:
    modern = random.random() < 0.6
    method, parameters = _call(random, surface)
    if modern:
        version = MODERN
        capabilities = random.choice([{}, {"elicitation": {}}, {"extensions": {META + "tasks": {}}}])
        parameters["_meta"] = {
            META + "protocolVersion": version,
            META + "clientInfo": {"name": "fuzz", "version": "1"},
            META + "clientCapabilities": capabilities,
        }
    elif random.random() < 0.3:
        parameters["_meta"] = {"progressToken": random.choice([1, "p"])}
    message = {"jsonrpc": "2.0", "id": random.choice([1, 7, "a"]), "method": method, "params": parameters}
    return message, method == "subscriptions/listen"


def _call(random: Random, surface: Surface) -> tuple[str, dict[str, Any]]:
    if random.random() < 0.75:
        tool = random.choice(surface.tools)
        arguments = values.value(random, tool["inputSchema"], tool["inputSchema"])
        return "tools/call", {"name": tool["name"], "arguments": arguments}
    name = random.choice([prompt["name"] for prompt in surface.prompts] or ["none"])
    uid = f"{random.getrandbits(128):032x}"
    method, parameters = random.choice([
        ("tools/list", {}), ("ping", {}), ("prompts/list", {}), ("resources/list", {}),
        ("resources/templates/list", {}), ("server/discover", {}), ("logging/setLevel", {"level": "debug"}),
        ("initialize", {"protocolVersion": random.choice(LEGACY), "capabilities": {},
                        "clientInfo": {"name": "fuzz", "version": "1"}}),
        ("prompts/get", {"name": name, "arguments": {"subject": "x"}}),
        ("resources/read", {"uri": random.choice([*surface.resources, "composer://x", "file:///etc/passwd"])}),
        ("resources/subscribe", {"uri": "composer://x"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": name},
                                 "argument": {"name": random.choice(["subject", "?"]), "value": "ma"}}),
        ("tasks/get", {"taskId": uid}), ("tasks/cancel", {"taskId": uid}),
        ("tasks/update", {"taskId": uid, "inputResponses": {}}), ("tasks/result", {"taskId": uid}),
        ("subscriptions/listen", {"notifications": {"taskIds": [uid], "resourcesListChanged": True}}),
    ])  # fmt: skip
    return method, dict(parameters)


def _headers(random: Random, surface: Surface, message: dict[str, Any]) -> list[tuple[str, str]]:
    parameters = message["params"]
    headers = [
        ("Host", surface.host),
        ("Authorization", f"Bearer {surface.token}"),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
    ]
    if META + "protocolVersion" in parameters.get("_meta", {}):
        headers += [("MCP-Protocol-Version", MODERN), ("Mcp-Method", message["method"])]
        name = parameters.get("name") or parameters.get("uri") or parameters.get("taskId")
        headers += [("Mcp-Name", name)] if name else []
    elif random.random() < 0.7:
        headers.append(("MCP-Protocol-Version", random.choice(LEGACY)))
    return headers


# --- and what happens to them ------------------------------------------------------------------------


def _right(_random: Random, _surface: Surface, _message: dict[str, Any], _made: Case) -> None:
    """Leave it as it is."""


def _arguments(random: Random, _surface: Surface, message: dict[str, Any], made: Case) -> None:
    """Spoil what the method is given."""
    target = "arguments" if "arguments" in message["params"] else None
    ways = []
    for _ in range(random.choice([1, 1, 2, 3])):
        if target:
            message["params"]["arguments"], way = damage.spoil(random, message["params"]["arguments"])
        else:
            meta = message["params"].pop("_meta", None)
            spoilt, way = damage.spoil(random, message["params"])
            message["params"] = {**spoilt, "_meta": meta} if isinstance(spoilt, dict) else spoilt
        if not isinstance(message["params"], dict):
            break
        ways.append(way)
    made.kind += ":" + "+".join(ways)


def _envelope(random: Random, _surface: Surface, message: dict[str, Any], made: Case) -> None:
    """Spoil the message around it."""
    way = random.choice(["any", "any", "version", "id", "method", "batch", "notification", "answer", "tool"])
    made.kind += ":" + way
    unknown = random.choice(["get_compositions", "../x", "", "x" * 2000, "Get_Composition", "\u0000", "é"])
    match way:
        case "any":
            spoilt, name = damage.spoil(random, message)
            made.kind += ":" + name
            made.body = dumped(random, spoilt)
        case "version":
            message["jsonrpc"] = random.choice(["1.0", 2, None, "2.00"])
        case "id":
            message["id"] = random.choice([None, 1.5, {}, [], True, "x" * 5000, 10**25, -1, ""])
        case "method":
            message["method"] = random.choice(
                ["tools/cal", "", "rpc.discover", "x" * 3000, 7, None, "TOOLS/CALL"]
            )
        case "batch":
            made.body = dumped(random, [message] * random.choice([0, 1, 2, 50]) + random.choice([[], [1]]))
        case "notification":
            del message["id"]
            message["method"] = random.choice(["notifications/cancelled", "tools/call", "notifications/x"])
        case "answer":
            answer = random.choice(
                [{"result": {}}, {"error": {"code": 1, "message": "x"}}, {"result": 1, "error": 2}]
            )
            made.body = dumped(random, {"jsonrpc": "2.0", "id": 1, **answer})
        case "tool":
            message["method"], message["params"]["name"] = "tools/call", unknown
            made.headers = [pair for pair in made.headers if pair[0] not in ("Mcp-Method", "Mcp-Name")]
            if META + "protocolVersion" in message["params"].get("_meta", {}):
                made.headers += [("Mcp-Method", "tools/call"), ("Mcp-Name", _encoded(unknown))]


def _encoded(name: str) -> str:
    """Return a name as it has to be written in a header."""
    if name.isascii() and name.isprintable():
        return name
    return f"=?base64?{base64.b64encode(name.encode()).decode()}?="


def _octets(random: Random, _surface: Surface, message: dict[str, Any], made: Case) -> None:
    """Spoil the bytes of the body."""
    body = dumped(random, message)
    place = random.randrange(len(body))
    depth = random.choice([500, 5_000, 100_000])
    ways: dict[str, Callable[[], bytes]] = {
        "cut": lambda: body[:place],
        "flipped": lambda: (
            body[:place] + bytes([body[place] ^ (1 << random.randrange(8))]) + body[place + 1 :]
        ),
        "invalid UTF-8": lambda: (
            body[:place] + random.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0"]) + body[place:]
        ),
        "another encoding": lambda: body.decode("utf-8", "replace").encode(
            random.choice(["utf-16", "utf-32", "utf-7"])
        ),
        "byte order mark": lambda: b"\xef\xbb\xbf" + body,
        "trailing": lambda: body + random.choice([b"x", b"\0", body, b"]}", b"\n\n"]),
        "empty": lambda: b" ",
        "not JSON": lambda: random.choice(
            [b"a=1&b=2", b"<xml/>", b"--b\r\n\r\n--b--", random.randbytes(200), b"nul"]
        ),
        "duplicate keys": lambda: _duplicated(random, body),
        "deep": lambda: b"[" * depth + b"]" * (depth if random.random() < 0.5 else 0),
        "deep arguments": lambda: body[:-1] + b',"x":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}",
        "long number": lambda: body[:-1] + b',"x":' + b"9" * depth + b"}",
        "too large": lambda: body + b" " * (1024 * 1024),
    }
    way = random.choice(list(ways))
    made.kind += ":" + way
    made.body = ways[way]()


def _duplicated(random: Random, body: bytes) -> bytes:
    text = body.decode("utf-8", "surrogatepass")
    other = random.choice([
        '"method":"tools/list"', '"id":2', '"params":{"name":"get_job","arguments":{}}', '"params":null',
        '"jsonrpc":"1.0"',
    ])  # fmt: skip
    spoilt = (
        "{" + other + "," + text.lstrip()[1:]
        if random.random() < 0.5
        else text.rstrip()[:-1] + "," + other + "}"
    )
    return spoilt.encode("utf-8", "surrogatepass")


def _header(random: Random, surface: Surface, message: dict[str, Any], made: Case) -> None:
    """Spoil one header."""
    junk = random.choice(
        [
            "",
            "x",
            "é" * 10,
            "a" * 3000,
            "\x01",
            "2026-07-28, 2025-11-25",
            "9999-99-99",
            "null",
            "=?base64?!?=",
        ]
    )
    name = random.choice(
        [name for name, _ in made.headers] + ["Content-Encoding", "Origin", "Mcp-Session-Id", "Last-Event-ID"]
    )
    made.kind += ":" + name
    rest = [pair for pair in made.headers if pair[0] != name]
    match random.choice(["replace", "replace", "remove", "repeat"]):
        case "remove":
            made.headers = rest
        case "repeat":
            made.headers = [*made.headers, (name, junk)]
        case _:
            made.headers = [*rest, (name, _plausible(random, surface, name) or junk)]
    if name == "Content-Encoding":
        made.body = gzip.compress(dumped(random, message), mtime=0)


def _plausible(random: Random, surface: Surface, name: str) -> str | None:
    tokens = [*surface.other_tokens, surface.token[:-3], surface.token.split(".")[0] + "..", "e30.e30.e30"]
    choices = {
        "Authorization": [f"Bearer {random.choice(tokens)}", "Basic YTpi", "Bearer", surface.token],
        "Content-Type": [
            "text/plain",
            "application/json; charset=utf-16",
            "multipart/form-data",
            "APPLICATION/JSON",
        ],
        "Accept": ["*/*", "application/json", "text/event-stream", "text/html", "application/*;q=0"],
        "MCP-Protocol-Version": ["2025-11-25", "2026-07-28", "2024-11-05", "1.0"],
        "Mcp-Method": ["tools/list", "TOOLS/CALL", "ping"],
        "Mcp-Name": ["get_job", "other"],
        "Origin": ["https://evil.test", "null", f"http://{surface.host}"],
        "Content-Encoding": ["gzip", "br"],
    }
    return random.choice(choices[name]) if name in choices and random.random() < 0.8 else None


def _http(random: Random, surface: Surface, message: dict[str, Any], made: Case) -> None:
    """Spoil the request itself."""
    body = dumped(random, message)
    way = random.choice(["method", "path", "length", "short", "chunks", "garbage"])
    made.kind += ":" + way
    match way:
        case "method":
            made.method = random.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"])
        case "path":
            made.path = random.choice([
                "/mcp?x=1", "/mcp/", "/MCP", "//mcp", "/mcp/../mcp", "/%6dcp", "/mcp%00", "/.well-known/x",
                "/sse", "/health/live", "/health/ready?x", "/" + "a" * 3000,
            ])  # fmt: skip
        case "length":
            made.headers.append(("Content-Length", random.choice(["-1", "x", "1e3", "99999999999", "1, 2"])))
            made.cut_off = True
        case "short":
            made.headers.append(("Content-Length", str(len(body) + random.choice([1, 5000]))))
            made.cut_off = True
        case "chunks":
            chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
            ending = random.choice([b"0\r\n\r\n", b"", b"zz\r\n", b"ffffffffffffffffff\r\n"])
            made.cut_off = ending != b"0\r\n\r\n"
            made.headers.append(("Transfer-Encoding", "chunked"))
            head = made.request.split(b"\r\n\r\n")[0].rpartition(b"\r\nContent-Length")[0]
            made.raw = head + b"\r\n\r\n" + chunk + ending
        case "garbage":
            made.raw = random.choice(
                [b"\r\n", b"GET\r\n\r\n", random.randbytes(300) + b"\r\n\r\n", b"\x16\x03\x01\x02"]
            )
            made.cut_off = True


Spoil = Callable[[Random, Surface, dict[str, Any], Case], None]
_WEIGHTED: Sequence[tuple[str, Spoil, int]] = (
    ("right", _right, 12), ("arguments", _arguments, 44), ("envelope", _envelope, 16),
    ("octets", _octets, 12), ("header", _header, 11), ("http", _http, 5),
)  # fmt: skip
_KINDS = [(name, spoil) for name, spoil, _ in _WEIGHTED]
_WEIGHTS = [weight for _, _, weight in _WEIGHTED]
