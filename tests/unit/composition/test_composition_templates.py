"""Every template is a good lesson, filled in or not, in both languages."""

from __future__ import annotations

import pytest

from composer_mcp.composition import templates
from composer_mcp.composition.compose import compose
from composer_mcp.composition.json_values import texts
from composer_mcp.errors import ComposerError

ALL = [(name, language) for name in templates.NAMES for language in ("pt_BR", "en")]


@pytest.mark.parametrize(("name", "language"), ALL)
def test_a_filled_template_is_a_valid_lesson_without_brackets(name: str, language: str) -> None:
    template = templates.template(name, language)
    assert template is not None and template.placeholders
    values = {placeholder: f"valor {n}" for n, placeholder in enumerate(template.placeholders)}
    lesson = templates.filled(template, values)
    assert not any("[" in text for text in texts(lesson.model_dump()))
    assert set(values.values()) <= {
        word for text in texts(lesson.model_dump()) for word in values.values() if word in text
    }
    assert len(compose(lesson).structure) == len(lesson.elements) + 1


@pytest.mark.parametrize(("name", "language"), ALL)
def test_an_unfilled_template_is_valid_too_and_shows_what_is_missing(name: str, language: str) -> None:
    template = templates.template(name, language)
    assert template is not None
    shown = "\n".join(texts(templates.filled(template).model_dump()))
    assert all(f"[{placeholder}]" in shown for placeholder in template.placeholders)
    assert len(template.model_dump_json()) < 5_000


@pytest.mark.parametrize("name", templates.NAMES)
def test_the_languages_have_the_same_form(name: str) -> None:
    pt, en = (templates.template(name, language) for language in ("pt_BR", "en"))
    assert pt is not None and en is not None
    assert pt.element_types == en.element_types and len(pt.placeholders) == len(en.placeholders)
    assert en.lesson["language"] == "en_us" and pt.title != en.title


def test_all_templates_are_offered_in_the_language_asked_for() -> None:
    assert [template.name for template in templates.templates("pt-br")] == list(templates.NAMES)
    assert templates.templates("en")[0].title == "Complete lesson"
    assert templates.template("../secret", "en") is None


def test_one_caller_cannot_change_what_another_gets() -> None:
    first = templates.templates("en")[0]
    first.lesson["elements"].clear()
    assert templates.templates("en")[0].lesson["elements"]


def test_a_value_that_does_not_fit_is_told_as_any_other_problem() -> None:
    template = templates.template("review", "en")
    assert template is not None
    with pytest.raises(ComposerError) as raised:
        templates.filled(template, {"topic": "x" * 400})
    assert raised.value.details["problems"][0]["path"] == "lesson.title"
