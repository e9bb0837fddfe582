"""What a client is told of its tasks, and what of those that are not its own."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from composer_mcp.errors import STORE_UNAVAILABLE
from composer_mcp.jobs.engine import JobRecord, JobState
from composer_mcp.mcp.tasks import view

from .conftest import OTHER, Server, a_record

pytestmark = pytest.mark.anyio

FORM = {"method": "elicitation/create", "params": {"mode": "form", "message": "?", "requestedSchema": {}}}
YES = {"action": "accept", "content": {"confirm": True}}


async def test_a_completed_task_carries_what_the_tool_returns(server: Server) -> None:
    record = server.engine.add(a_record(JobState.SUCCEEDED, result={"x": 1}))
    task = await server.ask("tasks/get", {"taskId": str(record.id)})
    assert task["resultType"] == "complete"
    assert task["status"] == "completed"
    assert task["result"]["content"][0]["text"] == "kind is done"
    assert task["result"]["structuredContent"] == {"of": "kind"}
    assert not task["result"].get("_meta")
    assert not task.keys() & {"error", "inputRequests", "pollIntervalMs", "requestState"}


async def test_an_error_of_the_tool_is_a_completed_task(server: Server) -> None:
    record = server.engine.add(a_record(JobState.FAILED, error={"code": "x"}))
    task = await server.ask("tasks/get", {"taskId": str(record.id)})
    assert (task["status"], task["result"]["isError"]) == ("completed", True)


async def test_an_error_of_the_protocol_is_a_failed_task() -> None:
    async def broken(record: JobRecord) -> CallToolResult:
        raise MCPError(-32603, "It broke.", {"job_id": "7"})

    task = await view.detailed(a_record(JobState.FAILED, error={"code": "x"}), 1.0, broken)
    assert task["status"] == "failed"
    assert task["error"] == {"code": -32603, "message": "It broke.", "data": {"job_id": "7"}}
    assert task["statusMessage"] == "It broke."
    assert "result" not in task


async def test_a_result_that_cannot_be_read_now_is_not_shown_as_final() -> None:
    async def away(record: JobRecord) -> CallToolResult:
        return CallToolResult(content=[], structured_content={"error": {}}, is_error=True)

    with pytest.raises(MCPError, match="Ask again") as raised:
        await view.detailed(a_record(JobState.SUCCEEDED), 1.0, away)
    assert raised.value.code == -32603


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_unknown_and_foreign_tasks_are_answered_alike(server: Server, method: str) -> None:
    foreign = server.engine.add(a_record(tenant=OTHER))
    ids = [str(foreign.id), str(uuid.uuid4()), "no-id-at-all", str(foreign.id).upper()]
    errors = [await server.refused(method, {"taskId": each, "inputResponses": {}}) for each in ids]
    assert errors[0]["code"] == -32602
    assert all(error == errors[0] for error in errors)
    assert server.engine.records[foreign.id] is foreign


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_who_does_not_declare_the_extension_is_told_what_is_missing(
    server: Server, method: str
) -> None:
    record = server.engine.add(a_record())
    parameters = {"taskId": str(record.id), "inputResponses": {}}
    assert (await server.refused(method, parameters, extension=False))["code"] == -32021


@pytest.mark.parametrize("name", ["another", "-", "=?base64?!?="])
async def test_the_header_names_the_task(server: Server, name: str) -> None:
    record = server.engine.add(a_record())
    answer = await server.post("tasks/get", {"taskId": str(record.id)}, name="" if name == "-" else name)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize("method", ["tasks/result", "tasks/list"])
async def test_methods_of_the_former_tasks_do_not_exist(server: Server, method: str) -> None:
    answer = await server.post(method, {"taskId": str(uuid.uuid4())})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, -32601)


async def test_cancel_is_acknowledged_and_a_finished_task_stays_as_it_is(server: Server) -> None:
    record = server.engine.add(a_record())
    acknowledged = await server.ask("tasks/cancel", {"taskId": str(record.id)})
    assert acknowledged.keys() - {"_meta"} == {"resultType"}
    assert (await server.ask("tasks/get", {"taskId": str(record.id)}))["status"] == "cancelled"

    done = server.engine.add(a_record(JobState.SUCCEEDED))
    assert await server.ask("tasks/cancel", {"taskId": str(done.id)}) == acknowledged
    assert (await server.ask("tasks/get", {"taskId": str(done.id)}))["status"] == "completed"


async def test_input_is_asked_for_answered_in_parts_and_the_rest_is_still_asked(server: Server) -> None:
    asked = {"a": FORM, "b": FORM}
    record = server.engine.add(a_record(JobState.INPUT_REQUIRED, input_requests=asked))
    task = {"taskId": str(record.id)}
    seen = await server.ask("tasks/get", task)
    assert (seen["status"], seen["inputRequests"]) == ("input_required", asked)

    # What was never asked is ignored, whatever it looks like.
    acknowledged = await server.ask("tasks/update", task | {"inputResponses": {"a": YES, "other": {"x": 1}}})
    assert acknowledged.keys() - {"_meta"} == {"resultType"}
    seen = await server.ask("tasks/get", task)
    assert (seen["status"], list(seen["inputRequests"])) == ("input_required", ["b"])

    await server.ask("tasks/update", task | {"inputResponses": {"b": {"action": "decline"}}})
    assert (await server.ask("tasks/get", task))["status"] == "working"
    assert server.engine.answers == {"a": YES, "b": {"action": "decline"}}


async def test_an_answer_is_kept_without_what_no_database_takes(server: Server) -> None:
    record = server.engine.add(a_record(JobState.INPUT_REQUIRED, input_requests={"a": FORM}))
    answer = {"action": "accept", "content": {"name": "a\x00b"}}
    await server.ask("tasks/update", {"taskId": str(record.id), "inputResponses": {"a": answer}})
    assert server.engine.answers == {"a": {"action": "accept", "content": {"name": "a\ufffdb"}}}


@pytest.mark.parametrize(
    "response", [{}, {"action": "perhaps"}, "yes", None, {"action": "accept", "content": 7}]
)
async def test_an_answer_in_the_wrong_form_is_refused_and_named(server: Server, response: Any) -> None:
    record = server.engine.add(a_record(JobState.INPUT_REQUIRED, input_requests={"a": FORM}))
    error = await server.refused(
        "tasks/update", {"taskId": str(record.id), "inputResponses": {"a": response}}
    )
    assert error["code"] == -32602
    assert "'a'" in error["message"]
    assert not server.engine.answers


@pytest.mark.parametrize("parameters", [{}, {"taskId": 7}, {"taskId": None}, {"taskId": "x" * 300}])
async def test_requests_without_a_task_are_invalid(server: Server, parameters: dict[str, Any]) -> None:
    answer = await server.post("tasks/get", parameters, name="x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, -32602)


async def test_a_store_that_is_away_is_no_unknown_task(server: Server) -> None:
    server.engine.away = STORE_UNAVAILABLE.error(store="database", state="It goes on.")
    error = await server.refused("tasks/get", {"taskId": str(uuid.uuid4())})
    assert (error["code"], error["data"]["code"]) == (-32603, "store_unavailable")
    assert error["data"]["retryable"]


async def test_a_task_that_is_about_to_end_is_waited_for_a_moment(server: Server) -> None:
    server.engine.seconds = 0.01
    record = server.engine.add(a_record())
    asked = asyncio.create_task(server.ask("tasks/get", {"taskId": str(record.id)}))
    await asyncio.sleep(0.05)
    record = server.engine.change(record, state=JobState.RUNNING)
    await asyncio.sleep(0.02)
    assert not asked.done()
    server.engine.change(record, state=JobState.SUCCEEDED)
    assert (await asked)["status"] == "completed"


async def test_a_task_that_does_not_end_as_expected_is_shown_as_it_is(server: Server) -> None:
    server.engine.seconds = 0.01
    record = server.engine.add(a_record(JobState.RUNNING, progress=0.5, progress_message="Half"))
    began = time.monotonic()
    task = await server.ask("tasks/get", {"taskId": str(record.id)})
    assert (task["status"], task["statusMessage"]) == ("working", "Half (50%)")
    assert 0.2 < time.monotonic() - began < 1


async def test_a_question_is_shown_at_once(server: Server) -> None:
    server.engine.seconds = 0.01
    record = server.engine.add(a_record(JobState.INPUT_REQUIRED, input_requests={"a": FORM}))
    began = time.monotonic()
    assert (await server.ask("tasks/get", {"taskId": str(record.id)}))["status"] == "input_required"
    assert time.monotonic() - began < 0.2
