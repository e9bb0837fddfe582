"""From a text come elements that fit its form, ready to be used."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer_mcp.composition.advice import MAX_SUGGESTIONS, PASSAGE, suggest_elements
from composer_mcp.composition.problems import check_lesson
from tests.unit.composition.strategies import patient


def elements(content: str, language: str = "pt_BR") -> list[dict[str, Any]]:
    return [suggestion.element for suggestion in suggest_elements(content, language).suggestions]


def test_a_whole_lesson_is_taken_apart_in_its_order() -> None:
    content = """# A célula
A célula é a menor parte viva.

Membrana: envolve a célula
Núcleo: guarda o DNA

Materiais:
- microscópio
- lâmina

1. Coloque a lâmina
2. Observe

1) Onde fica o DNA?
a) Na membrana
b) No núcleo (correta)

Veja https://x.example/celula.png
https://www.youtube.com/watch?v=abc
"""
    assert [element["type"] for element in elements(content)] == [
        "text", "flashcards", "list", "list", "quiz", "image", "video",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("- um\n- dois", {"type": "list", "style": "bullet", "items": ["um", "dois"]}),
        ("1. um\n2. dois", {"type": "list", "style": "numbered", "items": ["um", "dois"]}),
        ("Passo 1: um\nPasso 2: dois", {"type": "list", "style": "numbered", "items": ["um", "dois"]}),
        ("[ ] um\n[x] dois", {"type": "list", "style": "checkbox", "items": ["um", "dois"]}),
        ("Ler:\n• um\n• a", {"type": "list", "title": "Ler", "style": "bullet", "items": ["um", "a"]}),
        (
            "Átomo: menor parte\nMolécula \u2013 vários átomos",
            {"type": "flashcards", "cards": [
                {"front": "Átomo", "back": "menor parte"}, {"front": "Molécula", "back": "vários átomos"},
            ]},
        ),
        (
            "Quanto é 2 + 2?\na) 3\nb) 4\nResposta: b",
            {"type": "quiz", "questions": [
                {"question": "Quanto é 2 + 2?", "choices": [{"text": "3"}, {"text": "4", "correct": True}]},
            ]},
        ),
        (
            "https://x.example/a.png",
            {"type": "image", "url": "https://x.example/a.png", "description": "[o que a imagem mostra]"},
        ),
        (
            "Folha ao microscópio: https://x.example/a.png",
            {"type": "image", "url": "https://x.example/a.png", "description": "Folha ao microscópio"},
        ),
        ("https://x.example/v.mp4", {"type": "video", "url": "https://x.example/v.mp4"}),
        ("Uma frase: só isso.", {"type": "text", "text": "Uma frase: só isso."}),
        ("Título\nUma frase.", {"type": "text", "title": "Título", "text": "Uma frase."}),
    ],
)  # fmt: skip
def test_a_form_is_recognized(content: str, expected: dict[str, Any]) -> None:
    assert elements(content) == [expected]


def test_a_right_answer_that_nobody_marked_is_only_a_stand_in_and_the_reason_says_so() -> None:
    (found,) = suggest_elements("É?\na) sim\nb) não", "en").suggestions
    assert "not marked everywhere: check each `correct`" in found.reason
    assert found.element["questions"][0]["choices"][0]["correct"] is True


def test_a_question_without_choices_asks_for_them() -> None:
    (found,) = suggest_elements("Por que o céu é azul?", "pt_BR").suggestions
    assert "escreva-as" in found.reason
    assert "[resposta certa]" in str(found.element)


def test_a_long_text_is_divided_between_paragraphs() -> None:
    paragraph = "Uma frase bem comum. " * 20
    found = elements("\n\n".join([paragraph] * 10))
    assert len(found) > 1 and all(len(element["text"]) <= PASSAGE for element in found)
    assert "".join(element["text"] for element in found).count("Uma frase") == 200


def test_more_than_fits_is_counted() -> None:
    suggestions = suggest_elements("\n\n".join(["- a\n- b\n\nfrase."] * 40), "en")
    assert len(suggestions.suggestions) == MAX_SUGGESTIONS and suggestions.left_out == 50


LINES = st.sampled_from(
    ["- a", "1. b", "a) c", "b) d (correta)", "O que é?", "x: uma coisa", "", "https://x.example/a.png",
     "[ ] e", "Resposta: a", "Frase.", "# Título", "https://youtu.be/x", "* ", "a)", "?", ":", "\ud800",
     "\x00"]
)  # fmt: skip


@patient
@given(st.lists(LINES | st.text(st.characters(exclude_categories=()), max_size=30), max_size=25))
def test_whatever_is_given_the_suggestions_make_a_valid_lesson(lines: list[str]) -> None:
    found = elements("\n".join(lines))
    if found:
        assert check_lesson({"title": "x", "elements": found})


@pytest.mark.parametrize(
    "content", ["a: b b b\n" * 60_000, "a) x\n" * 80_000, "?\n" * 200_000, "x:" * 200_000]
)
def test_a_huge_text_takes_no_longer_than_a_large_one(content: str) -> None:
    started = time.process_time()
    suggest_elements(content, "en")
    assert time.process_time() - started < 2
