"""What one tenant has does not exist for another: pictures too, whose keys say nothing of whose they are."""

from __future__ import annotations

import base64
import json
import uuid

import pytest
from mcp.shared.exceptions import MCPError

from composer_mcp.jobs.requests import Preview
from composer_mcp.store.artifacts import ArtifactStore

from .support.installation import Platform

pytestmark = pytest.mark.anyio
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)
INSERT = """
insert into job (id, tenant, idempotency_key, kind, arguments, arguments_hash, class, fairness_tag, priority,
                 state, result, correlation_id, deadline, finished_at)
values ('{id}', 'school', '{id}', 'preview_composition', '{{}}', 'x', 1, 0, 0,
        'succeeded', '{result}', 'c', now(), now())
"""


async def picture_of_the_school(platform: Platform) -> str:
    store = ArtifactStore.open(platform.settings.object_store, platform.secrets)
    key = await store.put(PICTURE, "image/png")
    facts = {
        "uid": "u", "final_url": "https://composer.test", "page_title": "", "load_seconds": 1.0,
        "editor_ready": True, "composition_loaded": True, "console_errors": [], "network_errors": [],
        "picture": key, "picture_width": 1, "picture_height": 1, "picture_complete": True,
    }  # fmt: skip
    known = {name: value for name, value in facts.items() if name in Preview.model_fields}
    job = str(uuid.uuid4())
    platform.sql(INSERT.format(id=job, result=json.dumps(known | {"kind": "preview_composition"})))
    return f"composer://previews/{job}"


async def test_another_tenants_picture_is_as_if_there_were_none(standing: Platform) -> None:
    uri = await picture_of_the_school(standing)
    async with standing.client() as client:
        (content,) = (await client.read_resource(uri)).contents
    assert base64.b64decode(content.blob) == PICTURE
    told = []
    async with standing.client(standing.issuer.token(tenant="other")) as client:
        for asked in (uri, f"composer://previews/{uuid.uuid4()}"):
            with pytest.raises(MCPError) as refused:
                await client.read_resource(asked)
            told.append(str(refused.value).replace(asked.rpartition("/")[2], "ID"))
    assert told[0] == told[1] and "There is no job" in told[0]
