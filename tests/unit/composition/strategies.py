"""Lessons, documents and other JSON as hypothesis makes them."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from composer_mcp.composition.html import is_too_deep, shows_something
from composer_mcp.composition.lesson import CompositionChange, Lesson
from composer_mcp.composition.schema import JsonSchema, alternatives, full

#: The first example is slow on a busy machine, and says nothing about our code.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])

NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
#: Whatever JSON can hold, and Python's reader lets through: whole numbers of any size, halves of surrogates.
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**70, max_value=2**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1.0, -0.0, 1e300, 0.1])
    | st.text(st.characters(exclude_categories=()), max_size=20)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            NAMES | st.text(st.characters(exclude_categories=()), max_size=5), inner, max_size=3
        )
    ),
    max_leaves=8,
)
FIELDS = st.dictionaries(NAMES, JSON, max_size=5)

#: Text as people write it: no control characters, something to read in it.
WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30).map(lambda text: f"x{text}y")
MARKUP = st.lists(
    st.sampled_from(
        ["<p>", "</p>", "<b>", "</b>", "<ul><li>", "</ul>", "<table><tr><td>", "</table>", "<script>", "&lt;",
         '<a href="https://x.example">', "</a>", '<span style="color:red">', "texto", "<svg>", "<!--", "-->"]
    ),
    max_size=12,
).map(lambda parts: "x" + "".join(parts))  # fmt: skip


def from_schema(node: JsonSchema, name: str = "") -> st.SearchStrategy[Any]:
    """Return values that fit one of our schemas, optional fields sometimes left out."""
    forms = alternatives(node)
    if len(forms) > 1:
        return st.one_of([from_schema(form, name) for form in forms])
    node = forms[0]
    if "const" in node:
        return st.just(node["const"])
    if "enum" in node:
        return st.sampled_from(node["enum"])
    match node["type"]:
        case "object":
            return _objects(node)
        case "array":
            items = from_schema(node["items"], name)
            unique = (lambda item: str(item).casefold()) if name in ("tags", "widget_ids") else None
            most = min(node["maxItems"], max(3, node.get("minItems", 0)))
            return st.lists(items, min_size=node.get("minItems", 0), max_size=most, unique_by=unique)
        case "string" if "pattern" in node:
            examples = {"url": "https://x.example/a", "language": "pt_br"}
            return st.just(
                examples.get(name, "https://x.example/b" if "https" in node["pattern"] else "#00643E")
            )
        case "string":
            return MARKUP if name == "html" else WORDS
        case "integer":
            return st.integers(node["minimum"], node.get("maximum", 50))
        case "number":
            return st.floats(node["minimum"], node["maximum"]) | st.integers(0, 100)
        case _:
            return st.booleans()


def _objects(node: JsonSchema) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: from_schema(form, name) for name, form in node["properties"].items()}
    always = {
        name
        for name, form in node["properties"].items()
        if name in node.get("required", ()) or "const" in form
    }
    made = st.fixed_dictionaries(
        {name: fields[name] for name in always},
        optional={name: form for name, form in fields.items() if name not in always},
    )
    if "choices" in fields:
        return made.map(_answerable)
    if "html" in fields:
        return made.map(_one_form)
    return made


def _answerable(question: dict[str, Any]) -> dict[str, Any]:
    choices = [
        choice | {"text": f"{choice['text']}{place}"} for place, choice in enumerate(question["choices"])
    ]
    choices[0]["correct"] = True
    return question | {"choices": choices}


def _one_form(passage: dict[str, Any]) -> dict[str, Any]:
    if "html" in passage and "text" in passage:
        del passage["text"]
    elif "html" not in passage:
        passage.setdefault("text", "texto")
    return passage


def _shown_html(lesson: dict[str, Any]) -> bool:
    return all(
        "html" not in element or (shows_something(element["html"]) and not is_too_deep(element["html"]))
        for element in lesson["elements"]
    )


#: Lessons that are valid, as JSON.
LESSONS: st.SearchStrategy[dict[str, Any]] = from_schema(full(Lesson)).filter(_shown_html)
#: Changes as JSON, of which most are valid.
CHANGES: st.SearchStrategy[dict[str, Any]] = from_schema(full(CompositionChange))
