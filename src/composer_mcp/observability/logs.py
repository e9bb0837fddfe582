"""Log lines: JSON, one per event, each with the correlation id, none with a secret.

They go to standard error; where that is the journal, they go to it as entries with fields (see ``journal``).
Lines of libraries (standard logging) take the same way. Secrets are masked three times: by the name of the
field, and by their look and their value (see ``masking``). What Python itself would print about errors that
nobody caught passes through here as well.

Every call writes a line, so a line must be cheap: ours do not take the detour over the standard library's
records.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from composer_mcp.observability.journal import Journal, connected
from composer_mcp.observability.masking import MASK, SENSITIVE_NAME, hide, redact

if TYPE_CHECKING:
    from composer_mcp.settings import LogSettings

__all__ = ["MASK", "configure", "hide", "redact", "redaction"]

#: Of fields within fields so many levels are shown.
DEPTH = 6


def _clean(value: Any, depth: int = 0, hidden: bool = False) -> Any:
    """Return a field without secrets; ``hidden``: its name tells that whatever text is in it is one."""
    if isinstance(value, (str, bytes)):
        return MASK if hidden and value else redact(value if isinstance(value, str) else str(value))
    if isinstance(value, (dict, list, tuple, set, frozenset)):
        if depth > DEPTH:
            return "(nested too deep to be shown)"
        if isinstance(value, dict):
            return {
                _key(key): _clean(item, depth + 1, hidden or _tells(str(key))) for key, item in value.items()
            }
        return [_clean(item, depth + 1, hidden) for item in value]
    if value is None or isinstance(value, (int, float)):
        return value
    return MASK if hidden else redact(str(value))


def _key(key: object) -> str:
    return redact(key if isinstance(key, str) else str(key))


@functools.lru_cache(maxsize=4096)
def _tells(name: str) -> bool:
    return bool(SENSITIVE_NAME.search(name))


def redaction(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets in every field of a line; after it come only level, logger and time."""
    cleaned: dict[str, Any] = _clean(dict(event))
    return cleaned


#: Takes the logger's name, the level and the fields of a line of level error or above.
Report = Callable[[str, str, Mapping[str, Any]], None]


class _Reports:
    """To whom such lines are reported, if anybody is interested."""

    to: Report | None = None


def report_to(report: Report | None) -> None:
    """Have every line of level error or above reported as well; what is reported is not masked yet."""
    _Reports.to = report


def _reported(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Report a line, before its exception becomes a text; a line is written even if it cannot be reported."""
    if _Reports.to is not None and method in GRAVE:
        with contextlib.suppress(Exception):
            _Reports.to(getattr(logger, "name", None) or "", method, event)
    return event


def _uncaught(error: BaseException | None, where: str) -> None:
    """Write what nobody caught, which Python itself would write as it is."""
    if error is not None and _Reports.to is not None:
        with contextlib.suppress(Exception):
            _Reports.to("process", "critical", {"event": "process.uncaught", "exc_info": error})
    trace = "" if error is None else "".join(traceback.format_exception(error))
    _output.write(redact(f"{where}\n{trace}"), {"event": "process.uncaught", "level": "critical"})


def _on_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _uncaught(error, "This should not have happened; the process ends.")


class _Handler(logging.Handler):
    """Writes the lines of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            line = self.format(record)
            _output.write(line, json.loads(line) if _direct.json else {"level": record.levelname.lower()})
        except Exception:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Tell of a line that cannot be written, without its parts: the library would print them all."""
        error = sys.exc_info()[1]
        fact = {
            "event": "log.line_lost",
            "level": "error",
            "logger": record.name,
            "at": f"{record.pathname}:{record.lineno}",
            "error": type(error).__name__,
        }
        _output.write(_encode(fact), fact)


class _Output:
    """Where the lines of this process go: one write each, whichever thread or library they come from."""

    def __init__(self) -> None:
        self.stream: TextIO = sys.stderr
        self.journal: Journal | None = None
        self._lock = threading.Lock()

    def write(self, line: str, facts: Mapping[str, Any]) -> None:
        """Write one line; a reader of the log that went away must not fail the call that is logged.

        ``facts`` is what the line says, masked, with its ``level``.
        """
        if self.journal is not None and self.journal.send(line, facts, facts.get("level", "info")):
            return
        with self._lock, contextlib.suppress(OSError, ValueError):
            self.stream.write(line + "\n")


_output = _Output()


class _Lines:
    """A logger of structlog that writes what it is given."""

    def __init__(self, name: str = "") -> None:
        self.name = name

    def info(self, line: str, facts: Mapping[str, Any]) -> None:
        """Write one line."""
        _output.write(line, facts)

    debug = warning = error = critical = info


def _with_facts(renderer: Any) -> Any:
    """Return a last processor that hands over the line together with what it was made of."""

    def render(logger: object, method: str, event: MutableMapping[str, Any]) -> Any:
        facts = dict(event)
        return (renderer(logger, method, event), facts), {}

    return render


#: What the lines of a request say besides their own, such as its correlation id: set anew by each request.
#: Of jobs, structlog's own variables say it; setting and clearing those costs a call more than its line does.
about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))


def _of_request(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in about.get().items():
        event.setdefault(name, value)
    return event


_encode = json.JSONEncoder(ensure_ascii=False, default=str).encode


def _as_json(event: Any, **_options: Any) -> str:
    return _encode(event)


class Frequent:
    """A logger for a line that every request writes: a quarter of the cost, the same form, the same masking.

    Its fields are flat; their values are texts and numbers.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._log = structlog.get_logger(name)

    def write(
        self, level: str, event: str, fields: dict[str, str | int | float], *, correlation_id: str
    ) -> None:
        """Write one line, unless the configured level is above ``level``.

        The ``correlation_id`` is new in each line, and not masked again.
        """
        if not _direct.json:
            getattr(self._log, level)(event, **fields)
        elif LEVELS[level] >= _direct.level:
            masked = {
                name: redact(value) if isinstance(value, str) else value for name, value in fields.items()
            }
            # The form of time that the other lines have.
            moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            tail = {"level": level, "logger": self._name, "timestamp": moment}
            line = {**masked, "correlation_id": correlation_id, "event": event, **tail}
            _output.write(_encode(line), line)


class _Direct:
    """Whether lines may be written without structlog's pipeline, and from which level on any are."""

    json = False
    level = 0


_direct = _Direct()
GRAVE = {"error", "critical", "exception"}
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def set_level(level: str) -> None:
    """Write lines from this level on, whatever :func:`configure` was told."""
    _direct.level = LEVELS[level]
    logging.getLogger().setLevel(_direct.level)


def _serious(_logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop a line below the present level; here, because a logger that was used once cannot be changed."""
    if LEVELS.get(method, logging.CRITICAL) < _direct.level:
        raise structlog.DropEvent
    return event


def configure(settings: LogSettings) -> None:
    """Send all log lines of this process to standard error, or to the journal behind it."""
    _direct.json = settings.format == "json"
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
    if _output.journal is not None:
        _output.journal.close()
    _output.journal = Journal(settings.journal_socket) if connected() else None
    structlog.configure(
        processors=[
            _serious,
            structlog.contextvars.merge_contextvars,
            _of_request,
            _reported,
            *traces,
            redaction,
            *facts,
            _with_facts(renderer),
        ],
        logger_factory=_Lines,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _on_crash
    threading.excepthook = lambda crash: _uncaught(crash.exc_value, "A thread ended by an error.")
    sys.unraisablehook = lambda crash: _uncaught(crash.exc_value, "An error came when nobody could hear it.")
    handler = _Handler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.contextvars.merge_contextvars,
                _of_request,
                _reported,
                *facts,
                *traces,
                structlog.stdlib.ExtraAdder(),
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redaction, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(settings.level)
    # Libraries that log every request: ours has the access line, with the same facts and no query string.
    for chatty in ("httpx", "httpcore", "mcp.server"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
