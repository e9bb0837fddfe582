"""Log lines: JSON on standard error, one per event, each with the correlation id, none with a secret.

Lines of libraries (standard logging) take the same way. Secrets are masked three times: by the name of the
field, by their look, and by their value, for those that this process has read from its credentials.

Every call writes a line, so a line must be cheap: ours do not take the detour over the standard library's
records, and a text without any character that all secrets' forms need is not searched for them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import re
import sys
import threading
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, TextIO

import structlog

if TYPE_CHECKING:
    from composer_mcp.settings import LogSettings

MASK = "•••"
SENSITIVE_NAME = re.compile(r"(?i)password|passwd|secret|token|authorization|cookie|project.?key|access.?key")
SENSITIVE_TEXT = [
    (re.compile(r"eyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
    (
        re.compile(r"(?i)\b(access_token|project_key|client_secret|password|token)=[^&\s\"'\\]+"),
        rf"\1={MASK}",
    ),
    (re.compile(r"(?i)(auth-with-token/[\w-]+/home/[^/\s\"']+/)[^\s\"'\\]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(://[^/\s:@]+:)[^/\s@]+@"), rf"\1{MASK}@"),
    (re.compile(r"\bhv[sb]\.[\w-]{16,}|\b[sb]\.[A-Za-z0-9]{24,}\b"), MASK),
]
#: Each form above is so long and has one of these; most texts of a line are then looked at only once.
NEEDED = re.compile(r"eyJ|[=/\s]|[bs]\.")
SHORTEST = 7
_known_secrets: set[str] = set()


def hide(secret: str) -> None:
    """Mask this value wherever it appears from now on."""
    if len(secret) >= 8:
        _known_secrets.add(secret)


def redact(text: str) -> str:
    """Return ``text`` without anything that is or looks like a secret."""
    if len(text) < SHORTEST:
        return text
    for secret in _known_secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    if NEEDED.search(text) is None:
        return text
    for pattern, replacement in SENSITIVE_TEXT:
        text = pattern.sub(replacement, text)
    return text


def _clean(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return redact(value)
    if depth > 6:
        return redact(repr(value))
    if isinstance(value, dict):
        return {
            key: MASK if _is_sensitive(key, item) else _clean(item, depth + 1) for key, item in value.items()
        }
    if isinstance(value, (list, tuple, set)):
        return [_clean(item, depth + 1) for item in value]
    if value is None or isinstance(value, (int, float)):
        return value
    return redact(str(value))


def _is_sensitive(name: object, value: object) -> bool:
    return isinstance(value, str) and _tells(str(name))


@functools.lru_cache(maxsize=4096)
def _tells(name: str) -> bool:
    return bool(SENSITIVE_NAME.search(name))


def redaction(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets in every field of a line; after it come only level, logger and time."""
    cleaned: dict[str, Any] = _clean(dict(event))
    return cleaned


class _Output:
    """Where the lines of this process go: one write each, whichever thread or library they come from."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stderr
        self._lock = threading.Lock()

    def write(self, text: str) -> None:
        """Write one line; a reader of the log that went away must not fail the call that is logged."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self.stream.write(text)

    def flush(self) -> None:
        """See :meth:`write`."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self.stream.flush()


_output = _Output()


class _Lines:
    """A logger of structlog that writes what it is given."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def info(self, line: str) -> None:
        """Write one line."""
        _output.write(line + "\n")

    debug = warning = error = critical = info


_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def _as_json(event: Any, **_options: Any) -> str:
    return _encode(event)


def configure(settings: LogSettings) -> None:
    """Send all log lines of this process to standard error in the configured form."""
    facts: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    traces: list[Any] = [
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=_as_json)
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    _output.stream = sys.stderr
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *traces, redaction, *facts, renderer],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(settings.level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                *facts,
                *traces,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redaction, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # Libraries that log every request: ours has the access line, with the same facts and no query string.
    for chatty in ("httpx", "httpcore", "mcp.server"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
