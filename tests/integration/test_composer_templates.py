"""Templates: lessons of this server, and elements that people have kept in Composer."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from composer_mcp.composer import facts
from composer_mcp.composition.document import Document
from composer_mcp.errors import ComposerError
from composer_mcp.jobs import handlers
from composer_mcp.jobs.requests import (
    ApplyTemplate,
    DuplicateComposition,
    GetTemplate,
    ListTemplates,
    Template,
    Templates,
)

from .composer_calls import WIDGET, again, by, code_of, create, save
from .composer_fixtures import Bench, Standin, next_attempt

pytestmark = pytest.mark.anyio


@pytest.fixture
def title() -> str:
    """A title that no other test uses."""
    return f"Aula {uuid4().hex[:8]}"


def template(standin: Standin, content: Any, widget: str = "text-1") -> str:
    return "element:" + standin.keep(content, facts.template_type(widget))


@pytest.mark.parametrize("form", [WIDGET, [WIDGET], {"structure": [WIDGET]}])
async def test_an_element_template_is_listed_read_and_put_in(
    bench: Bench, standin: Standin, title: str, form: Any
) -> None:
    template_id = template(standin, form)
    async with standin.api() as api:
        work = bench.without_browser(api)
        listed = await handlers.run(ListTemplates(), work)
        assert isinstance(listed, Templates) and listed.problems == []
        (entry,) = [each for each in listed.templates if each.template_id == template_id]
        assert entry.widget_types == ["text-1"]
        read = await handlers.run(GetTemplate(template_id=template_id), work)
        assert isinstance(read, Template) and read.widgets == [WIDGET]
        made = await create(work, title)
        applying = again(work)
        request = ApplyTemplate(
            template_id=template_id, uid=made.uid, position=1, expected_version=made.version
        )
        saved = await save(request, applying)
        assert await save(request, next_attempt(applying)) == saved, "a repetition puts nothing in again"
        document = (await api.read(made.uid)).to_json()
    assert saved.widgets == 4 and standin.compositions(title)[0]["versions"] == 2
    inserted = document["structure"][1]
    assert inserted == WIDGET | {"id": inserted["id"]} and UUID(inserted["id"]) != UUID(str(WIDGET["id"]))


async def test_a_template_becomes_a_composition_of_its_own_once(
    bench: Bench, standin: Standin, title: str
) -> None:
    template_id = template(standin, [WIDGET, WIDGET])
    standin.provoke("create", action="drop", times=1, after_saving=True)
    async with standin.api() as api:
        work = bench.without_browser(api)
        request = ApplyTemplate(template_id=template_id, title=title, author="Ana")
        made = await save(request, work)
        assert await save(request, next_attempt(work)) == made
        document = await api.read(made.uid)
    assert made.widgets == 3 and len(set(document.widget_ids)) == 3
    assert [each["uid"] for each in standin.compositions(title)] == [made.uid]


async def test_only_templates_are_read_as_templates(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        foreign = await create(by("another", work), title)
        for template_id in (f"element:{foreign.uid}", "element:H4sIAAAAnothing", "element:", "x", ""):
            assert await code_of(GetTemplate(template_id=template_id), work) == "template_not_found"
            assert await code_of(ApplyTemplate(template_id=template_id), work) == "template_not_found"


@pytest.mark.parametrize(
    "content", ["x", 1, None, [1], {"a": 1}, {"structure": [{"type": 1}]}, [WIDGET] * 101]
)
async def test_a_template_of_unknown_form_is_told_as_a_change_of_composer(
    bench: Bench, standin: Standin, content: Any
) -> None:
    template_id = template(standin, content)
    async with standin.api() as api:
        work = bench.without_browser(api)
        assert await code_of(GetTemplate(template_id=template_id), work) == "composer_changed"


async def test_an_empty_template_is_told(bench: Bench, standin: Standin) -> None:
    template_id = template(standin, [])
    async with standin.api() as api:
        request = ApplyTemplate(template_id=template_id)
        assert await code_of(request, bench.without_browser(api)) == "nothing_to_copy"


@pytest.mark.parametrize(("language", "said"), [("pt_BR", "Revisão"), ("en", "Review")])
async def test_a_lesson_template_is_listed_read_filled_in_and_made(
    bench: Bench, standin: Standin, title: str, language: Any, said: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        listed = await handlers.run(ListTemplates(language=language), work)
        assert isinstance(listed, Templates)
        (entry,) = [each for each in listed.templates if each.template_id == "lesson:review"]
        assert entry.name == said and "quiz" in entry.widget_types
        read = await handlers.run(GetTemplate(template_id="lesson:review", language=language), work)
        assert isinstance(read, Template) and read.lesson is not None
        topic = read.placeholders[0]
        request = ApplyTemplate(
            template_id="lesson:review", language=language, author="Ana Lima", values={topic: title}
        )
        made = await save(request, work)
        assert await save(request, next_attempt(work)) == made
        document = await api.read(made.uid)
    assert document.title == f"{said}: {title}"
    assert len(standin.compositions(document.title)) == 1
    assert (await bench.compositions.search(work.tenant, text=f"{title} ana lima"))[0].uid == made.uid


async def test_a_lesson_template_is_put_into_a_composition(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        request = ApplyTemplate(template_id="lesson:review", uid=made.uid, position=0)
        saved = await save(request, again(work))
        document = await api.read(made.uid)
    assert saved.widgets > made.widgets and document.title == title
    assert document.widget_ids[-3:] and len(set(document.widget_ids)) == saved.widgets


async def test_an_unknown_lesson_template_is_told(bench: Bench, standin: Standin) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        before = standin.requests()
        for template_id in ("lesson:nothing", "lesson:", "lesson:../review", "review"):
            assert await code_of(GetTemplate(template_id=template_id), work) == "template_not_found"
        assert standin.requests() == before


async def test_when_the_search_fails_the_rest_is_listed_and_the_failure_told(
    bench: Bench, standin: Standin
) -> None:
    template_id = template(standin, WIDGET)
    standin.provoke("search")
    async with standin.api() as api:
        work = bench.without_browser(api)
        listed = await handlers.run(ListTemplates(), work)
        assert isinstance(listed, Templates)
        assert not [each for each in listed.templates if each.template_id == template_id]
        assert "text-1" in " ".join(listed.problems) and "could not be listed" in " ".join(listed.problems)
        # Nobody knows now that there is no such template.
        assert await code_of(GetTemplate(template_id=template_id), work) == "composer_unavailable"


async def test_documents_are_valid_after_everything(bench: Bench, standin: Standin, title: str) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        made = await create(work, title)
        copy = await save(DuplicateComposition(uid=made.uid), again(work))
        raw = (await api.read(copy.uid)).to_json()
    assert Document.from_json(raw).title == title


async def test_a_lesson_template_is_filled_in_and_wrong_names_are_told(
    bench: Bench, standin: Standin, title: str
) -> None:
    async with standin.api() as api:
        work = bench.without_browser(api)
        request = ApplyTemplate(template_id="lesson:review", title=title, values={"assunto 1": "Membrana"})
        made = await save(request, work)
        told = json.dumps((await api.read(made.uid)).to_json(), ensure_ascii=False)
        assert "Membrana" in told and "[assunto 1]" not in told
        assert "[assunto 2]" in told, "what was not given stays in brackets"
        for template_id in ("lesson:review", template(standin, WIDGET)):
            wrong = ApplyTemplate(template_id=template_id, title=title, values={"asunto": "x"})
            with pytest.raises(ComposerError, match="no placeholder “asunto”"):
                await handlers.run(wrong, again(work))
    assert [each["uid"] for each in standin.compositions(title)] == [made.uid]


async def test_a_template_of_the_operator_is_offered_and_made_for_its_tenant_alone(
    bench: Bench, standin: Standin, title: str
) -> None:
    lesson = {"title": "[nome]", "elements": [{"type": "text", "title": "Por quê", "text": "[motivo]"}]}
    text = json.dumps({"title": "Da escola", "description": "Como fazemos", "lesson": lesson}).encode()
    async with standin.api() as api:
        work = bench.without_browser(api)
        templates = work.artifacts.templates
        await templates.put(work.tenant, "review", "pt_BR", text)
        await templates.put("another school", "theirs", "pt_BR", text)
        listed = await handlers.run(ListTemplates(), work)
        assert isinstance(listed, Templates) and listed.problems == []
        names = {each.template_id: each.name for each in listed.templates}
        # In place of the shipped one of this name; the other shipped ones are still there.
        assert names["lesson:review"] == "Da escola" and "lesson:project" in names
        assert "lesson:theirs" not in names
        read = await handlers.run(GetTemplate(template_id="lesson:review"), work)
        assert isinstance(read, Template) and read.placeholders == ["nome", "motivo"]
        foreign = GetTemplate(template_id="lesson:theirs")
        assert await code_of(foreign, work) == "template_not_found"
        made = await save(ApplyTemplate(template_id="lesson:review", values={"nome": title}), work)
        assert (await api.read(made.uid)).title == title
        await templates.remove(work.tenant, "review", "pt_BR")
        shipped = await handlers.run(GetTemplate(template_id="lesson:review"), work)
        assert isinstance(shipped, Template) and shipped.name == "Revisão"
