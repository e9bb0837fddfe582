"""A plan adds up, fits the class, and claims nothing that nobody said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer_mcp.composition.elements import ELEMENTS
from composer_mcp.composition.guidance import lesson_guidance
from tests.unit.composition.strategies import patient

TEXTS = st.text(st.characters(exclude_categories=()), max_size=30)


@patient
@given(TEXTS, TEXTS, st.integers(-10, 5000), st.lists(TEXTS, max_size=30), st.sampled_from(["pt_BR", "en"]))
def test_the_minutes_of_the_phases_add_up(
    subject: str, grade: str, minutes: int, objectives: list[str], language: str
) -> None:
    plan = lesson_guidance(subject, grade, minutes, objectives, language)
    assert sum(phase.minutes for phase in plan.phases) == plan.duration_minutes
    assert 5 <= plan.duration_minutes <= 600
    assert all(phase.minutes >= 1 for phase in plan.phases)
    assert {name for phase in plan.phases for name in phase.elements} <= set(ELEMENTS)
    assert plan == lesson_guidance(subject, grade, minutes, objectives, language)


def test_a_usual_lesson_has_six_phases_and_tips_for_its_age() -> None:
    plan = lesson_guidance("Ciências", "7º ano", 50, ["explicar a célula"], "pt_BR")
    assert (plan.subject, plan.grade) == ("science", "7º ano")
    assert plan.phases[0].name == "Abertura" and len(plan.phases) == 6
    assert any("problema" in tip for tip in plan.tips) and any("observar" in tip for tip in plan.tips)
    assert plan.notes == ["Sugestões gerais de didática; não dizem o que um currículo exige."]
    assert len(plan.model_dump_json()) < 2_500


def test_a_short_lesson_has_fewer_phases() -> None:
    assert len(lesson_guidance("math", "3", 15, ["x"], "en").phases) == 4


@pytest.mark.parametrize(
    ("subject", "minutes", "objectives", "words"),
    [
        ("astrology", 50, ["a"], "use science, math, history"),
        ("math", 50, [], "No objectives were given"),
        ("math", 45, ["a"] * 5, "5 objectives are many for 45 minutes: choose up to 3"),
        ("math", 120, ["a"], "120 minutes are more than one usual lesson"),
    ],
)
def test_what_does_not_fit_is_said(subject: str, minutes: int, objectives: list[str], words: str) -> None:
    plan = lesson_guidance(subject, "Grade 8", minutes, objectives, "en")
    assert any(words in note for note in plan.notes)


def test_an_unknown_grade_is_kept_and_told() -> None:
    plan = lesson_guidance("arts", "turma livre", 50, ["a"], "pt_BR")
    assert plan.grade == "turma livre" and "não foi reconhecido" in plan.tips[0]


@pytest.mark.parametrize("grade", ["1º ano", "4º ano", "8º ano", "2ª série"])
def test_tips_differ_by_age(grade: str) -> None:
    others = {"1º ano", "4º ano", "8º ano", "2ª série"} - {grade}
    mine = lesson_guidance("math", grade, 50, ["a"], "pt_BR").tips[0]
    assert mine not in {lesson_guidance("math", other, 50, ["a"], "pt_BR").tips[0] for other in others}
