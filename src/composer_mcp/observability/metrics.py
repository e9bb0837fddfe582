"""Figures for Prometheus.

All processes of a host write into one folder (``PROMETHEUS_MULTIPROC_DIR``), which must be set before this
module is imported; the web's ``/metrics`` adds them up. Without the folder only this process is shown.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from composer_mcp.observability.figures import forget_dead, unchanged

#: Of things that are over soon; what is open for hours has a family of its own.
SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)

HTTP_REQUESTS = Counter("composer_http_requests", "HTTP requests answered", ["method", "path", "status"])
HTTP_SECONDS = Histogram(
    "composer_http_request_seconds",
    "Time to the end of the answer, without streams that a client listens to",
    ["path"],
    buckets=SECONDS,
)
STREAM_SECONDS = Histogram(
    "composer_http_stream_seconds",
    "How long a client listened to a stream",
    buckets=(1, 10, 60, 300, 900, 3600, 14400, 86400),
)
SUBSCRIPTIONS = Gauge(
    "composer_subscription_streams", "Open streams of subscriptions", multiprocess_mode="livesum"
)
TOOL_CALLS = Counter("composer_tool_calls", "Calls of tools, by outcome or error code", ["tool", "outcome"])
JOBS = Counter("composer_jobs", "Attempts at jobs, by outcome or error code", ["kind", "outcome"])
JOB_SECONDS = Histogram("composer_job_seconds", "Time of one attempt", ["kind"], buckets=SECONDS)
JOB_WAIT_SECONDS = Histogram(
    "composer_job_wait_seconds", "Time from acceptance to the start of an attempt", ["kind"], buckets=SECONDS
)
COMPOSITIONS_CREATED = Counter(
    "composer_compositions_created", "Compositions that Composer has stored and did not have before", ["kind"]
)
COMPOSER_CALLS = Counter("composer_api_calls", "Tries of calls to Composer, by outcome", ["call", "outcome"])
COMPOSER_SECONDS = Histogram(
    "composer_api_call_seconds", "Time of one try of a call to Composer", ["call"], buckets=SECONDS
)
BREAKER_OPEN = Gauge(
    "composer_breaker_open",
    "Processes that leave Composer alone because it fails",
    ["breaker"],
    multiprocess_mode="livesum",
)
BREAKER_CHANGES = Counter(
    "composer_breaker_changes", "Changes of state of circuit breakers", ["breaker", "state"]
)
BREAKER_REFUSED = Counter(
    "composer_breaker_refused", "Calls not made because a circuit breaker was open", ["breaker"]
)
RETRIES_REFUSED = Counter(
    "composer_retries_refused", "Repetitions not made because the process had used up its budget"
)
TOKENS_REFUSED = Counter(
    "composer_tokens_refused", "Requests whose token or account was refused, by error code", ["code"]
)
ACCESS_KNOWN = Gauge(
    "composer_access_known_timestamp_seconds",
    "When the process that is furthest behind last read accounts and revoked tokens",
    # A label, because a process that lets nobody in, such as a worker, must not be counted with a zero.
    ["part"],
    multiprocess_mode="livemin",
)
BROWSER_LAUNCHES = Counter("composer_browser_launches", "Starts of Chromium, by outcome", ["outcome"])
BROWSER_LEASES = Counter("composer_browser_leases", "Browser contexts opened for jobs")
BROWSERS = Gauge("composer_browsers", "Browsers that are up", multiprocess_mode="livesum")
BROWSER_MEMORY_BYTES = Gauge(
    "composer_browser_memory_bytes",
    "Memory of the browsers' processes (proportional set size) when last weighed",
    multiprocess_mode="livesum",
)
BROWSER_FAILURES = Counter(
    "composer_browser_failures",
    "What went wrong: page_crashed, page_hung, page_too_large, browser_lost, browser_hung",
    ["kind"],
)
BROWSER_RECYCLES = Counter(
    "composer_browser_recycles",
    "Browsers replaced by a new one, by reason: leases, age, memory, lost, host",
    ["reason"],
)
BROWSER_REFUSALS = Counter(
    "composer_browser_refusals", "What pages tried and may not: host, download, window", ["what"]
)
BROWSER_SPARES = Counter(
    "composer_browser_spares", "Leases by whether the page was open already: taken, none", ["spare"]
)
BROWSER_LOGINS = Counter(
    "composer_browser_logins",
    "How a page was logged in to Composer: anew, restored, or refused although restored",
    ["way"],
)
BROWSER_WAIT_SECONDS = Histogram(
    "composer_browser_wait_seconds", "Time a job waited for a browser context", buckets=SECONDS
)
AUDIT_ENTRIES = Counter("composer_audit_entries", "Entries written to the audit trail")
AUDIT_WAITING = Gauge(
    "composer_audit_waiting",
    "Entries of the audit trail that wait to be written",
    multiprocess_mode="livesum",
)
AUDIT_PROBLEM = Gauge(
    "composer_audit_problem", "Processes that cannot write the audit trail now", multiprocess_mode="livesum"
)
AUDIT_REFUSED = Counter("composer_audit_refused", "Calls not done because they could not be recorded")
AUDIT_REDUCED = Counter(
    "composer_audit_reduced",
    "Entries that could not be kept as they were: the trail says who, what and when, the log the rest",
)
AUDIT_LOST = Counter(
    "composer_audit_lost", "Entries that a process could only write to its log before it ended"
)
SETTINGS_VERSION = Gauge(
    "composer_settings_version",
    "The newest change of settings at run time that the process furthest behind has taken over",
    multiprocess_mode="livemin",
)
LOOP_LAG_SECONDS = Gauge(
    "composer_event_loop_lag_seconds",
    "The latest that the event loop of a web process was in the last 10 s; the worst of all processes",
    multiprocess_mode="livemax",
)
BROWSER_CONTEXTS = Gauge(
    "composer_browser_contexts", "Browser contexts that jobs use at present", multiprocess_mode="livesum"
)
BROWSER_CAPACITY = Gauge(
    "composer_browser_capacity", "Browser contexts that may be open at once", multiprocess_mode="livesum"
)


def job_started(kind: str, waited_seconds: float) -> None:
    """Count the time a job waited."""
    JOB_WAIT_SECONDS.labels(kind).observe(waited_seconds)


def job_finished(kind: str, outcome: str, seconds: float) -> None:
    """Count one attempt."""
    JOBS.labels(kind, outcome).inc()
    JOB_SECONDS.labels(kind).observe(seconds)


def browser_contexts() -> tuple[int, int]:
    """Return how many browser contexts all processes of this host use at present, and how many they may."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if folder:
        forget_dead(Path(folder))
        files = [str(path) for path in Path(folder).glob("gauge_livesum_*.db")]
        families = list(MultiProcessCollector.merge(files))
    else:
        families = [*BROWSER_CONTEXTS.collect(), *BROWSER_CAPACITY.collect()]
    found = {family.name: int(sum(sample.value for sample in family.samples)) for family in families}
    return found.get("composer_browser_contexts", 0), found.get("composer_browser_capacity", 0)


@dataclass(frozen=True, slots=True)
class QueueNow:
    """The queue as the store knows it: jobs by state (``queued``, ``running``, ``input_required``), of all
    tenants; for how long the oldest ``queued`` one waits; how long the store took to say so."""

    jobs: dict[str, int]
    oldest_seconds: float
    answered_in_seconds: float


class QueueFigures(Collector):
    """The queue, as it was read from the store for this scrape."""

    def __init__(self, queue: QueueNow) -> None:
        self._queue = queue

    def collect(self) -> list[GaugeMetricFamily]:
        """Return what is known, one family each."""
        jobs = GaugeMetricFamily("composer_queue_jobs", "Jobs of all tenants, by state", labels=["state"])
        for state, count in self._queue.jobs.items():
            jobs.add_metric([state], count)
        return [
            jobs,
            GaugeMetricFamily(
                "composer_queue_oldest_seconds",
                "For how long the oldest job waits to be started",
                value=self._queue.oldest_seconds,
            ),
            GaugeMetricFamily(
                "composer_database_seconds",
                "How long the database took to answer a question for this page",
                value=self._queue.answered_in_seconds,
            ),
        ]


def render(queue: QueueNow | None) -> tuple[bytes, str]:
    """Return the page and its media type; without ``queue`` (database away) its families are absent."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    registry = CollectorRegistry()
    if folder:
        # What a process that was killed said of its present state must not stay until another one starts.
        forget_dead(Path(folder))
        MultiProcessCollector(registry)
        with unchanged(Path(folder)):
            page = generate_latest(registry)
    else:
        page = generate_latest(REGISTRY)
    if queue is not None:
        extra = CollectorRegistry()
        extra.register(QueueFigures(queue))
        page += generate_latest(extra)
    return page, CONTENT_TYPE_LATEST
