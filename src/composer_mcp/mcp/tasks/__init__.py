"""The protocol's tasks extension (``io.modelcontextprotocol/tasks``, SEP-2663) on a durable job engine.

A task is a job: its id is the job's, its state is read from the engine at every request, and nothing of it
lives in this process. What an application gives the extension is a :class:`Backing`.

``acceptance`` is the seam to whatever submits jobs, ``wire`` knows the protocol's shapes, ``view`` shows a
job as a task, ``extension`` serves the methods. Nothing here knows what a job does.
"""

from composer_mcp.mcp.tasks.acceptance import Accepted, deferred
from composer_mcp.mcp.tasks.extension import Backing, Tasks, TaskSupport
from composer_mcp.mcp.tasks.wire import IDENTIFIER

__all__ = ["IDENTIFIER", "Accepted", "Backing", "TaskSupport", "Tasks", "deferred"]
