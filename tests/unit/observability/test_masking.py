"""Attacks on the masking of secrets: every way in which one was ever seen to slip into a log."""

from __future__ import annotations

import base64
import io
import json
import logging
import secrets
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import jwt
import pytest
import structlog

from composer_mcp.observability import logs, masking
from composer_mcp.observability.masking import MASK, redact
from composer_mcp.settings import LogSettings

#: Of the length and form of Composer's.
TOKEN = jwt.encode({"email": "a@b.example", "dcn": [secrets.token_hex(16) for _ in range(68)]}, "k" * 64)
PASSWORD = "correct horse/battery+staple&" + secrets.token_urlsafe(8)
SHORT = "hunter-2=2"
#: A caller's, which we do not know.
FOREIGN = jwt.encode({"sub": "teacher", "n": secrets.token_hex(40)}, "x" * 64)


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    before = set(masking._values), set(masking._pieces)
    for secret in (TOKEN, PASSWORD, SHORT):
        masking.hide(secret)
    yield
    masking._values.clear()
    masking._pieces.clear()
    masking._values.update(before[0])
    masking._pieces.update(before[1])
    masking._redacted.cache_clear()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure(LogSettings(level="debug"))
    yield stream
    logging.getLogger().handlers[:] = []
    structlog.reset_defaults()
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


def leaks(text: str, secret: str = TOKEN) -> list[str]:
    """Pieces of a secret, long enough to be of use to somebody, that can be put together from a text."""
    joined = "".join(text.split()).replace("\\n", "").replace("\\r", "")
    return [
        secret[start : start + 24]
        for start in range(max(1, len(secret) - 23))
        if secret[start : start + 24] in joined
    ]


def percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


DISGUISES: dict[str, Callable[[str], str]] = {
    "whole": lambda secret: secret,
    "first half": lambda secret: secret[: len(secret) // 2],
    "second half": lambda secret: secret[len(secret) // 2 :],
    "cut off in an address": lambda secret: f"https://x.test/content?uid=1&access_token={secret}"[:300],
    "cut off in a route": lambda secret: f"https://x.test/#/embed/auth-with-token/pt_br/home/p/{secret}"[
        :300
    ],
    "in an encoded address": lambda secret: quote(f"https://x.test/?access_token={secret}", safe=""),
    "encoded twice": lambda secret: quote(quote(f"?access_token={secret}", safe=""), safe=""),
    "every character encoded": percent,
    "broken at 76": lambda secret: "\n".join(textwrap.wrap(secret, 76)),
    "broken at 10": lambda secret: "\n".join(textwrap.wrap(secret, 10)),
    "broken and indented": lambda secret: "\r\n\t    ".join(textwrap.wrap(secret, 40)),
    "broken, as printed": lambda secret: repr("\n".join(textwrap.wrap(secret, 15))),
    "in JSON": lambda secret: json.dumps({"project": {"access_token": secret}}),
    "in JSON in JSON": lambda secret: json.dumps({"body": json.dumps({"access_token": secret})}),
    "as bytes": lambda secret: repr(secret.encode()),
    "in raw headers": lambda secret: repr([(b"Authorization", b"Bearer " + secret.encode())]),
    "in a traceback's locals": lambda secret: f"    token = '{secret}'\n    ^^^^^",
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64, after one byte": lambda secret: base64.b64encode(b":" + secret.encode()).decode(),
    "base64, after two": lambda secret: base64.b64encode(b"u:" + secret.encode()).decode(),
    "basic authentication": lambda secret: base64.urlsafe_b64encode(f"someone:{secret}".encode()).decode(),
    "hexadecimal": lambda secret: secret.encode().hex(),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_our_token_is_masked_however_it_comes(disguise: str) -> None:
    shown = redact(f"before {DISGUISES[disguise](TOKEN)} after")
    assert not leaks(shown) and MASK in shown
    assert shown.startswith("before ") and shown.endswith(" after")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_our_token_is_masked_in_other_alphabets(encoding: str) -> None:
    encoded = ENCODINGS[encoding](TOKEN)
    assert not leaks(redact(f"before {encoded} after"), encoded)
    assert not leaks(redact("\n".join(textwrap.wrap(encoded, 64))), encoded)


@pytest.mark.parametrize(
    "disguise", ["whole", "broken at 76", "broken at 10", "in an encoded address", "in JSON", "as bytes"]
)
def test_a_token_that_we_do_not_know_is_masked_by_its_look(disguise: str) -> None:
    shown = redact(DISGUISES[disguise](FOREIGN))
    assert not leaks(shown, FOREIGN) and MASK in shown


@pytest.mark.parametrize("secret", [PASSWORD, SHORT])
@pytest.mark.parametrize(
    "disguise", ["whole", "every character encoded", "broken at 10", "in JSON", "as bytes"]
)
def test_a_password_with_odd_characters_is_masked(secret: str, disguise: str) -> None:
    shown = redact(f"<{DISGUISES[disguise](secret)}>")
    assert secret not in "".join(shown.split()) and quote(secret, safe="") not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "opensesame"}',
        "{'X-Api-Key': 'opensesame'}",
        '{"a": "{\\"client_secret\\":\\"opensesame\\"}"}',
        "Project-Key: opensesame",
        "x-amz-security-token: opensesame",
        "Headers({'project-key': 'opensesame', 'api-env': 'prd'})",
    ],
)
def test_what_stands_beside_a_telling_name_is_masked(text: str) -> None:
    assert "opensesame" not in redact(text) and MASK in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "uid H4sIAAAAAAAA_wFiAZ3-" + "A9_-" * 120,
        "job 0192f3b2-7c1d-7e6f-8a1b-0123456789ab finished in 3.2 s: https://composer.test/#/embed/composer/H4s",
        "first line\nsecond line\n  indented 100%\n",
        "100% of %d in %s",
        '{"title": "Fotossíntese", "widgets": 3}',
        "a tokenizer, the author: Ana, key: value",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_everything_around_a_secret_stays() -> None:
    shown = redact(f"GET /a failed\nTraceback:\n  {TOKEN[:90]}\n  {TOKEN[90:]}\n: at 7\nValueError: no")
    assert shown.startswith("GET /a failed\nTraceback:\n") and shown.endswith(": at 7\nValueError: no")


# --- through the log -----------------------------------------------------------------------------------


def test_keys_and_nested_values_are_masked(written: io.StringIO) -> None:
    deep: Any = {"password": "opensesame"}
    for _ in range(30):
        deep = [deep]
    structlog.get_logger("t").info(
        "event",
        **{TOKEN: 1},
        keys={TOKEN: "x", (1, TOKEN): "y"},
        tokens=["opensesame", b"opensesame", {"any": "opensesame"}],
        password=b"opensesame",
        secret=Opaque(),
        deep=deep,
        count={"tokens": 3},
    )
    text = written.getvalue()
    assert not leaks(text) and "opensesame" not in text
    assert json.loads(text)["count"] == {"tokens": 3}


class Opaque:
    """Shows what it holds."""

    def __repr__(self) -> str:
        return f"<Opaque opensesame {TOKEN}>"


def broken_request() -> None:
    """Fail as the HTTP library does, with the request in hand, in a group, with notes, one from another."""
    request = httpx.Request("GET", f"https://x.test/content?access_token={TOKEN}")
    try:
        try:
            raise httpx.ConnectError(f"could not reach {request.url}", request=request)
        except httpx.ConnectError as cause:
            cause.add_note(f"sent {request.headers} and {TOKEN[:500]}")
            raise ExceptionGroup("several", [cause, ExceptionGroup(TOKEN, [KeyError(TOKEN)])]) from cause
    except ExceptionGroup as group:
        group.add_note("\n".join(textwrap.wrap(TOKEN, 60)))
        raise RuntimeError(repr(request.url)) from group


def test_exceptions_with_their_causes_groups_and_notes_are_masked(written: io.StringIO) -> None:
    try:
        broken_request()
    except RuntimeError:
        structlog.get_logger("t").exception("event", stack_info=True)
        logging.getLogger("library").exception("failed with %r", Opaque())
    text = written.getvalue()
    assert not leaks(text) and "ExceptionGroup" in text and text.count("\n") == 2


def test_a_line_of_a_library_that_cannot_be_formed_is_told_without_its_parts(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = logging.getLogger("library")
    (ours,) = [each for each in logging.getLogger().handlers if isinstance(each, logs._Handler)]
    monkeypatch.setattr(library, "handlers", [ours])
    monkeypatch.setattr(library, "propagate", False)
    library.warning("%d tries", TOKEN)
    line = json.loads(written.getvalue())
    assert line["event"] == "log.line_lost" and line["logger"] == "library" and line["error"] == "TypeError"
    assert not leaks(written.getvalue())


def test_fields_that_libraries_add_are_masked(written: io.StringIO) -> None:
    added = {"url": f"https://x.test/?token={TOKEN}", "o": Opaque()}
    logging.getLogger("library").warning("call", extra=added)
    assert not leaks(written.getvalue()) and "call" in written.getvalue()


def test_the_http_library_at_its_most_talkative_shows_nothing(written: io.StringIO) -> None:
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    sends_on = httpx.MockTransport(lambda _: httpx.Response(302, headers={"Location": f"/{TOKEN}"}))
    with httpx.Client(transport=sends_on) as client:
        client.get(f"https://x.test/?access_token={TOKEN}", headers={"Authorization": f"Bearer {TOKEN}"})
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    assert "x.test" in written.getvalue() and not leaks(written.getvalue())


def test_what_nobody_caught_is_masked_too(written: io.StringIO) -> None:
    try:
        broken_request()
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=broken_request)
    thread.start()
    thread.join()

    class Falls:
        def __del__(self) -> None:
            raise ValueError(TOKEN)

    Falls()
    text = written.getvalue()
    assert text.count("RuntimeError") >= 2 and "ValueError" in text
    assert not leaks(text)


#: Texts that anybody may send, each of which once took, or could take, time in proportion to its square.
ENDLESS: dict[str, Callable[[int], str]] = {
    "backslashes": lambda size: "/" + "\\" * size,
    "names in a quote": lambda size: '/"' + "token" * (size // 5),
    "a name, then blanks": lambda size: '"token"' + " " * size,
    "a name, a colon, backslashes": lambda size: '"token": b' + "\\" * size,
    "quotes and backslashes": lambda size: "'\\" * (size // 2),
    "a header's beginnings": lambda size: "x-" * (size // 2),
    "a header's endings": lambda size: " x-" + "key" * (size // 3) + "  ",
    "headers in headers": lambda size: "x-key-" * (size // 6),
    "blanks before a new line": lambda size: "a" + " " * size + "\n",
    "blanks after a new line": lambda size: "a\n" + " " * size + "b",
    "new lines": lambda size: "x" + " \t\n" * (size // 3) + "y",
    "a scheme's blanks": lambda size: "bearer" + " " * size,
    "addresses": lambda size: "://a:" * (size // 5),
    "an encoded quote": lambda size: "/%22" + "token" * (size // 5),
    "encoded backslashes": lambda size: "/" + "%5C" * (size // 3),
    "encoded again and again": lambda size: "%25" * (size // 3),
}


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_no_text_of_a_stranger_holds_the_process_up(text: Callable[[int], str]) -> None:
    # Without any of the characters that a secret's form needs, a text would not be looked at closely.
    hostile = "/ " + text(65_536)
    began = time.process_time()
    redact(hostile)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "text",
    [
        '{"a much longer name of some token or other than anybody would give it, with commas": "VALUE"}',
        r"{\"outer\": \"{\\\"project/key\\\": \\\"VALUE\\\"}\"}",
        "{'password' : b'VALUE'}",
        "sent X-Composer-Api-Key: VALUE with it",
        "sent-x-token:VALUE",
        "project-key: VALUE",
    ],
)
def test_a_strangers_secret_is_known_by_its_name(text: str) -> None:
    value = "opensesame1234"
    masked = redact(text.replace("VALUE", value))
    assert value not in masked and masked == text.replace("VALUE", MASK)


def test_of_a_long_text_only_the_beginning_is_read_and_no_secret_is_cut_in_two() -> None:
    assert masking.beginning("a" * 190 + " " + SHORT, 195) == ("a" * 190 + " " + MASK)[:195]
    assert masking.beginning("/" + "b" * 10_000_000, 200) == "/" + "b" * 199
