"""Everything real at once: OpenBao, web, PostgreSQL, workers with Chromium, SeaweedFS, the stand-in."""

from __future__ import annotations

import base64
import json
import signal
import struct
from typing import Any

import anyio
import pytest

from .composer_fixtures import CONNECTOR_UID, PROJECT_UID, Chromium, Standin
from .support.installation import PUBLIC_URL, Platform, error_of, text_of
from .support.openbao import OpenBao
from .support.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, Seaweed
from .support.waiting import eventually
from .test_jobs import until

pytestmark = pytest.mark.anyio

LESSON: dict[str, Any] = {
    "title": "Fotossíntese",
    "author": "Ana Lima",
    "subject": "science",
    "grade": "7º ano",
    "elements": [{"type": "text", "text": "As plantas produzem o próprio alimento."}],
}


@pytest.fixture
def whole(
    platform: Platform, openbao: OpenBao, seaweed: Seaweed, standin: Standin, chromium: Chromium
) -> Platform:
    for name, value in {
        "object-store-access-key": ACCESS_KEY,
        "object-store-secret-key": SECRET_KEY,
        "composer-token": standin.token,
        "composer-project-key": standin.project_key,
    }.items():
        (platform.credentials / name).write_text(value)
    platform.configure(
        web={"workers": 2},
        issuer={
            "issuer": openbao.issuer,
            "jwks_url": openbao.jwks_url,
            "authority": openbao.authority,
            "audience": PUBLIC_URL,
        },
        object_store={
            "url": f"s3://{BUCKET}",
            "endpoint": seaweed.endpoint,
            "authority": platform.authority.certificate,
        },
        composer={
            "app_url": standin.app_url,
            "api_url": standin.api_url,
            "media_url": f"{standin.app_url}/rdpcomposer/media",
            "project_uid": PROJECT_UID,
            "connector_uid": CONNECTOR_UID,
            "authority": standin.authority,
            "attempts": 3,
            "retry_first_delay_seconds": 0.05,
            "retry_budget_seconds": 5,
            "settle_seconds": 1,
        },
        browser={"executable": chromium.executable, "temporary_directory": chromium.folder},
    )
    return platform


async def test_a_teacher_creates_edits_and_sees_a_composition(whole: Platform, openbao: OpenBao) -> None:
    findings = json.loads(await anyio.to_thread.run_sync(whole.run, "check", "--json"))
    assert findings["ok"], findings
    openbao.add_user("teacher", "school", "compositions:read compositions:write jobs:read")
    whole.start_web()
    worker = whole.start_worker()
    async with whole.client(openbao.token("teacher")) as client:
        created = await client.call_tool("create_composition", {"lesson": LESSON})
        assert not created.is_error, worker.output
        made = created.structured_content
        changed = await client.call_tool(
            "update_composition",
            {"uid": made["uid"], "change": {"title": "A luz"}, "expected_version": made["version"]},
        )
        conflict = await client.call_tool(
            "update_composition",
            {"uid": made["uid"], "change": {"title": "Outra"}, "expected_version": made["version"]},
        )
        read = await client.call_tool("get_composition", {"uid": made["uid"]})
        versions = await client.call_tool("list_versions", {"uid": made["uid"]})
        preview = await client.call_tool("preview_composition", {"uid": made["uid"]})
    assert read.structured_content["title"] == "A luz"
    assert read.structured_content["version"] == changed.structured_content["version"]
    assert error_of(conflict)["message"]
    assert len(versions.structured_content["versions"]) >= 1
    assert not preview.is_error, f"{text_of(preview)}\n{worker.output}"
    picture = base64.b64decode(next(part.data for part in preview.content if part.type == "image"))
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (
        preview.structured_content["picture_width"],
        preview.structured_content["picture_height"],
    )
    assert preview.structured_content["composition_loaded"]


async def test_a_worker_killed_while_it_saves_leaves_one_composition(
    whole: Platform, openbao: OpenBao, standin: Standin
) -> None:
    openbao.add_user("unlucky", "school", "compositions:read compositions:write jobs:read")
    whole.start_web()
    victim = whole.start_worker()
    title = f"Once only {whole.database}"
    # The answer to the first save comes so late that the worker dies between saving and hearing of it.
    standin.provoke("create", action="none", latency=3, after_saving=True, times=1)
    answers: list[Any] = []

    async def create() -> None:
        async with whole.client(openbao.token("unlucky")) as client:
            answers.append(
                await client.call_tool("create_composition", {"lesson": LESSON | {"title": title}})
            )

    async with anyio.create_task_group() as group:
        group.start_soon(create)
        await until(whole, "select count(*) from job where state = 'running'", "1")
        await eventually(lambda: standin.compositions(title))
        victim.signal(signal.SIGKILL)
        await anyio.to_thread.run_sync(whole.start_worker)
    assert not answers[0].is_error, answers[0]
    made = standin.compositions(title)
    assert [each["uid"] for each in made] == [answers[0].structured_content["uid"]]
    assert whole.sql("select state, attempts from job") == "succeeded|2"


async def test_composer_failing_is_told_and_a_retry_makes_no_second_composition(
    whole: Platform, openbao: OpenBao, standin: Standin
) -> None:
    openbao.add_user("patient", "school", "compositions:read compositions:write jobs:read")
    whole.start_web()
    whole.start_worker()
    title = f"At last {whole.database}"
    call = {"lesson": LESSON | {"title": title}, "idempotency_key": "lesson-0001"}
    async with whole.client(openbao.token("patient")) as client:
        standin.provoke("create", status=500, rate=1.0)
        failed = error_of(await client.call_tool("create_composition", call))
        standin.calm()
        created = await client.call_tool("create_composition", call)
        again = await client.call_tool("create_composition", call)
    assert failed["retryable"] and failed["code"].startswith("composer_"), failed
    assert not created.is_error, created
    assert again.structured_content["uid"] == created.structured_content["uid"]
    assert len(standin.compositions(title)) == 1
