"""Tasks of a server that runs alone: the same promises, without a database or a second process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from .composer_fixtures import Chromium, Standin
from .support.alone import Alone
from .support.installation import text_of
from .support.tasks_client import TasksClient
from .support.tasks_extension import Completed, Following, look

pytestmark = pytest.mark.anyio

LESSON: dict[str, Any] = {
    "title": "Células",
    "elements": [{"type": "text", "text": "A célula é a menor unidade da vida."}],
}


@pytest.fixture
def alone(tmp_path: Path, standin: Standin, chromium: Chromium) -> Iterator[Alone]:
    settings = standin.settings().model_dump(exclude_unset=True)
    browser = chromium.settings().model_dump(exclude_unset=True)
    secrets = {"composer-token": standin.token, "composer-project-key": standin.project_key}
    server = Alone(tmp_path, settings, browser, secrets)
    yield server
    server.stop()


async def test_a_client_that_started_the_server_follows_its_tasks_beyond_the_servers_end(
    alone: Alone,
) -> None:
    extension = Following()
    async with alone.stdio("2026-07-28", extensions=[extension]) as client:
        made = await client.call_tool("create_composition", {"lesson": LESSON})
        assert not made.is_error, text_of(made)
    task_id = extension.created[0].task_id
    async with alone.stdio("2026-07-28", extensions=[Following()]) as client:
        task = await look(client, task_id)
    assert isinstance(task, Completed)
    assert task.result.structured_content == made.structured_content


async def test_tasks_and_new_compositions_are_pushed(alone: Alone) -> None:
    alone.serve()
    token = alone.run("token").strip()
    async with (
        TasksClient(alone.port, token) as client,
        client.listen(resourcesListChanged=True) as changes,
    ):
        await anext(changes)
        task = await client.call("create_composition", lesson=LESSON)
        async with client.listen(taskIds=[task["taskId"]]) as messages:
            pushed = [message async for message in messages]
        with anyio.fail_after(10):
            changed = await anext(changes)
    states = [message["params"]["status"] for message in pushed if message.get("params", {}).get("status")]
    assert states[-1] == "completed"
    assert changed["method"] == "notifications/resources/list_changed"
