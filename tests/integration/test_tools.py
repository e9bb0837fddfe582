"""Every tool once, by both eras of the protocol, with the real worker, Chromium and the stand-in."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, ElicitRequestParams, ElicitResult

from composer_mcp.security.caller import SCOPES

from .studio import LEGACY, LESSON, MODERN, studio
from .support.installation import Platform, error_of, text_of

__all__ = ["studio"]
pytestmark = pytest.mark.anyio


class Teacher:
    """Calls tools, notes which, and answers what is asked."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.called: set[str] = set()

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.result(tool, **arguments)
        assert not result.is_error, text_of(result)
        content: dict[str, Any] = result.structured_content
        told = json.loads(next(part.text for part in result.content if part.type == "text"))
        found = told.pop("compositions", [])
        assert told.items() <= content.items(), "the text says something else than the structured content"
        for said, meant in zip(found, content.get("compositions", []), strict=True):
            assert said.items() <= meant.items() and "uid" not in said
        return content

    async def result(self, tool: str, **arguments: Any) -> CallToolResult:
        self.called.add(tool)
        return await self._client.call_tool(tool, arguments)


async def agree(_context: Any, _question: ElicitRequestParams) -> ElicitResult:
    return ElicitResult(action="accept", content={"agree": True})


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_a_teacher_uses_every_tool(studio: Platform, mode: str) -> None:
    # Over HTTP without sessions nothing can ask a client of the older era, so it confirms by itself.
    consent = {"confirm": True} if mode == LEGACY else {}
    title = f"Fotossíntese {uuid.uuid4()}"
    async with studio.client(mode=mode, elicitation_callback=agree) as client:
        teacher = Teacher(client)

        plan = await teacher("get_lesson_guidance", subject="Ciências", grade="7º ano", duration_minutes=50)
        assert sum(phase["minutes"] for phase in plan["phases"]) == 50
        suggested = await teacher(
            "suggest_widgets", content="As plantas respiram.\n\n- folha\n- raiz\n- caule"
        )
        assert {"text", "list"} <= {each["type"] for each in suggested["suggestions"]}
        assert "quiz" in {each["type"] for each in (await teacher("get_widget_catalog"))["types"]}
        quiz = (await teacher("get_widget_catalog", type="quiz", language="en"))["widget"]
        assert quiz["example"] and quiz["common_mistakes"]
        assert (await teacher("validate_lesson", lesson=LESSON))["widgets"] == ["text", "quiz"]

        made = await teacher("create_composition", lesson=LESSON | {"title": title})
        uid = made["uid"]
        assert made["url"].endswith(uid)
        found = (await teacher("search_compositions", text=title.lower(), tag="Biologia"))["compositions"]
        assert [(each["id"], each["uid"]) for each in found] == [(made["id"], uid)]

        outline = await teacher("get_composition", uid=made["url"])
        assert (outline["author"], outline["tags"]) == ("Ana Lima", ["biologia"])
        assert [each["type"] for each in outline["widgets"]] == ["head-1", "text-1", "quiz-1"]
        assert outline["widgets"][1]["summary"] == "A luz"
        whole = await teacher("get_composition", uid=uid, detail="full")
        assert whole["document"]["structure"][1]["id"] == outline["widgets"][1]["id"]

        quiz_id = outline["widgets"][2]["id"]
        changed = await teacher(
            "update_composition",
            uid=uid,
            change={"title": f"{title} 2", "widgets": [{"action": "remove", "widget_id": quiz_id}]},
            expected_version=outline["version"],
            **consent,
        )
        assert changed["widgets"] == 2 and changed["version"] != outline["version"]
        copy = await teacher("duplicate_composition", uid=made["id"], title="Cópia")
        assert copy["uid"] != uid and copy["title"] == "Cópia"

        preview = await teacher("preview_composition", uid=uid)
        assert preview["editor_ready"] and preview["composition_loaded"]
        picture = (await client.read_resource(preview["picture"])).contents[0]
        assert base64.b64decode(picture.blob).startswith(b"\x89PNG")

        without = await client.call_tool("preview_composition", {"uid": uid, "picture": "none"})
        assert [part.type for part in without.content] == ["text"], text_of(without)
        told = without.structured_content
        assert told["composition_loaded"] and "picture" not in told

        versions = await teacher("list_versions", uid=uid)
        assert versions["total"] == len(versions["versions"]) >= 2
        restored = await teacher(
            "restore_version", uid=uid, version_uid=versions["versions"][-1]["version_uid"], **consent
        )
        assert (restored["title"], restored["widgets"]) == (title, 3)

        templates = (await teacher("list_templates", language="en"))["templates"]
        lesson_template = next(each for each in templates if each["template_id"].startswith("lesson:"))
        template = await teacher("get_template", template_id=lesson_template["template_id"])
        assert template["lesson"]["elements"]
        applied = await teacher(
            "apply_template",
            template_id=lesson_template["template_id"],
            title="Do modelo",
            author="Ana",
            values={"tema da aula": "A luz"},
        )
        assert applied["title"] == "Do modelo"
        longer = await teacher("apply_template", template_id=lesson_template["template_id"], uid=uid)
        assert longer["widgets"] > restored["widgets"]

        job_id = preview["picture"].rpartition("/")[2]
        job = await teacher("get_job", job_id=job_id)
        assert job["state"] == "succeeded" and job["result"] == preview
        assert (await teacher("cancel_job", job_id=job_id))["state"] == "succeeded"
        report = await teacher("test_connection", browser=True)
        assert report["ok"], report
    assert teacher.called == set(SCOPES)


async def test_a_model_repairs_a_lesson_from_the_text_of_the_error_alone(studio: Platform) -> None:
    broken = {
        "titel": "Água",
        "elements": [
            {"type": "text", "content": "A água evapora."},
            {"type": "quiz", "questions": [{"question": "Evapora?", "answers": ["Sim", "Não"]}]},
        ],
    }
    async with studio.client() as client:
        for tool in ("validate_lesson", "create_composition"):
            refused = await client.call_tool(tool, {"lesson": broken})
            assert error_of(refused)["code"] == "invalid_lesson"
            text = refused.content[0].text
            for told in ("lesson.title: is called `title`", "lesson.elements[1].questions[0].choices"):
                assert told in text, text
        mended = {
            "title": "Água",
            "elements": [
                {"type": "text", "text": "A água evapora."},
                {
                    "type": "quiz",
                    "questions": [
                        {
                            "question": "Evapora?",
                            "choices": [{"text": "Sim", "correct": True}, {"text": "Não"}],
                        }
                    ],
                },
            ],
        }
        assert not (await client.call_tool("create_composition", {"lesson": mended})).is_error


@pytest.mark.parametrize("mode", [MODERN, LEGACY])
async def test_what_is_wrong_with_any_call_is_told_all_at_once(studio: Platform, mode: str) -> None:
    async with studio.client(mode=mode) as client:
        refused = await client.call_tool("get_composition", {"id": "H4sIAAAA", "detail": "everything"})
        error, text = error_of(refused), refused.content[0].text
        assert error["code"] == "invalid_arguments" and not error["retryable"]
        assert {problem["path"] for problem in error["details"]["problems"]} == {"id", "uid", "detail"}
        assert "- id: is no argument here; nearest valid: uid" in text
        assert "It takes: uid, [detail]" in text
        unknown = await client.call_tool("get_compositon", {"uid": "H4sIAAAA"})
        assert error_of(unknown)["code"] == "unknown_tool"
        assert "get_composition" in unknown.content[0].text
