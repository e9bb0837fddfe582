"""Error reports: what went wrong and where, to a receiver of Sentry's protocol, if one is configured.

What is sent is chosen, not filtered: types of exceptions, places in code, and the names by which the log has
the rest. Neither variables nor source lines nor texts: an exception's message often holds what a caller sent.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import composer_mcp
from composer_mcp.alone.defaults import is_local
from composer_mcp.observability import logs
from composer_mcp.observability.masking import beginning, hide
from composer_mcp.settings.explain import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

    from sentry_sdk import Client

    from composer_mcp.observability.settings import ReportsSettings
    from composer_mcp.settings import Credentials

#: Facts of a log line that are sent with it.
TAGS = ("correlation_id", "trace_id", "tenant", "tool", "kind", "job_id", "attempt", "outcome")
FRAME = ("filename", "module", "function", "lineno", "in_app")
LONGEST_TEXT = 200
#: Reports that wait to be sent; when there are more, the new ones are dropped.
QUEUE_REPORTS = 50
#: How long a process that ends waits for its last reports to be sent.
END_SECONDS = 2.0
#: Lines of these are about sending, and would make more of themselves.
SENDERS = ("sentry_sdk", "urllib3", "opentelemetry")

ExcInfo = tuple[type[BaseException], BaseException, "TracebackType | None"]


def start(settings: ReportsSettings, credentials: Credentials, service: str) -> None:
    """Send reports from now on, if that is enabled; once for each process.

    Raises:
        ConfigurationError: the secret error-reports-dsn is missing, or no address of a receiver.
    """
    if not settings.enabled:
        return
    client = discreet_client(address_of(credentials), settings)
    logs.report_to(Reporter(client, service, settings.per_minute).line)


def address_of(credentials: Credentials) -> str:
    """Return where reports go, with the key for it.

    Raises:
        ConfigurationError: the secret error-reports-dsn is missing, or no address of a receiver.
    """
    address = credentials.read("error-reports-dsn").get_secret_value()
    parts = urlsplit(address)
    hide(parts.username or "")
    local = is_local(parts.netloc.rpartition("@")[2])
    if not (parts.username and parts.hostname and parts.path.rpartition("/")[2].isdecimal()):
        raise ConfigurationError(
            "the secret error-reports-dsn is no address of a receiver, such as https://KEY@errors.example.org/1."
        )
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise ConfigurationError(
            "the secret error-reports-dsn must begin with https://, because it is not on this machine."
        )
    return address


def discreet_client(address: str, settings: ReportsSettings, **others: Any) -> Client:
    """Return what sends reports to an address; ``others`` are further options of the library."""
    # Not above: whoever sends no reports does without this library.
    import sentry_sdk

    # A client of its own and none of the library's global state: nothing but us reports anything.
    return sentry_sdk.Client(
        dsn=address,
        default_integrations=False,
        auto_enabling_integrations=False,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        auto_session_tracking=False,
        send_client_reports=False,
        enable_backpressure_handling=False,
        enable_logs=False,
        enable_metrics=False,
        propagate_traces=False,
        before_send=_chosen,
        release=f"composer-mcp@{composer_mcp.__version__}",
        environment=settings.environment,
        server_name=socket.gethostname(),
        transport_queue_size=QUEUE_REPORTS,
        shutdown_timeout=END_SECONDS,
        ca_certs=None if settings.authority is None else str(settings.authority),
        # Neither a proxy of the environment nor a debugger on this machine is told anything.
        http_proxy="",
        https_proxy="",
        spotlight=False,
        debug=False,
        **others,
    )


class Reporter:
    """Makes reports of log lines of level error and above; what happens often is reported rarely."""

    def __init__(self, client: Client, service: str, per_minute: int) -> None:
        self._client = client
        self._service = service
        self._per_minute = per_minute
        self._per_kind = max(1, per_minute // 10)
        self._minute = 0
        self._sent: Counter[str] = Counter()
        self._lock = threading.Lock()

    def line(self, logger: str, level: str, fields: Mapping[str, Any]) -> None:
        """Report one line; never raises, and never waits for the network."""
        if logger.startswith(SENDERS):
            return
        event = _event_of(fields)
        error = _error_of(fields.get("exc_info"))
        if not self._may(f"{logger} {event if error is None else error[0].__name__}"):
            return
        self._client.capture_event(*self._report(logger, level, event, fields, error))

    def _may(self, kind: str) -> bool:
        minute = int(time.monotonic() // 60)
        with self._lock:
            if minute != self._minute:
                self._minute = minute
                self._sent.clear()
            if self._sent[kind] >= self._per_kind or self._sent.total() >= self._per_minute:
                return False
            self._sent[kind] += 1
            return True

    def _report(
        self, logger: str, level: str, event: str, fields: Mapping[str, Any], error: ExcInfo | None
    ) -> tuple[Any, dict[str, Any]]:
        from sentry_sdk.utils import event_from_exception

        report: dict[str, Any] = {}
        hint: dict[str, Any] = {}
        if error is not None:
            found, hint = event_from_exception(error, client_options=self._client.options)
            report.update(found)
        tags = {name: str(fields[name]) for name in TAGS if fields.get(name) not in (None, "")}
        report |= {
            "level": "fatal" if level == "critical" else "error",
            "logger": logger,
            "message": event,
            "tags": {"service": self._service, "event": event, **tags},
        }
        return report, hint


def _event_of(fields: Mapping[str, Any]) -> str:
    """Return what a line is called: ours have names, those of libraries a first line without its parts."""
    record = fields.get("_record")
    text = fields.get("event", "") if record is None else record.msg
    return beginning(str(text), LONGEST_TEXT).partition("\n")[0]


def _error_of(given: Any) -> ExcInfo | None:
    if given is True:
        given = sys.exc_info()
    elif isinstance(given, BaseException):
        given = (type(given), given, given.__traceback__)
    return given if isinstance(given, tuple) and len(given) == 3 and given[0] is not None else None


def _chosen(report: Any, _hint: Any) -> Any:
    """Return a report with what may leave the house, and nothing that the library may add one day."""
    kept = {
        name: report[name]
        for name in ("event_id", "timestamp", "platform", "level", "release", "environment", "server_name")
        if name in report
    }
    kept["logger"] = _short(report.get("logger"))
    kept["message"] = _short(report.get("message"))
    kept["tags"] = {name: _short(value) for name, value in report.get("tags", {}).items()}
    values = report.get("exception", {}).get("values", ())
    if values:
        kept["exception"] = {"values": [_exception(value) for value in values]}
    return kept


def _exception(value: MutableMapping[str, Any]) -> dict[str, Any]:
    mechanism = value.get("mechanism") or {}
    frames = (value.get("stacktrace") or {}).get("frames") or ()
    return {
        "type": _short(value.get("type")),
        "module": _short(value.get("module")),
        "mechanism": {
            name: mechanism[name]
            for name in ("type", "handled", "exception_id", "parent_id", "is_exception_group")
            if name in mechanism
        },
        "stacktrace": {
            "frames": [{name: frame[name] for name in FRAME if name in frame} for frame in frames]
        },
    }


def _short(text: object) -> str:
    return beginning(str(text or ""), LONGEST_TEXT)
