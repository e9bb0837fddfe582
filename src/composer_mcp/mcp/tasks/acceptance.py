"""How a tool stops once its job is durable, so that the call can be answered with a task."""

from __future__ import annotations

from contextvars import ContextVar

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from composer_mcp.jobs.engine import Submission

#: True while a call is answered with a task: whoever submits its job raises :class:`Accepted` then.
deferred: ContextVar[bool] = ContextVar("deferred", default=False)


class Accepted(MCPError):
    """The job is accepted, durably, and :data:`deferred` says that the call does not wait for it.

    An ``MCPError``, because that is the one exception which the SDK passes through a tool untouched;
    it never reaches the wire.
    """

    def __init__(self, submission: Submission) -> None:
        super().__init__(INTERNAL_ERROR, "The job was accepted, and nobody follows it.")
        self.submission = submission
