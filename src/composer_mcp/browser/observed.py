"""What happens in a page while a job has it: counted, traced, and written to the log under the job's ids."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import structlog

from composer_mcp.observability import metrics, tracing

if TYPE_CHECKING:
    from composer_mcp.browser.lease import Lease

log = structlog.get_logger(__name__)


@contextlib.contextmanager
def observed(taken: Lease) -> Iterator[None]:
    """Observe a page for as long as the context lasts.

    What a page reports comes from the driver's own task, which knows nothing of the job; so the ids are taken
    here, where the job is.
    """
    said = log.bind(**structlog.contextvars.get_contextvars())

    def heard(what: str, text: str) -> None:
        said.info(f"browser.{what}_error", text=text)

    taken.heard = heard
    try:
        with metrics.BROWSER_CONTEXTS.track_inprogress(), tracing.span("browser.page") as measured:
            try:
                yield
            finally:
                measured.set(
                    console_errors=len(taken.console_errors), network_errors=len(taken.network_errors)
                )
    finally:
        taken.heard = None
