"""The nearest valid form of a value that the models refuse, and the words that go with it.

Each function takes one complaint of pydantic, with the schema of the place, and returns a problem. What the
caller meant is kept where it can be told; where content is missing, an example stands in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from composer_mcp.composition import html, names, vocabulary
from composer_mcp.composition.fields import CONTROL
from composer_mcp.composition.findings import ABSENT, REMOVE, Nothing, Path, Problem
from composer_mcp.composition.json_values import copied, short
from composer_mcp.composition.schema import JsonSchema, alternatives

#: What stands in where a text is missing, by name of the field.
EXAMPLES: dict[str, Any] = {
    "back": "Resposta",
    "description": "O que a imagem mostra",
    "elements": [{"type": "text", "text": "Texto da aula"}],
    "front": "Pergunta",
    "html": "<p>Texto</p>",
    "primary_color": "#FFFFFF",
    "question": "Pergunta?",
    "secondary_color": "#00643E",
    "title": "Título",
    "url": "https://example.org/recurso",
    "widget_id": "id from get_composition",
    "x": 50,
    "y": 50,
}
COLOURS = {
    "azul": "#1565C0", "black": "#000000", "blue": "#1565C0", "branco": "#FFFFFF", "cinza": "#757575",
    "gray": "#757575", "green": "#2E7D32", "grey": "#757575", "laranja": "#EF6C00", "orange": "#EF6C00",
    "pink": "#D81B60", "preto": "#000000", "purple": "#6A1B9A", "red": "#C62828", "rosa": "#D81B60",
    "roxo": "#6A1B9A", "verde": "#2E7D32", "vermelho": "#C62828", "white": "#FFFFFF", "yellow": "#F9A825",
    "amarelo": "#F9A825",
}  # fmt: skip
YES = {"true", "yes", "y", "1", "sim", "s", "verdadeiro", "v", "certo", "correct", "correta", "x"}
NO = {"false", "no", "n", "0", "nao", "falso", "f", "errado", "wrong", "incorrect"}


@dataclass(frozen=True, slots=True)
class Case:
    """One complaint: where, about what, what the schema of the place says."""

    kind: str
    path: Path
    given: Any
    node: JsonSchema
    parent: JsonSchema
    message: str
    limits: dict[str, Any]

    @property
    def name(self) -> str:
        """The field, or the one that holds the list."""
        return next((part for part in reversed(self.path) if isinstance(part, str)), "")

    @property
    def number(self) -> int | None:
        """Which one of a list it is in, from 1; for examples that must differ."""
        number = next((part for part in reversed(self.path) if isinstance(part, int)), None)
        return None if number is None else number + 1

    @property
    def required(self) -> bool:
        """Whether the field must be there."""
        last = self.path[-1] if self.path else 0
        return isinstance(last, int) or last in self.parent.get("required", ())


def example(node: JsonSchema, name: str = "", number: int | None = None) -> Any:
    """Return a small valid value for a schema; ``number`` makes those of one list differ."""
    node = alternatives(node)[0]
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return node["enum"][0]
    if name in EXAMPLES and node.get("type") != "object":
        found = copied(EXAMPLES[name])
        is_prose = isinstance(found, str) and not found.startswith(("#", "https:", "id "))
        return f"{found} {number}" if is_prose and number else found
    match node.get("type"):
        case "object":
            # What tells the forms apart has a default and is none of the required fields.
            wanted = [
                field
                for field, form in node.get("properties", {}).items()
                if field in node.get("required", ()) or "const" in form
            ]
            found = {field: example(node["properties"][field], field, number) for field in wanted}
            return found or {"text": "Texto"}
        case "array":
            items = [example(node["items"], name, place + 1) for place in range(node.get("minItems", 1))]
            if name == "choices":
                items[0]["correct"] = True
            return items
        case "boolean":
            return False
        case "integer" | "number":
            return node.get("minimum", 0)
        case _:
            if node.get("pattern", "").startswith("^https"):
                return EXAMPLES["url"]
            return f"Texto {number}" if number else "Texto"


def coerced(given: Any, node: JsonSchema, name: str) -> Any:
    """Return what ``given`` means as a value of the type that is wanted, ABSENT if that cannot be told."""
    node = alternatives(node)[0]
    match node.get("type"):
        case "string":
            return _text(given)
        case "integer" | "number":
            return _number(given, node)
        case "boolean":
            return _truth(given)
        case "array":
            return _list(given, node, name)
        case "object":
            return _object(given, node)
    return ABSENT


def _text(given: Any) -> Any:
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        return short(given)
    if isinstance(given, list) and given and all(isinstance(item, str) for item in given):
        return "\n".join(given)
    if isinstance(given, dict):
        for name in ("text", "content", "value", "html", "title", "label", "name", "url", "item"):
            if isinstance(given.get(name), str):
                return given[name]
    if isinstance(given, str):
        return CONTROL.sub("", given)
    return ABSENT


def _number(given: Any, node: JsonSchema) -> Any:
    if isinstance(given, str) and (found := re.search(r"-?\d{1,9}(?:[.,]\d{1,9})?", given[:100])):
        given = float(found[0].replace(",", "."))
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        return ABSENT
    if isinstance(given, float) and not math.isfinite(given):
        return ABSENT
    given = max(given, node.get("minimum", -math.inf))
    given = min(given, node.get("maximum", math.inf))
    return round(given) if node["type"] == "integer" or given == round(given) else given


def _truth(given: Any) -> Any:
    word = vocabulary.plain(given[:20]) if isinstance(given, str) else str(given).lower()[:20]
    return True if word in YES else False if word in NO else ABSENT


def _list(given: Any, node: JsonSchema, name: str) -> Any:
    if isinstance(given, str):
        if alternatives(node["items"])[0].get("type") == "string":
            parts = given.split("\n") if "\n" in given else given.split(",") if name == "tags" else [given]
            return [part.strip() for part in parts if part.strip()] or ABSENT
        return ABSENT
    if isinstance(given, dict):
        if given and all(isinstance(item, dict) for item in given.values()):
            return list(given.values())
        return [given]
    return ABSENT if given is None else [given]


def _object(given: Any, node: JsonSchema) -> Any:
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], dict):
        return given[0]
    if isinstance(given, list) and len(given) == 2 and node.get("required") == ["front", "back"]:
        return dict(zip(("front", "back"), given, strict=True))
    if isinstance(given, str):
        for name in node.get("required", ()):
            form = node["properties"][name]
            if form.get("type") == "string" and (
                "pattern" not in form or re.search(form["pattern"], given[:2000])
            ):
                return {name: given}
    return ABSENT


# --- one function for each kind of complaint -------------------------------------------------------


def _replacement(case: Case) -> Any:
    """Return an example, or REMOVE where the field may be left out."""
    return example(case.node, case.name, case.number) if case.required else REMOVE


def _missing(case: Case) -> Problem:
    return Problem(case.path, "is required", nearest=example(case.node, case.name, case.number))


TYPE_WORDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


def _wrong_type(case: Case) -> Problem:
    wanted = TYPE_WORDS.get(alternatives(case.node)[0].get("type", ""), "another value")
    nearest = coerced(case.given, case.node, case.name)
    if case.name == "grade" and isinstance(nearest, str) and (year := vocabulary.grade_of(nearest)):
        nearest = year.value
    if nearest is ABSENT:
        nearest = _replacement(case)
    words = f"must be {wanted}" if case.required else f"must be {wanted}, or be left out"
    return Problem(case.path, words, case.given, nearest)


def _few_values(case: Case) -> Problem:
    values = [str(value) for value in alternatives(case.node)[0].get("enum", [])]
    nearest: Any = _replacement(case)
    if isinstance(case.given, str):
        subject = vocabulary.find(vocabulary.SUBJECTS, case.given[: names.LONGEST_NAME])
        meant = subject.value if subject and subject.value in values else names.value(case.given, values)
        nearest = meant or nearest
    words = f"must be one of {', '.join(values)}" + ("" if case.required else ", or be left out")
    return Problem(case.path, words, case.given, nearest)


def _text_length(case: Case) -> Problem:
    if case.kind == "string_too_short":
        return Problem(case.path, _filled("must not be empty", case), case.given, _replacement(case))
    limit = case.limits["max_length"]
    text = case.given if isinstance(case.given, str) else ""
    cut = text.strip()[: limit - 1].rsplit(None, 1)[0] + "…"
    long = f"has {len(text)} characters, the limit is {limit}"
    if limit > names.LONGEST_NAME * 5:
        return Problem(case.path, f"{long}: divide it", case.given, cut, tell=False)
    return Problem(case.path, f"{long}: shorten it", case.given, cut)


def _filled(words: str, case: Case) -> str:
    return words if case.required else f"{words}: leave it out"


def _list_length(case: Case) -> Problem:
    given = case.given if isinstance(case.given, list) else []
    items = case.node.get("items", {})
    if case.kind == "too_short":
        least = case.limits["min_length"]
        more = [example(items, case.name, place + 1) for place in range(len(given), least)]
        words = f"has {len(given) or 'no'} entries, needs at least {least}"
        return Problem(case.path, words, given, [*given, *more])
    limit = case.limits["max_length"]
    words = f"has {len(given)} entries, the limit is {limit}: divide it"
    return Problem(case.path, words, given, given[:limit], tell=False)


def _range(case: Case) -> Problem:
    node = alternatives(case.node)[0]
    low, high = node.get("minimum"), node.get("maximum")
    words = f"must be from {low} to {high}" if high is not None else f"must be {low} or more"
    nearest = coerced(case.given, node, case.name)
    return Problem(case.path, words, case.given, _replacement(case) if nearest is ABSENT else nearest)


def _pattern(case: Case) -> Problem:
    text = case.given if isinstance(case.given, str) else ""
    if case.name == "language":
        code = re.match(r"([a-z]{2})(?:[-_]([a-z]{2})\b)?", text.strip().lower())
        known = vocabulary.plain(text[:40])[:3]
        code_text = {"por": "pt_br", "eng": "en_us", "ing": "en_us", "esp": "es", "spa": "es"}.get(known)
        nearest = code_text or (code and "_".join(part for part in code.groups() if part)) or "pt_br"
        return Problem(case.path, "must be a code such as pt_br, en_us, es", case.given, nearest)
    colour: Any = COLOURS.get(vocabulary.plain(text[:20])) or _hex(text) or _replacement(case)
    return Problem(case.path, "must be a colour such as #00643E", case.given, colour)


def _hex(text: str) -> str | None:
    digits = text.strip().removeprefix("#")
    if re.fullmatch(r"[0-9A-Fa-f]{3}", digits):
        return "#" + "".join(digit * 2 for digit in digits)
    return f"#{digits[:6]}" if re.fullmatch(r"[0-9A-Fa-f]{6}(?:[0-9A-Fa-f]{2})?", digits) else None


def _address(case: Case) -> Problem:
    text = re.sub(r"\s", "", case.given) if isinstance(case.given, str) else ""
    text = re.sub(r"^(?:[a-z]{2,5}:)?/*(?:[^/@?#]*@)?", "", text, flags=re.IGNORECASE)
    looks_right = re.fullmatch(r"[\w-]+(?:\.[\w-]+)+(?::\d+)?(?:[/?#][^\[\]]*)?", text)
    scheme = case.given[:5].lower() if isinstance(case.given, str) else ""
    if looks_right and not scheme.startswith(("data:", "javas", "blob:", "file:")):
        return Problem(case.path, case.message, case.given, f"https://{text}"[:2000])
    return Problem(case.path, case.message, case.given, _replacement(case))


def _control(case: Case) -> Problem:
    cleaned = CONTROL.sub("", case.given) if isinstance(case.given, str) else ""
    nearest = cleaned.strip() or _replacement(case)
    words = "has characters that cannot be sent" if case.kind == "string_unicode" else case.message
    return Problem(case.path, words, case.given, nearest)


def _several_lines(case: Case) -> Problem:
    line = " ".join(str(case.given).split())
    return Problem(case.path, case.message, case.given, line or _replacement(case))


def _repeated(case: Case) -> Problem:
    kept: dict[str, Any] = {}
    for item in case.given if isinstance(case.given, list) else []:
        kept.setdefault(str(item).strip().casefold(), item)
    return Problem(case.path, case.message, case.given, list(kept.values()))


def _no_text(case: Case) -> Problem:
    path = (*case.path, "text")
    return Problem(path, f"the passage is empty: {case.message}", nearest=example({}, "text", case.number))


def _useless_html(case: Case) -> Problem:
    given = case.given.get("html", "") if isinstance(case.given, dict) else ""
    readable = html.text_of(given).replace("\n", "\n\n").strip()
    nearest = html.paragraphs(readable) if readable else EXAMPLES["html"]
    return Problem((*case.path, "html"), case.message, given, nearest[:20_000])


def _text_twice(case: Case) -> Problem:
    given = case.given.get("text") if isinstance(case.given, dict) else ABSENT
    return Problem((*case.path, "text"), f"`html` is there too: {case.message}", given)


def _no_correct_choice(case: Case) -> Problem:
    words = f"no choice is right: {case.message}, whichever it is (the first is only an example)"
    return Problem((*case.path, "choices", 0, "correct"), words, nearest=True)


def _same_choice(case: Case) -> Problem:
    choices = case.given["choices"] if isinstance(case.given, dict) else []
    kept: dict[str, Any] = {}
    for choice in choices:
        kept.setdefault(str(choice.get("text", "")).strip().casefold(), choice)
    distinct = list(kept.values())
    if len(distinct) < 2:
        distinct.append({"text": f"Outra resposta {case.number or ''}".strip()})
    return Problem((*case.path, "choices"), case.message, choices, distinct)


def _no_change(case: Case) -> Problem:
    return Problem(case.path, f"changes nothing: {case.message}", case.given, {"title": EXAMPLES["title"]})


def _too_many_characters(case: Case) -> Problem:
    return Problem(case.path, case.message, nearest=ABSENT, tell=False)


REPAIRS: dict[str, Callable[[Case], Problem]] = {
    "missing": _missing,
    "literal_error": _few_values,
    "string_too_short": _text_length,
    "string_too_long": _text_length,
    "too_short": _list_length,
    "too_long": _list_length,
    "greater_than_equal": _range,
    "less_than_equal": _range,
    "string_pattern_mismatch": _pattern,
    "string_unicode": _control,
    "not_https": _address,
    "control_character": _control,
    "several_lines": _several_lines,
    "repeated_tag": _repeated,
    "repeated_id": _repeated,
    "no_text": _no_text,
    "text_twice": _text_twice,
    "html_empty": _useless_html,
    "html_too_deep": _useless_html,
    "no_correct_choice": _no_correct_choice,
    "same_choice": _same_choice,
    "no_change": _no_change,
    "too_many_characters": _too_many_characters,
}


def problem(case: Case) -> Problem:
    """Return what to tell about one complaint."""
    found = REPAIRS.get(case.kind, _wrong_type)(case)
    if isinstance(found.nearest, Nothing) or found.nearest is not None:
        return found
    return Problem(found.path, found.problem, found.given, REMOVE)
