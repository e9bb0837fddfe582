"""What a model reads: results that are short, and errors whose text alone is enough to go on."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from composer_mcp.composition.problems import check_lesson
from composer_mcp.errors import INVALID_ARGUMENTS, JOB_PENDING, ComposerError
from composer_mcp.jobs.requests import CompositionRead, CompositionSaved, Version, Versions
from composer_mcp.mcp import arguments, results, tools, views
from composer_mcp.mcp.completions import labelled, uid_in

UID = "H4sIAAAAAAAA" + "x" * 60
SAVED = CompositionSaved(
    uid=UID, url=f"https://c.test/#/embed/composer/{UID}", title="Água", version="1", widgets=2, created=True
)
BY_NAME = {tool.name: tool for tool in tools.ALL}


def text_of(result: Any) -> str:
    return str(result.content[-1].text)


def problems(tool: str, given: dict[str, Any]) -> list[dict[str, str]]:
    """Return the problems that a call of a tool is refused with."""
    found = BY_NAME[tool]
    error = arguments.unknown_arguments(found, given)
    if error is None:
        with pytest.raises(ValidationError) as refused:
            found.fn_metadata.validate_arguments(given)
        error = arguments.invalid(found, refused.value)
    told: list[dict[str, str]] = error.details["problems"]
    return told


def test_the_text_is_the_result_without_repeating_the_uid() -> None:
    result = results.success(views.of(SAVED, uuid.uuid4()))
    told = json.loads(text_of(result))
    assert result.structured_content["uid"] == UID
    assert "uid" not in told and told["url"].endswith(UID)
    assert told.items() <= result.structured_content.items()
    assert "Água" in text_of(result) and ": " not in text_of(result).replace("https:", "")


def test_half_a_character_in_a_text_is_no_crash() -> None:
    document: dict[str, object] = {"structure": [{"type": "text-1", "content": "a\ud83d"}]}
    read = CompositionRead(uid=UID, url=SAVED.url, title="\ud83d", version="1", document=document)
    result = results.success(views.of(read, uuid.uuid4()))
    assert result.model_dump_json() and json.loads(text_of(result))["title"] == "?"


def test_a_uid_is_found_in_whatever_carries_it() -> None:
    for carrier in (UID, SAVED.url, f" {UID} ", labelled("Água [nova]", UID)):
        assert uid_in(carrier) == UID
    for nothing in ("", "Água", "a minha aula", "https://c.test/"):
        assert uid_in(nothing) is None


def test_an_outline_says_what_each_widget_is() -> None:
    structure: list[Any] = [
        {"type": "head-1", "id": "1", "content_title": "Água", "author_name": "<p>Ana &amp; Lia</p>"},
        {
            "type": "text-1",
            "id": "2",
            "content_title": None,
            "content": "<p></p><p>A <b>água</b> evapora.</p>",
        },
        {"type": "quiz-1", "id": "3", "questions": [{"question": "<p>Sim?</p>"}, {"question": "x"}]},
        {"type": "new-7", "id": 4, "blob": {"deep": ["x"]}},
        "not even a widget",
    ]
    document = {"metadata": {"title": "Água", "description": "d", "tags": ["a", 1]}, "structure": structure}
    read = CompositionRead(
        uid=UID, url=SAVED.url, title="Água", version="1", document=document, detail="outline"
    )
    outline = views.plain(views.of(read, uuid.uuid4()))
    assert (outline["author"], outline["description"], outline["tags"]) == ("Ana & Lia", "d", ["a", "1"])
    assert outline["widgets"] == [
        {"id": "1", "type": "head-1", "summary": "Água"},
        {"id": "2", "type": "text-1", "summary": "A água evapora."},
        {"id": "3", "type": "quiz-1", "summary": "2: Sim?"},
        {"type": "new-7"},
        {},
    ]
    assert "document" not in outline


@pytest.mark.parametrize("document", [{}, {"metadata": None, "structure": 7}, {"structure": [None, []]}])
def test_the_outline_of_a_strange_document_is_no_crash(document: dict[str, Any]) -> None:
    read = CompositionRead(uid=UID, url="u", title="", version="1", document=document, detail="outline")
    assert views.plain(views.of(read, uuid.uuid4()))["version"] == "1"


def test_the_whole_document_keeps_what_is_null() -> None:
    document: dict[str, object] = {"z": None, "a": [None, {"b": None}]}
    read = CompositionRead(uid=UID, url="u", title="", version="1", document=document)
    assert list(views.plain(views.of(read, uuid.uuid4()))["document"].items()) == list(document.items())


def test_old_versions_are_counted_not_listed() -> None:
    versions = [Version(version_uid=f"v{n}", created_at=datetime.now(UTC)) for n in range(100)]
    view = views.plain(views.of(Versions(uid=UID, versions=versions), uuid.uuid4()))
    assert view["total"] == 100 and len(view["versions"]) == views.VERSIONS_SHOWN


def test_an_error_tells_every_problem_with_its_place_and_the_nearest_valid_form() -> None:
    with pytest.raises(ComposerError) as refused:
        check_lesson({"title": "Água", "elements": [{"type": "quizz", "title": "x" * 400}]})
    text = text_of(results.failure(refused.value))
    assert text.startswith("invalid_lesson: ")
    told = refused.value.details["problems"]
    assert told and all(f"- {problem['path']}: {problem['problem']}" in text for problem in told)
    assert '; given: "quizz"; nearest valid: "quiz"' in text
    assert text.endswith(refused.value.remedy)


def test_a_job_that_goes_on_is_named() -> None:
    error = JOB_PENDING.error(job_id="7", seconds=300)
    assert text_of(results.failure(error)).endswith("\nJob: 7")


def test_an_error_can_be_sent_whatever_the_caller_wrote() -> None:
    error = INVALID_ARGUMENTS.error(tool="x", count=1, problems=[{"path": "\ud800", "problem": "\udfff"}])
    result = results.failure(error)
    result.model_dump_json().encode()
    assert "?" in text_of(result)


@pytest.mark.parametrize(
    ("tool", "given", "expected"),
    [
        ("get_composition", {}, [{"path": "uid", "problem": "is required"}]),
        (
            "get_composition",
            {"uuid": UID},
            [
                {"path": "uuid", "problem": "is no argument here", "nearest": "uid"},
                {"path": "uid", "problem": "is required"},
            ],
        ),
        (
            "list_templates",
            {"language": "pt_PT"},
            [{"path": "language", "nearest": "pt_BR", "given": "pt_PT"}],
        ),
        ("get_composition", {"uid": UID, "detail": "Full"}, [{"path": "detail", "nearest": "full"}]),
        ("search_compositions", {"limit": 0}, [{"path": "limit", "given": "0"}]),
        ("search_compositions", {"limit": "viele"}, [{"path": "limit", "given": "viele"}]),
        ("get_job", {"job_id": 7}, [{"path": "job_id"}]),
        ("duplicate_composition", {"uid": UID, "title": "a\x00b"}, [{"path": "title"}]),
        ("create_composition", {"lesson": 7}, [{"path": "lesson", "given": "7"}]),
    ],
)
def test_wrong_arguments_are_told(tool: str, given: dict[str, Any], expected: list[dict[str, str]]) -> None:
    told = problems(tool, given)
    assert len(told) == len(expected), told
    for problem, wanted in zip(told, expected, strict=True):
        assert wanted.items() <= problem.items(), problem


def test_a_thousand_wrong_arguments_are_counted_and_a_few_told() -> None:
    tool = BY_NAME["list_templates"]
    error = arguments.unknown_arguments(tool, {f"{n}" * 500: n for n in range(1000)})
    assert error is not None and error.details["count"] == 1000
    assert len(text_of(results.failure(error))) < 5000


@pytest.mark.parametrize(("asked", "told"), [("create_compositon", "create_composition"), ("x", "get_job")])
def test_an_unknown_tool_is_answered_with_those_that_come_near(asked: str, told: str) -> None:
    error = arguments.unknown_tool(asked, BY_NAME)
    assert told in error.remedy
    assert len(arguments.unknown_tool("x" * 10_000, BY_NAME).sentence) < 200
