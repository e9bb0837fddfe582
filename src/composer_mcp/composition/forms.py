"""Names and forms that a caller got wrong: what pydantic reports as one mistake and cannot look behind.

A value is given the names and forms that it should have, in place, and each step is noted as a problem.
"""

from __future__ import annotations

from typing import Any

from composer_mcp.composition import names, repairs
from composer_mcp.composition.findings import ABSENT, REMOVE, Findings, Path, Problem, mended
from composer_mcp.composition.html import looks_like_html
from composer_mcp.composition.schema import JsonSchema, alternatives


def tags(form: JsonSchema) -> list[str]:
    """Return the constants that tell a form from others: its type or its action."""
    return [field["const"] for field in form.get("properties", {}).values() if "const" in field]


def tidied(value: Any, node: JsonSchema, path: Path, findings: Findings) -> Any:
    """Return ``value`` with every element of a known type and no field of an unknown name."""
    forms = alternatives(node)
    if len(forms) > 1:
        value, node = _typed(value, forms, path, findings)
    else:
        node = forms[0]
    if isinstance(value, list) and node.get("type") == "array":
        for number, item in enumerate(value):
            value[number] = tidied(item, node["items"], (*path, number), findings)
    elif isinstance(value, dict) and node.get("type") == "object":
        _flatten(value, node, path, findings)
        _gather(value, node, path, findings)
        _rename(value, node, path, findings)
        for name, form in node["properties"].items():
            if name in value:
                value[name] = tidied(value[name], form, (*path, name), findings)
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
    if len(value) == 1 and isinstance(inner := next(iter(value.values())), dict):
        key = next(iter(value))
        if (tag := names.tag(key, by_tag)) is not None and name not in inner:
            words = f"the {name} stands beside the other fields, not around them"
            meant = {name: tag, **inner}
            findings.add(Problem(path, words, value, meant))
            return meant, by_tag[tag]
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


def _flatten(value: dict[str, Any], node: JsonSchema, path: Path, findings: Findings) -> None:
    """Take fields out of an object that holds them for no reason, as ``{"type": "quiz", "data": {…}}``."""
    fields = node["properties"]
    for written in sorted(names.WRAPPERS & (value.keys() - fields.keys())):
        inner = value[written]
        if isinstance(inner, dict) and any(names.field(key, fields, ()) for key in list(inner)[:20]):
            words = f"the fields stand here themselves, not inside `{written}`"
            problem = Problem(path, words, value, value)
            del value[written]
            for key, item in inner.items():
                value.setdefault(key, item)
            findings.add(problem)


def _gather(value: dict[str, Any], node: JsonSchema, path: Path, findings: Findings) -> None:
    """Put a single entry where its list belongs, as of a quiz with the fields of one question."""
    lists = {
        name: form["items"]["properties"]
        for name, form in node["properties"].items()
        if name in node.get("required", ()) and form.get("items", {}).get("type") == "object"
    }
    for name, entry in lists.items():
        if any(key == name or names.field(key, (name,), ()) == name for key in value if key not in entry):
            continue
        own = {key: names.field(key, entry, ()) for key in value if key not in node["properties"]}
        required = {field for field in own.values() if field} & entry.keys()
        if len(required) < 2:
            continue
        found = {key: value.pop(key) for key, meant in own.items() if meant}
        value[name] = [found]
        words = f"a list of entries with the fields {', '.join(entry)} is wanted, also for a single one"
        findings.add(Problem((*path, name), words, found, value[name]))


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
    # What names the right answer can be understood once the choices have their name.
    strange = sorted((name for name in value if name not in fields), key=names.RIGHT_ANSWER.__contains__)
    for written in strange:
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
            if written == "title":
                words += "; put a text with this title before it"
            listed = True
            problem = Problem((*path, written), words, value[written], REMOVE)
        else:
            words = f"is called `{meant}`, not `{names.shortened(written)}`"
            problem = Problem((*path, meant), words, value[written], value[written], written)
        findings.add(problem)
        mended(value, Problem((problem.path[-1],), "", nearest=problem.nearest, instead_of=written))


def _mark(question: dict[str, Any], written: str, path: Path, findings: Findings) -> None:
    """Understand answers that are named beside the choices: by their text, letter or number."""
    choices, right = question["choices"], question.pop(written)
    words = f"`{written}` is no field: mark the right choice itself with `correct: true`"
    for spoken in right[:10] if isinstance(right, list) else [right]:
        number = _chosen(choices, spoken)
        if number is None:
            continue
        choice = choices[number]
        choices[number] = (choice if isinstance(choice, dict) else {"text": choice}) | {"correct": True}
        if isinstance(choice, dict):
            findings.add(Problem((*path, "choices", number, "correct"), words, spoken, True))
        else:
            findings.add(Problem((*path, "choices", number), words, spoken, choices[number]))
    findings.add(Problem((*path, written), words, right, REMOVE))


def _chosen(choices: list[Any], spoken: Any) -> int | None:
    """Return which choice is meant by its text, its letter or its number, counted from 0."""
    if isinstance(spoken, int) and not isinstance(spoken, bool):
        return spoken if 0 <= spoken < len(choices) else None
    if not isinstance(spoken, str):
        return None
    wanted = spoken[:200].strip().casefold()
    for number, choice in enumerate(choices):
        text = choice.get("text") if isinstance(choice, dict) else choice
        if str(text)[:200].strip().casefold() == wanted:
            return number
    place = "abcdefghij".find(wanted.rstrip(").")) if len(wanted.rstrip(").")) == 1 else -1
    return place if 0 <= place < len(choices) else None
