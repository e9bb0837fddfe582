"""The catalogue describes the elements as they are, in both languages, in few words."""

from __future__ import annotations

from typing import Literal

import pytest

from composer_mcp.composition import catalogue
from composer_mcp.composition.elements import ELEMENTS
from composer_mcp.composition.problems import check_lesson
from composer_mcp.composition.widgets import MODELS
from composer_mcp.errors import ComposerError

LANGUAGES: tuple[Literal["pt_BR", "en"], ...] = ("pt_BR", "en")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ELEMENTS)
def test_every_field_of_an_element_is_described_and_no_other(name: str, language: str) -> None:
    described = catalogue.describe(name, language)
    assert {field.name for field in described.fields} == {field for field, _, _ in catalogue.fields(name)}
    assert set(catalogue._words()[name]["fields"]) == {field for field, _, _ in catalogue.fields(name)}
    assert described.purpose and described.common_mistakes and all(f.meaning for f in described.fields)
    assert len(described.model_dump_json(exclude_none=True)) < 2_500


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_example_is_a_valid_element_and_shows_the_required_fields(name: str) -> None:
    described = catalogue.describe(name, "en")
    assert check_lesson({"title": "x", "elements": [described.example]}).elements[0].type == name
    assert {field.name for field in described.fields if field.required and "[]" not in field.name} <= set(
        described.example
    )


def test_limits_are_those_of_the_models() -> None:
    fields = {field.name: field for field in catalogue.describe("quiz", "en").fields}
    assert (
        fields["questions[].choices"].limits == "2 to 10 entries" and fields["questions[].choices"].required
    )
    assert fields["questions[].choices[].text"].limits == "1 to 20000 characters"
    assert not fields["questions[].choices[].correct"].required
    fields = {field.name: field for field in catalogue.describe("hotspots", "en").fields}
    assert (fields["points[].x"].type, fields["points[].x"].limits) == ("number", "0 to 100")
    assert fields["url"].type == "address" and "https" in (fields["url"].limits or "")
    fields = {field.name: field for field in catalogue.describe("list", "en").fields}
    assert fields["style"].limits == "one of bullet, numbered, checkbox"
    assert fields["items"].type == "list of texts"


def test_what_is_assumed_is_told_to_be_assumed() -> None:
    confirmed = {name for name in ELEMENTS if catalogue.describe(name, "en").confirmed}
    assert confirmed == {"heading", "text", "quiz"}
    assert set(catalogue.composer_types().values()) == set(MODELS)


@pytest.mark.parametrize(
    ("name", "found"),
    [("quiz-1", "quiz"), ("Vídeo", "video"), ("flashcard", "flashcards"), ("imagem", "image")],
)
def test_a_type_is_found_under_its_other_names(name: str, found: str) -> None:
    assert catalogue.describe(name, "pt_BR").type == found


def test_an_unknown_type_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ComposerError) as raised:
        catalogue.describe("xyz" * 1000, "en")
    assert raised.value.code.code == "unknown_widget_type"
    assert "heading, text, quiz" in raised.value.remedy and len(raised.value.sentence) < 200


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_list_of_types_fits_into_a_short_answer(language: str) -> None:
    listed = catalogue.widget_types(language)
    assert [entry.type for entry in listed.types] == list(ELEMENTS)
    assert len(listed.model_dump_json()) < 1_500
