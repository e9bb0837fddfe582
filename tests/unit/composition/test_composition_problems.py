"""A lesson that breaks rules can be repaired from the answer alone: each problem has a place and a remedy."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from composer_mcp.composition.compose import compose
from composer_mcp.composition.lesson import MAX_ELEMENTS
from composer_mcp.composition.problems import MAX_PARTS, check_change, check_lesson
from composer_mcp.errors import ComposerError
from tests.unit.composition.repairing import (
    CHANGE,
    CHOICES,
    IMAGE,
    LESSON,
    QUESTION,
    E,
    broken,
    problems,
    put,
    steps,
)
from tests.unit.composition.strategies import JSON, LESSONS, patient


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("", "titulo", "title"),
        ("", "Title", "title"),
        ("", "sections", "elements"),
        ("", "elemnts", "elements"),
        (f"{E}[0]", "content_title", "title"),
        (f"{E}[0]", "text", "title"),
        (QUESTION, "text", "question"),
        (f"{E}[1]", "content", "text"),
        (f"{E}[2]", "perguntas", "questions"),
        (QUESTION, "answers", "choices"),
        (QUESTION, "options", "choices"),
        (QUESTION, "alternativas", "choices"),
        (f"{QUESTION}.choices[0]", "isCorrect", "correct"),
        (f"{QUESTION}.choices[1]", "label", "text"),
        (f"{E}[3]", "src", "url"),
        (f"{E}[3]", "alt", "description"),
        (f"{E}[5]", "itens", "items"),
        (f"{E}[6].cards[0]", "term", "front"),
        (f"{E}[6].cards[0]", "definition", "back"),
        (f"{E}[8]", "hotspots", "points"),
        (f"{E}[4]", "tipo", "type"),
    ],
)
def test_a_field_under_another_name_is_recognized(path: str, wrong: str, right: str) -> None:
    raw = copy.deepcopy(LESSON)
    place: Any = raw
    for step in steps(path):
        place = place[step]
    place[wrong] = place.pop(right)
    (found,) = problems(raw)
    assert found["path"] == f"lesson{path}.{right}"
    assert f"is called `{right}`, not `{wrong}`" in found["problem"]
    assert found["given"].startswith(f'"{wrong}": ')
    place[right] = place.pop(wrong)
    assert check_lesson(raw)


def test_html_in_a_widgets_content_is_recognized_as_html() -> None:
    (kind, content) = problems(broken(f"{E}[1]", {"type": "text-1", "content": "<p>a</p>"}))
    assert (kind["path"], content["path"]) == ("lesson.elements[1].type", "lesson.elements[1].html")


def test_a_field_that_means_nothing_is_to_go_and_the_fields_are_listed_once() -> None:
    first, second = problems(broken(f"{E}[1]", {"type": "text", "text": "a", "zz": 1, "qq": 2}))
    assert first["problem"] == "is no field here; these are: type, title, text, html"
    assert second["problem"] == "is no field here" and "nearest" not in first


@pytest.mark.parametrize(
    ("right", "number"), [("não", 1), ("NÃO", 1), ("b", 1), (0, 0), ("sim", 0), ("talvez", None)]
)
def test_a_right_answer_named_beside_the_choices_is_put_where_it_belongs(
    right: Any, number: int | None
) -> None:
    question = {"question": "É?", "choices": ["sim", "não"], "correct_answer": right}
    found = problems(broken(f"{E}[2].questions", [question]))
    assert f"lesson{QUESTION}.correct_answer" in [problem["path"] for problem in found]
    if number is not None:
        marked = next(
            problem for problem in found if problem["path"] == f"lesson{QUESTION}.choices[{number}]"
        )
        assert json.loads(marked["nearest"])["correct"] is True


def test_text_and_html_at_once_are_too_much() -> None:
    (found,) = problems(broken(f"{E}[1].html", "<p>a</p>"))
    assert found["path"] == "lesson.elements[1].text" and "`html` is there too" in found["problem"]


@pytest.mark.parametrize("fragment", ["<script>x</script>", "<iframe src=x></iframe>", "<b>" * 200 + "x"])
def test_html_of_which_nothing_would_be_left_is_refused(fragment: str) -> None:
    (found,) = problems(broken(f"{E}[1]", {"type": "text", "html": fragment}))
    assert found["path"] == "lesson.elements[1].html" and "<p>" in found["nearest"]


def test_all_broken_rules_are_told_at_once_also_those_that_hide_behind_others() -> None:
    raw = {
        "titulo": "Células",
        "duration": "50 min",
        "elements": [
            {"type": "quiz-1", "questions": [{"question": "É?", "answers": ["sim", "não"]}]},
            {"type": "image", "url": "http://x.example/a.png"},
        ],
    }
    assert [problem["path"] for problem in problems(raw)] == [
        "lesson.title",
        "lesson.duration_minutes",
        "lesson.elements[0].type",
        "lesson.elements[0].questions[0].choices",
        "lesson.elements[0].questions[0].choices[0]",
        "lesson.elements[0].questions[0].choices[1]",
        "lesson.elements[0].questions[0].choices[0].correct",
        "lesson.elements[1].url",
        "lesson.elements[1].description",
    ]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (json.dumps(LESSON), "is a text that contains JSON: give the object itself"),
        ({"lesson": LESSON}, "is one level too deep: leave out the outer `lesson`"),
        (None, "must be an object with the fields of a lesson"),
        ([LESSON], "must be an object with the fields of a lesson"),
        ("[" * 5000, "must be an object with the fields of a lesson"),
    ],
)
def test_a_lesson_in_the_wrong_wrapping_is_told_so(raw: Any, words: str) -> None:
    (found,) = problems(raw)
    assert found["path"] == "lesson" and words in found["problem"]


def deep(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = {"elements": value}
    return value


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (LESSON | {"elements": [IMAGE] * 10_000}, f"has 10000 entries, the limit is {MAX_ELEMENTS}"),
        (LESSON | {"elements": [{"type": "list", "items": ["x"] * 60_000}]}, f"more than {MAX_PARTS} values"),
        (LESSON | {"x": deep(100_000)}, "nested more than 20 levels deep"),
        (LESSON | {"description": "x" * 30_000_000}, "more than 800000 characters"),
        ({f"field{n}": 1 for n in range(45_000)}, "is no field here"),
        (LESSON | {"elements": [{"type": "list", "items": [0] * 45_000}]}, "the limit is 100: divide it"),
        (LESSON | {"elements": [{"type": "text", "text": "a" * 20_000}] * 21}, "the limit is 400000"),
        (LESSON | {"title": 10**4000, "elements": [{"type": "x" * 400_000}]}, "must be one of"),
    ],
    ids=["elements", "values", "deep", "characters", "fields", "items", "total", "strange"],
)
def test_what_is_far_too_large_is_refused_at_once(raw: Any, words: str) -> None:
    started = time.process_time()
    found = problems(raw)
    assert time.process_time() - started < 1.5
    assert any(words in problem["problem"] for problem in found)
    assert len(json.dumps(found)) < 20_000


def test_ten_thousand_elements_are_refused_in_milliseconds() -> None:
    raw = LESSON | {"elements": [IMAGE] * 10_000}
    started = time.process_time()
    problems(raw)
    assert time.process_time() - started < 0.05


@pytest.mark.parametrize(
    ("path", "value", "where", "nearest"),
    [
        (".widgets[0].action", "insert", ".widgets[0].action", "add"),
        (".widgets[2].action", "delete", ".widgets[2].action", "remove"),
        (".widgets[1].position", "1", ".widgets[1].position", 1),
        (".widgets[1].position", -1, ".widgets[1].position", 0),
        (".widgets[1].position", ..., ".widgets[1].position", 0),
        (".widgets[2].widget_id", ..., ".widgets[2].widget_id", "id from get_composition"),
        (".widgets[0].element.type", "text-1", ".widgets[0].element.type", "text"),
        (".widgets[0].element", "Frase", ".widgets[0].element", {"type": "text", "text": "Frase"}),
        (".tags", ["a", "a"], ".tags", ["a"]),
    ],
)
def test_a_change_is_checked_like_a_lesson(path: str, value: Any, where: str, nearest: Any) -> None:
    raw = broken(path, value, CHANGE)
    found = problems(raw, check_change)
    assert [problem["path"] for problem in found] == [f"change{where}"]
    assert json.loads(found[0]["nearest"]) == nearest
    assert check_change(put(raw, found[0]))


def test_a_change_must_change_something() -> None:
    (found,) = problems({}, check_change)
    assert "at least one of title, description, author, tags, widgets" in found["problem"]
    assert check_change({"description": ""}).description == ""


def test_what_is_right_is_returned_as_it_is() -> None:
    assert check_lesson(LESSON).title == "A célula"
    assert check_lesson(LESSON | {"title": "  Aula ", "description": "a\r\nb"}).description == "a\nb"
    assert len(check_change(CHANGE).widgets) == 3


def test_what_is_checked_is_not_changed() -> None:
    raw = broken(f"{E}[2].type", "quiz-1")
    before = copy.deepcopy(raw)
    problems(raw)
    assert raw == before


@patient
@given(JSON)
def test_no_json_crashes_the_check(raw: Any) -> None:
    for check in (check_lesson, check_change):
        try:
            check(raw)
        except ComposerError as error:
            assert error.code.code == "invalid_lesson" and error.details["problems"]


@st.composite
def spoilt_lessons(draw: st.DrawFn) -> Any:
    """A valid lesson in which something was replaced, taken out, added or renamed."""
    raw = draw(LESSONS)
    for _ in range(draw(st.integers(1, 4))):
        place: Any = raw
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], (dict, list)) and draw(st.booleans()):
                place = place[key]
                continue
            match draw(st.sampled_from(["replace", "remove", "rename"])):
                case "replace":
                    place[key] = draw(JSON)
                case "rename" if isinstance(place, dict):
                    place[
                        draw(
                            st.sampled_from(
                                ["content", "answers", "data", "x", "id", "text", "type", "front"]
                            )
                        )
                    ] = place.pop(key)
                case _:
                    place.pop(key)
            break
    return raw


@patient
@given(spoilt_lessons())
def test_whatever_is_wrong_with_a_lesson_repairing_what_is_told_ends_in_a_valid_one(raw: Any) -> None:
    for _ in range(8):
        try:
            compose(check_lesson(raw))
            return
        except ComposerError as error:
            assert error.code.code == "invalid_lesson"
            for problem in error.details["problems"]:
                # What stands above may have been written as a whole by then.
                with contextlib.suppress(LookupError):
                    raw = put(raw, problem)
    raise AssertionError(f"not repaired: {raw}")


QUESTION_FIELDS = {"question": "É?", "choices": CHOICES}


@pytest.mark.parametrize(
    ("element", "path", "words", "nearest"),
    [
        (
            {"quiz": {"questions": [QUESTION_FIELDS]}},
            "",
            "the type stands beside the other fields, not around them",
            {"type": "quiz", "questions": [QUESTION_FIELDS]},
        ),
        (
            {"type": "quiz", "data": {"questions": [QUESTION_FIELDS]}},
            "",
            "not inside `data`",
            {"type": "quiz", "questions": [QUESTION_FIELDS]},
        ),
        (
            {"type": "text", "content": {"title": "A", "text": "Uma frase."}},
            "",
            "not inside `content`",
            {"type": "text", "title": "A", "text": "Uma frase."},
        ),
        (
            {"type": "quiz", **QUESTION_FIELDS},
            ".questions",
            "also for a single one",
            [QUESTION_FIELDS],
        ),
        (
            {"type": "flashcards", "front": "a", "back": "b"},
            ".cards",
            "a list of entries with the fields front, back is wanted",
            [{"front": "a", "back": "b"}],
        ),
    ],
)
def test_fields_on_the_wrong_level_are_put_where_they_belong(
    element: dict[str, Any], path: str, words: str, nearest: Any
) -> None:
    raw = broken(f"{E}[1]", element)
    found = problems(raw)
    assert (found[0]["path"], json.loads(found[0]["nearest"])) == (f"lesson{E}[1]{path}", nearest)
    assert words in found[0]["problem"]
    place: Any = raw["elements"]
    place[1] = json.loads(found[0]["nearest"]) if not path else {"type": element["type"], path[1:]: nearest}
    assert check_lesson(raw)
