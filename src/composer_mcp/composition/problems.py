"""What is wrong with a lesson or a change, all of it at once, so that one more call can be right.

pydantic decides what is valid. Here its complaints become places, words and the nearest valid form; to find
what hides behind a mistake, the mistake is mended in a copy and the copy is looked at again.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from composer_mcp.composition import forms, repairs
from composer_mcp.composition.findings import (
    ABSENT,
    KEPT,
    TOLD,
    Findings,
    Problem,
    at,
    mended,
)
from composer_mcp.composition.json_values import TooMuch, copied, measure, texts
from composer_mcp.composition.lesson import MAX_ELEMENTS, MAX_TOTAL_CHARACTERS, CompositionChange, Lesson
from composer_mcp.composition.repairs import Case
from composer_mcp.composition.schema import JsonSchema, alternatives, full
from composer_mcp.errors import INVALID_LESSON

#: A lesson needs eight levels.
MAX_DEPTH = 20
MAX_PARTS = 50_000
#: Names of fields count too; what is beyond is refused before anybody looks into it.
MAX_CHARACTERS = 2 * MAX_TOTAL_CHARACTERS
#: Mistakes hide behind mistakes; deeper ones than this show up in the next call.
ROUNDS = 6

Checked = TypeVar("Checked", Lesson, CompositionChange)


def check_lesson(raw: Any) -> Lesson:
    """Return the lesson that ``raw`` is.

    Raises:
        invalid_lesson: it is none; ``details.problems`` has for each broken rule the path, the problem, what
            was given and the nearest valid form as JSON. The first 20 are told, all are counted.
    """
    return _check(raw, Lesson, "lesson", "elements")


def check_change(raw: Any) -> CompositionChange:
    """Return the change that ``raw`` is.

    Raises:
        invalid_lesson: as for :func:`check_lesson`.
    """
    return _check(raw, CompositionChange, "change", "widgets")


def _check(raw: Any, model: type[Checked], what: str, main_list: str) -> Checked:
    _limit(raw, what, main_list)
    try:
        return model.model_validate(raw)
    except ValidationError:
        return _explain(copied(raw), model, what)


def _limit(raw: Any, what: str, main_list: str) -> None:
    """Refuse what is too large to be looked into, in a time that does not depend on its size."""
    listed = raw.get(main_list) if isinstance(raw, dict) else None
    if isinstance(listed, list) and len(listed) > MAX_ELEMENTS:
        words = f"has {len(listed)} entries, the limit is {MAX_ELEMENTS}: divide it among several calls"
        _refuse(what, Problem((main_list,), words, tell=False))
    try:
        measure(raw, MAX_DEPTH, MAX_PARTS)
    except TooMuch as problem:
        _refuse(what, Problem((), str(problem), tell=False))
    total = 0
    for text in texts(raw):
        total += len(text)
        if total > MAX_CHARACTERS:
            words = f"has more than {MAX_CHARACTERS} characters, the limit is {MAX_TOTAL_CHARACTERS}"
            _refuse(what, Problem((), words, tell=False))


def _refuse(what: str, *problems: Problem, count: int = 0) -> NoReturn:
    told = [problem.told(what) for problem in sorted(problems, key=lambda problem: problem.order)[:TOLD]]
    raise INVALID_LESSON.error(what=what, count=max(count, len(told)), told=len(told), problems=told)


def _explain(value: Any, model: type[Checked], what: str) -> Checked:
    schema = _schema(model)
    findings = Findings()
    value = _unwrapped(value, what, schema, findings)
    beyond = 0
    for _ in range(ROUNDS):
        value = forms.tidied(value, schema, (), findings)
        try:
            valid = model.model_validate(value)
        except ValidationError as error:
            complaints = error.errors(include_url=False)
            for complaint in complaints[:KEPT]:
                found = repairs.problem(_case(complaint, value, schema))
                findings.add(found)
                if found.nearest is not ABSENT:
                    value = mended(value, found)
            beyond = max(0, len(complaints) - KEPT)
            if beyond:
                break
        else:
            if not findings.problems:
                return valid
            break
    _refuse(what, *findings.problems, count=findings.count + beyond)


@cache
def _schema(model: type[Lesson] | type[CompositionChange]) -> JsonSchema:
    return full(model)


def _case(complaint: Any, value: Any, schema: JsonSchema) -> Case:
    """Return a complaint with its place in the value and in the schema."""
    node = parent = schema
    path: list[str | int] = []
    for part in complaint["loc"]:
        allowed = alternatives(node)
        if len(allowed) > 1:
            # pydantic names the form in the place; in the value there is no such step.
            node = next((form for form in allowed if part in forms.tags(form)), allowed[0])
            continue
        parent = allowed[0]
        path.append(part)
        node = parent["items"] if isinstance(part, int) else parent.get("properties", {}).get(part, {})
    given = at(value, tuple(path))
    return Case(
        kind=complaint["type"],
        path=tuple(path),
        given=given,
        node=node,
        parent=parent,
        message=complaint["msg"],
        limits=complaint.get("ctx", {}),
    )


def _unwrapped(value: Any, what: str, schema: JsonSchema, findings: Findings) -> Any:
    """Return the object inside a text, a list or another object, and note that it was there."""
    if isinstance(value, str):
        try:
            inner = json.loads(value)
            measure(inner, MAX_DEPTH, MAX_PARTS)
        except (ValueError, RecursionError):
            inner = None
        if isinstance(inner, dict):
            words = "is a text that contains JSON: give the object itself, not in quotes"
            findings.add(Problem((), words, value, inner, tell=False))
            value = inner
    if isinstance(value, dict) and len(value) == 1 and not value.keys() & schema["properties"].keys():
        (name, inner) = next(iter(value.items()))
        if isinstance(inner, dict) and inner.keys() & schema["properties"].keys():
            words = f"is one level too deep: leave out the outer `{name[:40]}`"
            findings.add(Problem((), words, value, inner))
            return inner
    if not isinstance(value, dict):
        nearest = repairs.example(schema, what)
        findings.add(Problem((), f"must be an object with the fields of a {what}", value, nearest))
        return nearest
    return value
