"""Log lines: JSON on standard error, one per event, each with the correlation id, none with a secret.

Lines of libraries (standard logging) take the same way. Secrets are masked three times: by the name of the
field, by their look, and by their value, for those that this process has read from its credentials.
"""

from __future__ import annotations

import logging
import logging.config
import re
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

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
_known_secrets: set[str] = set()


def hide(secret: str) -> None:
    """Mask this value wherever it appears from now on."""
    if len(secret) >= 8:
        _known_secrets.add(secret)


def redact(text: str) -> str:
    """Return ``text`` without anything that is or looks like a secret."""
    for secret in _known_secrets:
        text = text.replace(secret, MASK)
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
    return isinstance(value, str) and bool(SENSITIVE_NAME.search(str(name)))


def redaction(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets in every field of a line; the last step before it is written."""
    cleaned: dict[str, Any] = _clean(dict(event))
    return cleaned


def configure(settings: LogSettings) -> None:
    """Send all log lines of this process to standard error in the configured form."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redaction, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # Libraries that log every request: ours has the access line, with the same facts and no query string.
    for chatty in ("httpx", "httpcore", "mcp.server.streamable_http_manager", "mcp.server.lowlevel"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
