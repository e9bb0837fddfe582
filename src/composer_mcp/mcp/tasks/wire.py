"""The extension's messages, as its specification of 2026-07-28 has them, and its errors.

Specification: https://modelcontextprotocol.github.io/ext-tasks/specification/2026-07-28/tasks.html
"""

from __future__ import annotations

from typing import Any, NoReturn
from uuid import UUID

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver.server import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageResult,
    ElicitResult,
    ListRootsResult,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import BaseModel, Field, ValidationError

from composer_mcp.composition.json_values import storable
from composer_mcp.errors import JOB_UNKNOWN, ComposerError

IDENTIFIER = "io.modelcontextprotocol/tasks"
#: An acknowledgement says nothing; the task's state is asked for with ``tasks/get``.
ACKNOWLEDGED = {"resultType": "complete"}
#: More answers than any task asks for at once.
RESPONSES_LIMIT = 100

Context = ServerRequestContext[Any, Any]

#: What answers each kind of input request (Multi Round-Trip Requests, SEP-2322).
RESPONSES: dict[str, type[BaseModel]] = {
    "elicitation/create": ElicitResult,
    "sampling/createMessage": CreateMessageResult,
    "roots/list": ListRootsResult,
}


class TaskParams(RequestParams):
    """Parameters of ``tasks/get`` and ``tasks/cancel``."""

    task_id: str = Field(max_length=200)


class UpdateTaskParams(TaskParams):
    """Parameters of ``tasks/update``: answers, by the keys of the requests that they answer."""

    input_responses: dict[str, Any] = Field(max_length=RESPONSES_LIMIT)


def require_extension(context: Context) -> None:
    """Refuse a request that does not declare the extension.

    Raises:
        MCPError: -32021, naming the extension.
    """
    require_client_extension(context, IDENTIFIER)
    if not speaks_modern_protocol(context):
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            f"The extension {IDENTIFIER!r} needs one of the protocol's versions "
            f"{', '.join(MODERN_PROTOCOL_VERSIONS)}; this is {context.protocol_version}.",
        )


def speaks_modern_protocol(context: Context) -> bool:
    """Whether the request is of an era in which the extension has its methods.

    In sessions with a handshake, capabilities are declared once, and ``tasks/get`` is unknown: a client that
    was given a task there could never ask for it.
    """
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def declares_extension(context: Context) -> bool:
    """Whether this very request declares the extension; what an earlier one declared does not count."""
    if not speaks_modern_protocol(context):
        return False
    capabilities = context.session.client_capabilities
    return capabilities is not None and IDENTIFIER in (capabilities.extensions or {})


def require_routing(context: Context, params: TaskParams) -> None:
    """Refuse a request whose ``Mcp-Name`` header is not its task's id; transports without headers have none.

    Raises:
        MCPError: -32020.
    """
    if context.request is None:
        return
    name = decode_header_value(context.request.headers.get(MCP_NAME_HEADER))
    if name != params.task_id:
        raise MCPError(
            HEADER_MISMATCH, f"{MCP_NAME_HEADER} header does not match the request body's 'taskId' parameter"
        )


def job_id(task_id: str) -> UUID:
    """Return the job behind a task's id.

    Raises:
        MCPError: -32602, as for any unknown task.
    """
    try:
        job = UUID(task_id)
    except ValueError:
        unknown()
    if str(job) != task_id:
        # Other spellings of a job's id are not what we gave out.
        unknown()
    return job


def unknown() -> NoReturn:
    """Say the same of a task that never was, of an expired one, and of another tenant's.

    Raises:
        MCPError: -32602.
    """
    raise MCPError(INVALID_PARAMS, "Unknown task: there is none of this id, or it has expired.")


def refuse(error: ComposerError) -> NoReturn:
    """Report that a request on a task could not be served.

    Raises:
        MCPError: -32602 for an unknown task, else -32603 with code and remedy as data.
    """
    if error.code is JOB_UNKNOWN:
        unknown()
    raise MCPError(INTERNAL_ERROR, f"{error.sentence} {error.remedy}", error.as_dict()) from error


def check_responses(requests: dict[str, Any], responses: dict[str, Any]) -> dict[str, Any]:
    """Return the responses that answer an outstanding request; others are not ours to judge.

    Raises:
        MCPError: -32602; one is not of the form in which its request is answered.
    """
    answers = {key: response for key, response in responses.items() if key in requests}
    for key, response in answers.items():
        model = RESPONSES.get(requests[key].get("method"))
        if model is None:
            continue
        try:
            model.model_validate(response, by_name=False)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc']) or 'response'}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False, include_context=False)[:5]
            )
            raise MCPError(
                INVALID_PARAMS, f"The response to {key!r} is not a {model.__name__}: {problems}"
            ) from error
    # A person's answer may hold what a database refuses.
    kept: dict[str, Any] = storable(answers)
    return kept
