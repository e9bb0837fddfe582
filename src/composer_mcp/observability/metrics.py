"""Figures for Prometheus.

All processes of a host write into one folder (``PROMETHEUS_MULTIPROC_DIR``), which must be set before this
module is imported; the web's ``/metrics`` adds them up. Without the folder only this process is shown.
"""

from __future__ import annotations

import os

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

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)

HTTP_REQUESTS = Counter("composer_http_requests", "HTTP requests answered", ["method", "path", "status"])
HTTP_SECONDS = Histogram(
    "composer_http_request_seconds", "Time to the end of the answer", ["path"], buckets=SECONDS
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
BROWSER_LAUNCHES = Counter("composer_browser_launches", "Starts of Chromium, by outcome", ["outcome"])
BROWSER_LEASES = Counter("composer_browser_leases", "Browser contexts opened for jobs")
BROWSER_WAIT_SECONDS = Histogram(
    "composer_browser_wait_seconds", "Time a job waited for a browser context", buckets=SECONDS
)


def job_started(kind: str, waited_seconds: float) -> None:
    """Count the time a job waited."""
    JOB_WAIT_SECONDS.labels(kind).observe(waited_seconds)


def job_finished(kind: str, outcome: str, seconds: float) -> None:
    """Count one attempt."""
    JOBS.labels(kind, outcome).inc()
    JOB_SECONDS.labels(kind).observe(seconds)


class QueueDepth(Collector):
    """The number of jobs waiting and running, as read from the database for this scrape."""

    def __init__(self, depth: dict[str, int]) -> None:
        self._depth = depth

    def collect(self) -> list[GaugeMetricFamily]:
        """Return one family with a sample per state."""
        family = GaugeMetricFamily("composer_queue_jobs", "Jobs of all tenants, by state", labels=["state"])
        for state, count in self._depth.items():
            family.add_metric([state], count)
        return [family]


def render(depth: dict[str, int] | None) -> tuple[bytes, str]:
    """Return the page and its media type; without ``depth`` (database away) that family is absent."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    registry = CollectorRegistry()
    if folder:
        MultiProcessCollector(registry)
        page = generate_latest(registry)
    else:
        page = generate_latest(REGISTRY)
    if depth is not None:
        extra = CollectorRegistry()
        extra.register(QueueDepth(depth))
        page += generate_latest(extra)
    return page, CONTENT_TYPE_LATEST
