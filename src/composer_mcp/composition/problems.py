"""What is wrong with a lesson or a change, all of it at once, so that one more call can be right.

pydantic decides what is valid. Here its complaints become places, words and the nearest valid form; to find
what hides behind a mistake, the mistake is mended in a copy and the copy is looked at again.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError

from composer_mcp.composition import names, repairs
from composer_mcp.composition.findings import (
    ABSENT,
    KEPT,
    REMOVE,
    TOLD,
    Findings,
    Path,
    Problem,
    at,
    mended,
)
from composer_mcp.composition.html import looks_like_html
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
        value = _tidied(value, schema, (), findings)
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
        forms = alternatives(node)
        if len(forms) > 1:
            # pydantic names the form in the place; in the value there is no such step.
            node = next((form for form in forms if part in _tags(form)), forms[0])
            continue
        parent = forms[0]
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


# --- names and forms: what pydantic cannot look behind ---------------------------------------------


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


def _tags(form: JsonSchema) -> list[str]:
    return [field["const"] for field in form.get("properties", {}).values() if "const" in field]


def _tidied(value: Any, node: JsonSchema, path: Path, findings: Findings) -> Any:
    """Return ``value`` with every element of a known type and no field of an unknown name."""
    forms = alternatives(node)
    if len(forms) > 1:
        value, node = _typed(value, forms, path, findings)
    else:
        node = forms[0]
    if isinstance(value, list) and node.get("type") == "array":
        for number, item in enumerate(value):
            value[number] = _tidied(item, node["items"], (*path, number), findings)
    elif isinstance(value, dict) and node.get("type") == "object":
        _rename(value, node, path, findings)
        for name, form in node["properties"].items():
            if name in value:
                value[name] = _tidied(value[name], form, (*path, name), findings)
    return value


def _typed(value: Any, forms: list[JsonSchema], path: Path, findings: Findings) -> tuple[Any, JsonSchema]:
    """Return a value whose type (or action) is one of ours, and the form that belongs to it."""
    name = next(field for field, form in forms[0]["properties"].items() if "const" in form)
    by_tag = {form["properties"][name]["const"]: form for form in forms}
    if isinstance(value, str) and "text" in by_tag:
        meant = {name: "text", "text": value}
        findings.add(Problem(path, "must be an object with a `type`", value, meant))
        return meant, by_tag["text"]
    if not isinstance(value, dict):
        meant = repairs.example(by_tag.get("text", forms[0]))
        findings.add(Problem(path, f"must be an object with a `{name}`", value, meant))
        return meant, by_tag.get("text", forms[0])
    written = value.get(name)
    if isinstance(written, str) and written in by_tag:
        return value, by_tag[written]
    other = None
    if written is None:
        other = next((key for key in value if key != name and names.field(key, [name], ()) == name), None)
        written = None if other is None else value.pop(other)
    tag = names.tag(written, by_tag) if isinstance(written, str) else None
    if tag is None:
        words = f"must be one of {', '.join(by_tag)}"
    elif isinstance(written, str) and written.endswith("-1"):
        words = f"is called {tag} here; {names.shortened(written)} is Composer's own name for it"
    else:
        words = f"is called {tag} here"
    if other is not None:
        words = f"is called `{name}`, not `{names.shortened(other)}`; the value {words}"
    tag = tag or _likeliest(value, by_tag)
    findings.add(Problem((*path, name), words, ABSENT if written is None else written, tag, other))
    value[name] = tag
    return value, by_tag[tag]


def _likeliest(value: dict[str, Any], by_tag: dict[str, JsonSchema]) -> str:
    """Return the type whose fields the value has most of."""

    def likeness(tag: str) -> int:
        form = by_tag[tag]
        meant = {names.field(key, form["properties"], ()) for key in list(value)[:20]} - {None}
        return len(meant) + 2 * len(meant & set(form.get("required", ())))

    return max(by_tag, key=likeness)


def _rename(value: dict[str, Any], node: JsonSchema, path: Path, findings: Findings) -> None:
    """Give the fields of an object the names they should have; drop those that mean nothing here."""
    fields = node["properties"]
    listed = False
    for written in [name for name in value if name not in fields]:
        if findings.full:
            findings.count += 1
            del value[written]
            continue
        if "choices" in fields and written in names.RIGHT_ANSWER and isinstance(value.get("choices"), list):
            _mark(value, written, path, findings)
            continue
        meant = names.field(written, fields, value)
        if meant == "text" and "html" in fields and "html" not in value and looks_like_html(value[written]):
            meant = "html"
        if meant is None:
            words = "is no field here" if listed else f"is no field here; these are: {', '.join(fields)}"
            listed = True
            problem = Problem((*path, written), words, value[written], REMOVE)
        else:
            words = f"is called `{meant}`, not `{names.shortened(written)}`"
            problem = Problem((*path, meant), words, value[written], value[written], written)
        findings.add(problem)
        mended(value, Problem((problem.path[-1],), "", nearest=problem.nearest, instead_of=written))


def _mark(question: dict[str, Any], written: str, path: Path, findings: Findings) -> None:
    """Understand an answer that is named beside the choices: by its text, its letter or its number."""
    choices, right = question["choices"], question.pop(written)
    words = f"`{written}` is no field: mark the right choice itself with `correct: true`"
    spoken = right[:200].strip().casefold() if isinstance(right, str) else None
    for number, choice in enumerate(choices):
        text = choice.get("text") if isinstance(choice, dict) else choice
        letter = "abcdefghij"[number] if number < 10 else None
        is_it = spoken in (str(text)[:200].strip().casefold(), letter) if spoken else right == number
        if is_it and right is not True:
            choices[number] = (choice if isinstance(choice, dict) else {"text": choice}) | {"correct": True}
            findings.add(
                Problem((*path, "choices", number, "correct"), words, right, True)
                if isinstance(choice, dict)
                else Problem((*path, "choices", number), words, right, choices[number])
            )
            findings.add(Problem((*path, written), words, right, REMOVE))
            return
    findings.add(Problem((*path, written), words, right, REMOVE))
