"""Jobs that were accepted, and the way to Composer itself."""

from __future__ import annotations

import uuid
from typing import Annotated

from mcp_types import CallToolResult
from pydantic import Field

from composer_mcp.jobs.requests import CheckConnection, ConnectionReport
from composer_mcp.mcp import views
from composer_mcp.mcp.calls import Call
from composer_mcp.mcp.results import success
from composer_mcp.mcp.schemas import LOOKS, READS, STOPS, tool
from composer_mcp.mcp.tools.common import done
from composer_mcp.mcp.views import JobView
from composer_mcp.security import caller


async def get_job(job_id: uuid.UUID, call: Call) -> Annotated[CallToolResult, JobView]:
    """Look at a job, for instance one that was accepted but not done in time."""
    engine = call.request_context.lifespan_context.engine
    return success(views.job(await engine.get(caller.current.get().tenant, job_id)))


async def cancel_job(job_id: uuid.UUID, call: Call) -> Annotated[CallToolResult, JobView]:
    """Stop a job; what it has saved stays saved. A finished job is returned as it is."""
    engine = call.request_context.lifespan_context.engine
    return success(views.job(await engine.cancel(caller.current.get().tenant, job_id)))


async def test_connection(
    call: Call, browser: Annotated[bool, Field(description="also log in to the editor")] = False
) -> Annotated[CallToolResult, ConnectionReport]:
    """Try the way to Composer step by step, each with what is wrong and what to do."""
    return await done(call, CheckConnection(browser=browser))


TOOLS = [
    tool(get_job, "Look at a job", LOOKS),
    tool(cancel_job, "Cancel a job", STOPS),
    tool(test_connection, "Test the connection to Composer", READS),
]
