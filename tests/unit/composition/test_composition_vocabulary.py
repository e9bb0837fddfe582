"""Words are found however a teacher writes them."""

from __future__ import annotations

import pytest

from composer_mcp.composition import vocabulary
from composer_mcp.composition.elements import ELEMENTS
from composer_mcp.composition.vocabulary import ELEMENT_TYPES, GRADES, SUBJECTS, complete, find, grade_of


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7º ano", "7º ano"),
        ("7o ano", "7º ano"),
        ("7", "7º ano"),
        ("Grade 7", "7º ano"),
        ("1º ano do Ensino Médio", "1ª série"),
        ("2ª série", "2ª série"),
        ("3a serie EM", "3ª série"),
        ("Grade 11", "2ª série"),
        ("12", "3ª série"),
        ("13", None),
        ("0", None),
        ("ensino médio", None),
        ("", None),
    ],
)
def test_a_year_at_school_is_recognized(text: str, value: str | None) -> None:
    grade = grade_of(text)
    assert (grade.value if grade else None) == value


def test_grades_follow_one_another() -> None:
    ages = [grade.age for grade in GRADES.values()]
    assert ages == list(range(6, 18))
    assert [grade_of(grade.label("en")) for grade in GRADES.values()] == list(GRADES.values())
    assert [grade_of(grade.label("pt_BR")) for grade in GRADES.values()] == list(GRADES.values())


@pytest.mark.parametrize(
    ("typed", "language", "found"),
    [
        ("ci", "pt_BR", ["Ciências"]),
        ("CIÊ", "pt_BR", ["Ciências"]),
        ("sci", "en", ["Science"]),
        ("port", "pt_BR", ["Língua Portuguesa"]),
        ("zz", "pt_BR", []),
        ("", "en", ["Science", "Mathematics", "History", "Geography", "Language", "Arts"]),
    ],
)
def test_a_word_is_completed_without_regard_to_accents(typed: str, language: str, found: list[str]) -> None:
    assert complete(SUBJECTS, typed, language) == found


@pytest.mark.parametrize(("name", "value"), [("ciencias", "science"), ("Maths", None), ("MATH", "math")])
def test_a_subject_is_found_by_value_or_label(name: str, value: str | None) -> None:
    term = find(SUBJECTS, name)
    assert (term.value if term else None) == value


def test_every_element_has_a_name_in_both_languages() -> None:
    assert ELEMENT_TYPES.keys() == ELEMENTS.keys()
    for term in (*ELEMENT_TYPES.values(), *SUBJECTS.values(), *GRADES.values()):
        assert term.label("pt_BR") and term.label("en") and term.label("es") and term.label("xx")


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("pt_BR", "pt_BR"),
        ("pt-br", "pt_BR"),
        ("Português", "pt_BR"),
        (None, "pt_BR"),
        ("en", "en"),
        ("fr", "en"),
    ],
)
def test_the_nearest_language_is_chosen(name: str | None, language: str) -> None:
    assert vocabulary.language_of(name) == language
