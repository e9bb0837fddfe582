"""Lesson templates of the operator, in a folder and in S3: offered beside the shipped, checked, not fatal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from composer_mcp.composition import templates as shipped
from composer_mcp.errors import ComposerError
from composer_mcp.settings import ConfigurationError
from composer_mcp.store import lesson_templates
from composer_mcp.store.lesson_templates import LessonTemplates, path_of

from .support.places import Place

pytestmark = pytest.mark.anyio


def text(title: str, **changes: Any) -> bytes:
    lesson = {
        "title": "Lesson of [topic]",
        "elements": [{"type": "text", "title": "Why", "text": "[reason] and [topic]"}],
    }
    return json.dumps({"title": title, "description": "ours", "lesson": lesson} | changes).encode()


async def names(store: LessonTemplates, tenant: str, language: str = "pt_BR") -> dict[str, str]:
    found, problems = await store.offered(tenant, language)
    assert problems == []
    return {each.name: each.title for each in found}


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at each question whether something has changed."""
    monkeypatch.setattr(lesson_templates, "REFRESH_SECONDS", 0.0)


async def test_a_tenant_is_offered_its_own_and_everybodys_in_its_language(place: Place) -> None:
    store = place.open().templates
    assert await names(store, "school") == {}
    await store.put(None, "review", "pt_BR", text("Everybody's"))
    await store.put(None, "trip", "pt_BR", text("Trip"))
    await store.put("school", "review", "pt_BR", text("The school's"))
    await store.put("other/../school", "review", "pt_BR", text("The other's"))
    await store.put(None, "lab", "en", text("Lab"))
    assert await names(store, "school") == {"review": "The school's", "trip": "Trip", "lab": "Lab"}
    assert (await names(store, "other/../school"))["review"] == "The other's"
    assert (await names(store, "nobody"))["review"] == "Everybody's"
    # In English the package's own review is better than one in Portuguese.
    assert await names(store, "school", "en") == {"trip": "Trip", "lab": "Lab"}
    found = await store.find("school", "review", "pt_BR")
    assert found is not None and found.placeholders == ["topic", "reason"]
    lesson = shipped.filled(found, {"topic": "cells"})
    assert lesson.title == "Lesson of cells" and "[reason]" in lesson.model_dump_json()


async def test_what_was_put_elsewhere_is_offered_after_a_moment_and_what_was_removed_is_not(
    place: Place, at_once: None
) -> None:
    here, there = place.open().templates, place.open().templates
    assert await names(here, "school") == {}
    await there.put(None, "trip", "pt_BR", text("Trip"))
    assert await names(here, "school") == {"trip": "Trip"}
    await there.put(None, "trip", "pt_BR", text("Trip, longer"))
    assert await names(here, "school") == {"trip": "Trip, longer"}
    assert await there.remove(None, "trip", "pt_BR") is True
    assert await there.remove(None, "trip", "pt_BR") is False
    assert await names(here, "school") == {}


async def test_within_some_seconds_the_store_is_not_asked_again(place: Place) -> None:
    here, there = place.open().templates, place.open().templates
    assert await names(here, "school") == {}
    await there.put(None, "trip", "pt_BR", text("Trip"))
    assert await names(here, "school") == {}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"[]", "must be"),
        (text("t", more="x"), "must be"),
        (text("t", lesson=[]), "must be an object"),
        (text("t" * 301), "title"),
        (text("t", lesson={"title": "x", "elements": [{"type": "nonsense"}]}), ""),
        (b" " * (lesson_templates.MAX_BYTES + 1), "bytes"),
    ],
    ids=range(9),
)
async def test_a_broken_one_is_refused_when_it_is_put_and_told_when_it_is_there(
    place: Place, at_once: None, content: bytes, reason: str
) -> None:
    store = place.open().templates
    with pytest.raises((ConfigurationError, ComposerError), match=reason):
        await store.put("school", "broken", "pt_BR", content)
    assert place.paths() == []
    place.raw.put(path_of("school", "broken", "pt_BR"), content)
    await store.put("school", "good", "pt_BR", text("Good"))
    found, problems = await store.offered("school", "pt_BR")
    assert [each.name for each in found] == ["good"]
    assert problems == [
        "The template broken (pt_BR) cannot be used; its keeper sees why with composer-mcp template list."
    ]
    assert await names(store, "other") == {}
    (entry, _) = await store.entries()
    assert entry.template is None and reason in entry.problem and entry.problem


@pytest.mark.parametrize("name", ["", "../x", "A", "a/b", "-a", "a" * 65, "a.pt_BR", "á"])
async def test_a_name_that_could_be_another_place_is_refused(place: Place, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name of a template"):
        await place.open().templates.put(None, name, "pt_BR", text("t"))
    with pytest.raises(ConfigurationError, match="no language"):
        await place.open().templates.put(None, "a", name, text("t"))
    assert place.paths() == []


async def test_foreign_files_are_left_alone_and_their_number_is_bounded(
    place: Place, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson_templates, "MAX_TEMPLATES", 3)
    store = place.open().templates
    for path in ("templates/readme.txt", "templates/tenants/%%/a.pt_BR.json", "templates/all/a.fr.json"):
        place.raw.put(path, b"x")
    for number in range(5):
        await store.put(None, f"t{number}", "pt_BR", text(f"{number}"))
    found, problems = await store.offered("school", "pt_BR")
    assert [each.name for each in found] == ["t0", "t1", "t2"]
    assert problems == ["There are more than 3 templates; some are left out."]


async def test_a_store_that_is_away_costs_a_moment_and_what_is_known_is_offered(
    place: Place, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson_templates, "LOOK_SECONDS", 1.0)
    store = place.open().templates
    await store.put(None, "trip", "pt_BR", text("Trip"))
    assert await names(store, "school") == {"trip": "Trip"}
    if place.name == "s3":
        with place.away():
            found, problems = await store.offered("school", "pt_BR")
            assert [each.name for each in found] == ["trip"]
            assert problems == [
                "The school's own templates cannot be read now; those of some time ago are offered."
            ]
            fresh, problems = await place.open().templates.offered("school", "pt_BR")
            assert fresh == [] and "only those of the server are offered" in problems[0]
    assert await names(store, "school") == {"trip": "Trip"}
