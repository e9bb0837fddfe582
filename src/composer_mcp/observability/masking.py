"""Takes secrets out of texts: by their look, and by their value for those that this process knows.

A known secret is found whole, in pieces, percent-encoded, in base64 or hexadecimal, and broken over lines:
the ways in which libraries, tracebacks and cut-off messages were seen to carry one. Whoever passes a text on
to a log, an error or a console passes it through :func:`redact` first. It is called for every field of every
line, so it must be cheap for texts that hold nothing; and strangers choose what some of them say, so no
form may take longer than in proportion to the text.
"""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "•••"
#: Shorter values would mask ordinary words.
SHORTEST_SECRET = 8
#: A secret of at least twice this length is known by all its pieces of this length. Looking at every such
#: step of a text finds every piece of a secret that is twice as long, and costs next to nothing.
PIECE = 12

_NAMES = r"password|passwd|secret|token|authorization|cookie|project.?key|access.?key|api.?key"
SENSITIVE_NAME = re.compile(rf"(?i){_NAMES}")
_SIGNED = re.compile(r"eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]{4,}")
SENSITIVE_TEXT = [
    # A token, whole or cut off, and one in base64.
    (re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,2}"), MASK),
    (re.compile(r"ZXlK[\w+/=-]{16,}"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
    (
        re.compile(r"(?i)\b(access_token|project_key|client_secret|password|token)=[^&\s\"'\\]+"),
        rf"\1={MASK}",
    ),
    # In JSON and in what Python prints, also where such a text stands inside another. Each part takes all
    # that it can and gives nothing back, and begins where no earlier try has been: hence a quote first.
    (
        re.compile(rf"(?i)([\"'](?=[^\"'\\]*?(?:{_NAMES}))[^\"'\\]*+\\*+[\"']\s*+:\s*+b?\\*+[\"'])[^\"'\\]+"),
        rf"\1{MASK}",
    ),
    # A header's name, looked through once from its beginning.
    (
        re.compile(
            r"(?i)(?<![\w-])((?=[\w-]*?\b(?:x-|project-key|api-key))[\w-]*+(?:(?<=key)|(?<=token)))"
            r"(\s*+:\s*+)[\w.~+/=-]{8,}"
        ),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"(?i)(auth-with-token/[\w-]+/home/[^/\s\"']+/)[^\s\"'\\]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(://[^/\s:@]+:)[^/\s@]+@"), rf"\1{MASK}@"),
    (re.compile(r"\bhv[sb]\.[\w-]{16,}|\b[sb]\.[A-Za-z0-9]{24,}\b"), MASK),
]
#: Each form above is so long and has one of these; most texts of a line are then looked at only once.
_NEEDED = re.compile(r"eyJ|ZXlK|[=/\s:\\]|[bs]\.")
_SHORTEST = 7
#: So much is looked at beyond what is kept of a text.
MARGIN = 500
#: Texts up to this length are mostly names that come again and again.
_REPEATED = 40
#: What a secret in any of its forms is made of.
_RUN = re.compile(r"[\w.~+/=%-]{16,}")
_BREAK = re.compile(r"[\r\n]|\\[rn]")
#: What comes before it in blanks belongs to it as well, and is not looked for from each of them.
_GAPS = re.compile(r"(?:(?:[\r\n]|\\[rn])[ \t]*+)++")

_values: set[str] = set()
_pieces: set[str] = set()


def hide(secret: str) -> None:
    """Mask this value wherever and however it appears from now on."""
    if len(secret) < SHORTEST_SECRET:
        return
    for form in _forms(secret):
        if len(form) < 2 * PIECE:
            _values.add(form)
        else:
            _pieces.update(form[start : start + PIECE] for start in range(len(form) - PIECE + 1))
    _redacted.cache_clear()


def redact(text: str) -> str:
    """Return ``text`` without anything that is or looks like a secret."""
    if len(text) < _SHORTEST:
        return text
    return _redacted(text) if len(text) <= _REPEATED else _redact(text)


def redacted(value: Any) -> Any:
    """Return JSON values without anything that is or looks like a secret; names of fields stay."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {name: redacted(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value


def beginning(text: str, length: int) -> str:
    """Return the first ``length`` characters of a text of any size without secrets; no more of it is read.

    A short secret that the end would cut in two is still seen whole, and so is known.
    """
    return redact(text[: length + MARGIN])[:length]


def _redact(text: str) -> str:
    # By the look first: it needs the whole, of which a known piece may be masked otherwise.
    if _NEEDED.search(text) is not None:
        if _BREAK.search(text) is not None:
            text = _rejoined(text)
        for pattern, replacement in SENSITIVE_TEXT:
            text = pattern.sub(replacement, text)
    # A copy, because another thread may learn a secret at this moment.
    for value in tuple(_values):
        if value in text:
            text = text.replace(value, MASK)
    if _RUN.search(text) is not None:
        text = _RUN.sub(_cleaned_run, text)
    return text


_redacted = functools.lru_cache(maxsize=4096)(_redact)


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret and what becomes of it on its way through addresses and encodings."""
    data = secret.encode()
    yield from {secret, quote(secret, safe=""), quote_plus(secret), data.hex()}
    # In base64 a value looks different depending on where in the whole it begins.
    for offset in range(3):
        aligned = data[offset:]
        aligned = aligned[: len(aligned) - len(aligned) % 3]
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            encoded = encode(aligned).decode()
            if len(encoded) >= SHORTEST_SECRET:
                yield encoded


def _cleaned_run(found: re.Match[str]) -> str:
    run = found[0]
    spans = list(_known_in(run)) if _pieces else []
    if "%" in run:
        # Encoded once, twice or thrice; whatever is secret in it is not worth finding the exact place.
        plain = run
        for _ in range(3):
            plain = unquote(plain)
            if plain != run and (any(_known_in(plain)) or _looks_secret(plain)):
                return MASK
    return _masked(run, spans) if spans else run


def _known_in(run: str) -> Iterator[tuple[int, int]]:
    """Yield where pieces of known secrets begin and end."""
    position, last = 0, len(run) - PIECE
    while position <= last:
        if run[position : position + PIECE] not in _pieces:
            position += PIECE
            continue
        begin = end = position
        while begin > 0 and run[begin - 1 : begin - 1 + PIECE] in _pieces:
            begin -= 1
        while end < last and run[end + 1 : end + 1 + PIECE] in _pieces:
            end += 1
        yield begin, end + PIECE
        position = end + PIECE


def _looks_secret(text: str) -> bool:
    return any(value in text for value in tuple(_values)) or any(
        pattern.search(text) is not None for pattern, _ in SENSITIVE_TEXT
    )


def _rejoined(text: str) -> str:
    """Mask secrets that are broken over lines."""
    kept: list[int] = []
    parts: list[str] = []
    position = 0
    for gap in _GAPS.finditer(text):
        part = text[position : gap.start()].rstrip(" \t")
        kept.extend(range(position, position + len(part)))
        parts.append(part)
        position = gap.end()
    kept.extend(range(position, len(text)))
    joined = "".join([*parts, text[position:]])
    spans = [match.span() for match in _SIGNED.finditer(joined)]
    spans += [
        (run.start() + begin, run.start() + end)
        for run in _RUN.finditer(joined)
        for begin, end in _known_in(run[0])
    ]
    spans += [(start, start + len(value)) for value in tuple(_values) for start in _places(joined, value)]
    return _masked(text, [(kept[begin], kept[end - 1] + 1) for begin, end in spans]) if spans else text


def _places(text: str, value: str) -> Iterator[int]:
    start = text.find(value)
    while start >= 0:
        yield start
        start = text.find(value, start + 1)


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    parts, position = [], 0
    for begin, end in sorted(spans):
        if end <= position:
            continue
        if begin >= position:
            parts += [text[position:begin], MASK]
        position = end
    return "".join([*parts, text[position:]])
